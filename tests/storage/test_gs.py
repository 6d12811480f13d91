"""A pretended Google store on loopback: reading and writing as gcsfs asks for it."""

import hashlib
import json
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest

from openloop_cli import open_run
from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.errors import CheckpointError, RemoteError
from openloop_cli.storage import place, stores
from openloop_cli.storage.atomic import check_writable, write_text
from tests.synthetic_run import make_run

core = pytest.importorskip("gcsfs.core", reason="needs openloop[remote]")


class Store(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, files: dict, *args) -> None:
        self.files = files
        super().__init__(*args)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        bucket, _, rest = url.path.partition("/b/")[2].partition("/")
        name = unquote(rest.removeprefix("o").removeprefix("/"))
        if bucket != "bkt":
            return self._send(403 if bucket == "theirs" else 404, {"error": {"message": "no"}})
        if not name:
            return self._send(200, self._listed(query.get("prefix", ""), query.get("delimiter")))
        data = self.files.get(name)
        if data is None:
            return self._send(404, {"error": {"message": "no such object"}})
        if query.get("alt") != "media":
            return self._send(200, self._told(name))
        first, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
        return self._send(206, data[int(first) : int(last or len(data)) + 1])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        mark = self.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
        _, told, content, _ = body.split(b"--" + mark)
        name = query.get("name") or json.loads(told[told.index(b"{") :])["name"]
        self.files[name] = content.partition(b"\n\n")[2].removesuffix(b"\n")
        self._send(200, self._told(name))

    def _listed(self, prefix: str, delimiter: str | None) -> dict:
        items, folders = [], {}
        for name in sorted(x for x in self.files if x.startswith(prefix)):
            rest = name.removeprefix(prefix)
            if delimiter and delimiter in rest:
                folders[prefix + rest.partition(delimiter)[0] + delimiter] = None
            else:
                items.append(self._told(name))
        return {"items": items, "prefixes": list(folders)}

    def _told(self, name: str) -> dict:
        data = self.files[name]
        etag = hashlib.md5(data).hexdigest()
        own = {"name": name, "bucket": "bkt", "size": str(len(data)), "etag": etag}
        return own | {"updated": "2026-01-01T00:00:00Z", "timeCreated": "2026-01-01T00:00:00Z"}

    def _send(self, status: int, body) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The objects of the bucket `bkt`: a made-up run."""
    run = make_run(tmp_path / "made_up")
    found = {
        x.relative_to(tmp_path).as_posix(): x.read_bytes() for x in run.rglob("*") if x.is_file()
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Store, found))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    # Not the one that first asks by gRPC what kind of bucket it is.
    store = core.GCSFileSystem(
        endpoint_url=endpoint, token="anon", use_listings_cache=False, skip_instance_cache=True
    )
    monkeypatch.setattr(stores, "filesystem", lambda scheme: store)
    yield found
    server.shutdown()
    server.server_close()
    for known in (stores._listings, stores._answers, stores._folders):
        known.clear()


def test_a_run_in_a_bucket(files, tmp_path):
    address = "gs://bkt/made_up"
    far, near = open_run(address, address), open_run(tmp_path / "made_up", tmp_path / "made_up")
    assert str(far.config.source) == f"{address}/config.yaml"
    expected = near.read_params()
    assert all(np.array_equal(array, expected[k]) for k, array in far.read_params().items())
    choice, windows = far.choose_windows(length=8, num_windows=3, seed=1)
    same, data = near.choose_windows(length=8, num_windows=3, seed=1)
    assert choice == same
    assert all(np.array_equal(windows.data[key], data.data[key]) for key in data.data)


def test_a_change_and_what_may_not_be_read(files):
    checkpoint = read_checkpoint(place("gs://bkt/made_up"))
    name = str(checkpoint.files[0]).removeprefix("gs://bkt/")
    files[name] = files[name][:-200] + bytes(200)
    with pytest.raises(CheckpointError, match="others now"):
        checkpoint.read_params(list(checkpoint.params)[:2])
    with pytest.raises(RemoteError, match="gs://theirs/run: permission denied"):
        read_checkpoint(place("gs://theirs/run"))


def test_writing(files):
    check_writable(place("gs://bkt/out/notes.md"))
    write_text(place("gs://bkt/out/notes.md"), "some text\n")
    assert files["out/notes.md"] == b"some text\n"
