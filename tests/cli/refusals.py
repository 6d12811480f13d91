"""The tables of bad input: what is done to a genuine run, how it is rendered, what is said.

`REFUSED` ends with that one line; of `WORKS` the rest of the run makes up for the damage, which is
told in a note. `IMAGES` are changes of the replay's arrays in a run with images.
"""
# A table reads best with a row to a line.
# ruff: noqa: E501

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import pytest

from .harm import (
    AGENT,
    CHECKPOINT,
    CHUNKS,
    FIRST,
    Call,
    arrays,
    become,
    circle,
    cut,
    drop,
    each,
    fifo,
    locked,
    param,
    params,
    remove,
    rename,
    settings,
    size,
    text,
)

UUID = FIRST.split("-")[1]
ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
NAN, INF = float("nan"), float("inf")
NONE = "no chunk can be read; 4 damaged, the first is {run}/replay/"
BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
MERGES = "b0: &b0 {k: 1}\n" + "".join(
    f"b{i}: &b{i} {{<<: [{','.join([f'*b{i - 1}'] * 10)}]}}\n" for i in range(1, 9)
)
GOOD = {
    "format": "openloop-metrics",
    "version": 1,
    "rollout": {"windows": [f"{UUID}:0", f"{UUID}:3"], "length": 8, "context": 4},
}


@dataclass(frozen=True)
class Row:
    """`{run}` and `{out}` in all texts are the run's folder and the one for results."""

    name: str
    says: str
    harm: Callable[[Path], object] = lambda run: None
    ckpt: str = "{run}"
    replay: str = "{run}"
    options: str = ""
    out: str = "{out}/x.npz"
    code: int = 1
    marks: tuple = ()


def config(name: str, says: str, content: str) -> Row:
    return Row(f"config {name}", says, lambda run: (run / "config.yaml").write_text(content))


def prepended(name: str, says: str, content: str, rest=lambda text: text) -> Row:
    def harm(run: Path) -> None:
        path = run / "config.yaml"
        path.write_text(content + rest(path.read_text()))

    return Row(f"config {name}", says, harm)


def setting(name: str, says: str, pattern: str, replacement: str) -> Row:
    return Row(f"config {name}", says, settings(pattern, replacement))


def option(options: str, says: str, **more) -> Row:
    return Row(f"option {options}", says, options=options, **more)


def usage(options: str, says: str, **more) -> Row:
    return option(options, says, code=2, **more)


def replay(name: str, says: str, harm, names=CHUNKS, **more) -> Row:
    return Row(f"replay {name}", says, each(names, harm), **more)


def windows_from(name: str, says: str, content) -> Row:
    content = content if isinstance(content, str) else json.dumps(content)
    harm = each(["m.json"], text(content))
    return Row(f"window file {name}", says, harm, options="--window {run}/m.json")


