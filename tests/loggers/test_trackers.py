"""W&B, MLflow and trackio, read back by what they bring for it. Skipped without the packages."""

import json
import os
import shutil
import subprocess
import sys

import imageio.v3
import numpy as np
import pytest

from openloop_cli.encode import write_mp4
from openloop_cli.errors import OutputError
from openloop_cli.loggers import Attachment, Logger, VideoFile
from tests.loggers.test_outputs import IMAGE, VIDEO
from tests.videos import decoded

NO_PICTURE = ": no picture: expected uint8 or floats from 0 to 1, with one or three channels"


@pytest.fixture
def metrics(tmp_path):
    """One of each kind."""
    write_mp4(tmp_path / "own.mp4", VIDEO, 10)
    (tmp_path / "page.html").write_text("<p>page</p>")
    return {
        "a": 1.5, "note": "words", "v": np.arange(100.0), "image": IMAGE, "clip": VIDEO,
        "own": VideoFile(tmp_path / "own.mp4"), "page": Attachment(tmp_path / "page.html"),
        "huge": np.full((2, 2, 3), 7.0),
    }  # fmt: skip


def log(output, told, *batches):
    with Logger([output], tell=told.append) as logger:
        for step, found in batches:
            logger.step = step
            logger.add(found, prefix="report")
            logger.write()


def records(file):
    """Of W&B's own file: blocks of 32 KiB of LevelDB's log format, after 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def test_wandb(metrics, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    told = []
    log("wandb:project/run1", told, (3670, metrics), (100, {"a": 2}), (100, {"a": 3}))
    [file] = (tmp_path / "wandb").glob("offline-run-*-run1/*.wandb")
    found = list(records(file))
    rows = []
    for record in found:
        if record.WhichOneof("record_type") == "history":
            rows.append({})
            for item in record.history.item:
                *above, last = item.nested_key or [item.key]
                place = rows[-1]
                for name in above:
                    place = place.setdefault(name, {})
                place[last] = json.loads(item.value_json)
    assert [row["openloop/step"] for row in rows] == [3670, 100, 100]
    assert [row["report/a"] for row in rows] == [1.5, 2, 3]
    first = rows[0]
    assert first["report/note"] == "words"
    assert first["report/v"]["_type"] == "histogram"
    assert first["report/page"]["_type"] == "html-file"
    media = file.parent / "files"
    for name in ("own", "clip"):
        frames = decoded(media / first[f"report/{name}"]["path"])[1]
        assert len(frames) == len(VIDEO)
        assert np.abs(frames.astype(int) - VIDEO).mean() < 4
    image = imageio.v3.imread(media / first["report/image"]["path"])
    np.testing.assert_array_equal(image, IMAGE)
    assert [r.run.run_id for r in found if r.WhichOneof("record_type") == "run"] == ["run1"]
    assert any(r.WhichOneof("record_type") == "exit" for r in found)
    assert told == ["left out of W&B: 'report/huge'" + NO_PICTURE]


def test_mlflow(metrics, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    monkeypatch.chdir(tmp_path)
    told, uri = [], f"sqlite:///{tmp_path / 'm.db'}"
    log(f"mlflow:{uri}", told, (3670, metrics), (100, {"a": 2, "odd|name": 1}))
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("openloop")
    [run] = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(run.info.run_id, "report/a")
    assert sorted((m.step, m.value) for m in history) == [(100, 2), (3670, 1.5)]
    assert run.data.metrics["report/odd_name"] == 1
    assert run.info.status == "FINISHED"
    kept = {
        name: client.list_artifacts(run.info.run_id, f"report/{name}")[0].path
        for name in ("own", "clip", "image", "note", "page")
    }
    assert kept["own"] == "report/own/000000003670.mp4"
    (tmp_path / "got").mkdir()
    got = client.download_artifacts(run.info.run_id, kept["own"], str(tmp_path / "got"))
    assert open(got, "rb").read() == (tmp_path / "own.mp4").read_bytes()  # noqa: PTH123, SIM115
    assert told == ["left out of MLflow: 'report/huge'" + NO_PICTURE]
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    log(f"mlflow:{uri}", told, (200, {"a": 3}))
    assert len(client.get_metric_history(run.info.run_id, "report/a")) == 3


def test_trackio(metrics, tmp_path):
    """In a process of its own: where it keeps things is decided when it is imported."""
    pytest.importorskip("trackio", reason="the extra `trackio` is not installed")
    code = (
        "import json, sys; from pathlib import Path\n"
        "from openloop_cli.loggers import Logger, VideoFile\n"
        "with Logger(['trackio:project/run1'], patience=120) as logger:\n"
        "    for step, value in ((3670, 1.5), (100, 2)):\n"
        "        logger.step = step\n"
        "        logger.add({'a': value, 'own': VideoFile(Path(sys.argv[1]))}, 'report')\n"
        "        logger.write()\n"
        "from trackio.sqlite_storage import SQLiteStorage\n"
        "print(json.dumps(SQLiteStorage.get_logs('project', 'run1'), default=str))\n"
    )
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "kept"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "own.mp4")],
        env=environment, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)  # and nothing else is on stdout
    assert sorted((row["step"], row["report/a"]) for row in found) == [(100, 2), (3670, 1.5)]
    stored = (tmp_path / "kept").rglob("*.mp4")
    assert (tmp_path / "own.mp4").read_bytes() in [path.read_bytes() for path in stored]


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_a_package_that_is_missing_is_one_line(name, tmp_path):
    """Whether it is installed here or not."""
    shutil.rmtree(tmp_path / "x", ignore_errors=True)
    code = (
        f"import sys; sys.modules[{name!r}] = None\n"
        "from openloop_cli.loggers import Logger; from openloop_cli.errors import OpenloopError\n"
        f"try: Logger(['{name}:x'])\n"
        "except OpenloopError as error: print(error.exit_code, error)\n"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=tmp_path)
    assert said.startswith(f"1 --log {name} needs {name}, which is not installed")
    assert f"(pip install 'openloop[{name}]')" in said


def test_an_mlflow_server_that_is_not_there_is_told_soon(monkeypatch):
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OutputError, match=r"mlflow:http://\S+:9: API request"):
        Logger(["mlflow:http://127.0.0.1:9"])
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
