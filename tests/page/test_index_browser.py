"""The index of a batch and the page of a comparison in a real browser, from disk."""

import json
import os
from pathlib import Path

import pytest

from openloop_cli.compare.compare import compare
from openloop_cli.draw.grid import to_levels
from openloop_cli.page.comparison import write_comparison_page
from openloop_cli.page.index import write_index
from openloop_cli.results.entries import Entry
from tests.page.test_browser import By, Keys, WebDriverWait, browser, opened, settled, webdriver
from tests.page.test_browser import pytestmark as pytestmark
from tests.page.test_index import index

PATIENCE = 30
NAMES = "return [...document.querySelectorAll('table.index tbody th')].map(x => x.dataset.name)"


@pytest.fixture(scope="module")
def pages(small, tmp_path_factory):
    """An index with videos beside it, and a comparison of a checkpoint with itself."""
    folder = tmp_path_factory.mktemp("batch")
    found = index(folder, 12)
    for outcome in found.outcomes:
        for what, path in outcome.files.items():
            path.write_bytes(small.media.players[0].mp4 if what.startswith("video") else b"")
    tree = small.tree | {"config": small.tree["config"] | {"action_repeat": 2}}
    comparison = compare([Entry(f"step {n}", tree, f"{n}.json") for n in (1, 2)])
    loop = small.report.loop
    truth = {key: loop.truth[key] for key in loop.image_keys}
    imagined = {key: to_levels(loop.model.prediction[key]) for key in loop.image_keys}
    paths = {"index": write_index(folder, found)["index page"], "comparison": folder / "c.html"}
    predictions = [("step 1", imagined), ("step 2", truth)]
    write_comparison_page(paths["comparison"], comparison, truth=truth, predictions=predictions)
    return paths


@pytest.fixture(scope="module")
def desktop(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("desktop")) as driver:
        yield driver


def at_index(driver, pages):
    driver.get_log("browser"), driver.get_log("performance")
    driver.get(pages["index"].as_uri())
    return driver


def sort_by(driver, column, key=None):
    button = driver.find_elements(By.CSS_SELECTOR, "table.index thead button")[column]
    button.send_keys(key) if key else button.click()
    return driver.find_element(By.CSS_SELECTOR, "th[aria-sort]").get_attribute("aria-sort")


def test_columns_sort_by_mouse_and_by_keyboard(desktop, pages):
    at_index(desktop, pages)
    plain = [f"run-{n}" for n in range(1, 13)]
    assert desktop.execute_script(NAMES) == [*plain, "run-98", "run-99"]
    assert sort_by(desktop, 0) == "ascending"  # names, "run-2" before "run-12"
    assert desktop.execute_script(NAMES) == [*plain, "run-98", "run-99"]
    assert sort_by(desktop, 1, Keys.ENTER) == "ascending"
    assert sort_by(desktop, 1, Keys.SPACE) == "descending"  # the step, not its text
    assert desktop.execute_script(NAMES) == [*plain[::-1], "run-98", "run-99"]
    assert sort_by(desktop, 2) == "ascending"  # horizons fall with training; no number comes last
    assert desktop.execute_script(NAMES) == [*plain[::-1], "run-98", "run-99"]
    assert sort_by(desktop, 3) == "ascending"  # skill
    assert desktop.execute_script(NAMES) == [*plain, "run-98", "run-99"]
    assert len(desktop.find_elements(By.CSS_SELECTOR, "[aria-sort]")) == 1


def playing(driver, video):
    """Whether it has come to play, large."""
    WebDriverWait(driver, PATIENCE).until(
        lambda d: d.execute_script("return arguments[0].currentTime > 0", video)
    )
    return driver.execute_script("return arguments[0].getBoundingClientRect().width > 300", video)


