"""A real headless browser: Debian's chromium with its driver (`apt-get install chromium chromium-driver`)."""

import shutil
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert binary, "these tests need chromium: apt-get install chromium chromium-driver"
    assert driver, "these tests need chromedriver: apt-get install chromium-driver"
    options = ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # Both paths are given, so that selenium asks nobody for another driver.
    with Chrome(options=options, service=ChromeService(driver)) as running:
        yield running
