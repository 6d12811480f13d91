"""Names, globs, folders and tables -> checkpoints with their replay."""

from pathlib import Path

import pytest

from openloop_cli.errors import CheckpointError, ConfigError
from openloop_cli.jobs.sources import expand, from_runs, from_table


def folders(sources):
    return [source.checkpoint.name for source in sources]


@pytest.fixture
def names(run):
    return sorted(path.name for path in (run / "ckpt").iterdir() if path.is_dir())


def test_a_run_a_ckpt_folder_a_checkpoint_and_its_file(run, names):
    assert folders(expand([str(run)], ())) == names
    assert folders(expand([str(run / "ckpt")], ())) == names
    assert folders(expand([str(run / "ckpt" / names[1])], ())) == names[1:2]
    assert folders(expand([str(run / "ckpt" / names[1] / "agent.pkl")], ())) == names[1:2]


def test_a_glob_passes_over_what_is_no_checkpoint(run, names):
    (run / "ckpt" / "20270101T000000F000000").mkdir()
    assert folders(expand([str(run / "ckpt/*")], ())) == names
    assert folders(expand([str(run / "ckpt/2026*3*F*")], ())) == [n for n in names if "3" in n]


def test_each_once_in_the_order_given(run, names):
    given = [str(run / "ckpt" / names[2]), str(run), str(run / "ckpt" / ".." / "ckpt" / names[0])]
    assert folders(expand(given, ())) == [names[2], names[0], names[1], names[3]]


def test_what_is_not_there_stays_to_fail_in_its_turn(tmp_path):
    (source,) = expand([str(tmp_path / "gone")], (Path("r"),))
    assert source.checkpoint == tmp_path / "gone"


def test_a_glob_without_a_match_is_a_mistake(run):
    with pytest.raises(CheckpointError, match="no checkpoint matches"):
        expand([str(run / "ckp/*")], ())
    with pytest.raises(CheckpointError, match="no checkpoint matches"):
        expand([str(run / "replay/*")], ())


def test_runs_bring_their_own_replay(run, names):
    (run.parent / "elsewhere").mkdir()
    (run.parent / "file").touch()
    sources, notes = from_runs(str(run.parent / "*"))
    assert folders(sources) == names
    assert {source.replay for source in sources} == {(run,)}
    assert len(notes) == 1
    assert "elsewhere" in notes[0]
    with pytest.raises(CheckpointError, match="no run folder"):
        from_runs(str(run.parent / "else*"))


def test_a_csv_table_is_relative_to_itself(run, names):
    table = run.parent / "table.csv"
    table.write_text(
        "\ufeffcheckpoint,replay,config,name\n"
        f"run/ckpt/{names[0]},run/replay,run/config.yaml,first\n"
        "run/ckpt,,,\n"
    )
    sources = from_table(table)
    assert folders(sources) == [names[0], *names]
    assert sources[0].replay == (run.parent / "run/replay",)
    assert (sources[0].config, sources[0].name) == (run.parent / "run/config.yaml", "first")
    # Without one, the replay of the run that the checkpoint lies in.
    assert sources[1].replay == (run,)


def test_a_yaml_table_may_list_replays(run, names):
    table = run.parent / "table.yaml"
    table.write_text(f"- checkpoint: run/ckpt/{names[1]}\n  replay: [run/replay, other]\n")
    (source,) = from_table(table)
    assert source.replay == (run.parent / "run/replay", run.parent / "other")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.csv", "checkpoint,repaly\na,b\n", "row 1: no column 'repaly'"),
        ("t.csv", "checkpoint,replay\na,b,c\n", "row 1: more cells than there are columns"),
        ("t.csv", "replay\nb\n", "row 1: expected one checkpoint"),
        ("t.csv", "checkpoint\n", "no rows"),
        ("t.csv", 'checkpoint\n"a', "not CSV"),
        ("t.yaml", "checkpoint: a\n", "expected a list of rows"),
        ("t.yaml", "- [a\n", "not YAML"),
        ("t.yaml", "- checkpoint: [a, b]\n", "row 1: expected one checkpoint"),
        ("t.yaml", "- checkpoint: {a: b}\n", "row 1: checkpoint: expected text"),
        ("t.yaml", "- !!python/object/apply:os.system ['true']\n", "not YAML|expected a list"),
        ("gone.csv", None, "cannot be read"),
    ],
)
def test_a_table_is_refused_with_its_row(tmp_path, name, text, words):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=words):
        from_table(tmp_path / name)


def test_a_row_without_any_replay_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("checkpoint\nnowhere/at/all\n")
    with pytest.raises(ConfigError, match=r"row 1: .*/all: no folder above it has a replay"):
        from_table(tmp_path / "t.csv")
