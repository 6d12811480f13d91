"""The page in a real browser: from disk, without a network, with and without scripts.

Runs where Chromium with its driver and selenium are installed. OPENLOOP_AXE names axe-core's
axe.min.js; without it the checks of accessibility are left out.
"""

import html
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

from openloop_cli.page import PageEntry, page_html  # noqa: E402
from openloop_cli.page.index import index_html  # noqa: E402
from tests.page.test_index import index as made_index  # noqa: E402
from tests.page.test_page import two_cameras  # noqa: E402

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
DRIVER = shutil.which("chromedriver")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
PATIENCE = 30

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed"
)


@contextmanager
def browser(profile: Path, *, width=1280, height=900, dark=False):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.chrome.service.Service(DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def files(small, alone, tmp_path_factory):
    """Pages on disk, by what they show."""
    folder = tmp_path_factory.mktemp("pages")
    texts = {
        "small": small.html,
        "alone": alone.html,
        "several": page_html([PageEntry(small.tree), PageEntry(small.tree)], media=small.media),
        "numbers": page_html([PageEntry(small.tree)]),
        "cameras": page_html([PageEntry(small.tree)], media=two_cameras(small.media)),
    }
    paths = {}
    for name, text in texts.items():
        paths[name] = folder / f"{name}.html"
        paths[name].write_text(text, encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def desktop(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("desktop")) as driver:
        yield driver


def opened(driver, path: Path):
    driver.get_log("browser"), driver.get_log("performance")
    driver.get(path.as_uri())
    WebDriverWait(driver, PATIENCE).until(
        lambda d: d.execute_script(
            "return document.documentElement.classList.contains('js')"
            " && [...document.querySelectorAll('video')]"
            ".every(v => v.readyState >= 2 && !v.seeking)"
        )
    )
    return driver


def settled(driver):
    """After the videos have found the step's frame."""
    WebDriverWait(driver, PATIENCE).until(
        lambda d: d.execute_script(
            "return [...document.querySelectorAll('video')].every(v => !v.seeking)"
        )
    )


def cursors(driver):
    """Of each curve that is shown: the step it says, where its cursor stands, where it should."""
    return driver.execute_script("""
      return [...document.querySelectorAll('svg.curves[data-x]')].map(svg => {
        const [first, last, left, right] = svg.dataset.x.split(' ').map(Number);
        const k = Number(svg.dataset.step), at = Math.min(Math.max(k, first), last);
        const x = svg.querySelector('.cursor-line').getAttribute('d').slice(1).split(' ')[0];
        return [k, Number(x), left + (at - first) / (last - first) * (right - left)];
      });""")


@pytest.mark.parametrize("name", ["small", "alone", "several", "numbers", "cameras"])
def test_it_loads_from_disk_without_a_request_or_an_error(desktop, files, name):
    opened(desktop, files[name])
    assert desktop.get_log("browser") == []
    events = [json.loads(x["message"])["message"] for x in desktop.get_log("performance")]
    asked = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith("data:")] == [files[name].as_uri()]


def test_the_video_plays(desktop, files):
    opened(desktop, files["small"])
    video = desktop.find_element(By.TAG_NAME, "video")
    assert desktop.execute_script(
        "return arguments[0].videoWidth > 0 && arguments[0].paused", video
    )
    desktop.find_element(By.ID, "play").click()
    seen: set[str] = set()

    def moved(driver):
        seen.add(driver.find_element(By.ID, "state").text)
        return len(seen) >= 3

    WebDriverWait(desktop, PATIENCE, poll_frequency=0.05).until(moved)
    assert desktop.execute_script(
        "return !arguments[0].paused && arguments[0].currentTime > 0", video
    )
    desktop.find_element(By.ID, "play").click()
    assert desktop.execute_script("return arguments[0].paused", video)


def test_the_scrubber_moves_the_video_and_the_cursor_of_every_curve(desktop, files, small):
    opened(desktop, files["small"])
    slider = desktop.find_element(By.ID, "step")
    slider.send_keys(Keys.HOME)
    context, steps = small.media.context, small.media.steps
    for index in range(steps):
        settled(desktop)
        k = index - context + 1
        found = cursors(desktop)
        assert len(found) >= 8
        for step, x, expected in found:
            assert step == k
            assert x == pytest.approx(expected, abs=0.06)
        time = desktop.execute_script("return document.querySelector('video').currentTime")
        assert time == pytest.approx((index + 0.5) / 10, abs=0.02)
        assert slider.get_attribute("aria-valuetext").endswith(f"step {index + 1} of {steps}")
        slider.send_keys(Keys.ARROW_RIGHT)


def test_two_cameras_show_the_same_step_and_window(desktop, files):
    opened(desktop, files["cameras"])
    desktop.find_element(By.ID, "step").send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    desktop.find_elements(By.CSS_SELECTOR, "input[name=window]")[0].send_keys(Keys.ARROW_RIGHT)
    settled(desktop)
    found = desktop.execute_script(
        "return [...document.querySelectorAll('video')].map("
        "v => [v.currentTime, v.style.left, v.style.top])"
    )
    assert len(found) == 2
    assert found[0] == found[1]
    assert found[0][0] == pytest.approx(0.15, abs=0.02)
    assert found[0][1:] != ["0%", "0%"]


def test_the_border_of_the_picture_tells_what_the_model_sees(desktop, files):
    """What the browser shows at a step is that step's frame: green while seen, then red."""
    opened(desktop, files["small"])
    slider = desktop.find_element(By.ID, "step")
    colours = []
    for key in (Keys.HOME, Keys.END):
        slider.send_keys(key)
        settled(desktop)
        colours.append(
            desktop.execute_script("""
              const video = document.querySelector('video');
              const canvas = document.createElement('canvas');
              canvas.width = video.videoWidth; canvas.height = video.videoHeight;
              const data = JSON.parse(document.getElementById('data').textContent);
              const [x, y] = data.players[0].blocks[0];
              const pen = canvas.getContext('2d');
              pen.drawImage(video, 0, 0);
              return [...pen.getImageData(x + 20, y + 1, 1, 1).data];""")
        )
    assert colours[0][1] > colours[0][0] + 50
    assert colours[1][0] > colours[1][1] + 50


def test_the_numbers_follow_the_cursor_and_the_pointer(desktop, files, small):
    opened(desktop, files["small"])
    slider = desktop.find_element(By.ID, "step")
    slider.send_keys(Keys.END)
    value = desktop.find_element(By.CSS_SELECTOR, "#c-k0-error .value[data-line='0']")
    series = small.tree["observations"]["image"]["imagined"]["model"]["psnr"]["per_step"]
    assert float(value.text.split()[0]) == pytest.approx(series[-1], abs=0.051)
    plot = desktop.find_element(By.CSS_SELECTOR, "#c-k0-error .plot.wide")
    desktop.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    chain = webdriver.ActionChains(desktop)
    chain.move_to_element_with_offset(plot, 30 - plot.size["width"] // 2, 0).perform()
    before = small.tree["observations"]["image"]["context"]["model"]["psnr"]["per_step"][-1]
    assert float(value.text.split()[0]) == pytest.approx(before, abs=0.051)
    assert desktop.find_element(By.ID, "state").text == f"imagined +{len(series)}"
    chain.click().perform()
    assert desktop.find_element(By.ID, "state").text == "context 0"
    plot.send_keys(Keys.ARROW_RIGHT)
    assert desktop.find_element(By.ID, "state").text == "imagined +1"


def test_another_window_shows_another_block_and_other_lines(desktop, files, small):
    opened(desktop, files["small"])

    def shown():
        return desktop.execute_script("""
          const video = document.querySelector('video');
          return [video.style.left, video.style.top,
                  document.querySelector('[data-trace="1"] .line.truth').getAttribute('d'),
                  document.querySelector('#c-k0-error .line.window').getAttribute('d'),
                  document.querySelector('.window-name').textContent];""")

    first = shown()
    radios = desktop.find_elements(By.CSS_SELECTOR, "input[name=window]")
    assert len(radios) == len(small.media.windows)
    assert radios[0].is_selected()
    radios[0].send_keys(Keys.ARROW_RIGHT)
    assert radios[1].is_selected()
    second = shown()
    assert first[:2] != second[:2]
    assert all(a != b for a, b in zip(first[2:], second[2:], strict=True))
    assert second[4] == str(small.media.windows[1].index + 1)
    crop = desktop.execute_script("""
      const crop = document.querySelector('.crop').getBoundingClientRect();
      return crop.width / crop.height""")
    block = small.media.players[0].block
    assert crop == pytest.approx(block[0] / block[1], rel=0.02)


def test_keys_work_on_the_whole_page_but_in_no_field(desktop, files):
    opened(desktop, files["small"])
    body = desktop.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.ARROW_LEFT)
    before = int(desktop.find_element(By.ID, "step").get_attribute("value"))
    body.send_keys(Keys.ARROW_RIGHT)
    assert int(desktop.find_element(By.ID, "step").get_attribute("value")) == before + 1
    body.send_keys(Keys.SPACE)
    assert desktop.find_element(By.ID, "play").text == "Pause"
    body.send_keys(Keys.SPACE)
    assert desktop.find_element(By.ID, "play").text == "Play"
    desktop.execute_script("""
      const field = document.body.appendChild(document.createElement('textarea'));
      field.id = 'field';""")
    step = desktop.find_element(By.ID, "step").get_attribute("value")
    field = desktop.find_element(By.ID, "field")
    field.send_keys("a b", Keys.ARROW_LEFT, "f")
    assert field.get_attribute("value") == "a fb"
    assert desktop.find_element(By.ID, "step").get_attribute("value") == step
    assert desktop.find_element(By.ID, "play").text == "Play"


def test_the_address_names_the_window_and_the_step(desktop, files, small):
    opened(desktop, files["small"])
    number = small.media.windows[2].index + 1
    desktop.find_elements(By.CSS_SELECTOR, "input[name=window]")[1].send_keys(Keys.ARROW_RIGHT)
    desktop.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_RIGHT)
    step = int(desktop.find_element(By.ID, "step").get_attribute("value")) + 1
    assert desktop.execute_script("return location.hash") == f"#window={number}&step={step}"
    desktop.get("about:blank")
    desktop.get(f"{files['small'].as_uri()}#window={number}&step=2")
    assert desktop.find_element(By.CSS_SELECTOR, ".window-name").text == str(number)
    assert desktop.find_element(By.ID, "step").get_attribute("value") == "1"
    desktop.get(f"{files['small'].as_uri()}#window=999&step=<b>")
    assert desktop.find_element(By.CSS_SELECTOR, ".window-name").text == str(number)
    assert desktop.get_log("browser") == []


