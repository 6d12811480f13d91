"""Mutated metrics files, of both versions: whatever is done with one ends well, or in one line.

`python -m tests.results.test_metrics_fuzz 10000 1` tries 10,000 of seed 1.
"""

import hashlib
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from openloop_cli.compare.check import Limit, check
from openloop_cli.compare.compare import compare
from openloop_cli.compare.junit import junit_xml
from openloop_cli.compare.markdown import check_markdown, comparison_markdown
from openloop_cli.compare.tree import comparison_tree
from openloop_cli.draw.curves import Named, charts, sheet
from openloop_cli.errors import OpenloopError
from openloop_cli.jobs.comparison import labelled
from openloop_cli.jobs.loading import windows_from
from openloop_cli.page import PageEntry
from openloop_cli.page.comparison import write_comparison_page
from openloop_cli.page.html import page_html
from openloop_cli.page.words import labels_of, name_of
from openloop_cli.results.entries import Entry
from openloop_cli.results.metrics_file import (
    metrics_json,
    read_metrics,
    windows_path,
    write_metrics,
)
from openloop_cli.results.table import csv_text, metrics_rows
from openloop_cli.text import message

SKILL = "headline.height.skill"
OLD = Path(__file__).parents[1] / "fixtures" / "metrics" / "version1.metrics.json"

JUNK = [
    None, True, -1, 0, 1.5, 10**17, 10**24, 10**400, float("nan"), -1e300, "", "text",
    "\x1b[31m\u202e", "\ud800", "x" * 3000, [], {}, [[]], [None], {"a": {}}, {"": None},
    [1, "2", None], {"mean": "1"}, {"per_step": [1e300, "x"]}, [1e300, 1e-300], "psnr",
    "mistakes", "../x", "1:2",
]  # fmt: skip


def test_mutated_files_end_in_one_line(tmp_path):
    found = fuzz(200, tmp_path, seed=0)
    assert found["refused"] > 50
    assert found["used"] > 20


def fuzz(count, folder, seed):
    """How many were refused, how many did well."""
    rng = random.Random(seed)
    new = folder / "new.metrics.json"
    write_metrics(new, read_metrics(OLD, windows=True))
    good = read_metrics(OLD, windows=True)
    texts, data = (OLD.read_text(), new.read_text()), windows_path(new).read_bytes()
    path, found = folder / "m.json", Counter()
    for number in range(count):
        text = mutated(rng.choice(texts), rng)
        path.write_text(text, errors="surrogatepass")
        windows_path(new).write_bytes(data if rng.random() < 0.8 else damaged(data, path, rng))
        try:
            refused = use(path, good, number % 2)
        except Exception as error:
            error.add_note(f"case {number} of seed {seed}: {text[:200]}")
            raise
        found["refused" if refused else "used"] += 1
    return found


def mutated(text, rng):
    """One to three places replaced, removed, or added to; or the text itself damaged."""
    if rng.random() < 0.15:
        at = rng.randrange(len(text))
        return text[:at] + rng.choice(["", "9" * 400, "[", "NaN", '"', "\0"]) + text[at + 5 :]
    tree = json.loads(text)
    for _ in range(rng.randint(1, 3)):
        parent, name = rng.choice(list(places(tree)))
        action = rng.random()
        if action < 0.7:
            parent[name] = rng.choice(JUNK)
        elif action < 0.85:
            del parent[name]
        elif isinstance(parent, dict):
            parent[rng.choice(["steps", "\x1b", "x" * 500, "per_window"])] = rng.choice(JUNK)
    return json.dumps(tree)


def places(value):
    """Each place in a tree, as what holds it and its name there."""
    for name, below in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, name
        if isinstance(below, (dict, list)):
            yield from places(below)


def damaged(data, path, rng):
    """Another file beside it, with the right hash: whoever made it wanted it so."""
    at = rng.randrange(len(data))
    data = data[:at] + rng.randbytes(3) + data[at + 3 :]
    text = path.read_text(errors="surrogatepass")
    head, mark, rest = text.rpartition('"sha256": "') if '"windows_file"' in text else ("", "", "")
    if mark:
        digest = hashlib.sha256(data).hexdigest()
        path.write_text(head + mark + digest + rest[64:], errors="surrogatepass")
    return data


def use(path, good, turn):
    """All that commands do with such a file; whether any of them refused it."""
    works = (
        windows_from,
        lambda path: csv_text(metrics_rows(read_metrics(path))).encode(),
        plot,
        page,
    )
    refused = [in_a_line(lambda work=work: work(path)) for work in works]
    try:
        tree = read_metrics(path, windows=True)
    except OpenloopError:
        return True
    entry, first = Entry("new", tree, str(path)), Entry("good", good, "good.json")
    limits = [Limit("min", name, 0.0) for name in (SKILL, "checkpoint.step")]
    refused.append(in_a_line(lambda: checked(entry, limits, None)))
    # As what is judged, or as what it is judged by.
    a, b = (first, entry) if turn else (entry, first)
    refused += [in_a_line(lambda: compared(a, b, path)), in_a_line(lambda: checked(b, (), a))]
    return any(refused)


def plot(path):
    trees = [read_metrics(path), read_metrics(OLD)]
    for some in (trees[:1], trees):
        named = [Named(tree, label) for tree, label in zip(some, labels_of(some), strict=True)]
        if found := charts(named):
            sheet(found, heading=name_of(some[0])).encode()


def page(path):
    page_html([PageEntry(read_metrics(path))]).encode()


def compared(first, other, path):
    found = compare(labelled([first, other]), allow_different=True)
    metrics_json(comparison_tree(found)).encode()
    comparison_markdown(found).encode()
    write_comparison_page(path.with_suffix(".html"), found)


def checked(entry, limits, baseline):
    found = check(entry, limits, baseline)
    check_markdown("m.json", found).encode()
    junit_xml("m.json", found)


def in_a_line(work):
    """Whether it was refused, which must be in a line that is safe to print."""
    told = ""
    try:
        work()
    except OpenloopError as error:
        told = error.message
    assert "\n" not in told
    assert len(message(told)) < 2100
    return bool(told)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        outcome = fuzz(int(sys.argv[1]), Path(scratch), seed=int(sys.argv[2]))
    sys.stderr.write(f"{dict(outcome)}\n")
