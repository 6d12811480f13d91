"""Names of results: stable, safe, never the same twice. Shards: every item in exactly one."""

from pathlib import Path

import pytest

from openloop_cli.errors import OptionError
from openloop_cli.jobs.plan import Item, make_items, shard_of
from openloop_cli.jobs.sources import Source, absolute

from .conftest import settings


def names_of(*paths, name=""):
    sources = [Source(Path(path), (Path("r"),), None, name) for path in paths]
    return [item.name for item in make_items(sources, settings(), Path("out"))]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/logs/seed0/ckpt/20260101T000000F000000", "seed0-20260101T000000F000000"),
        ("/logs/seed0/ckpt/agent/20260101T0", "seed0-20260101T0"),
        ("/logs/seed0/ckpt/20260101T0/agent.pkl", "seed0-20260101T0"),
        ("/logs/step_200", "logs-step_200"),
        ("/logs/a b/ckpt/../ckpt/c%2F<x>", "a-b-c-2F-x"),
        ("/.hidden/ckpt/x", "hidden-x"),
        ("/ä/ckpt/ö", "checkpoint"),
    ],
)
def test_run_and_checkpoint_are_the_name(path, name):
    assert names_of(path) == [name]


def test_a_given_name_stands_for_the_run():
    assert names_of("/logs/seed0/ckpt/x", name="mine") == ["mine-x"]


def test_two_that_would_be_called_the_same_are_told_apart():
    paths = ("/a/seed0/ckpt/x", "/b/seed0/ckpt/X", "/b/seed0/ckpt/y")
    first, second, third = names_of(*paths)
    assert third == "seed0-y"
    assert first.startswith("seed0-x-")
    assert second.startswith("seed0-X-")
    assert first[-6:] != second[-6:]
    # And the same again, whatever their order.
    assert names_of(*reversed(paths)) == [third, second, first]


def test_one_checkpoint_on_two_replays_is_two_items():
    def made(*sources):
        items = make_items([Source(Path("/s/ckpt/x"), *x) for x in sources], settings(), Path("o"))
        return {(*item.job.replay, item.job.config): item.name for item in items}

    one, two, three = ((Path("/r"),),), ((Path("/q"),),), ((Path("/r"),), Path("/c.yaml"))
    names = made(one, two, three)
    assert len(set(names.values())) == 3
    assert all(name.startswith("s-x-") for name in names.values())
    # And the same again, whatever their order.
    assert made(three, two, one) == names
    # The very same is there once, however it is spelled, and keeps its plain name.
    again = ((Path("/r/../r"),),)
    assert list(made(one, one, again).values()) == ["s-x"]


def test_the_batchs_own_files_are_not_overwritten():
    assert names_of("/index")[0] not in ("index", "comparison")


def test_long_names_fit_a_file_system_and_stay_apart():
    one, two = names_of(f"/{'r' * 300}/ckpt/{'c' * 200}1", f"/{'r' * 300}/ckpt/{'c' * 200}2")
    assert one != two
    assert len(f".{one}.metrics.00000000.partial.json") < 255


def test_all_files_of_an_item_carry_its_name():
    (item,) = make_items(
        [Source(Path("/s/ckpt/x"), (Path("r"),), Path("c.yaml"))],
        settings(seed=3),
        Path("out"),
        kind=".gif",
        page=True,
        arrays=True,
    )
    job = item.job
    found = [job.out, job.metrics, job.report, job.save_arrays]
    assert [str(path) for path in found] == [
        "out/s-x.gif",
        "out/s-x.metrics.json",
        "out/s-x.html",
        "out/s-x.npz",
    ]
    assert (job.checkpoint, job.replay, job.config, job.seed) == (
        Path("/s/ckpt/x"),
        (absolute(Path("r")),),
        absolute(Path("c.yaml")),
        3,
    )


@pytest.mark.parametrize("count", [1, 3, 7, 20])
def test_shards_share_out_everything_once(count):
    items = [Item(str(n), settings()) for n in range(17)]
    parts = [shard_of(items, f"{i}/{count}") for i in range(1, count + 1)]
    assert sorted(int(item.name) for part in parts for item in part) == list(range(17))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "1", "1/", "/4", "-1/4", "1/4/2", "a/b"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(OptionError, match="expected I/N"):
        shard_of([], text)
