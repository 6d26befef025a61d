"""The page of a run as people see and use it: with a real mouse and real keys."""

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_results
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy import ndimage
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait
from sklearn.neighbors import NearestNeighbors
from test_report_page import background, requests

from fruits import Job, run
from fruits.cli import main
from inprocess import Here

SAMPLE = Path(__file__).parents[2] / "fruits" / "sample" / "Test"

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "\"quotes\" & 'others'",
    "\U0001f34e caf\u00e9",
    "{{ 7 * 7 }}",
]
# Where a dot is on the map: the first pixel with a colour, beside a pixel of the same.
FIND_DOT = """
const canvas = document.getElementById("canvas"), ratio = canvas.width / canvas.clientWidth;
const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
for (let y = Math.round(height * arguments[0]); y < height; y++)
  for (let x = 0; x < width; x++) {
    const [r, g, b, a] = data.subarray(4 * (y * width + x), 4 * (y * width + x) + 4);
    if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 60) return [(x + 1) / ratio, (y + 1) / ratio];
  }
"""


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "r"
    run(Job(input=str(SAMPLE), output=str(folder), components=50), session=Here())
    return folder


@pytest.fixture
def opened(browser: Chrome) -> Callable[[Path], Chrome]:
    def open_it(folder: Path) -> Chrome:
        browser.set_window_size(1280, 1000)
        for log in ("browser", "performance"):
            browser.get_log(log)  # of what was before
        browser.get((folder / "report.html").as_uri())
        WebDriverWait(browser, 60).until(lambda page: page.find_element(By.ID, "view").text)
        return browser

    return open_it


@pytest.fixture
def page(opened: Callable[[Path], Chrome], results: Path) -> Chrome:
    return opened(results)


def made_again(folder: Path) -> Path:
    """With the page that the command writes."""
    ended = CliRunner().invoke(main, ["report", str(folder)])
    assert ended.exit_code == 0, ended.output
    return folder


def asked(page: Chrome) -> list[str]:
    """What the browser asked for, but for the pictures that the page itself holds."""
    return [url for url in requests(page) if not url.startswith("data:image/jpeg;")]


def canvas(page: Chrome) -> WebElement:
    return page.find_element(By.ID, "canvas")


def picture(page: Chrome) -> np.ndarray:
    """What is drawn on the map."""
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    drawn = page.execute_script("return arguments[0].toDataURL()", canvas(page)).partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn)))).astype(int)


def changed(page: Chrome, do: Callable[[], Any]) -> bool:
    before = picture(page)
    do()
    return bool((picture(page) != before).any())


def plain(page: Chrome) -> None:
    """Dots in place of pictures, and nothing chosen."""
    for button in page.find_elements(By.CSS_SELECTOR, "#pictures[aria-pressed=true]"):
        button.click()
    canvas(page).send_keys(Keys.ESCAPE)


def mouse_to(page: Chrome, x: float, y: float) -> ActionChains:
    """A mouse that moves to this place of the map, from its left and top."""
    map_ = canvas(page)
    return ActionChains(page).move_to_element_with_offset(map_, round(x - map_.size["width"] / 2), round(y - map_.size["height"] / 2))


def to_a_dot(page: Chrome, from_top: float = 0.3) -> ActionChains:
    picture(page)
    return mouse_to(page, *page.execute_script(FIND_DOT, from_top))


def tip(page: Chrome) -> str:
    return page.find_element(By.ID, "tip").text


def neighbours(page: Chrome) -> list[str]:
    return [small.text for small in page.find_elements(By.CSS_SELECTOR, "#chosen ol small")]


def view(page: Chrome) -> str:
    picture(page)
    return page.find_element(By.ID, "view").text


def brute_force(results: Path, name: str) -> list[str]:
    """The 8 nearest by scikit-learn."""
    rows = pq.read_table(results / "pca").to_pydict()
    names = [str(Path(path).relative_to(SAMPLE)) for path in rows["path"]]
    vectors = np.array(rows["pca_features"])
    model = NearestNeighbors(n_neighbors=9, algorithm="brute").fit(vectors)
    return [names[at] for at in model.kneighbors(vectors[[names.index(name)]], return_distance=False)[0, 1:]]


