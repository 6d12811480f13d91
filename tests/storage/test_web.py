"""http: servers with ranges, without, and such as lie; only loopback."""

import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from openloop_cli import open_run
from openloop_cli.checkpoints import find_checkpoints, read_checkpoint
from openloop_cli.errors import CheckpointError, OutputError, RemoteError, ReplayError
from openloop_cli.jobs.loading import ReportJob
from openloop_cli.jobs.report import run_job
from openloop_cli.replay import open_replay
from openloop_cli.storage import place, stores, web
from openloop_cli.storage.atomic import check_writable
from tests.synthetic_run import TIMES, make_run

pytest.importorskip("aiohttp", reason="needs openloop[remote]")


class Server(BaseHTTPRequestHandler):
    """Serves `files`, by ranges; `twist` may change an answer before it goes out."""

    protocol_version = "HTTP/1.1"

    def __init__(self, files: dict, log: list, twist: Callable, *args) -> None:
        self.files, self.log, self.twist = files, log, twist
        super().__init__(*args)

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].strip("/")
        self.log.append((self.path, dict(self.headers)))
        data = self.files.get(name)
        answer = {"status": 404, "headers": {}, "body": b""}
        if data is not None:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            first, last = int(first), min(int(last), len(data) - 1)
            body = data[first : last + 1]
            told = {"Content-Range": f"bytes {first}-{last}/{len(data)}", "ETag": '"one"'}
            answer = {"status": 206, "headers": told, "body": body}
            if not data:
                answer = {"status": 416, "headers": {"Content-Range": "bytes */0"}, "body": b""}
        self.twist(name, data, answer)
        self.send_response(answer["status"])
        headers = {"Content-Length": str(len(answer["body"]))} | answer["headers"]
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        try:
            self.wfile.write(answer["body"])
        except OSError:
            self.close_connection = True

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def serve():
    """files, twist -> address, log of requests."""
    servers = []

    def start(files, twist=lambda name, data, answer: None):
        log = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, files, log, twist))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", log

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
    stores._answers.clear()


@pytest.fixture
def made_up(tmp_path):
    return make_run(tmp_path / "made_up")


def files_of(folder):
    return {
        x.relative_to(folder.parent).as_posix(): x.read_bytes()
        for x in folder.rglob("*")
        if x.is_file()
    }


def chunks_of(folder, address):
    names = sorted(x.name for x in (folder / "replay").glob("*.npz"))
    return [f"{address}/made_up/replay/{name}" for name in names]


def test_a_report_from_a_run_s_address_and_its_chunks(serve, made_up, tmp_path):
    address, _ = serve(files_of(made_up))
    options = {"length": 8, "num_windows": 3, "show": 2, "evaluate": False}
    far = run_job(
        ReportJob(
            f"{address}/made_up", chunks_of(made_up, address), tmp_path / "far.npz", **options
        )
    )
    near = run_job(ReportJob(made_up, (made_up,), tmp_path / "near.npz", **options))
    assert far.metrics["frames"] == near.metrics["frames"]
    assert far.metrics["checkpoint"]["sha256"] == near.metrics["checkpoint"]["sha256"]
    assert far.metrics["checkpoint"]["step"] == near.metrics["checkpoint"]["step"]
    assert far.metrics["config"]["source"] == f"{address}/made_up/config.yaml"


@pytest.mark.parametrize("end", ["", "/ckpt", f"/ckpt/{TIMES[1]}", f"/ckpt/{TIMES[1]}/agent.pkl"])
def test_a_checkpoint_by_each_of_its_addresses(serve, made_up, end):
    address, _ = serve(files_of(made_up))
    checkpoint = read_checkpoint(place(f"{address}/made_up{end}"))
    assert str(checkpoint.path) == f"{address}/made_up/ckpt/{TIMES[1]}"
    assert checkpoint.complete


