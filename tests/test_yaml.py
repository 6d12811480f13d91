"""YAML from a stranger: the core schema, and bounds that hold while it is read."""

import math
import time
from contextlib import suppress
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from openloop_cli.config.yaml_text import MAX_BYTES, MAX_VALUES, load_yaml, parse_yaml
from openloop_cli.errors import ConfigError

from .conftest import ROOT

HERE = Path("config.yaml")
GENUINE = [
    ROOT / "sample_data/dmc_cheetah_run/config.yaml",
    *ROOT.glob("tests/fixtures/*/config.yaml"),
]


@pytest.mark.parametrize("path", GENUINE, ids=lambda path: path.parent.name)
def test_genuine_configs_read_as_ruamel_reads_them(path):
    assert load_yaml(path) == YAML(typ="safe", pure=True).load(path.read_text())


@pytest.mark.parametrize(
    "text",
    [
        "[null, ~, Null, NULL, '', true, True, false, FALSE, yes, no, on, y]",
        "[0, 12, -3, +4, 010, 0o17, 0x1F, 0b101, 1_000]",
        "[1.0, .5, 1., -2.5e-3, 1e3, 1E+3, .inf, -.inf, 1.5.2, 1-2, '1', \"2\"]",
        "a: &x [1, 2]\nb: *x\nc: {<<: &y {k: 1, l: 2}, l: 3}\nd: {<<: [*y, {m: 4}], k: 0}",
        "? a\n: b\n1: 2\nfalse: x\nnull: y",
        "text: |\n  two\n  lines\nfolded: >\n  two\n  words\n",
        "---\na: ''\n...\n",
        "# nothing\n",
    ],
)
def test_values_are_those_of_yaml_1_2(text):
    assert parse_yaml(HERE, text) == YAML(typ="safe", pure=True).load(text)


def test_no_number_is_text_and_text_no_date():
    assert math.isnan(parse_yaml(HERE, ".nan"))
    assert parse_yaml(HERE, "! 1") == "1"
    assert parse_yaml(HERE, "[2001-99-99, 0x_, _]") == ["2001-99-99", "0x_", "_"]


def filled(piece: str) -> str:
    return (piece * (MAX_BYTES // len(piece) + 1))[:MAX_BYTES]


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
HOSTILE = {
    "lists": filled("["),
    "dashes": filled("- "),
    "mappings": filled("{"),
    "items": "[" + filled("a,")[1:],
    "lines": filled("- a\n"),
    "keys": "\n".join(f"k{i}: v" for i in range(MAX_BYTES // 10)),
    "words": "a: " + filled("x ")[3:],
    "quoted": '"' + filled("a\n")[1:],
    "escapes": '"' + filled("\\\n ")[1:],
    "blank": filled("\n"),
    "comments": filled("#\n"),
    "anchors": "\n".join(f"- &a{i} x" for i in range(MAX_BYTES // 13)),
    "aliases": "- &a x\n" + filled("- *a\n")[7:],
    "bomb": BOMB,
    "long texts": "- &a " + "x" * (MAX_BYTES - MAX_VALUES * 2) + "\n" + "- *a\n" * 1000,
    "merges": "b0: &b0 {k: 1}\n"
    + "".join(f"b{i}: &b{i} {{<<: [{','.join([f'*b{i - 1}'] * 10)}]}}\n" for i in range(1, 9)),
    "circle": "&a [*a]",
    "number": "9" * 5000,
    "hexadecimal": "0x" + "f" * 100_000,
    "directives": filled("%YAML 1.1\n"),
    "documents": filled("--- a\n"),
    "too long": "x" * (MAX_BYTES + 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_input_costs_much(name):
    start = time.thread_time()
    value = None
    with suppress(ConfigError):
        value = parse_yaml(HERE, HOSTILE[name])
    assert len(repr(value)) < 4 * MAX_BYTES
    # CPU time, of which other processes take none; four times what an old core needs.
    assert time.thread_time() - start < 4


@pytest.mark.parametrize(
    "text",
    [
        "!!bool foo",
        "!!int ''",
        "!!float ''",
        "!!python/object:x {}",
        "!x y",
        "[!!set {a}]",
        "!!binary ===",
    ],
)
def test_tags_are_refused(text):
    with pytest.raises(ConfigError, match=r"not YAML: line 1, column \d: tag .*tags are not read"):
        parse_yaml(HERE, text)


@pytest.mark.parametrize("text", ["{a: 1, a: 2}", "{[a]: 1}", "{<<: 1}", "*a", "- a\n--- \n- b"])
def test_what_means_nothing_is_refused(text):
    with pytest.raises(ConfigError, match=r"not YAML: line \d, column \d"):
        parse_yaml(HERE, text)