def test_it_loads_without_an_error_and_asks_nobody(page: Chrome, results: Path) -> None:
    assert page.get_log("browser") == []
    assert asked(page) == [(results / "report.html").as_uri()]
    assert page.title == "the bundled sample: fruits"
    assert view(page) == "335 images, zoom 1.0"
    assert len(page.find_elements(By.CSS_SELECTOR, "#legend button")) == 67


def test_hovering_shows_the_thumbnail_and_the_path(page: Chrome) -> None:
    plain(page)
    assert not page.find_element(By.ID, "tip").is_displayed()
    to_a_dot(page).perform()
    label, name = tip(page).splitlines()
    assert (SAMPLE / name).is_file()
    assert Path(name).parent.name == label
    photo = page.find_element(By.CSS_SELECTOR, "#tip svg")
    assert photo.size["width"] == photo.size["height"] == 80
    shown = np.asarray(Image.open(io.BytesIO(photo.screenshot_as_png)).convert("RGB").resize((64, 64))).astype(int)
    original = np.asarray(Image.open(SAMPLE / name).convert("RGB").resize((64, 64))).astype(int)
    assert np.abs(shown - original)[8:56, 8:56].mean() < 12  # it is that photo, but for JPEG
    mouse_to(page, 3, 3).perform()
    assert not page.find_element(By.ID, "tip").is_displayed()


def test_a_click_shows_the_nearest_neighbours(page: Chrome, results: Path) -> None:
    plain(page)
    to_a_dot(page).click().perform()
    name = page.find_element(By.CSS_SELECTOR, "#chosen > p small").text
    assert name == tip(page).splitlines()[1]
    assert neighbours(page) == brute_force(results, name)
    assert len(page.find_elements(By.CSS_SELECTOR, "#chosen ol svg.photo")) == 8
    first = neighbours(page)[0]
    page.find_element(By.CSS_SELECTOR, "#chosen ol button").click()
    assert page.find_element(By.CSS_SELECTOR, "#chosen > p small").text == first
    assert neighbours(page) == brute_force(results, first)


def test_the_wheel_zooms_and_dragging_moves(page: Chrome) -> None:
    plain(page)
    origin = ScrollOrigin.from_element(canvas(page))
    page.execute_script("arguments[0].scrollIntoView()", canvas(page))
    before = page.execute_script("return scrollY")
    assert changed(page, lambda: ActionChains(page).scroll_from_origin(origin, 0, -400).perform())
    zoom = float(view(page).rpartition(" ")[2])
    assert zoom > 1.5
    assert changed(page, lambda: ActionChains(page).drag_and_drop_by_offset(canvas(page), 90, 40).perform())
    assert float(view(page).rpartition(" ")[2]) == zoom
    assert not neighbours(page)  # a drag is no click
    assert page.execute_script("return scrollY") == before  # the page has not moved with it
    page.find_element(By.ID, "whole").click()
    assert view(page).endswith("zoom 1.0")


def test_two_fingers_pinch(page: Chrome) -> None:
    plain(page)
    page.execute_script("arguments[0].scrollIntoView()", canvas(page))
    box = canvas(page).rect
    top = box["y"] - page.execute_script("return scrollY")

    def touch(kind: str, *xs: int) -> None:
        points = [{"x": box["x"] + x, "y": top + 200, "id": number} for number, x in enumerate(xs)]
        page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 300, 400)
    for step in range(1, 6):
        touch("touchMove", 300 - 20 * step, 400 + 20 * step)
    touch("touchEnd")
    assert float(view(page).rpartition(" ")[2]) == pytest.approx(3.0, abs=0.2)


