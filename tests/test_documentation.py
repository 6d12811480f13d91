"""README.md and docs: every command runs as written and prints what they say, every option is
told, the Python runs, and the steps of docs/developing.md are true."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from openloop_cli.cli.app import app
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
DOCS = README + "".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> Iterator[str]:
    for block in blocks("sh"):
        for line in block.splitlines():
            if "openloop render sample_data" in line:
                yield line[line.index("openloop render") :]
            elif line.startswith("openloop ") and "~" not in line:
                yield line


def expanded(word: str) -> list[str]:
    """As a shell does it."""
    return sorted(str(path) for path in Path().glob(word)) if "*" in word else [word]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the clone, in which the commands run one after another."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "sample_data").symlink_to(ROOT / "sample_data")
    return folder


def test_every_command_of_the_readme_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And prints what README.md says, and leaves nothing that git would see."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    subprocess.run(["git", "init", "-q", folder], check=True)
    (folder / ".gitignore").write_text((ROOT / ".gitignore").read_text() + "/sample_data\n")
    found = list(commands())
    assert len(found) >= 9
    for number, command in enumerate(found):
        words = [x for word in shlex.split(command)[1:] for x in expanded(word)]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, f"{command}\n{result.output}"
        if number == 0:
            printed = re.search(r"^```\n(dmc_.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
            same_words_and_nearly_the_same_numbers(result.stdout, printed[1])
            # Small enough to read, to commit and to send; what each window did lies beside it.
            [metrics] = folder.glob("*.metrics.json")
            assert metrics.stat().st_size < 40_000
    for name in ("side_by_side.mp4", "curves.svg", "table.csv", "summary.md", "all/index.html"):
        assert (folder / "results" / name).stat().st_size > 100, name
    left = subprocess.run(
        ["git", "-C", folder, "status", "--porcelain"], capture_output=True, text=True, check=True
    )
    assert left.stdout.split() == ["??", ".gitignore"]


def same_words_and_nearly_the_same_numbers(text: str, expected: str) -> None:
    """The last digits differ between processors."""
    lines, told = ([line.split() for line in x.splitlines()] for x in (text, expected))
    assert [len(line) for line in lines] == [len(line) for line in told], text
    for a, b in zip(chain(*lines), chain(*told), strict=True):
        if re.fullmatch(r"[\d.]+", b):
            assert float(a) == pytest.approx(float(b), rel=0.02), (a, b)
        else:
            assert a == b


def test_the_python_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)  # our own text, not a stranger's
    found = names["found"]
    assert found.headline["image"]["imagined"] > 20
    assert found.frames("image").shape[-1] == 3
    html = found._repr_html_()
    assert "data:image/gif" in html
    assert len(html) < 500_000
    for words in ("dmc_cheetah_run, step 3,670", "useful horizon ≥ 25 of 25 steps, skill 0."):
        assert words in html
    assert repr(found) == "<Report of dmc_cheetah_run, step 3,670: 16 windows>"


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_the_steps_of_developing_are_true() -> None:
    """Every file that it names is there, and holds every name that stands beside it."""
    text = (ROOT / "docs" / "developing.md").read_text()
    steps = re.split(r"\n(?=\d\. |\n)", text)
    assert len(steps) > 8
    checked = 0
    for step in steps:
        words = re.findall(r"`([^`\n]+)`", step)
        files = [ROOT / word for word in words if re.fullmatch(r"[\w./-]+/[\w./-]*", word)]
        for path in files:
            assert path.exists() or (ROOT / "openloop_cli" / path.relative_to(ROOT)).exists(), path
        sources = "".join(path.read_text() for path in files if path.is_file())
        for name in (word for word in words if re.fullmatch(r"_?[A-Z_]+|_\w+|read_\w+", word)):
            if sources:
                assert name in sources, (name, files)
                checked += 1
    assert checked >= 6


def test_a_metric_that_is_added_as_developing_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first two steps are all that it takes to be measured, told and written."""
    from openloop_cli import quantities
    from openloop_cli.jobs.report import report
    from openloop_cli.measures import measure, recording
    from openloop_cli.results.table import metrics_rows

    worst = quantities.Metric("worst", "worst error", "the largest absolute error of a step")
    monkeypatch.setitem(quantities.METRICS, "worst", worst)

    def numbers(truth: Any, prediction: Any, path: str) -> Any:
        found = measure._continuous_numbers(truth, prediction, path)
        return found | {"worst": abs(measure._flat(prediction - truth)).max(-1)}

    monkeypatch.setitem(measure._NUMBERS, "continuous", numbers)
    monkeypatch.setattr(recording, "_kept", {})
    run = ROOT / "tests" / "fixtures" / "dmc_proprio"
    tree = report(run, length=8, num_windows=3, evaluate=False).tree
    key = next(iter(tree["observations"]))
    found = tree["observations"][key]["imagined"]["model"]["worst"]
    assert found["mean_low"] <= found["mean"] <= found["mean_high"]
    assert ("worst", "persistence") in {(row.metric, row.path) for row in metrics_rows(tree)}
    assert quantities.metric("worst").axis == "worst error, lower is better"


def test_every_option_is_documented() -> None:
    root = typer.main.get_command(app)
    for name, command in root.commands.items():
        assert f"openloop {name}" in DOCS, name
        for option in command.params:
            longest = max(option.opts, key=len)
            if longest.startswith("--") and longest not in ("--help",):
                shown = {*option.opts, *option.secondary_opts}
                assert any(x in DOCS for x in shown), f"openloop {name} {longest}"


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
