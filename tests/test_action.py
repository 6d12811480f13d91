"""action.yml: its scripts, run by bash with a stand-in for openloop that writes its arguments down.

What users write into inputs (branch names, paths, limits) must reach openloop as it is and never be
run: the scripts hold no expression, and the inputs here try to break out.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML

from openloop_cli.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
ACTION = YAML(typ="safe").load(ROOT / "action.yml")
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
ATTACK = "a b; touch pwned; $(touch pwned) `touch pwned` ' \" \\ * ${{ x }} | & > pwned"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


@pytest.fixture
def run(tmp_path):
    """Runs a step's script: (name, openloop's exit code, inputs) -> (exit code, calls, outputs)."""
    folder = tmp_path / "bin"
    folder.mkdir()
    calls, outputs = tmp_path / "calls", tmp_path / "outputs"
    for name in ("openloop", "python"):
        stand_in = folder / name
        stand_in.write_text(
            f"#!{sys.executable}\nimport json, os, sys\n"
            f"open({str(calls)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
            "sys.exit(int(os.environ['CODE']))\n"
        )
        stand_in.chmod(0o755)

    def run(name, code=0, **inputs):
        step = STEPS[name]
        values = {**{k: str(v.get("default", "")) for k, v in ACTION["inputs"].items()}, **inputs}
        environment = {
            variable: values[re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", expression)[1]]
            for variable, expression in step["env"].items()
        }
        environment |= {
            "PATH": f"{folder}:{os.environ['PATH']}", "CODE": str(code),
            "GITHUB_OUTPUT": str(outputs), "GITHUB_ACTION_PATH": "/the action",
        }  # fmt: skip
        script = tmp_path / "script.sh"
        script.write_text(step["run"])
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            env=environment, cwd=work, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not list(tmp_path.rglob("pwned"))
        told = calls.read_text().splitlines() if calls.exists() else []
        found = outputs.read_text().splitlines() if outputs.exists() else []
        return (
            done.returncode,
            [json.loads(line) for line in told],
            dict(line.split("=", 1) for line in found),
        )

    return run


def test_no_script_holds_an_expression():
    scripts = [step["run"] for step in STEPS.values() if "run" in step]
    assert len(scripts) == 3
    assert not any("${{" in script for script in scripts)
    assert all(step["shell"] == "bash" for step in STEPS.values() if "run" in step)


def test_every_input_is_used_and_described():
    text = (ROOT / "action.yml").read_text()
    for name, told in ACTION["inputs"].items():
        assert told["description"]
        assert f"inputs.{name}" in text
    used = set(re.findall(r"inputs\.([\w-]+)", text))
    assert used == set(ACTION["inputs"])


def test_render(run):
    code, calls, outputs = run("Render", checkpoint="ckpt", replay="replay", length="32")
    assert code == 0
    assert calls == [[
        "render", "--seed=0", "--out=openloop-report/openloop.mp4",
        "--metrics=openloop-report/metrics.json", "--report=openloop-report/openloop.html",
        "--num-windows=16", "--length=32",
        "--", "ckpt", "replay",
    ]]  # fmt: skip
    assert outputs == {
        "metrics": "openloop-report/metrics.json", "video": "openloop-report/openloop.mp4",
        "page": "openloop-report/openloop.html",
    }  # fmt: skip


def test_render_on_the_windows_of_a_baseline(run):
    _, calls, _ = run("Render", checkpoint="c", replay="r", baseline="old.json", length="32")
    assert "--window=old.json" in calls[0]
    assert not any(x.startswith(("--length", "--num-windows")) for x in calls[0])


def test_the_options_exist(run):
    run("Render", checkpoint="c", replay="r", length="1", context="1")
    run("Render", checkpoint="c", replay="r", baseline="b")
    _, calls, _ = run("Check", min="a=1", max="a=1", baseline="b")
    commands = typer.main.get_command(app).commands
    for command, *arguments in calls:
        known = {name for option in commands[command].params for name in option.opts}
        used = {x.split("=")[0] for x in arguments if x.startswith("--")} - {"--"}
        assert used <= known, command
        assert len(used) >= 3


@pytest.mark.parametrize("step", ["Render", "Check", "Install openloop"])
def test_what_tries_to_break_out_stays_an_argument(run, step):
    inputs = dict.fromkeys(ACTION["inputs"], ATTACK)
    code, calls, _ = run(step, **inputs)
    assert code == 0
    (arguments,) = calls
    joined = [x.split("=", 1)[1] if x.startswith("--") and "=" in x else x for x in arguments]
    expected = {"Render": 4, "Check": 3, "Install openloop": 1}[step]
    assert joined.count(ATTACK) == expected


def test_a_path_that_looks_like_an_option(run):
    _, calls, _ = run("Render", checkpoint="--out=/etc/x", replay="-r")
    assert calls[0][-3:] == ["--", "--out=/etc/x", "-r"]


def test_an_output_folder_of_two_lines_is_refused(run):
    code, calls, outputs = run("Render", checkpoint="c", replay="r", out="a\npassed=true")
    assert (code, calls, outputs) == (1, [], {})


@pytest.mark.parametrize(("code", "passed"), [(0, "true"), (3, "false"), (1, "false")])
def test_check(run, code, passed):
    found, calls, outputs = run(
        "Check", code, min="a.b=1\n\n  \nc=2\n", max="d=3", baseline="old.json"
    )
    assert (found, outputs) == (code, {"passed": passed})
    assert calls == [[
        "check", "--baseline=old.json", "--min=a.b=1", "--min=c=2", "--max=d=3",
        "--junit=openloop-report/junit.xml", "--", "openloop-report/metrics.json",
    ]]  # fmt: skip


def test_nothing_to_check(run):
    assert run("Check") == (0, [], {})


def test_install(run):
    assert run("Install openloop")[1][0][-1] == "/the action"
    assert run("Install openloop", requirement="openloop==1")[1][1][-1] == "openloop==1"


def test_the_workflows_in_the_docs_are_valid():
    text = (ROOT / "docs" / "ci.md").read_text()
    workflows = [YAML(typ="safe").load(x) for x in re.findall(r"```yaml\n(.*?)```", text, re.S)]
    assert len(workflows) == 2
    for workflow in workflows:
        steps = workflow["jobs"]["openloop"]["steps"]
        assert not any("${{" in step.get("run", "") for step in steps)
        assert workflow["permissions"] == {"contents": "read"}
    used = next(x for x in workflows[0]["jobs"]["openloop"]["steps"] if "with" in x)
    assert set(used["with"]) <= set(ACTION["inputs"])
    needed = {name for name, told in ACTION["inputs"].items() if told.get("required")}
    assert needed <= set(used["with"])
