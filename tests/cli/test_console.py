import io
import json
import math
import os
import pty
import select
import shlex
from pathlib import Path

import pytest

from metagan.cli.console import Console, logfmt
from metagan.words import command_line


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class ClosedPipe(io.StringIO):
    def write(self, _text):
        raise BrokenPipeError


@pytest.fixture
def clock():
    return Clock()


def test_a_pipe_gets_one_line_per_interval(clock):
    out = io.StringIO()
    console = Console(stdout=out, interval_s=10, clock=clock)
    for step in range(1, 31):
        console.progress({"step": step, "steps": 30, "loss_g": 1 / 3})
        clock.now += 1
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["step=1/30", "step=11/30", "step=21/30"]
    assert lines[1] == "step=11/30 loss_g=0.3333 eta=19s"
    assert "\r" not in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_a_forced_line_is_written_at_once(clock):
    out = io.StringIO()
    console = Console(stdout=out, clock=clock)
    console.progress({"step": 1, "steps": 2})
    console.progress({"step": 2, "steps": 2, "kid": 0.5}, force=True)
    assert out.getvalue().splitlines()[1] == "step=2/2 kid=0.5 eta=0s"


def test_the_time_left_counts_from_the_end_of_the_warm_up(clock):
    out = io.StringIO()
    console = Console(stdout=out, interval_s=0, clock=clock)
    for step in range(1, 9):
        algorithm = "joint" if step <= 5 else "reptile"
        console.progress({"step": step, "steps": 8, "algorithm": algorithm})
        clock.now += 1 if step < 5 else 20
    left = [line.split()[-1] for line in out.getvalue().splitlines()]
    assert left[1:5] == ["eta=6s", "eta=5s", "eta=4s", "eta=3s"]
    assert left[5:] == ["eta=-", "eta=20s", "eta=0s"]


def test_the_time_left_counts_from_the_start_of_each_stage(clock):
    out = io.StringIO()
    console = Console(stdout=out, interval_s=0, clock=clock)
    for stage, seconds in (("slow", 10), ("fast", 1)):
        for step in range(1, 4):
            console.progress({"stage": stage, "step": step, "steps": 5})
            clock.now += seconds
    left = [line.split()[-1] for line in out.getvalue().splitlines()]
    assert left == ["eta=-", "eta=30s", "eta=20s", "eta=-", "eta=3s", "eta=2s"]


def test_logfmt_quotes_what_would_not_read_back():
    fields = {"a": 1, "b": True, "c": None, "d": "two words", "e": 'q"', "f": 123456.789, "g": ""}
    assert logfmt(fields) == 'a=1 b=true c=- d="two words" e="q\\"" f=1.235e+05 g=""'
    assert logfmt({"step": 1, "steps": 4, "eta_s": 3661.0}) == "step=1/4 eta=1h01m"
    assert logfmt({"eta_s": 61}) == "eta=1m01s"
    assert logfmt({"eta_s": math.nan}) == "eta=-"


def test_json_output_is_one_valid_object_per_line(clock):
    out = io.StringIO()
    console = Console(log_format="json", stdout=out, clock=clock)
    console.progress({"step": 1, "steps": 2, "loss": math.nan, "worst": math.inf, "path": os})
    console.print("two\nlines")
    console.table([("a", 1.5)], header=("name", "value"))
    progress, message, row = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (progress["loss"], progress["worst"], progress["step"]) == (None, None, 1)
    assert message == {"message": "two\nlines"}
    assert row == {"name": "a", "value": 1.5}


def test_a_table_aligns_numbers_to_the_right():
    out = io.StringIO()
    rows = [("latin", 5, 0.25), ("greek letters", 100, None)]
    Console(stdout=out).table(rows, header=("domain", "n", "kid"))
    assert out.getvalue().splitlines() == [
        "domain           n   kid",
        "latin            5  0.25",
        "greek letters  100     -",
    ]


def test_an_empty_table_is_its_header():
    out = io.StringIO()
    Console(stdout=out).table([], header=("a", "b"))
    assert out.getvalue() == "a  b\n"


def test_progress_goes_on_when_its_reader_left_but_a_print_tells(clock):
    console = Console(stdout=ClosedPipe(), clock=clock)
    console.progress({"step": 1, "steps": 2})
    console.progress({"step": 2, "steps": 2}, force=True)
    with pytest.raises(BrokenPipeError):
        console.print("done")


def test_warnings_go_to_standard_error():
    out, err = io.StringIO(), io.StringIO()
    Console(stdout=out, stderr=err).warn("the disk is nearly full")
    assert out.getvalue() == ""
    assert err.getvalue() == "metagan: warning: the disk is nearly full\n"


@pytest.fixture
def terminal():
    """A pseudo terminal: (stream to write to, function that returns what was shown)."""
    master, slave = pty.openpty()
    stream = os.fdopen(slave, "w", encoding="utf-8")

    def shown():
        stream.flush()
        parts = []
        # The kernel hands it over in pieces: what is there first need not be all.
        while select.select([master], [], [], 0.5)[0]:
            parts.append(os.read(master, 1 << 16))
        return b"".join(parts).decode()

    yield stream, shown
    stream.close()
    os.close(master)


@pytest.mark.parametrize("columns", ["20", "100"])
def test_a_terminal_shows_one_display_that_redraws_itself(monkeypatch, clock, terminal, columns):
    stream, shown = terminal
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", columns)
    with Console(stdout=stream, clock=clock) as console:
        assert console.is_live
        for step in range(1, 4):
            console.progress({"step": step, "steps": 3, "loss_g": 0.25, "failures": 0})
            clock.now += 1
        console.print("between [brackets]")
    text = shown()
    assert "3/3" in text
    assert "loss_g" in text
    assert "between [brackets]" in text
    assert "\x1b[" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is shown again


@pytest.mark.parametrize(
    ("term", "log_format"), [("dumb", "auto"), ("xterm", "logfmt"), ("xterm", "json")]
)
def test_a_terminal_gets_plain_lines_where_asked_for(
    monkeypatch, clock, terminal, term, log_format
):
    stream, shown = terminal
    monkeypatch.setenv("TERM", term)
    console = Console(stdout=stream, clock=clock, log_format=log_format)
    assert not console.is_live
    console.progress({"step": 1, "steps": 2})
    assert "\x1b" not in shown()


def test_a_printed_command_is_the_same_words_to_a_shell():
    words = ["adapt", "--run", Path("r\u00fc n/$x"), "--support", "it's", "data.path=a b", 64]
    assert shlex.split(command_line(*words)) == ["metagan", *map(str, words)]
    assert command_line("demo", program=["python", "-m", "metagan"]) == "python -m metagan demo"