def test_it_plays_at_other_speeds(desktop, files):
    opened(desktop, files["small"])
    Select(desktop.find_element(By.ID, "speed")).select_by_value("2")
    desktop.find_element(By.ID, "play").click()
    video = desktop.find_element(By.TAG_NAME, "video")
    assert desktop.execute_script("return arguments[0].playbackRate", video) == 2
    desktop.find_element(By.ID, "play").click()


def test_all_windows_at_once_and_back_by_a_click(desktop, files, small):
    opened(desktop, files["small"])
    player, crop = small.media.players[0], desktop.find_element(By.CSS_SELECTOR, ".crop")

    def ratio():
        box = crop.rect
        return box["width"] / box["height"]

    desktop.find_element(By.ID, "grid").send_keys(Keys.ENTER)
    desktop.execute_script("arguments[0].scrollIntoView({block: 'end'})", crop)
    desktop.execute_script("scrollBy(0, 120)")  # from under the scrubber
    assert ratio() == pytest.approx(player.size[0] / player.size[1], rel=0.02)
    # A click on the last block shows that window.
    (x, y), (width, height) = player.blocks[-1], player.block
    box, scale = crop.rect, crop.rect["width"] / player.size[0]
    chain = webdriver.ActionChains(desktop)
    chain.move_to_element_with_offset(
        crop,
        int((x + width / 2) * scale - box["width"] / 2),
        int((y + height / 2) * scale - box["height"] / 2),
    ).click().perform()
    assert ratio() == pytest.approx(width / height, rel=0.02)
    expected = str(small.media.windows[-1].index + 1)
    assert desktop.find_element(By.CSS_SELECTOR, ".window-name").text == expected