def test_latest_leads_to_no_other_place(serve, made_up):
    files = files_of(made_up)
    for name in ("../../elsewhere", "http://127.0.0.1:1/x", "..", "a/b", "", "x\nHost: y"):
        address, log = serve(files | {"made_up/ckpt/latest": name.encode()})
        with pytest.raises(CheckpointError, match="neither agent"):
            find_checkpoints(place(f"{address}/made_up"))
        assert all(path.startswith("/made_up/") and ".." not in path for path, _ in log)
        stores._answers.clear()


def test_folders_cannot_be_listed(serve, made_up):
    address, _ = serve(files_of(made_up))
    with pytest.raises(RemoteError, match="a folder on the web cannot be listed") as told:
        open_replay(f"{address}/made_up")
    assert "each chunk" in told.value.hint


def whole(name, data, answer):
    if data is not None:
        answer.update(status=200, headers={"ETag": '"one"'}, body=data)


def test_a_server_without_ranges_gives_small_files(serve, made_up):
    address, _ = serve(files_of(made_up), whole)
    far = open_run(f"{address}/made_up", chunks_of(made_up, address))
    near = open_run(made_up, made_up)
    expected = near.read_params()
    assert all(np.array_equal(array, expected[k]) for k, array in far.read_params().items())


def test_a_server_without_ranges_gives_no_large_files(serve):
    data = bytes(web.MOST_WHOLE + 1)
    address, _ = serve({"agent.pkl": data}, whole)
    with pytest.raises(RemoteError, match="the server sends only whole files") as told:
        read_checkpoint(place(f"{address}/agent.pkl"))
    assert "download" in told.value.hint


LIES = {
    "fewer bytes than told": {"body": b"short", "headers": {"Content-Length": "3000"}},
    "no range told": {"headers": {}},
    "another range": {"headers": {"Content-Range": "bytes 5-3004/3005"}},
    "an impossible range": {"headers": {"Content-Range": "bytes 0-9/5"}},
    "words for a range": {"headers": {"Content-Range": "bytes x-y/z"}},
    "an absurd size": {"headers": {"Content-Range": f"bytes 0-0/{'9' * 30}"}},
    "packed": {"headers": {"Content-Range": "bytes 0-0/3000", "Content-Encoding": "br"}},
    "broken": {"status": 500},
    "asleep": {"status": 503},
    "no length": {"status": 200, "headers": {"Content-Length": "-1"}},
    "a huge length": {"status": 200, "headers": {"Content-Length": str(1 << 60)}},
}


@pytest.mark.parametrize("lie", LIES)
def test_servers_that_lie_are_told_in_one_line(serve, lie):
    def twist(name, data, answer):
        if data is not None:
            answer.update(LIES[lie])

    address, _ = serve({"run/agent.pkl": bytes(3000)}, twist)
    with pytest.raises((RemoteError, CheckpointError)) as told:
        read_checkpoint(place(f"{address}/run/agent.pkl"))
    assert f"{address}/run/agent.pkl" in told.value.message
    assert "\n" not in told.value.message


def test_more_bytes_than_asked_for_are_not_read(serve):
    """A range of one byte, and then zeros for as long as somebody takes them."""

    def twist(name, data, answer):
        if data is not None:
            answer.update(
                headers={"Content-Range": "bytes 0-0/1", "Content-Length": str(1 << 40)},
                body=bytes(64 << 20),
            )

    address, _ = serve({"run/latest": b"x"}, twist)
    assert place(f"{address}/run/latest").read_bytes() == b"\0"


def test_a_file_that_changes_between_two_answers(serve):
    count = iter(range(1000))

    def twist(name, data, answer):
        answer["headers"]["ETag"] = f'"{next(count)}"'

    address, _ = serve({"run/file.npz": bytes(10 << 20)}, twist)
    with pytest.raises(RemoteError, match="changed while it was being read"):
        place(f"{address}/run/file.npz").read_bytes()


