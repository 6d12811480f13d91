"""Who has no torchrl is told what to install; who does not ask for hooks never meets them."""

import importlib
import subprocess
import sys
from importlib import metadata

import pytest

from tests.conftest import ROOT


def without_hooks(monkeypatch, found):
    for name in list(sys.modules):
        if name.startswith("openloop_cli.hooks"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(metadata, "version", found)


@pytest.mark.parametrize("found", [None, "0.12.0", "0.11.3+cpu", "0.9.0.dev20240101"])
def test_one_line_says_what_to_install(found, monkeypatch):
    def version(name):
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    without_hooks(monkeypatch, version)
    with pytest.raises(ImportError) as raised:
        importlib.import_module("openloop_cli.hooks")
    text = str(raised.value)
    assert "\n" not in text
    assert "torchrl >= 0.13" in text
    assert "pip install 'openloop[torchrl]'" in text
    assert (found or "which is not installed") in text


def test_nothing_else_imports_hooks_or_torch():
    """Every other module of the package, the commands too. What they import when they run, the
    import contract says."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "openloop_cli").rglob("*.py"))
        if path.parent.name != "hooks" and not path.name.startswith("__")
    ]
    assert len(names) > 150
    code = f"import importlib, sys; [importlib.import_module(x) for x in {names}];"
    code += "print([x for x in sys.modules if x.startswith(('openloop_cli.hooks', 'torch', "
    code += "'tensordict'))])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