def test_all_of_it_by_the_keyboard(page: Chrome, results: Path) -> None:
    plain(page)
    map_ = canvas(page)
    said = page.find_element(By.ID, "said")
    seen = []
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_LEFT, Keys.ARROW_DOWN):
        map_.send_keys(key)
        seen.append(said.get_attribute("textContent"))
        assert tip(page).splitlines() == seen[-1].split(", ")
    assert len(set(seen)) >= 4
    map_.send_keys(Keys.ENTER)
    assert neighbours(page) == brute_force(results, seen[-1].split(", ")[1])
    map_.send_keys("+")
    assert view(page).endswith("zoom 1.4")
    assert changed(page, lambda: ActionChains(page).key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT).key_up(Keys.SHIFT).perform())
    map_.send_keys("0")
    assert view(page).endswith("zoom 1.0")
    map_.send_keys(Keys.ESCAPE)
    assert not neighbours(page)


def test_the_map_has_names_for_those_who_do_not_see_it(page: Chrome) -> None:
    map_ = canvas(page)
    assert (map_.aria_role, map_.accessible_name) == ("application", "Map of 335 images in their principal components")
    assert page.find_element(By.ID, map_.get_attribute("aria-describedby")).text.startswith("Wheel or pinch zooms")
    assert {page.find_element(By.ID, name).get_attribute("aria-live") for name in ("said", "chosen")} == {"polite"}
    page.find_element(By.CSS_SELECTOR, "#list summary").click()
    controls = page.find_elements(By.CSS_SELECTOR, "button, select, input")
    assert len(controls) > 70
    assert [control.get_attribute("outerHTML") for control in controls if not control.accessible_name] == []


def test_the_images_are_a_list_too(page: Chrome) -> None:
    page.find_element(By.CSS_SELECTOR, "#list summary").send_keys(Keys.ENTER)
    WebDriverWait(page, 10).until(lambda _: page.find_element(By.ID, "part").text == "1 to 50 of 335")
    page.find_element(By.ID, "next").click()
    assert page.find_element(By.ID, "part").text == "51 to 100 of 335"
    page.find_element(By.ID, "find").send_keys("cherry wax black")
    assert page.find_element(By.ID, "part").text == "1 to 5 of 5"
    button = page.find_element(By.CSS_SELECTOR, "#rows button")
    button.click()
    assert page.find_element(By.CSS_SELECTOR, "#chosen > p small").text == button.text


def test_components_labels_and_pictures_are_chosen(page: Chrome) -> None:
    assert changed(page, page.find_element(By.ID, "pictures").click)
    for name, number in (("across", 2), ("upwards", 3)):
        assert changed(page, lambda name=name, number=number: Select(page.find_element(By.ID, name)).select_by_index(number))
    legend = page.find_element(By.CSS_SELECTOR, "#legend button")
    assert changed(page, legend.click)
    assert legend.get_attribute("aria-pressed") == "true"
    legend.click()
    assert legend.get_attribute("aria-pressed") == "false"


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels and names with markup; points far from each other; images that are gone."""
    labels = [label for label in HOSTILE for _ in range(2)]
    paths = [f"/in/{label.replace('/', '_')}/{number}{label.replace('/', '_')}.jpg" for number, label in enumerate(labels)]
    places = [(column, row) for column in range(5) for row in range(2)]
    return made_again(made_results.write(tmp_path_factory.mktemp("few") / "r", paths, labels, np.array(places, float)))


def test_the_map_has_as_many_points_as_images(opened: Callable[[Path], Chrome], few: Path) -> None:
    page = opened(few)
    plain(page)
    image = picture(page)
    coloured = (image[..., :3].max(axis=2) - image[..., :3].min(axis=2) > 50) & (image[..., 3] > 150)
    _, blobs = ndimage.label(coloured)
    assert blobs == 10
    assert view(page) == "10 images, zoom 1.0"


def test_markup_in_labels_and_paths_is_text(opened: Callable[[Path], Chrome], few: Path) -> None:
    page = opened(few)
    assert [one.text for one in page.find_elements(By.CSS_SELECTOR, "#legend .name")] == sorted(HOSTILE)
    page.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
    WebDriverWait(page, 10).until(lambda _: page.find_elements(By.CSS_SELECTOR, "#rows button"))
    for part in ("labels", "quality", "rows"):
        assert all(label in page.find_element(By.ID, part).text for label in HOSTILE), part
    for button in page.find_elements(By.CSS_SELECTOR, "#rows button"):
        button.click()
        assert button.text in page.find_element(By.ID, "chosen").text
    canvas(page).send_keys(Keys.ARROW_LEFT)
    assert page.find_element(By.ID, "tip").text.splitlines()[0] in HOSTILE
    assert page.find_elements(By.TAG_NAME, "img") == []
    assert len(page.find_elements(By.TAG_NAME, "script")) == 2
    assert page.get_log("browser") == []
    assert asked(page) == [(few / "report.html").as_uri()]
    assert "10 thumbnails left out: no file of the input can be read" in page.find_element(By.ID, "map").text


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand images more than a map has."""
    random, count = np.random.default_rng(5), 26_000
    labels = [f"Label {number:03}" for number in np.sort(random.integers(0, 120, count))]
    centres = random.normal(0, 3, (120, 6))
    vectors = np.array([centres[int(label[-3:])] for label in labels]) + random.normal(0, 1, (count, 6))
    paths = [f"/in/{label}/photo-{number}.jpg" for number, label in enumerate(labels)]
    return made_again(made_results.write(tmp_path_factory.mktemp("many") / "r", paths, labels, vectors))


