import re

import pytest

from openloop_cli.compare.check import Finding
from openloop_cli.compare.compare import cell_text, compare
from openloop_cli.compare.markdown import (
    MAX_BYTES,
    append_check_markdown,
    check_markdown,
    comparison_markdown,
    write_check_markdown,
    write_comparison_markdown,
)
from openloop_cli.errors import OutputError
from openloop_cli.text import markdown
from tests.trees import entry_of, errors

ATTACKS = [
    "a|b", "a\\|b", "`x` | `y`", "<script>alert(1)</script>", "[x](http://evil)", "![](http://e)",
    "line\nbreak | x", "\x1b[31m", "*b* _i_ ~s~ #h", "&lt;", "@somebody", "www.evil.org", "$x$",
    "\\", "|", "\ud800",
]  # fmt: skip


def rows_of(text):
    """Cells of a table's body, as GFM reads them: split at bars that no backslash escapes."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1] for line in lines]
    return [[cell.strip() for cell in row] for row in cells]


def read(cell):
    """What GFM shows of an escaped text."""
    cell = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", cell.replace("&#8203;", ""))
    return cell.replace("&lt;", "<").replace("&gt;", ">").replace("&#64;", "@").replace(
        "&amp;", "&")  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_any_name_stays_in_its_cell(name):
    text = check_markdown("t", [Finding(name, 1.0, "at most 0", False, name)])
    head, line, row = rows_of(text)
    assert len(head) == len(line) == len(row) == 5
    assert set(line) == {"---"}
    shown = read(row[1])
    assert re.sub(r"\W|_", "", shown) == re.sub(r"\W|_", "", name.replace("\ud800", ""))
    assert "<" not in row[1]
    assert not re.search(r"(?<!\\)[`*_\[\]()|]", row[1])
    assert "://" not in row[1]


def test_failures_come_first():
    findings = [
        Finding("fine", 1.0, "at least 0", True),
        Finding("wrong", None, "at least 0", False, "undefined: nothing moved"),
    ]
    text = check_markdown("openloop check m_1.json", findings)
    assert "### openloop check m\\_1.json: 1 of 2 fails" in text
    assert rows_of(text)[2:] == [
        ["❌ **fail**", "wrong", "undefined", "at least 0", "undefined: nothing moved"],
        ["✅ pass", "fine", "1", "at least 0", ""],
    ]
    assert ": 1 passes" in check_markdown("t", findings[:1])


def test_the_summary_stays_below_the_limit():
    findings = [Finding("ü" * 400 + str(i), 1.0, "at least 0", i > 50) for i in range(3000)]
    text = check_markdown("t", findings)
    assert len(text.encode()) <= MAX_BYTES
    shown = len(rows_of(text)) - 2
    assert f"… and {3000 - shown} more" in text
    assert shown > 500
    assert sum("fail" in row[0] for row in rows_of(text)) == 51


def test_appending_leaves_what_is_there(tmp_path):
    path = tmp_path / "summary"
    path.write_text("before\n")
    append_check_markdown(path, "t", [Finding("x", 1.0, "at least 0", True)])
    append_check_markdown(path, "u", [Finding("y", 1.0, "at least 0", True)])
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.index("### t") < text.index("### u")
    assert "\n\n### u" in text


def test_appending_to_a_full_file_adds_nothing(tmp_path):
    path = tmp_path / "summary"
    path.write_text("x" * (MAX_BYTES - 5))
    append_check_markdown(path, "t", [Finding("x", 1.0, "at least 0", True)])
    assert path.stat().st_size <= MAX_BYTES


def test_places_that_cannot_be_written(tmp_path):
    finding = [Finding("x", 1.0, "at least 0", True)]
    for write in (append_check_markdown, write_check_markdown):
        with pytest.raises(OutputError, match=str(tmp_path)):
            write(tmp_path, "t", finding)


def test_a_comparison(tmp_path):
    old = errors()
    entries = [
        entry_of({"im|age": old}, label="step 1"),
        entry_of({"im|age": old | {"model": old["model"] * 2}}, label="step *2*"),
    ]
    found = compare(entries)
    text = comparison_markdown(found)
    rows = rows_of(text)
    assert rows[0] == ["checkpoint", "useful horizon", "skill", "+1", "+5", "+8"]
    assert [row[0] for row in rows[2:4]] == ["step 1", "step \\*2\\*"]
    assert rows[2][1] == "≥ 8"
    sign, word, change, ends = rows[3][2].split(" ", 4)[1:]
    assert (sign, word, change[0], ends[0], ends[-1]) == ("▼", "worse", "-", "(", ")")
    assert rows[2][2] == value_of(found, "skill")
    assert rows[4:] == [["checkpoint", "imagined"], ["---", "---"], ["step 1", "0.1"],
                        ["step \\*2\\*", "0.1"]]  # fmt: skip
    assert "▲ better, ▼ worse than step 1, with the difference and its interval (paired" in text
    write_comparison_markdown(tmp_path / "c.md", found)
    assert (tmp_path / "c.md").read_text() == text


def value_of(comparison, title):
    return next(cell_text(row, 0) for row in comparison.rows if row.title == title)


def test_text_without_signs_is_left_alone():
    assert markdown("headline.image.skill 30.2 dB") == "headline.image.skill 30.2 dB"