def test_thumbnails_grow_and_play_when_pointed_at_or_focused(desktop, pages):
    at_index(desktop, pages)
    first, second = desktop.find_elements(By.CSS_SELECTOR, "video.thumb")[:2]
    desktop.execute_script("arguments[0].scrollIntoView({block: 'center'})", first)
    webdriver.ActionChains(desktop).move_to_element(first).perform()
    assert playing(desktop, first)
    away = webdriver.ActionChains(desktop)
    away.w3c_actions.pointer_action.move_to_location(2, 2)  # a corner that no video covers
    away.perform()
    WebDriverWait(desktop, PATIENCE).until(
        lambda d: d.execute_script("return arguments[0].paused", first)
    )
    desktop.execute_script("arguments[0].focus()", second)
    assert playing(desktop, second)
    webdriver.ActionChains(desktop).send_keys(Keys.ESCAPE).perform()
    small = "return arguments[0].paused && arguments[0].getBoundingClientRect().width < 200"
    assert desktop.execute_script(small, second)


def test_a_thousand_rows_open_and_sort(desktop, tmp_path):
    page = write_index(tmp_path, index(tmp_path, 1000))["index page"]
    desktop.get(page.as_uri())
    for _ in range(2):
        sort_by(desktop, 1)
    assert desktop.execute_script(NAMES)[:2] == ["run-1000", "run-999"]


def test_videos_out_of_view_are_not_fetched(desktop, pages):
    at_index(desktop, pages)
    states = "return [...document.querySelectorAll('video.thumb')].map(v => v.preload)"
    WebDriverWait(desktop, PATIENCE).until(lambda d: "metadata" in d.execute_script(states))
    assert desktop.execute_script(states)[-1] == "none"


def test_the_index_reads_files_beside_it_alone_and_without_an_error(desktop, pages):
    at_index(desktop, pages)
    assert desktop.get_log("browser") == []
    events = [json.loads(x["message"])["message"] for x in desktop.get_log("performance")]
    asked = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    beside = pages["index"].parent.as_uri()
    assert asked
    assert all(url.startswith(beside) for url in asked)


def test_one_key_flips_between_the_checkpoints_at_the_same_step(desktop, pages):
    opened(desktop, pages["comparison"])
    body = desktop.find_element(By.TAG_NAME, "body")
    desktop.find_element(By.ID, "step").send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    seen = []
    for _ in range(3):
        body.send_keys("f")
        settled(desktop)
        seen.append(
            desktop.execute_script(
                "const v = document.querySelector('video');"
                "return [document.querySelector('.flipped').textContent, v.style.left,"
                " v.currentTime]"
            )
        )
    assert [label for label, _, _ in seen] == ["step 1", "step 2", "step 1"]
    assert seen[0][1] != seen[1][1]
    assert seen[0][1] == seen[2][1]
    assert len({time for _, _, time in seen}) == 1


def test_environment_time_stands_beside_the_step(desktop, pages, small):
    opened(desktop, pages["comparison"])
    desktop.find_element(By.ID, "step").send_keys(Keys.END)
    imagined = small.media.steps - small.media.context
    state = desktop.find_element(By.ID, "state")
    assert state.text == f"imagined +{imagined}"
    assert state.get_attribute("title") == f"+{2 * imagined} environment steps"
    line = desktop.find_element(By.CSS_SELECTOR, ".recorded").text
    assert line.endswith(f"; +{2 * imagined} environment steps from the end of the context")


@pytest.mark.parametrize("name", ["index", "comparison"])
def test_a_phone_shows_it_without_sideways_scrolling(pages, tmp_path, name):
    with browser(tmp_path, width=360, height=780) as driver:
        driver.get(pages[name].as_uri())
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["index", "comparison"])
def test_axe_finds_nothing_serious(pages, tmp_path, name, dark):
    axe = os.environ.get("OPENLOOP_AXE")
    if not axe:
        pytest.skip("OPENLOOP_AXE does not name axe-core's axe.min.js")
    with browser(tmp_path, dark=dark) as driver:
        driver.get(pages[name].as_uri())
        driver.execute_script(Path(axe).read_text(encoding="utf-8"))
        found = driver.execute_async_script(
            "const done = arguments[0]; axe.run().then(r => done(r.violations.map("
            "v => [v.impact, v.id, v.nodes.map(n => n.html.slice(0, 200))])))"
        )
        assert [v for v in found if v[0] in ("serious", "critical")] == []
