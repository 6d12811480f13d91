"""What the reference wrote, logged again by us: the same files where it is right."""

import json
import math
import re
import struct

import pytest

from openloop_cli.loggers import Logger


@pytest.mark.parametrize("name", ["train", "scripted"])
def test_the_same_lines_without_what_is_no_json(shared, tmp_path, name):
    folder = shared / "golden_log" / name
    told = []
    with Logger([f"jsonl:{tmp_path}"], tell=told.append) as logger:
        for line in (folder / "metrics.jsonl").open():
            metrics = json.loads(line)  # with the bare NaN that Python takes
            logger.step = metrics.pop("step")
            logger.add(metrics)
            logger.write()
    ours = [json.loads(x, parse_constant=pytest.fail) for x in (tmp_path / "metrics.jsonl").open()]
    theirs = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    missing = 0
    assert len(ours) == len(theirs)
    for mine, its in zip(ours, theirs, strict=True):
        finite = {key: value for key, value in its.items() if math.isfinite(value)}
        missing += len(its) - len(finite)
        assert mine == finite
    assert len(told) == bool(missing)
    # Of several episodes at one step the reference kept the last; its eval/episode/score is none.
    scores = [json.loads(line) for line in (tmp_path / "scores.jsonl").open()]
    kept = [json.loads(line) for line in (folder / "scores.jsonl").open()]
    assert scores == [x for x in kept if "episode/score" in x]


def test_the_same_bytes_for_scope(shared, tmp_path):
    folder = shared / "golden_log" / "train" / "scope"
    files = {path.stem: path.read_bytes() for path in folder.glob("*.float")}
    assert files
    with Logger([f"scope:{tmp_path}"]) as logger:
        for stem, data in files.items():
            for logger.step, value in struct.iter_unpack(">qd", data):
                logger.add({stem.replace("-", "/"): value})
        for path in sorted((folder / "timer.txt").glob("*.txt")):
            logger.step = int(path.name.partition("-")[0])
            logger.add({"timer": path.read_text()})
    for stem, data in files.items():
        assert (tmp_path / "scope" / f"{stem}.float").read_bytes() == data
    theirs = sorted((folder / "timer.txt").glob("*.txt"))
    ours = sorted((tmp_path / "scope" / "timer.txt").glob("*.txt"))
    assert [path.read_bytes() for path in ours] == [path.read_bytes() for path in theirs]
    form = re.compile(r"\d{20}-[0-9a-f]{16}\.txt")
    assert all(form.fullmatch(path.name) for path in (*ours, *theirs))
    assert [path.name[:20] for path in ours] == [path.name[:20] for path in theirs]
