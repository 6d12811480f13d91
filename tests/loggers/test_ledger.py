"""What was logged where, remembered beside the reports."""

import json

import pytest

from openloop_cli.errors import OutputError
from openloop_cli.loggers import Logger
from openloop_cli.loggers.ledger import Ledger


def test_what_is_missing(tmp_path):
    ledger = Ledger(tmp_path / "logged")
    assert ledger.missing("a", ["x", "y"], "1") == ["x", "y"]
    ledger.note("a", "x", "1")
    assert Ledger(tmp_path / "logged").missing("a", ["x", "y"], "1") == ["y"]
    assert ledger.missing("a", ["x"], "2") == ["x"]
    assert ledger.missing("b", ["x"], "1") == ["x"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 1}', "[" * 9999, '{"x": "1"}' * 9999, "\0"])
def test_a_file_that_says_nothing_is_none(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    ledger = Ledger(tmp_path)
    assert ledger.missing("a", ["x"], "1") == ["x"]
    ledger.note("a", "x", "1")
    assert list(json.loads((tmp_path / "a.json").read_text()).values()) == ["1"]
    assert Ledger(tmp_path).missing("a", ["x"], "1") == []


def test_a_report_on_its_way_is_not_sent_again_and_no_password_is_kept(tmp_path, monkeypatch):
    ledger, secret = Ledger(tmp_path), "mlflow:http://user:password@host"
    assert ledger.missing("a", [secret, "jsonl:log"], "1") == [secret, "jsonl:log"]
    assert ledger.missing("a", [secret, "jsonl:log"], "1") == []
    monkeypatch.chdir(tmp_path)
    for output in (secret, "jsonl:log"):
        ledger.note("a", output, "1")
    assert "password" not in (tmp_path / "a.json").read_text()
    assert Ledger(tmp_path).missing("a", [secret, f"jsonl:{tmp_path}/log"], "1") == []


class Broken:
    def write(self, entries):
        raise OSError("no")

    def close(self):
        pass


class Kept(list):
    write = list.extend

    def close(self):
        pass


def test_an_output_that_fails_has_not_written():
    kept, written = Kept(), []
    logger = Logger([Broken(), kept], tell=lambda line: None)
    logger.add({"a": 1.0})
    logger.write(written=written.append)
    logger.add({"b": 2.0})
    logger.write(only=["broken"], written=written.append)
    with pytest.raises(OutputError):
        logger.close()
    assert written == ["kept"]
    assert [name for _, name, _ in kept] == ["a"]
