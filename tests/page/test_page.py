"""The page as text: whole, closed, labelled, and nothing that a run is called gets out of it."""

import base64
import copy
import dataclasses
import hashlib
import json
import re
import unicodedata

import numpy as np
import pytest

from openloop_cli.config import parse_config
from openloop_cli.page import PageEntry, Table, page_html, write_page
from tests.page.parsed import Parsed
from tests.synthetic_run import TREE

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;`]]>-->"
MOST_BYTES = 5_000_000


def two_cameras(media):
    """The same windows seen by a second image key."""
    (player,) = media.players
    return dataclasses.replace(media, players=(player, dataclasses.replace(player, key="wrist")))


@pytest.mark.parametrize(("repeat", "told"), [(2, True), (1, False), (None, False), ("2", False)])
def test_environment_time_stands_beside_steps_where_the_run_tells_it(small, repeat, told):
    tree = copy.deepcopy(small.tree)
    tree["config"]["action_repeat"] = repeat
    page = Parsed(page_html([PageEntry(tree)], media=small.media))
    steps = small.media.steps - small.media.context
    words = f"action repeat 2: {2 * steps} environment steps imagined"
    assert (words in page.text) is told


@pytest.mark.parametrize(
    ("task", "env", "found"),
    [
        ("dmc_cheetah_run", {"dmc": {"repeat": 2}, "atari": {"repeat": 4}}, 2),
        ("dmc_cheetah_run", {"dmc": {"size": [64, 64]}}, None),
        ("dmc_cheetah_run", {"dmc": {"repeat": True}}, None),
        ("dmc_cheetah_run", ["dmc"], None),
        ("", {"dmc": {"repeat": 2}}, None),
    ],
)
def test_the_action_repeat_is_that_of_the_tasks_suite(task, env, found):
    assert parse_config(TREE | {"task": task, "env": env}, []).action_repeat == found


def pages(small):
    tree = small.tree
    return {
        "full": small.html,
        "without media": page_html([PageEntry(tree)]),
        "several": page_html([PageEntry(tree), PageEntry(tree)], media=small.media),
        "two cameras": page_html([PageEntry(tree)], media=two_cameras(small.media)),
    }


@pytest.fixture(scope="module", params=["full", "without media", "several", "two cameras"])
def page(request, small):
    return Parsed(pages(small)[request.param])


def test_it_asks_nothing_of_any_network(page):
    for name in ("src", "href", "poster", "data", "action", "srcset", "xlink:href"):
        for address in page.values(name):
            assert address.startswith(("data:image/png;base64,", "data:video/mp4;base64,", "#"))
    styles = "".join(text for _, text in page.all("style")) + "".join(page.values("style"))
    assert not re.search(r"url\(|@import|@font-face|expression\(", styles)
    assert not page.all("link")
    assert not page.all("iframe")


def test_its_policy_allows_its_own_script_and_nothing_else(page):
    (policy,) = [
        a["content"]
        for a, _ in page.all("meta")
        if a.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "http" not in policy
    scripts = [text for a, text in page.all("script") if a.get("type") != "application/json"]
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1
    assert rules["script-src"] == f"'sha256-{digest}'"


def test_ids_are_unique_and_what_points_to_them_finds_them(page):
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    targets = [a for name in ("aria-labelledby", "for") for a in page.values(name)]
    targets += [address[1:] for address in page.values("href") if address.startswith("#")]
    for target in " ".join(targets).split():
        assert target in ids


def test_everything_that_is_not_text_says_what_it_is(page):
    for image, _ in page.all("img"):
        assert image["alt"]
    for video, _ in page.all("video"):
        assert video["aria-label"]
        assert "controls" in video
    for picture, _ in page.all("svg"):
        assert picture.get("role") == "img" or picture.get("aria-hidden") == "true"
    assert sum(a.get("role") == "img" for a, _ in page.all("svg")) == len(page.all("desc"))
    for control, _ in page.all("input"):
        assert control.get("aria-label") or control["type"] in ("radio", "checkbox")
    assert [len(page.all(tag)) for tag in ("main", "footer", "h1")] == [1, 1, 1]
    assert dict(page.all("html")[0][0])["lang"] == "en"


def test_every_line_of_every_curve_has_its_numbers_in_a_table(page):
    tables = len([a for a, _ in page.all("figure") if "chart" in (a.get("class") or "")])
    captions = [text for _, text in page.all("caption") if text.startswith("Numbers of ")]
    assert tables == len(captions) > 0


def test_the_small_page_shows_all_that_was_measured(small):
    page = Parsed(small.html)
    for word in (
        "useful horizon",
        "skill",
        "reconstruction skill",
        "PSNR, imagined",
        "pose",
        "token",
    ):
        assert word in page.text
    titles = [text for _, text in page.all("h3")]
    assert titles[:2] == ["image: error by step", "image: structure by step"] or titles[:2] == [
        "image: error by step",
        "image: skill by step",
    ]
    assert {"Reward", "Continue", "Value", "Latent drift"} <= set(titles)
    assert any("uncertainty" in title for title in titles)
    for window in small.tree["rollout"]["windows"]:
        assert window in page.text
    for definition in small.tree["definitions"].values():
        assert definition in page.text


def renamed(value, old, new):
    """The tree with one key's name exchanged wherever it stands."""
    if isinstance(value, dict):
        return {new if k == old else k: renamed(v, old, new) for k, v in value.items()}
    return value


def test_names_that_are_html_stay_text(small):
    tree = renamed(copy.deepcopy(small.tree), "image", HOSTILE)
    tree["run"]["name"] = HOSTILE
    tree["notes"] = [HOSTILE]
    tree["checkpoint"]["path"] = tree["config"]["source"] = tree["checkpoint"]["sha256"] = HOSTILE
    tree["rollout"]["windows"] = [HOSTILE] * len(tree["rollout"]["windows"])
    tree["config"]["model"] = {HOSTILE: HOSTILE}
    tree["losses"] = {HOSTILE: tree["losses"]["dyn"]}
    tree["timings"] = {HOSTILE: 1.0}
    tree["definitions"] = dict.fromkeys([*tree["definitions"], HOSTILE], HOSTILE)
    entries = [PageEntry(tree, HOSTILE), PageEntry(tree, HOSTILE + "2")]
    table = Table(HOSTILE, [HOSTILE], [[HOSTILE, HOSTILE]], HOSTILE)
    plain_tags = {tag for tag, _, _ in Parsed(small.html).elements}
    for html in (
        page_html(entries[:1], media=small.media),
        page_html(entries, tables=[table], title=HOSTILE, lede=HOSTILE),
    ):
        page = Parsed(html)
        assert {tag for tag, _, _ in page.elements} <= plain_tags
        assert len(page.all("script")) == 2
        assert not [
            a for _, attributes, _ in page.elements for a in attributes if a.startswith("on")
        ]
        assert HOSTILE in page.text
        assert json.loads(dict_of_data(page))["steps"] == 8


def dict_of_data(page):
    (text,) = [text for a, text in page.all("script") if a.get("id") == "data"]
    return text


def test_the_data_are_those_of_the_tree(small):
    data = json.loads(dict_of_data(Parsed(small.html)))
    tree = small.tree["observations"]["image"]
    line = data["charts"]["k0-error"]["lines"][0]
    assert line["v"][1:] == tree["imagined"]["model"]["psnr"]["per_step"]
    assert line["v"][0] == tree["context"]["model"]["psnr"]["per_step"][-1]
    assert data["context"] == small.tree["rollout"]["context"]
    place = 0
    window = data["windows"][place] - 1
    mse = tree["per_window"]["model"][window][0]
    assert data["overlays"]["k0-error"][place][1] == pytest.approx(-10 * np.log10(mse), abs=0.01)


def test_one_window_has_no_intervals_and_still_a_page(alone):
    page = Parsed(alone.html)
    assert "in 1 window." in page.text
    assert "95 % interval" not in "".join(text for a, text in page.all("span"))
    assert len(page.all("video")) == 1


def test_a_run_without_images_shows_lines(small):
    tree = renamed(copy.deepcopy(small.tree), "image", "gone")
    for part in ("observations", "headline"):
        del tree[part]["gone"]
    traces = page_html([PageEntry(tree)], media=type(small.media)(
        small.media.windows, small.media.context, small.media.steps, 10, (), small.media.traces
    ))  # fmt: skip
    page = Parsed(traces)
    assert not page.all("video")
    titles = [text for _, text in page.all("h3")]
    assert titles[0] == "pose: error by step"
    assert "pose[0]" in page.text
    assert "Predictions in one window" in page.text


def test_traces_are_what_was_recorded_and_said(small):
    loop, media = small.report.loop, small.media
    order = [window.index for window in media.windows]
    found = {trace.title: trace for trace in media.traces}
    assert list(found) == ["reward", *(f"pose[{d}]" for d in range(4)), "token"]
    np.testing.assert_array_equal(found["reward"].recorded, loop.reward[order])
    pose = found["pose[2]"]
    np.testing.assert_array_equal(pose.recorded, loop.truth["pose"][order, :, 2])
    np.testing.assert_array_equal(
        pose.predicted["predicted"], loop.model.prediction["pose"][order, :, 2]
    )
    std = loop.futures.std["pose"][order, :, 2]
    np.testing.assert_allclose((pose.high - pose.low)[:, loop.context :], 2 * std, rtol=1e-4)
    assert np.isnan(pose.low[:, : loop.context]).all()


def test_all_kept_futures_are_shown_with_their_spread(small):
    player = small.media.players[0]
    assert player.labels == ("truth", "future 1", "future 2", "spread", "error of future 1")
    key = Parsed(page_html([PageEntry(small.tree)], media=small.media)).text
    assert "spread: agree" in key
    assert "error of future 1: too dark" in key
    rows = {row.label: row.video for row in small.report.rows("image", 99)}
    loop = small.report.loop
    assert (rows["future 1"][:, : loop.context] == rows["future 2"][:, : loop.context]).all()
    assert (rows["future 1"][:, loop.context :] != rows["future 2"][:, loop.context :]).any()


def test_without_evaluation_it_says_what_there_is(small):
    tree = copy.deepcopy(small.tree)
    for name in ("losses", "drift", "value"):
        tree.pop(name, None)
    for observed in tree["observations"].values():
        observed.pop("skill", None)
        observed["imagined"] = {"model": observed["imagined"]["model"]}
    for numbers in tree["headline"].values():
        for name in ("skill", "useful_horizon", "reconstruction_skill"):
            numbers.pop(name, None)
    page = Parsed(page_html([PageEntry(tree)], media=small.media))
    assert "Imagines 4 steps ahead" in page.text


def test_it_is_written_whole(small, tmp_path):
    path = tmp_path / "deep" / "page.html"
    write_page(path, [PageEntry(small.tree)], media=small.media)
    assert path.read_text(encoding="utf-8") == small.html
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_the_samples_page_is_small_and_says_how_far_it_sees(sample_page):
    path, result = sample_page
    assert path.stat().st_size < MOST_BYTES
    page = Parsed(path.read_text(encoding="utf-8"))
    steps = result.metrics["headline"]["image"]["useful_horizon"]["steps"]
    assert page.all("h1")[0][1].startswith("Useful horizon: ")
    assert f"{steps} step" in page.all("h1")[0][1]
    assert result.files["page"] == path
    assert result.files["still/image"].stat().st_size > 10_000


ACTING = "\x1b[31m\u202eevil\u200f\x00"


def test_characters_that_act_reach_no_page(small):
    """Escape sequences and right-to-left marks in names; line breaks of the page itself stay."""
    tree = renamed(copy.deepcopy(small.tree), "image", ACTING)
    tree["run"]["name"] = tree["checkpoint"]["path"] = ACTING
    tree["notes"] = [ACTING]
    tree["config"]["model"] = {ACTING: ACTING}
    player = dataclasses.replace(small.media.players[0], key=ACTING)
    media = dataclasses.replace(small.media, players=(player,))
    html = page_html([PageEntry(tree)], media=media)
    assert not [
        c for c in html if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs")
    ]
    assert "\ufffd[31m" in html


def test_a_line_of_a_legend_can_be_hidden_without_a_script(small):
    page = Parsed(small.html)
    style = "".join(text for _, text in page.all("style"))
    boxes = [a for a, _ in page.all("input") if a["type"] == "checkbox"]
    assert {"model", "floor", "last_reconstruction", "persistence"} <= {a["value"] for a in boxes}
    for box in boxes:
        assert f'input[value="{box["value"]}"]:not(:checked)' in style


def test_the_ids_of_windows_are_there_to_copy(small):
    data = json.loads(dict_of_data(Parsed(small.html)))
    ids = small.tree["rollout"]["windows"]
    assert data["all"] == ids
    assert data["ids"] == [ids[w.index] for w in small.media.windows]
