"""The benchmarks' page as people see it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from benchmarks.__main__ import main
from made_up import plane, study

CHARTS = 9
# Shapes of a chart that take room on the screen.
COUNT_DRAWN = """
return [...arguments[0].querySelectorAll("path, use")].filter(shape => {
  const box = shape.getBoundingClientRect();
  return box.width + box.height > 2;
}).length;
"""


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "study.json").write_text(json.dumps(study(noise=0.03)))
    (folder / "plane.json").write_text(json.dumps(plane()))
    done = CliRunner().invoke(main, ["report", str(folder), "--volume", "1e7", "--deadline", "3h"])
    assert done.exit_code == 0, done.output
    return folder / "report.html"


@pytest.fixture
def page(browser: Chrome, report: Path) -> Chrome:
    browser.set_window_size(1280, 900)
    for log in ("browser", "performance"):
        browser.get_log(log)  # of what was before
    browser.get(report.as_uri())
    return browser


def requests(browser: Chrome) -> list[str]:
    messages: list[dict[str, Any]] = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [of["params"]["request"]["url"] for of in messages if of["method"] == "Network.requestWillBeSent"]


def test_it_loads_without_an_error_and_asks_nobody(page: Chrome, report: Path) -> None:
    assert page.get_log("browser") == []
    assert requests(page) == [report.as_uri()]
    assert page.title == "Spark or Dask: what was measured"


def test_the_charts_are_there_and_not_empty(page: Chrome) -> None:
    charts = page.find_elements(By.CSS_SELECTOR, "figure svg")
    assert len(charts) == CHARTS
    for chart in charts:
        assert chart.size["width"] > 500
        assert chart.size["height"] > 100
        assert chart.get_attribute("aria-label")
        drawn = page.execute_script(COUNT_DRAWN, chart)
        assert drawn > 10
        assert len(chart.find_elements(By.TAG_NAME, "text")) > 5


def background(page: Chrome) -> str:
    return str(page.execute_script("return getComputedStyle(document.body).backgroundColor"))


def test_light_and_dark_can_be_switched_by_mouse_and_keyboard(page: Chrome) -> None:
    before = background(page)
    ink = page.execute_script("return getComputedStyle(document.querySelector('svg text')).fill")
    button = page.find_element(By.ID, "theme")
    button.click()
    assert background(page) != before
    assert page.execute_script("return getComputedStyle(document.querySelector('svg text')).fill") != ink  # the charts too
    button.send_keys(Keys.ENTER)
    assert background(page) == before


def test_a_table_opens_by_the_keyboard(page: Chrome) -> None:
    summary = page.find_element(By.CSS_SELECTOR, "#throughput summary")
    table = page.find_element(By.CSS_SELECTOR, "#throughput table")
    assert not table.is_displayed()
    summary.send_keys(Keys.ENTER)
    assert table.is_displayed()


def test_on_a_phone_nothing_is_wider_than_the_screen(page: Chrome) -> None:
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})
    try:
        wide = page.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 390
        assert all(chart.size["width"] <= 390 for chart in page.find_elements(By.CSS_SELECTOR, "figure svg"))
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
