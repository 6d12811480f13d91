"""A pretended S3 (moto's server on loopback): reading, writing, batches, refusals, bytes."""

import json

import pytest

from openloop_cli import open_run
from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.errors import CheckpointError, OutputError, RemoteError
from openloop_cli.jobs.batch import BatchJob, run_batch
from openloop_cli.jobs.report import ReportJob, run_job
from openloop_cli.jobs.sources import expand, from_runs
from openloop_cli.storage import place, putting, stores
from openloop_cli.storage.atomic import check_writable, write_text
from tests.synthetic_run import make_run

pytest.importorskip("s3fs", reason="needs openloop[remote]")
pytest.importorskip("moto.server", reason="needs moto[server], of openloop[dev]")
SMALL = {"length": 8, "num_windows": 3, "show": 2, "evaluate": False}


@pytest.fixture(scope="module")
def endpoint():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint, monkeypatch):
    """An empty bucket `bkt`, and the store as this package opens it."""
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    store = stores.filesystem("s3")
    store.mkdir("bkt")
    yield store
    for key in store.find("bkt"):
        store.rm_file(key)
    store.rmdir("bkt")
    for known in (stores._listings, stores._answers, stores._folders, putting._writable):
        known.clear()


@pytest.fixture
def remote_run(s3, put, tmp_path):
    put(s3, make_run(tmp_path / "made_up"), "bkt/runs/made_up")
    return "s3://bkt/runs/made_up"


def test_a_report_is_the_same_as_from_the_disk(remote_run, s3, tmp_path):
    there = run_job(ReportJob(remote_run, (remote_run,), "s3://bkt/out/video.mp4", **SMALL))
    run = tmp_path / "made_up"
    here = run_job(ReportJob(run, (run,), tmp_path / "video.mp4", **SMALL))
    assert there.metrics["frames"] == here.metrics["frames"]
    assert there.metrics["checkpoint"]["sha256"] == here.metrics["checkpoint"]["sha256"]
    assert there.metrics["headline"] == here.metrics["headline"]
    assert s3.cat_file("bkt/out/video.mp4") == (tmp_path / "video.mp4").read_bytes()
    names = [name.removeprefix("bkt/out/video") for name in sorted(s3.find("bkt/out"))]
    assert names == [".metrics.json", ".mp4", ".windows.npz"]
    # What was begun to see whether it may be written was given up.
    assert not s3.call_s3("list_multipart_uploads", Bucket="bkt").get("Uploads")


def test_a_batch_goes_on_from_its_records(remote_run, s3):
    sources, notes = from_runs("s3://bkt/runs/*")
    assert (len(sources), notes) == (2, [])
    settings = ReportJob(remote_run, (), "unwritten.npz", **SMALL)
    job = BatchJob(tuple(sources), settings, place("s3://bkt/results"), page=False, compare=False)
    first, second = run_batch(job), run_batch(job)
    assert [x.status for x in first.outcomes] == ["done", "done"]
    assert [x.status for x in second.outcomes] == ["skipped", "skipped"]
    index = json.loads(s3.cat_file("bkt/results/index.json"))
    assert index["count"] == {"done": 2}
    assert all(entry["checkpoint"].startswith(remote_run) for entry in index["checkpoints"])
    s3.rm_file(s3.glob("bkt/results/*.mp4")[0])
    stores._listings.clear()
    assert sorted(x.status for x in run_batch(job).outcomes) == ["done", "skipped"]


def test_globs_of_checkpoints(remote_run):
    assert len(expand([f"{remote_run}/ckpt/*"], ())) == 2
    assert len(expand([f"{remote_run}/ckpt/*01*T*", remote_run], ())) == 2


def test_a_checkpoint_that_changes_is_refused(remote_run, s3):
    checkpoint = read_checkpoint(place(remote_run))
    key = str(checkpoint.files[0]).removeprefix("s3://")
    data = bytearray(s3.cat_file(key))
    data[-100] ^= 1  # of the same size
    s3.pipe_file(key, bytes(data))
    with pytest.raises(CheckpointError, match="when it was opened, others now"):
        checkpoint.read_params(list(checkpoint.params)[:3])
    s3.rm_file(key)
    with pytest.raises(CheckpointError, match="no such file"):
        checkpoint.read_params(list(checkpoint.params)[:3])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://bkt/nothing/here", "no such file or folder"),
        ("s3://nobodys/run", "no such bucket|no such file or folder"),
    ],
)
def test_what_is_not_there_is_told(s3, address, words):
    with pytest.raises((CheckpointError, RemoteError), match=words) as told:
        open_run(address, address)
    assert address in str(told.value)


def test_outputs_that_cannot_be_written(s3):
    with pytest.raises(OutputError, match=r"s3://nobodys/x\.mp4: there is no such bucket"):
        check_writable(place("s3://nobodys/x.mp4"))
    write_text(place("s3://bkt/a/b.txt"), "x")
    with pytest.raises(OutputError, match="found a folder"):
        check_writable(place("s3://bkt/a"))
    with pytest.raises(OutputError, match="expected a file's name"):
        check_writable(place("s3://bkt"))


def test_no_credentials(endpoint, monkeypatch, tmp_path):
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(RemoteError, match="s3://bkt/run: no credentials") as told:
        read_checkpoint(place("s3://bkt/run"))
    assert "AWS_PROFILE" in told.value.hint


def test_nobody_answers(monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(RemoteError, match="s3://bkt/run: cannot be reached"):
        read_checkpoint(place("s3://bkt/run"))