def test_25_000_points_load_and_respond(opened: Callable[[Path], Chrome], many: Path) -> None:
    page = opened(many)
    assert page.get_log("browser") == []
    assert view(page) == "25,000 images, zoom 1.0"
    drawn = json.loads(page.find_element(By.ID, "points").get_attribute("textContent"))
    assert len(set(drawn["names"])) == 25_000
    text = page.find_element(By.TAG_NAME, "main").text
    assert "A sample of 25,000 of 26,000 images (seed 0)" in text
    assert "A sample of 20,000 of 26,000 images was asked (seed 0)" in text
    plain(page)
    to_a_dot(page).click().perform()
    assert re.fullmatch(r"Label \d{3}\nLabel \d{3}/photo-\d+\.jpg", tip(page))
    assert len(neighbours(page)) == 8
    origin = ScrollOrigin.from_element(canvas(page))
    assert changed(page, lambda: ActionChains(page).scroll_from_origin(origin, 0, -400).perform())
    page.find_element(By.CSS_SELECTOR, "#list summary").click()
    WebDriverWait(page, 30).until(lambda _: page.find_element(By.ID, "part").text == "1 to 50 of 25000")
    assert (many / "report.html").stat().st_size < 4e6


def test_light_and_dark_by_the_system_and_by_the_button(page: Chrome) -> None:
    def scheme(name: str) -> None:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name}]})

    def brightness() -> tuple[float, int]:
        picture(page)
        seen = np.asarray(Image.open(io.BytesIO(canvas(page).screenshot_as_png)).convert("L"))
        return float(seen.mean()), sum(map(int, re.findall(r"\d+", background(page))[:3]))

    try:
        scheme("light")
        light = brightness()
        scheme("dark")
        dark = brightness()
        assert dark[0] < light[0] - 50
        assert dark[1] < light[1] - 300
        page.find_element(By.ID, "theme").send_keys(Keys.ENTER)
        assert brightness() == pytest.approx(light, rel=0.02)
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_on_a_phone_nothing_is_wider_than_the_screen(page: Chrome) -> None:
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})
    try:
        page.execute_script("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.execute_script("return document.documentElement.scrollWidth") <= 390
        assert 300 < canvas(page).size["width"] <= 390
        assert page.execute_script("return parseFloat(getComputedStyle(document.body).fontSize)") >= 16
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_printing_shows_what_is_closed_and_in_ink_on_paper(page: Chrome) -> None:
    page.find_element(By.ID, "theme").click()
    dark = background(page)
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert background(page) != dark
    assert page.find_element(By.CSS_SELECTOR, "#variance table").is_displayed()
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert background(page) == dark
    assert not page.find_element(By.CSS_SELECTOR, "#variance table").is_displayed()