@pytest.mark.parametrize("status", [401, 403])
def test_what_may_not_be_read(serve, status):
    address, _ = serve({"agent.pkl": b"x"}, lambda n, d, answer: answer.update(status=status))
    with pytest.raises(RemoteError, match="permission denied"):
        read_checkpoint(place(f"{address}/agent.pkl"))


def test_what_is_not_there(serve):
    address, _ = serve({})
    with pytest.raises(CheckpointError, match="no such file"):
        read_checkpoint(place(f"{address}/agent.pkl"))
    with pytest.raises(ReplayError, match="no such file"):
        open_replay(f"{address}/20260101T000000F000000-1-0-20.npz")


def test_nobody_answers():
    with pytest.raises(RemoteError, match=r"http://127\.0\.0\.1:9/agent\.pkl: cannot be reached"):
        read_checkpoint(place("http://127.0.0.1:9/agent.pkl"))


def test_login_and_signature_are_used_and_never_told(serve, made_up):
    def twist(name, data, answer):  # signed for this one file, as S3 does it
        if not name.endswith("agent.pkl"):
            answer.update(status=403)

    address, log = serve(files_of(made_up), twist)
    far = address.replace("//", "//me:secret@") + f"/made_up/ckpt/{TIMES[0]}/agent.pkl?X-Amz=sig"
    checkpoint = read_checkpoint(place(far))
    assert checkpoint.read_params(["dyn/dynin0/kernel"])
    asked = [(path, headers) for path, headers in log if "agent.pkl" in path]
    assert all(path.endswith("agent.pkl?X-Amz=sig") for path, _ in asked)
    assert all(headers["Authorization"].startswith("Basic ") for _, headers in asked)
    with pytest.raises(RemoteError, match="permission denied") as told:
        place(far.replace("agent", "step")).read_bytes()
    said = f"{checkpoint.path} {checkpoint.files} {checkpoint.params!r} {told.value}"
    assert "secret" not in said
    assert "sig" not in said.replace("signature", "")


def test_nothing_is_written_to_the_web():
    with pytest.raises(OutputError, match="nothing can be written to the web"):
        check_writable(place("https://example.org/video.mp4"))


def leading(to, name="a.json"):
    """A server's twist: one file is somewhere else."""

    def twist(found, data, answer):
        if found == name:
            answer |= {"status": 302, "headers": {"Location": to}, "body": b""}

    return twist


def test_a_redirect_within_the_host_keeps_the_login(serve):
    address, log = serve({"b.json": b"{}"}, leading("/b.json"))
    named = place(address.replace("http://", "http://me:secret@") + "/a.json")
    assert named.read_bytes() == b"{}"
    assert all("Authorization" in headers for _, headers in log if headers)


@pytest.mark.parametrize("where", ["http://127.0.0.1:9/x", "file:///etc/passwd", "ftp://h/x"])
def test_no_redirect_leads_to_another_host_without_https(serve, where):
    address, log = serve({}, leading(where))
    with pytest.raises(RemoteError, match=r"redirects to .*, which is not followed"):
        place(f"{address}/a.json").read_bytes()
    assert {path for path, _ in log} == {"/a.json"}


def test_a_login_never_travels_to_another_host():
    from yarl import URL

    path = place("https://me:secret@one.example/a.json?signature=1")
    first = URL(path.url)
    for target in ("https://two.example/b", "https://you:other@two.example/b", "//two.example/b"):
        assert str(web._next_url(path, first, first, target)) == "https://two.example/b"
    again = web._next_url(path, first, URL("https://two.example/b"), "https://three.example/c")
    assert again.user is None


def test_redirects_in_a_circle_end(serve):
    address, log = serve({}, leading("/a.json"))
    with pytest.raises(RemoteError, match="redirects more than 5 times"):
        place(f"{address}/a.json").read_bytes()
    assert len(log) <= 12