# fmt: off
PATHS = [
    Row("ckpt missing", "{run}/gone: no such file or folder", ckpt="{run}/gone"),
    Row("ckpt empty folder", "{run}/empty: no checkpoint in it", lambda run: (run / "empty").mkdir(), ckpt="{run}/empty"),
    Row("ckpt no agent.pkl", f"{{run}}/{CHECKPOINT}: no checkpoint in it", each([AGENT], remove), ckpt="{run}/" + CHECKPOINT),
    Row("ckpt is a replay", "{run}/replay: this is a replay, not a checkpoint", ckpt="{run}/replay"),
    Row("ckpt is another file", "{run}/config.yaml: expected agent.pkl or a folder", ckpt="{run}/config.yaml"),
    Row("ckpt is a chunk", "expected agent.pkl or a folder", ckpt="{run}/" + FIRST),
    Row("ckpt is a device", "/dev/null: expected agent.pkl or a folder", ckpt="/dev/null"),
    Row("ckpt is a pipe", f"{AGENT}: expected a regular file", each([AGENT], fifo)),
    Row("ckpt is a folder named agent.pkl", f"{AGENT}: expected a file, found a folder", lambda run: ((run / AGENT).unlink(), (run / AGENT).mkdir())),
    Row("ckpt unreadable", f"{AGENT}: permission denied", each([AGENT], locked), marks=(ROOT,)),
    Row("ckpt in an unreadable folder", "permission denied", each([CHECKPOINT], locked), marks=(ROOT,)),
    Row("ckpt path through a file", "config.yaml/x: cannot be read", ckpt="{run}/config.yaml/x"),
    Row("replay missing", "{run}/gone: no such file or folder", replay="{run}/gone"),
    Row("replay empty folder", "{run}/empty: no chunks here", lambda run: (run / "empty").mkdir(), replay="{run}/empty"),
    Row("replay is a checkpoint", "{run}/ckpt: no chunks here", replay="{run}/ckpt"),
    Row("replay is another file", "{run}/config.yaml: not a chunk's name", replay="{run}/config.yaml"),
    Row("replay is agent.pkl", f"{AGENT}: not a chunk's name", replay="{run}/" + AGENT),
    Row("replay is a device", "/dev/null: not a chunk's name", replay="/dev/null"),
    Row("replay without chunks", "{run}/replay: no chunks here", each(CHUNKS, remove)),
    Row("replay chunk missing", f"{FIRST}: no such file or folder", each([FIRST], remove), replay="{run}/" + FIRST),
    Row("replay unreadable", "{run}/replay: it cannot be read: Permission denied", each(["replay"], locked), marks=(ROOT,)),
    option("--config {run}/gone.yaml", "{run}/gone.yaml: cannot be read: No such file"),
    option("--config {run}", "{run}: cannot be read: Is a directory"),
    option("--config /dev/null", "/dev/null: expected a regular file"),
    option("--config {run}/" + AGENT, "agent.pkl: 446042 bytes, expected a few thousand for a config.yaml"),
    Row("config unreadable", "config.yaml: cannot be read: Permission denied", each(["config.yaml"], locked), marks=(ROOT,)),
]
PICKLES = [
    *(Row(f"ckpt cut at {tenth} tenths", f"{AGENT}: ", each([AGENT], cut(tenth / 10))) for tenth in range(10)),
    Row("ckpt one byte short", "a frame of 33554 bytes, 33553 left", each([AGENT], lambda path: path.write_bytes(path.read_bytes()[:-1]))),
    Row("ckpt is text", "agent.pkl: not a pickle", each([AGENT], text("hello"))),
    Row("ckpt is a web page", "agent.pkl: not a pickle: an HTML or XML page", each([AGENT], text("<!DOCTYPE html>"))),
    Row("ckpt is a list", "agent.pkl: expected a dict with 'params'", each([AGENT], lambda path: path.write_bytes(pickle.dumps([1])))),
    Row("ckpt objects", "refuses dtype O8 at byte", param("dyn/dynin0/kernel", np.array([{}, 2]))),
    Row("ckpt os.system", "refuses posix.system at byte", param("dyn/dynin0/kernel", Call(os.system, "touch pwned"))),
    Row("ckpt eval", "refuses builtins.eval at byte", param("dyn/dynin0/kernel", Call(eval, "open('pwned', 'w')"))),
    Row("ckpt eval where nobody looks", "refuses builtins.eval at byte", param("opt/state/x", Call(eval, "open('pwned', 'w')"))),
    Row("ckpt size beyond its bytes", "of float32 needs 12800000 bytes, found", size(100_000)),
    Row("ckpt a terabyte", "of float32 needs 1099511627776 bytes, found", size(1 << 33)),
    Row("ckpt no params", "agent.pkl: no parameters in it", params(dict.clear)),
    Row("param missing", "dyn/dynin0/kernel: expected (64, 32), missing", params(lambda found: found.pop("dyn/dynin0/kernel"))),
    Row("param of another shape", "dyn/dynin0/kernel: expected (64, 32), found (3, 3)", param("dyn/dynin0/kernel", np.zeros((3, 3), "f4"))),
    Row("param without a shape", "dyn/dynin0/kernel: expected (64, 32), found ()", param("dyn/dynin0/kernel", np.float32(0))),
    Row("param without size", "dyn/dynin0/kernel: expected (64, 32), found (0, 32)", param("dyn/dynin0/kernel", np.zeros((0, 32), "f4"))),
    Row("param of whole numbers", "dyn/dynin0/kernel: expected floating-point numbers, found int32", param("dyn/dynin0/kernel", np.zeros((64, 32), "i4"))),
    Row("param complex", "dyn/dynin0/kernel: expected floating-point numbers, found complex64", param("dyn/dynin0/kernel", np.zeros((64, 32), "c8"))),
    Row("param text", "params/dyn/dynin0/kernel: expected an array", param("dyn/dynin0/kernel", "text")),
    Row("policy without a shape", "dyn/dynin2/kernel: expected (0, 32), found (6, 32)", lambda run: (param("pol/head/action/mean/kernel", np.float32(0))(run), each(CHUNKS, become("action", lambda n: np.zeros((n, 0), "f4")))(run))),
    Row("no config, odd shapes", "no config.yaml, and parameters of shapes that no", lambda run: (param("dyn/dynin0/kernel", np.float32(0))(run), (run / "config.yaml").unlink())),
    Row("no config, no blocks", "does not divide into 0 blocks", lambda run: (param("dyn/dyngru/kernel", np.zeros((0, 1, 1), "f4"))(run), (run / "config.yaml").unlink())),
    Row("no config, no dynamics", "do not tell the architecture: no dyn/dyngru/kernel", lambda run: (params(lambda found: found.pop("dyn/dyngru/kernel"))(run), (run / "config.yaml").unlink())),
]
CONFIGS = [
    config("empty", "config.yaml: expected settings by name, found nothing", ""),
    config("a list", "config.yaml: expected settings by name, found a list", "- 1\n- 2\n"),
    config("not YAML", "config.yaml: not YAML: line 2, column 4: ", "a: [1,\nb: }"),
    config("control characters", "config.yaml: not YAML: ", "\0\1\2"),
    config("runs code", "config.yaml: not YAML: line 1, column 1: tag tag:yaml.org,2002:python/object/apply", "!!python/object/apply:os.system ['touch pwned']"),
    config("deep", "config.yaml: not YAML: line 1, column 51: nested deeper than 50 levels", "[" * 5000),
    config("in a circle", "config.yaml: not YAML: line 1, column 17: an alias of something that is not complete yet", "agent: &a {enc: *a}"),
    prepended("alias bomb", "more than 50,000 values, aliases followed", BOMB),
    prepended("alias bomb where it is read", "more than 50,000 values", BOMB, lambda text: re.sub("mults: .*", "mults: *a11", text)),
    prepended("merge bomb", "more than 50,000 values", MERGES),
    config("tag bool", "config.yaml: not YAML: line 1, column 7: tag tag:yaml.org,2002:bool: tags are not read", "task: !!bool foo"),
    config("tag int", "tag tag:yaml.org,2002:int: tags are not read", "task: !!int ''"),
    config("tag float", "tag tag:yaml.org,2002:float: tags are not read", "task: !!float ''"),
    Row("config is a pipe", "config.yaml: expected a regular file", each(["config.yaml"], fifo), options="--config {run}/config.yaml"),
    setting("a long number", "not YAML: line 1, column 17: a number of 5,000 characters", r"\A", "replay_context: " + "9" * 5000 + "\\n"),
    setting("a large number", "agent.dyn.rssm.deter: expected a whole number, zero or more, found 99999", "deter: 64", "deter: " + "9" * 99),
    prepended("too large", "config.yaml: 5", "#" * 5_000_000 + "\n"),
    config("no agent", "config.yaml: agent: missing", "task: x"),
    setting("of another run", "config.yaml: these settings do not belong to the checkpoint (deter 128, parameters say 64)", "deter: 64", "deter: 128"),
    setting("compute dtype", "config.yaml: jax.compute_dtype: expected one of bfloat16, float16, float32, found 'int4'", "compute_dtype: .*", "compute_dtype: int4"),
    setting("norm", "agent.enc.simple.norm: expected rms, layer or none, such as rms1em6, found 'batch'", "norm: rms", "norm: batch"),
    setting("activation", "agent.enc.simple.act: 'wow' is not known", "act: silu", "act: wow"),
    setting("encoder", "agent.enc.typ: expected 'simple', found 'vit'", "typ: simple", "typ: vit"),
    setting("dynamics", "agent.dyn.typ: expected 'rssm', found 'gpt'", "typ: rssm", "typ: gpt"),
    setting("head", "agent.conhead.output: expected binary, found 'onehot'", "output: binary", "output: onehot"),
    setting("negative size", "agent.dyn.rssm.deter: expected a whole number, zero or more, found -64", "deter: 64", "deter: -64"),
    setting("no size", "agent.dyn.rssm.deter: expected a whole number, zero or more, found 'big'", "deter: 64", "deter: big"),
    setting("long value", "agent.dyn.rssm.deter: expected a whole number, zero or more, found 'xxx", "deter: 64", "deter: " + "x" * 10_000),
    setting("size 0", "do not belong to the checkpoint (deter 0, parameters say 64)", "deter: 64", "deter: 0"),
    setting("blocks 0", "agent.dyn.rssm: deter 64 does not divide into 0 blocks", "blocks: 4", "blocks: 0"),
    setting("blocks 7", "agent.dyn.rssm: deter 64 does not divide into 7 blocks", "blocks: 4", "blocks: 7"),
    setting("layers", "agent.dyn.rssm.obslayers: expected at most 1000, found 1000000000", "obslayers: 1", "obslayers: 1000000000"),
    setting("unimix", "agent.dyn.rssm.unimix: expected 0 to 1, found nan", "free_nats: 1.0, (.|\n)*?unimix: 0.01", "unimix: .nan"),
    setting("horizon 0", "agent.horizon: expected 1 or more, found 0", "horizon: 333", "horizon: 0"),
    setting("replay context", "no window of 1000000000 + 8 steps", "^replay_context: .*", "replay_context: 1000000000"),
    setting("sections", "agent.enc: expected settings by name, found [1, 2]", "  enc:\n(   .*\n)*", "  enc: [1, 2]\n"),
]
REPLAYS = [
    replay("cut", NONE, cut(0.5)),
    replay("empty", NONE, cut(0)),
    replay("text", NONE, text("hello")),
    replay("a pipe", NONE, fifo),
    replay("pickled", "'reward' is not an array of plain numbers (objects are never loaded)", arrays(lambda found: found.update(reward=np.array([{}] * len(found["reward"]), object)))),
    replay("shorter than its name", "'reward' has shape (64,), its file name says 999 steps", rename(length="999")),
    replay("longer than its name", "'reward' has shape (64,), its file name says 10 steps", rename(length="10")),
    replay("no steps", "'reward' has shape (0,), its file name says 64 steps", arrays(lambda found: found.update({key: value[:0] for key, value in found.items()}))),
    replay("no reward", "no key 'reward' in the replay", drop("reward")),
    replay("no is_first", "no key 'is_first' in the replay", drop("is_first")),
    replay("no action", "the replay has no key 'action'", drop("action")),
    replay("an observation less", "enc/mlp0/kernel: expected (10, 32), found (24, 32)", drop("orientations")),
    replay("another number of actions", "dyn/dynin2/kernel: expected (3, 32), found (6, 32)", arrays(lambda found: found.update(action=found["action"][:, :3]))),
    replay("observations of text", "'height' in the replay: expected numbers, found <U1", become("height", lambda n: np.array(["a"] * n))),
    replay("complex observations", "'height' in the replay: expected numbers, found complex64", become("height", lambda n: np.zeros(n, "c8"))),
    replay("rewards of text", "'reward' is not one number for each step in this replay: <U1 ()", become("reward", lambda n: np.array(["a"] * n))),
    replay("three rewards", "'reward' is not one number for each step in this replay: float32 (3,)", become("reward", lambda n: np.zeros((n, 3), "f4"))),
    replay("three ends", "'is_terminal' is not one number for each step", become("is_terminal", lambda n: np.zeros((n, 3), bool))),
    replay("no stored states, asked for", "--start stored: the replay stores no latent states", drop("dyn/deter"), options="--start stored"),
    replay("states of another size, asked for", "dyn/deter in the replay: expected (64,), found float32 (3,)", become("dyn/deter", lambda n: np.zeros((n, 3), "f4")), options="--start stored"),
    replay("states of text, asked for", "dyn/deter in the replay: expected (64,), found <U1 (64,)", become("dyn/deter", lambda n: np.full((n, 64), "a")), options="--start stored"),
    replay("only episode starts", "no window of 1 + 8 steps without an episode start in its imagined part", become("is_first", lambda n: np.ones(n, bool))),
    replay("steps of other chunks", "its 'stepid' names other steps than its file name", arrays(lambda found: found["stepid"].fill(1))),
    replay("successor gone", "no window of 1 + 80 steps: the longest linked stream has 64", remove, CHUNKS[2:], options="--length 80"),
    replay("successor itself", "no window of 1 + 80 steps: the longest linked stream has 64", rename(succ="self"), CHUNKS[:2], options="--length 80"),
    Row("replay in a circle", "no window of 1 + 100 steps: the longest linked stream has 90", circle, options="--length 100"),
    replay("window whose successor is gone", f"window {UUID}:60: 9 steps needed, 4 there", remove, CHUNKS[2:], options=f"--window {UUID}:60"),
    replay("window in a damaged chunk", f"window {UUID}:3: {{run}}/{FIRST}: it is cut short", cut(0.5), [FIRST], options=f"--window {UUID}:3"),
]
OPTIONS = [
    usage("--length 1", "--length 1: expected 2 or more steps"),
    usage("--length -5", "--length -5: expected 2 or more steps"),
    option("--length 1000", "no window of 1 + 1000 steps: the longest linked stream has 90"),
    option(f"--length {10**30}", "the longest linked stream has 90"),
    usage("--context 0", "--context 0: expected 1 or more steps"),
    usage("--context 8", "--context 8: expected 1 to 7, below --length 8"),
    usage("--context 9", "--context 9: expected 1 to 7, below --length 8"),
    usage("--scale 3", "--scale 3: expected an even factor from 2 to 128"),
    usage("--scale 0", "--scale 0: expected an even factor from 2 to 128"),
    usage("--scale 1000000", "--scale 1000000: expected an even factor from 2 to 128"),
    usage("--fps 0", "--fps 0: expected more than 0 and at most 1000"),
    usage("--fps nan", "--fps nan: expected more than 0"),
    usage("--fps inf", "--fps inf: expected more than 0"),
    usage("--fps 60", "--fps 60: expected more than 0 and at most 50", out="{out}/x.gif"),
    usage("--num-windows 0", "--num-windows 0: expected 1 or more"),
    usage("--show 0", "--show 0: expected 1 or more"),
    usage("--samples 0", "--samples 0: expected 1 or more"),
    usage("--samples 2 --latents mode", "--samples 2 with --latents mode: all futures would be the same"),
    usage("--seed -1", "--seed -1: expected 0 to 4294967295"),
    usage(f"--seed {1 << 70}", f"--seed {1 << 70}: expected 0 to 4294967295"),
    usage("--actions act", "--actions act: no such key in the replay; there are orientations, height, velocity, action"),
    usage("--encode height,", "--encode 'height,': an empty name"),
    option("--encode height", "enc/mlp0/kernel: expected (1, 32), found (24, 32)"),
    usage("--keys nosuch", "--keys nosuch: no such observation; there are orientations, height, velocity"),
    usage("--keys height,,velocity", "--keys 'height,,velocity': an empty name"),
    usage("--keys height,", "--keys 'height,': an empty name"),
    usage("--keys ,", "--keys ',': an empty name"),
    usage("--window foo", "--window foo: neither a metrics.json nor a window's CHUNK:INDEX"),
    usage(f"--window {UUID}:-1", "neither a metrics.json nor"),
    option(f"--window {UUID}:64", f"window {UUID}:64: {{run}}/{FIRST} has only 64 steps, from 0"),
    option("--window 2PMho4XlIszq4Uh2EJNPi5:0", "no chunk 2PMho4XlIszq4Uh2EJNPi5 in this replay"),
    usage("--device nosuch", "--device nosuch: "),
    usage("--device cpu:99", "--device cpu:99: there are"),
    usage("--device gpu", "--device gpu: ", marks=(pytest.mark.skipif(jax.default_backend() != "cpu", reason="there is one"),)),
    usage("--style reference", "--style reference: it has no picture of orientations", out="{out}/x.mp4"),
    usage("--report {out}/page.txt", "--report {out}/page.txt: unsupported extension"),
]
PLACES = [
    Row("out of no known kind", "--out {out}/x.avi: unsupported extension", out="{out}/x.avi", code=2),
    Row("out without an ending", "--out {out}/x: unsupported extension", out="{out}/x", code=2),
    Row("out is a folder", "{run}/d.npz: expected a file's name, found a folder", lambda run: (run / "d.npz").mkdir(), out="{run}/d.npz"),
    Row("out below a file", "{run}/config.yaml/x.npz: cannot be written", out="{run}/config.yaml/x.npz"),
    Row("out cannot be written", "/proc/x.npz: cannot be written", out="/proc/x.npz"),
    Row("out in a folder that cannot be made", "/proc/a/b/x.npz: cannot be written", out="/proc/a/b/x.npz"),
    Row("out with a long name", "cannot be written: file name too long", out="{out}/" + "x" * 300 + ".npz"),
    Row("metrics with a long name", ".metrics.json: cannot be written: file name too long", out="{out}/" + "x" * 250 + ".npz"),
    Row("out in a locked folder", "/x.npz: cannot be written: permission denied", lambda run: ((run / "l").mkdir(), locked(run / "l")), out="{run}/l/x.npz", marks=(ROOT,)),
    option("--metrics {out}", "{out}: expected a file's name, found a folder"),
    option("--metrics /proc/x.json", "/proc/x.json: cannot be written"),
    option("--save-arrays /proc/y.npz", "/proc/y.npz: cannot be written"),
    option("--report /proc/x.html", "/proc/x.html: cannot be written"),
    usage("--metrics {out}/x.npz", "{out}/x.npz: both --out and --metrics name this file"),
    usage("--metrics {out}/../out/./x.npz", "both --out and --metrics name this file"),
    usage("--save-arrays {out}/x.npz", "{out}/x.npz: both --out and --save-arrays name this file"),
    usage("--save-arrays {out}/x.windows.npz", "both the windows of --metrics and --save-arrays name this file"),
    usage("--report {out}/x.html --metrics {out}/x.html", "both --metrics and --report name this file"),
    usage("--metrics {run}/config.yaml", "--metrics {run}/config.yaml: this is an input, which is never overwritten"),
    usage(f"--save-arrays {{run}}/{FIRST}", "this is an input, which is never overwritten"),
    usage(f"--metrics {{run}}/{AGENT}", "this is an input, which is never overwritten"),
]
WINDOWS_FROM = [
    usage("--window {run}/gone.json", "--window {run}/gone.json: neither a metrics.json nor"),
    option("--window {run}", "{run}: cannot be read: Is a directory"),
    option("--window {run}/" + AGENT, "agent.pkl: not JSON: not text"),
    windows_from("empty", "m.json: not JSON", ""),
    windows_from("not JSON", "m.json: not JSON: Expecting value", "hello"),
    windows_from("NaN", "m.json: not JSON: NaN is no JSON", '{"a": NaN}'),
    windows_from("deep", "m.json: not JSON: nested too deeply", "[" * 100_000),
    windows_from("other JSON", "m.json: not a metrics.json of openloop", [1]),
    windows_from("another version", "m.json: format version 4, expected 1 to 3", GOOD | {"version": 4}),
    windows_from("no rollout", "m.json: rollout: expected an object, found null", GOOD | {"rollout": None}),
    windows_from("no length", "m.json: rollout: expected windows, length and context", GOOD | {"rollout": {"windows": ["a:0"]}}),
    windows_from("numbers for ids", "m.json: rollout.windows.0: expected text, found 1", GOOD | {"rollout": {"windows": [1], "length": 8, "context": 4}}),
    windows_from("no ids", "m.json: rollout.windows: expected 1 or more, found 0", GOOD | {"rollout": {"windows": [], "length": 8, "context": 4}}),
    windows_from("text for length", "m.json: rollout.length: expected a whole number, found \"8\"", GOOD | {"rollout": {"windows": ["a:0"], "length": "8", "context": 4}}),
    windows_from("another replay's", "window 7:0: no chunk 7 in this replay", GOOD | {"rollout": {"windows": ["7:0"], "length": 8, "context": 4}}),
]
REFUSED = [*PATHS, *PICKLES, *CONFIGS, *REPLAYS, *OPTIONS, *PLACES, *WINDOWS_FROM]
IMAGES = [
    ("another size", lambda found: found.update(image=np.zeros((20, 32, 32, 3), "u1")), "dyn/obs0/kernel: expected (280, 8), found (88, 8)"),
    ("odd size", lambda found: found.update(image=np.zeros((20, 15, 15, 3), "u1")), "agent.enc.simple.mults: 2 stages cannot halve the images (15, 15)"),
    ("no size", lambda found: found.update(image=np.zeros((20, 0, 16, 3), "u1")), "dec/sp0/bias: expected (0,), found (64,)"),
    ("one channel", lambda found: found.update(image=np.zeros((20, 16, 16, 1), "u1")), "enc/cnn0/kernel: expected (5, 5, 1, 2), found (5, 5, 3, 2)"),
    ("floats", lambda found: found.update(image=np.zeros((20, 16, 16, 3), "f4")), "enc/cnn0/kernel: the model sees images, the replay holds none"),
    ("two of a size", lambda found: found.update(more=np.zeros((20, 16, 16, 3), "u1")), "the encoder's images, 3 in all, can be more than one choice of keys: image or more"),
    ("classes too many", lambda found: found["token"].fill(8), "'token' in the replay: class 8, the model has 7 from 0"),
    ("action too many", lambda found: found["action"].fill(5), "'action' in the replay: class 5, the model has 5 from 0"),
]
WORKS = [
    Row("no policy", "no policy in the checkpoint: took action for the actions, by their width", params(lambda found: [found.pop(name) for name in list(found) if name.startswith("pol/")])),
    Row("no heads", "no reward and no continue and no value head in the checkpoint", params(lambda found: [found.pop(name) for name in list(found) if name.startswith(("rew/", "con/", "val/"))])),
    Row("a parameter more", "DreamerV3 has no parameter dyn/gate/kernel: not used, the model may differ", params(lambda found: found.update({"dyn/gate/kernel": np.zeros((2, 2), "f4")}))),
    replay("an observation more", "extra: in the replay, but not seen by the model", arrays(lambda found: found.update(extra=found["height"]))),
    replay("no stored states", "the replay stores no latent states: all windows start from zeros", drop("dyn/deter")),
    replay("states of another size", "the replay's latent states are of a model with deter (3,): all windows start from zeros", become("dyn/deter", lambda n: np.zeros((n, 3), "f4"))),
    replay("stochastic states of another size", "the replay's latent states are of a model with stoch (2, 2): all windows start from zeros", become("dyn/stoch", lambda n: np.zeros((n, 2, 2), "f4"))),
    replay("states that are not numbers", "the replay's latent states are not numbers everywhere: all windows start from zeros", become("dyn/deter", lambda n: np.full((n, 64), np.nan, "f4"))),
    replay("states of another model", "the replay's latent states are another model's", become("dyn/deter", lambda n: np.random.default_rng(0).normal(size=(n, 64)).astype("f4"))),
    Row("no done", "no `done` file: the copy may be incomplete", each([f"{CHECKPOINT}/done"], remove)),
    Row("latest is gone", "no `latest`: took 20261120T131519F582843, the newest", each(["ckpt/latest"], remove)),
    Row("latest lies", "`latest` names gone, which is no checkpoint: took", each(["ckpt/latest"], text("gone"))),
    Row("NaN in a parameter", "NaN or Infinity in 1 of 54 parameters, such as dyn/dynin0/kernel", params(lambda found: found["dyn/dynin0/kernel"].fill(NAN))),
    Row("Infinity in a parameter", "NaN or Infinity in 1 of 54 parameters, such as dec/mlp/linear0/kernel", params(lambda found: found["dec/mlp/linear0/kernel"].fill(INF))),
    replay("a chunk is cut", "1 damaged, the first is", cut(0.5), [FIRST]),
    replay("a chunk is unreadable", "1 damaged, the first is", locked, [FIRST], marks=(ROOT,)),
    replay("a chunk is text", "1 damaged, the first is", text("hello"), CHUNKS[1:2]),
    replay("a chunk is pickled", "objects are never loaded", arrays(lambda found: found.update(reward=np.array([{}] * len(found["reward"]), object))), CHUNKS[1:2]),
    replay("a chunk lacks a key", "it holds no 'height', which other chunks have", drop("height"), CHUNKS[1:2]),
    replay("the first chunk lacks a key", "it holds no 'height', which other chunks have", drop("height"), [FIRST]),
    replay("a chunk is longer than its name", "its file name says 63 steps", rename(length="63"), [FIRST]),
    replay("a chunk is there twice", "1 chunk is there twice; one is used", lambda path: shutil.copy(path, path.with_name(path.name.replace("-64.npz", "-60.npz"))), [FIRST]),
    replay("successors are gone", "", remove, CHUNKS[2:]),
    replay("successors are themselves", "", rename(succ="self"), CHUNKS[:2]),
    Row("replay in a circle", "", circle),
    replay("NaN observed", "NaN or Infinity in 'height' of the replay", become("height", lambda n: np.full(n, NAN, "f4"))),
    replay("Infinity observed", "NaN or Infinity in 'height' of the replay", become("height", lambda n: np.full(n, INF, "f4"))),
    replay("missing values observed", "", become("height", lambda n: np.full(n, -INF, "f4"))),
    replay("NaN acted", "NaN or Infinity in 'action' of the replay", become("action", lambda n: np.full((n, 6), NAN, "f4"))),
    replay("NaN rewards", "NaN or Infinity in 'reward' of the replay", become("reward", lambda n: np.full(n, NAN, "f4"))),
    Row("aliases in config", "", lambda run: (settings(r"deter: 64", "deter: &d 64")(run), settings(r"^replay_context: 1", "replay_context: 1\nother: *d")(run))),
    Row("another name's metrics", "", each(["m.json"], text(json.dumps(GOOD))), options="--window {run}/m.json"),
]
# fmt: on
