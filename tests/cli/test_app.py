"""The command as a user meets it: a process with arguments, streams and an exit code."""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from metagan.cli import app
from metagan.cli.app import COMMANDS, build_parser, run_cli
from metagan.exits import EXIT_CLOSED_PIPE
from tests.helpers import bars, write_pictures

HEAVY = ("torch", "ray", "pyarrow", "matplotlib", "numpy", "rich", "sklearn")
REPOSITORY = Path(__file__).resolve().parents[2]
TELL_WHAT_IS_LOADED = """
import sys, metagan.__main__ as program
sys.argv[1:] = sys.argv[1].split()
code = program.main()
print('LOADED', [m for m in ('torch', 'ray') if m in sys.modules], file=sys.stderr)
sys.exit(code)
"""


def metagan(*arguments, environment=None, code=None, **options):
    """Run `python -m metagan ARGUMENTS`, or a piece of code, with a controlled environment."""
    command = ["-m", "metagan", *map(str, arguments)] if code is None else ["-c", code, *arguments]
    kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    return subprocess.run(
        [sys.executable, *command],
        env={**kept, "PYTHONPATH": str(REPOSITORY), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        **options,
    )


def parts():
    """Every command line that has a help page."""
    nested = {"config": ("show", "schema", "explain"), "data": ("inspect", "prepare")}
    lines = [()]
    for command in COMMANDS:
        lines.append((command,))
        lines += [(command, part) for part in nested.get(command, ())]
    return lines


def run_here(capsys, *arguments):
    code = run_cli(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# --- start-up -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--help",), 0),
        (("train", "--help"), 0),
        (("train", "inner.lr=0", "sede=1"), 2),
        (("demo", "inner.lr=0"), 2),
        (("evaluate", "--run", "no/such/run"), 2),
        (("config", "show"), 0),
    ],
)
def test_help_and_mistakes_come_at_once_and_load_nothing_heavy(arguments, expected):
    code = (
        "import sys, metagan.__main__ as program\n"
        "try:\n    code = program.main()\nexcept SystemExit as end:\n    code = end.code\n"
        f"print('LOADED', [name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = metagan(*arguments, code=code)
    assert done.returncode == expected
    assert "LOADED []" in done.stderr


@pytest.mark.parametrize("line", parts(), ids=" ".join)
def test_every_help_page_teaches_and_ends_with_an_example(capsys, line):
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args([*line, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "examples:\n  metagan" in text
    usage_and_description = re.split(r"\n\n(?:positional arguments|options):", text)[0]
    description = usage_and_description.partition("\n\n")[2]
    assert len(description.split()) >= 15
    assert max(map(len, description.splitlines())) <= 80


@pytest.mark.parametrize("columns", ["1", "20", "400"])
def test_help_fits_any_terminal_width(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    for line in parts():
        with pytest.raises(SystemExit) as end:
            build_parser().parse_args([*line, "--help"])
        assert end.value.code == 0
    assert "usage" in capsys.readouterr().out


# --- exit codes and messages ----------------------------------------------------------------


def test_every_mistake_in_the_settings_is_one_line_and_the_code_is_2(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("inner:\n  stepz: 3\nouter:\n  lr: 1e-3\n")
    done = metagan("train", "-c", file, "--run", tmp_path / "run", "--inner.lr=-1", "seed=x")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("metagan: error: ") for line in lines)
    assert f"{file}:2: inner.stepz: unknown key; did you mean inner.steps?" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_traceback_is_shown_only_when_asked_for():
    assert "Traceback" not in metagan("config", "show", "seed=x").stderr
    debugged = metagan("config", "show", "seed=x", environment={"METAGAN_DEBUG": "1"})
    assert "Traceback" in debugged.stderr
    assert debugged.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], "unknown command 'trian'; did you mean train?"),
        (["frobnicate"], "unknown command 'frobnicate'; known: demo, train"),
        (["demo", "glyph"], "demo glyph: expected one of styles, glyphs, or key.path=value"),
        (["demo", "styles", "glyphs"], "demo glyphs: expected one of"),
        (["train", "--worker", "3"], "unrecognized argument '--worker'; did you mean --workers?"),
        (["train", "--inner.lr", "3"], "write an equals sign"),
        (["train", "--workers", "0"], "--workers: expected a whole number, at least 1; got '0'"),
        (["train", "--local", "--workers", "7"], "--workers: not allowed with argument --local"),
        (["evaluate", "--run", "r", "--shots", "5,a"], "expected numbers such as 5,10,15"),
        (["evaluate", "--run", "r", "--shots", "2,2"], "expected every number once; got '2,2'"),
        (["evaluate", "--run", "r", "--baseline", "x"], "expected NAME=DIR; got 'x'"),
        (["adapt", "--run", "r"], "the following arguments are required: --support, --out"),
        (["generate", "--adapted", "a", "--out", "o", "--seed", "-1"], "whole number, at least 0"),
        (["export", "--run", "r", "--format", "pickle"], "invalid choice: 'pickle'"),
        (["config"], "the following arguments are required: show|schema|explain"),
        (["config", "explain", "inner.lrr"], "did you mean inner.lr?"),
        (["report", "--run", "r", "inner.lr=1"], "unrecognized argument 'inner.lr=1'"),
        (["--frobnicate"], "unrecognized argument '--frobnicate'"),
        (["data", "inspect", "/no/such/folder"], "data.path /no/such/folder"),
    ],
)
def test_a_wrong_command_line_gets_one_sentence_and_code_2(capsys, arguments, expected):
    code, out, err = run_here(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("metagan: error: ")
    assert expected in err.replace("settings need an equals sign", "write an equals sign")


def test_without_a_command_the_help_is_shown(capsys):
    code, out, err = run_here(capsys)
    assert (code, out) == (2, "")
    assert err.startswith("usage: metagan")


def test_the_version_is_printed(capsys):
    code, out, _ = run_here(capsys, "--version")
    assert code == 0
    assert out.split()[0] == "metagan"


class Lost(RuntimeError):
    exit_code = 4


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (Lost("no workers"), 4, "metagan: error: no workers\n"),
        (ValueError("shots is 0"), 2, "metagan: error: shots is 0\n"),
        (
            FileNotFoundError(2, "No such file", "a.png"),
            2,
            "metagan: error: a.png: No such file",
        ),
        (KeyboardInterrupt(), 130, "metagan: interrupted\n"),
        (BrokenPipeError(), EXIT_CLOSED_PIPE, ""),
    ],
)
def test_each_kind_of_error_has_its_exit_code(monkeypatch, capsys, error, expected, message):
    def fail(_args, _console):
        raise error

    # Under pytest standard output is no file of its own that could be silenced.
    monkeypatch.setattr(app, "_silence_stdout", lambda: None)
    monkeypatch.setattr("metagan.cli.config.run", fail)
    code, _, err = run_here(capsys, "config", "show")
    assert code == expected
    assert err.startswith(message)
    assert "Traceback" not in err


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    def fail(_args, _console):
        raise KeyError("oops")

    monkeypatch.setattr("metagan.cli.config.run", fail)
    with pytest.raises(KeyError, match="oops"):
        run_cli(["config", "show"])