def test_one_key_flips_between_pictures_of_the_same_step(desktop, files):
    opened(desktop, files["several"])
    body = desktop.find_element(By.TAG_NAME, "body")
    step = desktop.find_element(By.ID, "step").get_attribute("value")
    seen = []
    for _ in range(3):
        body.send_keys("f")
        left = desktop.execute_script("return document.querySelector('video').style.left")
        seen.append((desktop.find_element(By.CSS_SELECTOR, ".flipped").text, left))
    assert seen[0] == seen[2]
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]
    assert desktop.find_element(By.ID, "step").get_attribute("value") == step
    desktop.find_element(By.ID, "flip").click()
    assert desktop.find_element(By.CSS_SELECTOR, ".player").get_attribute("data-view") == "one"


def test_a_line_is_hidden_and_shown_by_its_legend(desktop, files):
    opened(desktop, files["small"])
    box = desktop.find_element(By.CSS_SELECTOR, "#c-k0-error input[value=floor]")
    line = desktop.find_element(By.CSS_SELECTOR, "#c-k0-error .wide .line.floor")
    assert line.is_displayed()
    box.send_keys(Keys.SPACE)
    assert not line.is_displayed()
    assert desktop.find_element(By.ID, "play").text == "Play"
    box.send_keys(Keys.SPACE)
    assert line.is_displayed()


