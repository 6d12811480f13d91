"""Names of places: what is local, what is not, and what is refused."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from openloop_cli.errors import RemoteError
from openloop_cli.jobs.sources import from_table
from openloop_cli.storage import place, remote, within

REFUSED = {
    "simplecache::s3://bucket/run": "chained",
    "filecache::http://host/x": "chained",
    "zip://*.pkl::s3://bucket/x.zip": "no known kind|chained",
    "ssh://host/x": "no known kind",
    "ftp://host/x": "no known kind",
    "python://x": "no known kind",
    "local://x": "no known kind",
    "reference://x": "no known kind",
    "S4://bucket/x": "no known kind",
    "s3://": "expected s3://bucket",
    "s3:///": "expected s3://bucket",
    "s3://bucket/../other": "expected s3://bucket",
    "https://host/./x": "expected https://host",
    "s3://bucket/a\nb": "control",
    "file://host/x": "another machine",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text):
    with pytest.raises(RemoteError, match=REFUSED[text]) as told:
        place(text)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["a/b", "/a", "~/x", "s3:", "s3/x", "a::b", "C:\\x", "x:/y", "-"])
def test_local_names_stay_as_they_are(text):
    assert place(text) == Path(text)
    assert remote(place(text)) is None


def test_file_urls():
    assert place("file:///a/b%20c") == Path("/a/b c")
    assert place("file://localhost/a") == Path("/a")


def test_the_methods_of_a_path():
    path = place("s3://bucket/runs//a/video.tar.gz")
    assert str(path) == "s3://bucket/runs/a/video.tar.gz"
    assert (path.name, path.stem, path.suffix) == ("video.tar.gz", "video.tar", ".gz")
    assert path.parent == place("s3://bucket/runs/a")
    assert [str(x) for x in path.parents] == [
        "s3://bucket/runs/a",
        "s3://bucket/runs",
        "s3://bucket",
    ]
    assert path.with_name("x.json") == path.parent / "x.json"
    assert path.relative_to(place("s3://bucket/runs")).as_posix() == "a/video.tar.gz"
    assert pickle.loads(pickle.dumps(path)) == path
    assert len({path, place("s3://bucket/runs/a/video.tar.gz")}) == 1
    assert path != place("gs://bucket/runs/a/video.tar.gz")
    assert path.absolute() == path.resolve() == path
    assert sorted([path, path.parent]) == [path.parent, path]
    with pytest.raises(RemoteError, match="no way leads up"):
        path.parent / "../x"


def test_pathlib_folds_addresses():
    with pytest.raises(RemoteError, match="folds the slashes"):
        place(Path("s3://bucket/run"))


def test_credentials_are_never_shown():
    path = place("https://me:secret@host/agent.pkl?X-Amz-Signature=signed#part")
    assert "secret" not in f"{path} {path!r}"
    assert "signed" not in f"{path} {path!r}"
    assert path.url == "https://me:secret@host/agent.pkl?X-Amz-Signature=signed"
    assert (path.parent / "agent.pkl").url == path.url
    assert (path.parent / "step.pkl").url == "https://me:secret@host/step.pkl"
    with pytest.raises(RemoteError, match="credentials in an address are not taken") as told:
        place("s3://me:secret@bucket/run")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("name", ["http://host/x", "/etc/passwd", "../x", "a/../../x", "s3://b/x"])
def test_what_is_read_from_the_network_leads_nowhere_else(name):
    with pytest.raises(RemoteError, match="names another place"):
        within(place("memory://tables"), name)
    assert within(place("memory://tables"), "a/b") == place("memory://tables/a/b")
    assert within(Path("tables"), "a/b") == Path("tables/a/b")
    assert within(Path("tables"), "s3://b/x") == place("s3://b/x")


def test_tables(memory, tmp_path):
    memory.pipe_file("/t/table.csv", b"checkpoint,replay\nhttp://127.0.0.1:1/x,replay\n")
    with pytest.raises(RemoteError, match="names another place"):
        from_table(place("memory://t/table.csv"))
    memory.pipe_file("/t/table.csv", b"checkpoint,replay\nruns/a,runs/a/replay\n")
    (source,) = from_table(place("memory://t/table.csv"))
    assert str(source.checkpoint) == "memory://t/runs/a"
    (tmp_path / "table.csv").write_text("checkpoint,replay\nmemory://t/runs/a,memory://t/runs/a\n")
    (source,) = from_table(tmp_path / "table.csv")
    assert source.replay == (place("memory://t/runs/a"),)


def test_what_is_local_imports_nothing_of_the_network():
    code = """if True:
        import sys
        from openloop_cli.storage import place
        from openloop_cli.cli import app
        place("runs/a"), place("s3://bucket/run"), place("https://host/run")
        found = {"fsspec", "upath", "aiohttp", "s3fs", "botocore", "jax"} & set(sys.modules)
        sys.exit(str(found) if found else 0)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    for address in ("s3://bucket/run", "https://host/agent.pkl", "memory://run"):
        with pytest.raises(RemoteError, match="is not installed") as told:
            place(address).read_bytes()
        assert "openloop[remote]" in told.value.hint
    assert place("https://host/run").is_dir()