# --- surroundings ---------------------------------------------------------------------------


def test_a_reader_that_goes_away_ends_the_command_quietly():
    with subprocess.Popen(
        [sys.executable, "-m", "metagan", "config", "schema"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=240) == EXIT_CLOSED_PIPE
    assert err == b""


def test_output_survives_an_ascii_stream():
    environment = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = metagan("config", "show", "data.path=/Ελλάδα/é", environment=environment)
    assert done.returncode == 0
    assert "path: " in done.stdout
    done.stdout.encode("ascii")
    failed = metagan("config", "show", "seed=é", environment=environment)
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr


def test_home_may_be_unset_and_the_folder_read_only(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"], "COLUMNS": "20"}
    done = subprocess.run(
        [sys.executable, "-m", "metagan", "config", "explain"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "inner.lr" in done.stdout


# --- what commands are given ----------------------------------------------------------------


@pytest.fixture
def received(monkeypatch):
    """The arguments that a command's run function gets, caught instead of run."""
    caught = []
    for name in ("train", "evaluate", "demo", "adapt", "report"):
        module = app._module(name)
        monkeypatch.setattr(module, "run", lambda args, _console: caught.append(args) or 0)
    return caught


def test_settings_stand_anywhere_and_keep_their_order(received):
    line = "train seed=1 --run r inner.lr=1 --inner.lr=2 --local --seed=3 -c f.yaml inner.lr=4"
    assert run_cli(line.split()) == 0
    [args] = received
    plain = [override.removeprefix("--") for override in args.overrides]
    assert plain == ["seed=1", "inner.lr=1", "inner.lr=2", "seed=3", "inner.lr=4"]
    assert (args.run, args.config, args.local) == (Path("r"), Path("f.yaml"), True)
    assert (args.resume, args.workers) == (False, None)


@pytest.mark.parametrize(
    ("words", "resume", "overrides"),
    [
        ("train --resume", "always", []),
        ("train --resume seed=1 --run r", "always", ["seed=1"]),
        ("train --resume auto seed=1", "auto", ["seed=1"]),
        ("train seed=1 --resume=auto", "auto", ["seed=1"]),
    ],
)
def test_resume_takes_no_word_but_auto(received, words, resume, overrides):
    assert run_cli(words.split()) == 0
    [args] = received
    assert (args.resume, args.overrides) == (resume, overrides)


@pytest.mark.parametrize("there", [False, True])
def test_resume_auto_is_passed_on_with_the_settings_of_a_run_that_is_there(
    tmp_path, monkeypatch, there
):
    # Whether there is one, in the folder or in its storage, is seen once that is locked.
    monkeypatch.setattr(
        "metagan.cli.train._train",
        lambda args, *_: 10 * (args.resume == "auto") + (args.config is not None),
    )
    if there:
        (tmp_path / "config.yaml").write_text("seed: 5\n")
    line = ["train", "--run", str(tmp_path), "--resume", "auto"]
    assert run_cli(line) == 10 + there


def test_defaults_of_the_commands(received):
    for line in ("demo", "adapt --run r --support s --out o", "report --run r"):
        assert run_cli(line.split()) == 0
    demo, adapt, report = received
    assert demo.run is None
    assert (adapt.steps, adapt.seed, adapt.overrides) == (None, None, [])
    assert report.out is None


def test_shortcuts_become_settings(monkeypatch, tmp_path):
    seen = []
    for name in ("train", "evaluate"):
        module = app._module(name)
        monkeypatch.setattr(module, f"_{name}", lambda args, *_: seen.append(args) or 0)
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    line = f"train -c {tmp_path}/config.yaml --workers 7"
    run_cli(line.split())
    line = f"evaluate --run {tmp_path} --shots 5,10 --seeds 9 --baseline a={tmp_path}"
    run_cli(line.split())
    trained, evaluated = seen
    assert trained.run == Path("runs/config")
    assert trained.overrides == ["cluster.num_workers=7"]
    assert evaluated.overrides == ["evaluate.shots=[5, 10]", "evaluate.seeds=9"]
    assert evaluated.baseline == [("a", tmp_path)]
    assert (evaluated.source, evaluated.data) == ("auto", None)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("train --run r data.path=nowhere", "data.path nowhere does not exist"),
        ("train --run r data.path=note.txt", "unsupported file"),
        ("train --run r outer.init_from=leters", "nothing is there (did you mean letters?)"),
        ("train --run letters --resume", "letters is not a run, so there is nothing to resume"),
        ("train -c no.yaml", "no.yaml: no such file"),
        ("train --run note.txt", "--run note.txt is a file; name a folder"),
        ("train --run note.txt/r", "note.txt is not a folder; choose another place"),
        ("train --run run", "run holds a run already; continue it with --resume"),
        ("train --run letters", "letters is not empty and not a run"),
        ("tune --out s data.path=nowhere", "data.path nowhere does not exist"),
        ("adapt --run run --support leters --out o", "did you mean letters?"),
        ("evaluate --run run --data leters", "--data leters: no such file or folder"),
        (
            "evaluate --run run --data letters --source table",
            "--source is table, but run was trained on data.kind image, which has auto, omniglot",
        ),
        ("evaluate --run run --baseline a=letters", "--baseline a: letters: no run here"),
        ("evaluate --run run data.path=nowhere", "data.path nowhere does not exist"),
        ("generate --adapted letters --out o", "not the result of metagan adapt"),
        ("export --run letters --format onnx", "no run here"),
        ("report --run letters", "no run here"),
    ],
)
def test_a_wrong_path_is_answered_before_anything_heavy_is_imported(line, said, tmp_path):
    (tmp_path / "letters" / "latin" / "a").mkdir(parents=True)
    (tmp_path / "letters" / "latin" / "a" / "0.png").write_bytes(b"x")
    (tmp_path / "note.txt").write_text("x")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "config.yaml").write_text("seed: 1\n")
    done = metagan(line, code=TELL_WHAT_IS_LOADED, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "LOADED []" in done.stderr


@pytest.mark.parametrize("line", ["data inspect {data} --sheet s.png", "data prepare {data} out"])
def test_looking_at_data_waits_for_no_torch(line, tmp_path):
    write_pictures(tmp_path / "letters", bars(2, 2, 3))
    done = metagan(line.format(data="letters"), code=TELL_WHAT_IS_LOADED, cwd=tmp_path)
    assert done.returncode == 0
    assert "LOADED []" in done.stderr


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("train --run {long}", "--run {long}: File name too long"),
        ("train --run {long} --resume", "{long} is not a run"),
        ("train --run r data.path={long}", "data.path {long}: File name too long"),
        ("train --run r outer.init_from={long}", "outer.init_from {long}: no run here"),
        ("data inspect {long}", "data.path {long}: File name too long"),
        ("adapt --run {long} --support s --out o", "--run {long}: no run here"),
        ("report --search {long}", "--search {long}: File name too long"),
        ("submit --working-dir {long} -- doctor", "--working-dir {long} is not a folder"),
        ("demo --run {long}", "--run {long}: File name too long"),
        ("train --run r data.path=~nobody-has-this-name/a", "data.path ~nobody-has-this-name/a do"),
    ],
)
def test_a_path_that_cannot_be_looked_at_is_told_with_what_it_was_given_for(
    line, named, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    long = "x" * 300
    code, _, err = run_here(capsys, *line.format(long=long).split())
    assert code == 2
    assert err.startswith(f"metagan: error: {named.format(long=long)}")


def test_every_command_module_has_a_parser_and_a_run_function():
    parser = build_parser()
    for name in COMMANDS:
        assert callable(app._module(name).run)
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    assert set(actions[0].choices) == set(COMMANDS)