def test_the_id_of_the_window_is_copied(desktop, files, small):
    opened(desktop, files["small"])
    desktop.execute_script("""
      window.copied = '';
      document.execCommand = () => { window.copied = document.activeElement.value; return true; };
      navigator.clipboard.writeText = () => Promise.reject();""")
    control = desktop.find_element(By.CSS_SELECTOR, "[data-copy=window]")
    control.send_keys(Keys.ENTER)
    expected = small.tree["rollout"]["windows"][small.media.windows[0].index]
    WebDriverWait(desktop, PATIENCE).until(
        lambda d: d.execute_script("return window.copied") == expected
    )


def test_it_reads_with_scripts_off(desktop, files, tmp_path):
    """In a sandboxed frame, as viewers of artifacts show it."""
    inner = html.escape(files["small"].read_text(encoding="utf-8"), quote=True)
    outer = tmp_path / "outer.html"
    frame = f'<iframe sandbox="allow-same-origin" width="1200" height="3000" srcdoc="{inner}">'
    outer.write_text(f"<!doctype html><title>t</title>{frame}</iframe>", encoding="utf-8")
    desktop.get(outer.as_uri())
    WebDriverWait(desktop, PATIENCE).until(
        lambda d: d.execute_script(
            "const v = document.querySelector('iframe').contentDocument?.querySelector('video');"
            "return v && v.readyState >= 1"
        )
    )
    found = desktop.execute_script("""
      const page = document.querySelector('iframe').contentDocument;
      const size = node => { const b = node.getBoundingClientRect(); return [b.width, b.height]; };
      return {
        js: page.documentElement.classList.contains('js'),
        title: page.querySelector('h1').textContent,
        controls: page.querySelector('video').controls,
        video: size(page.querySelector('video')),
        natural: page.querySelector('video').videoWidth,
        curves: [...page.querySelectorAll('.chart')].map(c => Math.max(
          ...[...c.querySelectorAll('svg.curves[data-x]')].map(svg => size(svg)[1]))),
        means: [...page.querySelectorAll('.chart .value')].map(v => v.textContent),
        transport: size(page.querySelector('.transport')),
        picker: size(page.querySelector('.picker')),
        stills: [...page.querySelectorAll('.strip img')].map(i => i.naturalWidth),
      };""")
    assert found["js"] is False
    assert found["title"]
    assert found["controls"] is True
    assert found["natural"] > 0
    assert min(found["video"]) > 100
    assert min(found["curves"]) > 100
    assert any(text.startswith("mean ") for text in found["means"])
    assert found["transport"] == found["picker"] == [0, 0]
    assert found["stills"]
    assert min(found["stills"]) > 0


@pytest.mark.parametrize("width", [390, 320])
def test_a_phone_shows_it_without_sideways_scrolling(files, tmp_path, width):
    with browser(tmp_path, width=width, height=844) as driver:
        for name in ("small", "several"):
            opened(driver, files[name])
            driver.execute_script(
                "document.querySelectorAll('details').forEach(d => { d.open = true; })"
            )
            wide, size = driver.execute_script(
                "const text = document.querySelector('.narrow svg text');"
                "return [document.documentElement.scrollWidth,"
                " text.getBoundingClientRect().height]"
            )
            assert wide <= width
            assert size >= 9


def test_dark_mode_is_dark(files, tmp_path):
    with browser(tmp_path, dark=True) as driver:
        opened(driver, files["small"])
        paper, ink, model = driver.execute_script("""
          const style = n => getComputedStyle(n);
          return [style(document.documentElement).backgroundColor, style(document.body).color,
                  style(document.querySelector('.line.model')).stroke];""")
        assert max(_rgb(paper)) < 40
        assert min(_rgb(ink)) > 200
        assert sum(_rgb(model)) > 450


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["small", "several", "index"])
def test_axe_finds_nothing_serious(files, tmp_path, name, dark):
    axe = os.environ.get("OPENLOOP_AXE")
    if not axe:
        pytest.skip("OPENLOOP_AXE does not name axe-core's axe.min.js")
    with browser(tmp_path / "profile", dark=dark) as driver:
        if name == "index":
            path = tmp_path / "index.html"
            path.write_text(index_html(tmp_path, made_index(tmp_path)), encoding="utf-8")
            driver.get(path.as_uri())
        else:
            opened(driver, files[name])
        driver.execute_script(
            "document.querySelectorAll('details').forEach(d => { d.open = true; })"
        )
        driver.execute_script(Path(axe).read_text(encoding="utf-8"))
        found = driver.execute_async_script(
            "const done = arguments[0]; axe.run().then(r => done(r.violations.map("
            "v => [v.impact, v.id, v.nodes.map(n => n.html.slice(0, 200))])))"
        )
        assert [v for v in found if v[0] in ("serious", "critical")] == []


def _rgb(colour: str) -> list[int]:
    return [int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
