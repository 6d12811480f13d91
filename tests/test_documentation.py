"""README.md and docs: every command runs as written, every option is told, the Python runs."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

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
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    found = list(commands())
    assert len(found) >= 6
    for command in found:
        words = [x for word in shlex.split(command)[1:] for x in expanded(word)]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, f"{command}\n{result.output}"
    for name in ("video.mp4", "video.metrics.json", "side_by_side.mp4", "curves.svg", "summary.md"):
        assert (folder / name).stat().st_size > 100, name


def test_the_python_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)  # our own text, not a stranger's
    report = names["report"]
    assert report.tree["headline"]["image"]["imagined"] > 20
    assert report.frames("image").shape[-1] == 3
    assert "data:image/gif" in report._repr_html_()


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
