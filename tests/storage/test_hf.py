"""A pretended Hugging Face hub on loopback: what our reading of a repository asks of one."""

import hashlib
import json
import threading
from base64 import b64decode
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import numpy as np
import pytest

from openloop_cli import open_run
from openloop_cli.checkpoints import read_checkpoint
from openloop_cli.errors import CheckpointError
from openloop_cli.storage import place, stores
from openloop_cli.storage.atomic import check_writable, write_text
from tests.synthetic_run import make_run

hub = pytest.importorskip("huggingface_hub", reason="needs openloop[remote]")
API, RESOLVE = "/api/datasets/me/runs", "/datasets/me/runs/resolve/main/"


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, files: dict, *args) -> None:
        self.files = files
        super().__init__(*args)

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        if path.startswith(f"{API}/tree/main"):
            return self._tree(path.removeprefix(f"{API}/tree/main").strip("/"))
        if path in (API, f"{API}/revision/main"):
            return self._send(200, json.dumps({"id": "me/runs", "sha": "0" * 40}).encode())
        if path.startswith(RESOLVE) and (data := self.files.get(path.removeprefix(RESOLVE))):
            first, last = self.headers["range"].removeprefix("bytes=").split("-")
            return self._send(206, data[int(first) : int(last) + 1])
        return self._send(404, b"{}", "EntryNotFound")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/preupload/main"):
            told = {"uploadMode": "regular", "shouldIgnore": False}
            files = [told | {"path": x["path"]} for x in json.loads(body)["files"]]
            return self._send(200, json.dumps({"files": files}).encode())
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.files[line["value"]["path"]] = b64decode(line["value"]["content"])
        url = f"http://{self.headers['Host']}/datasets/me/runs/commit/1"
        told = {"commitUrl": url, "commitOid": "1", "success": True}
        return self._send(200, json.dumps(told).encode())

    def _tree(self, folder: str) -> None:
        found = {}
        for name, data in self.files.items():
            parts = name.split("/")
            depth = len(folder.split("/")) if folder else 0
            if "/".join(parts[:depth]) != folder or len(parts) <= depth:
                continue
            path = "/".join(parts[: depth + 1])
            is_file = len(parts) == depth + 1
            oid = hashlib.sha1(data if is_file else path.encode()).hexdigest()
            kind = "file" if is_file else "directory"
            size = len(data) if is_file else 0
            found[path] = {"type": kind, "oid": oid, "size": size, "path": path}
        if not found:
            return self._send(404, b"{}", "EntryNotFound")
        return self._send(200, json.dumps(list(found.values())).encode())

    def _send(self, status: int, body: bytes, code: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files of a made-up run, served as the data set me/runs."""
    run = make_run(tmp_path / "made_up")
    found = {
        x.relative_to(tmp_path).as_posix(): x.read_bytes() for x in run.rglob("*") if x.is_file()
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, found))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    store = hub.HfFileSystem(endpoint=endpoint, token=False, skip_instance_cache=True)
    monkeypatch.setattr(stores, "filesystem", lambda scheme: store)
    yield found
    server.shutdown()
    server.server_close()
    for known in (stores._listings, stores._answers, stores._folders):
        known.clear()


def test_a_run_in_a_repository(files, tmp_path):
    address = "hf://datasets/me/runs/made_up"
    far, near = open_run(address, address), open_run(tmp_path / "made_up", tmp_path / "made_up")
    assert str(far.config.source) == f"{address}/config.yaml"
    assert far.checkpoint.step == near.checkpoint.step
    expected = near.read_params()
    assert all(np.array_equal(array, expected[k]) for k, array in far.read_params().items())
    (choice, windows), (same, data) = (
        x.choose_windows(length=8, num_windows=3, seed=1) for x in (far, near)
    )
    assert choice == same
    assert all(np.array_equal(windows.data[key], data.data[key]) for key in data.data)


def test_a_change_and_what_is_not_there(files):
    checkpoint = read_checkpoint(place("hf://datasets/me/runs/made_up"))
    name = str(checkpoint.files[0]).removeprefix("hf://datasets/me/runs/")
    files[name] = files[name][:-200] + bytes(200)
    with pytest.raises(CheckpointError, match="others now"):
        checkpoint.read_params(list(checkpoint.params)[:2])
    with pytest.raises(CheckpointError, match="no such file or folder"):
        read_checkpoint(place("hf://datasets/me/runs/nothing"))


def test_writing_is_one_commit(files, tmp_path):
    check_writable(place("hf://datasets/me/runs/out/notes.md"))
    write_text(place("hf://datasets/me/runs/out/notes.md"), "some text\n")
    assert files["out/notes.md"] == b"some text\n"
    assert place("hf://datasets/me/runs/out/notes.md").read_text() == "some text\n"


def test_folders_above_end_at_the_repository():
    path = place("hf://datasets/me/runs/a/b")
    assert [str(x) for x in path.parents] == ["hf://datasets/me/runs/a", "hf://datasets/me/runs"]
    assert path.parents[-1].is_top
    assert place("hf://me/model").is_top
