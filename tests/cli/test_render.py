"""`openloop render` from end to end: the reference's numbers, every kind of file, what is said."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openloop_cli.spaces import Space, Spaces
from tests.golden import RUNS, genuine, window_ids
from tests.synthetic_run import SPACES, TIMES, TREE, make_params, make_run
from tests.videos import decoded

from .command import listing, openloop
from .harm import AGENT, CHECKPOINT, GENUINE, arrays

GOLDEN = Path(__file__).parents[1] / "fixtures" / "dmc_proprio.golden.npz"
ONE = ["--no-evaluate"]
SMALL = ["--length", "8", "--num-windows", "3", *ONE]


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("made") / "run")


def strict(path: Path):
    def refuse(name):
        raise AssertionError(name)

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def render(*args) -> str:
    """A render that succeeds; its stdout."""
    done = openloop("render", *args)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


# The reference's numbers


def golden_case(name: str) -> tuple[Path, dict[str, np.ndarray]]:
    run, golden = genuine(name)
    return run, dict(np.load(golden))


@pytest.mark.parametrize("name", RUNS)
def test_fidelity(name, out):
    """The reference's windows by their ids, through the command line alone."""
    run, golden = golden_case(name)
    ids = window_ids(golden)
    steps = golden["mode/open/deter"].shape[1]
    named = [part for text in ids for part in ("--window", text)]
    images = [key[5:] for key in golden if key.startswith("grid/")]
    files = ["x.mp4", "--save-arrays", out / "a.npz"] if images else ["a.npz"]
    options = [*named, "--length", steps, "--latents", "mode", *ONE, "--quiet"]
    render(run, run, *options, "-o", out / files[0], *files[1:])
    found = dict(np.load(out / "a.npz"))
    tree = strict((out / files[0]).with_suffix(".metrics.json"))
    assert list(found["windows"]) == ids == tree["rollout"]["windows"]
    low = tree["rollout"]["dtype"] != "float32"
    for key in images:
        levels = np.abs(found[f"grid/{key}"].astype(int) - golden[f"grid/{key}"][:steps])
        assert levels.max() <= (4 if low else 1)
        assert (levels <= 1).mean() >= 0.995
        np.testing.assert_array_equal(found[f"truth/{key}"], golden[f"data/{key}"][:, -steps:])
        assert found[f"prediction/{key}"].shape == found[f"truth/{key}"].shape
    assert (found["logit"].argmax(-1) == golden["mode/open/stoch"].argmax(-1)).all()
    if low:
        assert (np.abs(found["deter"] - golden["mode/open/deter"]) < 0.05).mean() > 0.98
        return
    np.testing.assert_allclose(found["deter"], golden["mode/open/deter"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["logit"], golden["mode/open/logit"], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found["predicted/continue"], golden["mode/open/con"], rtol=1e-4)
    for key in tree["observations"]:
        if tree["observations"][key]["kind"] == "continuous":
            ours = found[f"prediction/{key}"]
            ours = np.sign(ours) * np.log1p(np.abs(ours))
            np.testing.assert_allclose(ours, golden[f"mode/open/{key}"], rtol=1e-4, atol=1e-5)


# The same again


def test_the_same_command_gives_the_same(run, tmp_path):
    trees = []
    for name in ("a", "b"):
        render(run, run, "-o", tmp_path / name / "x.mp4", *SMALL, "--seed", 7, "--quiet")
        trees.append(strict(tmp_path / name / "x.metrics.json"))
        assert trees[-1].pop("timings")
    assert trees[0] == trees[1]
    assert trees[0]["rollout"]["seed"] == 7


def test_window_with_a_file_gives_the_same_frames_and_serves_another_checkpoint(run, out):
    render(run, run, "-o", out / "a.mp4", *SMALL, "--seed", 3, "--quiet")
    again = ["--window", out / "a.metrics.json", "--seed", 3, *ONE, "--quiet"]
    render(run, run, "-o", out / "b.mp4", *again)
    a, b = strict(out / "a.metrics.json"), strict(out / "b.metrics.json")
    assert a["frames"] == b["frames"]
    assert a["rollout"]["windows"] == b["rollout"]["windows"]
    assert (b["rollout"]["length"], b["rollout"]["context"]) == (8, 4)
    assert b["rollout"]["selection"] == "given"
    assert a["observations"] == b["observations"]
    render(run / "ckpt" / TIMES[0], run, "-o", out / "c.mp4", *again)
    c = strict(out / "c.metrics.json")
    assert c["checkpoint"]["step"] == 30
    assert c["rollout"]["windows"] == a["rollout"]["windows"]


# What is written


def frames_of(path: Path) -> np.ndarray:
    """(T, height, width, 3) as a player shows them."""
    if path.suffix == ".mp4":
        return decoded(path)[1]
    with Image.open(path) as image:
        found = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            found.append(np.asarray(image.convert("RGB")))
        return np.stack(found)


def test_every_kind_of_picture_can_be_decoded(run, out):
    for ending in (".mp4", ".gif", ".apng", ".png"):
        render(run, run, "-o", out / f"x{ending}", *SMALL, "--quiet")
        found, tree = frames_of(out / f"x{ending}"), strict(out / "x.metrics.json")
        if ending == ".png":
            assert len(found) == 1
            assert tree["files"] == {"still/image": "x.png", "page": "x.html"}
            continue
        assert list(found.shape) == tree["frames"]["image"]["shape"]
        assert len(found) == 8
        assert tree["files"] == {"video/image": f"x{ending}", "page": "x.html"}


def test_the_reference_style_is_its_grid(run, out):
    args = [*SMALL, "--show", 2, "--style", "reference", "--save-arrays", out / "a.npz", "--quiet"]
    render(run, run, "-o", out / "x.apng", *args)
    grid = np.load(out / "a.npz")["grid/image"]
    assert grid.shape == (8, 3 * 16 + 4, 2 * (16 + 4), 3)
    np.testing.assert_array_equal(frames_of(out / "x.apng"), grid)


def test_arrays_alone(run, out):
    render(run, run, "-o", out / "x.npz", *SMALL, "--quiet")
    with np.load(out / "x.npz", allow_pickle=False) as found:
        shapes = {name: found[name].shape for name in found}
    keys = {"image": (16, 16, 3), "pose": (4,), "token": ()}
    assert shapes == {
        **{f"truth/{key}": (3, 8, *x) for key, x in keys.items()},
        **{f"prediction/{key}": (3, 8, *x) for key, x in keys.items()},
        "grid/image": (8, 52, 60, 3),
        "context": (),
        "action/action": (3, 8),
        "reward": (3, 8),
        "terminal": (3, 8),
        "predicted/reward": (3, 8),
        "predicted/continue": (3, 8),
        "predicted/value": (3, 8),
        "deter": (3, 8, 16),
        "logit": (3, 8, 4, 4),
        "windows": (3,),
        "episodes": (3,),
        "apart": (),
        "run": (),
        "step": (),
    }
    assert strict(out / "x.metrics.json")["files"] == {"arrays": "x.npz"}


def test_a_page_in_one_file(run, out):
    render(run, run, "-o", out / "x.mp4", *SMALL, "--report", out / "page.html", "--quiet")
    page = (out / "page.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert 'src="http' not in page
    assert listing(out) == ["page.html", "x.metrics.json", "x.mp4", "x.windows.npz"]
    assert strict(out / "x.metrics.json")["files"]["page"] == "page.html"


def test_several_image_keys_are_a_file_each(tmp_path, out):
    spaces = Spaces((*SPACES.obs, ("wrist", Space((16, 16, 1), "uint8"))), SPACES.act)
    run = make_run(tmp_path / "two", params=make_params(TREE, spaces))
    for path in (run / "replay").glob("*.npz"):
        arrays(lambda found: found.update(wrist=np.zeros((20, 16, 16, 1), np.uint8)))(path)
    render(run, run, "-o", out / "video.mp4", *SMALL, "--quiet", "--no-report")
    assert listing(out) == [
        "video.image.mp4",
        "video.metrics.json",
        "video.windows.npz",
        "video.wrist.mp4",
    ]
    tree = strict(out / "video.metrics.json")
    assert set(tree["frames"]) == {"image", "wrist"}
    assert tree["files"] == {
        "video/image": "video.image.mp4",
        "video/wrist": "video.wrist.mp4",
    }
    for key in ("image", "wrist"):
        assert len(frames_of(out / f"video.{key}.mp4")) == 8
    render(run, run, "-o", out / "one.mp4", *SMALL, "--keys", "wrist", "--quiet")
    assert (out / "one.mp4").exists()
    assert set(strict(out / "one.metrics.json")["observations"]) == {"wrist"}


# What is said


def test_what_a_person_reads(run, out):
    done = openloop("render", run, run, "-o", out / "x.mp4", *SMALL)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "made_up  step 60, 30 updates"
    assert lines[1].startswith("3 windows: 4 context steps, 4 imagined, sampled latents, ")
    assert any(line.split()[:1] == ["image"] and "PSNR" in line for line in lines)
    assert str(out / "x.mp4") in done.stdout
    assert str(out / "x.metrics.json") in done.stdout
    told = done.stderr.splitlines()
    assert "encode …" in told
    assert [line for line in told if not line.endswith(" …")] == [
        "note: skipped 1 window: an episode starts in its imagined part"
    ]
    assert "\x1b" not in done.stdout + done.stderr


def test_json_is_one_object_and_quiet_is_silent(run, out):
    text = render(run, run, "-o", out / "x.mp4", *SMALL, "--json")
    told = json.loads(text)
    tree = strict(out / "x.metrics.json")
    assert told["headline"] == tree["headline"]
    assert told["notes"] == tree["notes"]
    assert told["files"] == {
        "video/image": str(out / "x.mp4"),
        "page": str(out / "x.html"),
        "metrics": str(out / "x.metrics.json"),
        "windows": str(out / "x.windows.npz"),
    }
    assert (told["run"], told["step"], told["windows"]) == ("made_up", 60, 3)
    done = openloop("render", run, run, "-o", out / "x.mp4", *SMALL, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Other layouts of the same run


def split(agent: Path, folder: Path) -> None:
    """`agent.pkl` in two shards."""
    value = pickle.loads(agent.read_bytes())
    folder.mkdir(parents=True)
    names = list(value["params"])
    for number, part in enumerate((names[::2], names[1::2])):
        shard = value | {"params": {name: value["params"][name] for name in part}}
        (folder / f"agent-{number:04}.pkl").write_bytes(pickle.dumps(shard, 4))
    (folder / "done").touch()


def test_parallel_and_sharded_layouts_render_the_same(tmp_path, out):
    other = tmp_path / "parallel"
    split(GENUINE / AGENT, other / "ckpt/agent" / CHECKPOINT.removeprefix("ckpt/"))
    (other / "ckpt/agent/latest").write_text(CHECKPOINT.removeprefix("ckpt/"))
    logger = other / "ckpt/logger/20261120T131519F000000"
    logger.mkdir(parents=True)
    shutil.copy(GENUINE / CHECKPOINT / "step.pkl", logger)
    shutil.copy(GENUINE / "config.yaml", other)
    shutil.copytree(GENUINE / "replay", other / "replay/00000")
    found = []
    for name, folder in (("plain", GENUINE), ("other", other)):
        render(folder, folder, "-o", out / f"{name}.npz", *SMALL, "--num-windows", 2, "--quiet")
        found.append((strict(out / f"{name}.metrics.json"), dict(np.load(out / f"{name}.npz"))))
    (plain, ours), (parallel, theirs) = found
    assert plain["checkpoint"]["sha256"] == parallel["checkpoint"]["sha256"]
    assert plain["checkpoint"]["step"] == parallel["checkpoint"]["step"] == 180
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_without_config_yaml(tmp_path, out):
    """What the parameters tell is the same; what was assumed is told."""
    bare = tmp_path / "bare"
    shutil.copytree(GENUINE, bare)
    (bare / "config.yaml").unlink()
    done = openloop("render", bare, bare, "-o", out / "bare.npz", *SMALL, "--num-windows", 2)
    assert done.returncode == 0
    assert "note: no config.yaml: inferred the architecture from the parameters" in done.stderr
    render(GENUINE, GENUINE, "-o", out / "x.npz", *SMALL, "--num-windows", 2, "--quiet")
    inferred, known = strict(out / "bare.metrics.json"), strict(out / "x.metrics.json")
    assert inferred["config"]["source"] is None
    assert known["config"]["source"] == os.path.relpath(GENUINE / "config.yaml")
    assert inferred["rollout"]["windows"] == known["rollout"]["windows"]
    a, b = np.load(out / "bare.npz"), np.load(out / "x.npz")
    np.testing.assert_allclose(a["deter"], b["deter"], atol=1e-6)
