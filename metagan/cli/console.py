"""Console of a command: a live display in a terminal, plain lines anywhere else.

A job's log is a file: nothing there may move the cursor, and a line every few seconds is enough.
"""

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TextIO

if TYPE_CHECKING:  # Only a terminal pays for importing it.
    from rich.live import Live
    from rich.table import Table

LogFormat = Literal["auto", "logfmt", "json"]
_LIVE_INTERVAL_S = 0.2
_BAR_WIDTH = 30


class Console:
    """Ordinary lines, tables and progress, on standard output; warnings on standard error.

    Close it, or use it as a context manager, so that the terminal is left in order.
    """

    def __init__(
        self,
        *,
        log_format: LogFormat = "auto",
        interval_s: float = 10.0,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is written until asked for.

        Args:
            log_format: auto is a live display in a terminal and logfmt elsewhere; json makes
                every line of standard output a JSON object.
            interval_s: Least time between two progress lines.
            stdout: Default: sys.stdout.
            stderr: Default: sys.stderr.
            clock: Seconds, for the interval and the time left.
        """
        self._stdout = stdout if stdout is not None else sys.stdout
        self._stderr = stderr if stderr is not None else sys.stderr
        self._format = log_format
        self._interval_s = interval_s
        self._clock = clock
        # Time and step of a stage's first report, and the newest step.
        self._first: tuple[float, int, int] | None = None
        self._kind: object = None
        self._last_s = -math.inf
        self._reader_left = False
        self._live: Live | None = None

    @property
    def is_live(self) -> bool:
        """True if progress is a display that redraws itself."""
        terminal = self._stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        return self._format == "auto" and terminal

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where output goes elsewhere, which nothing limits."""
        return shutil.get_terminal_size().columns if self._stdout.isatty() else None

    def print(self, text: str = "") -> None:
        """Print one or more ordinary lines.

        Raises:
            BrokenPipeError: If nobody reads standard output any more.
        """
        if self._format == "json":
            self._write(json.dumps({"message": text}))
        elif self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._write(text)

    def warn(self, text: str) -> None:
        """Print a line on standard error that begins with `metagan: warning:`."""
        if self._live is not None and self._stderr.isatty():
            self.print(f"metagan: warning: {text}")
        else:
            print(f"metagan: warning: {text}", file=self._stderr, flush=True)

    def notes(self, notes: Iterable[str], warned: tuple[str, ...]) -> None:
        """Print notes on files; those that begin like one of `warned` as warnings."""
        for note in notes:
            tell = self.warn if note.startswith(warned) else self.print
            tell(note)

    def table(self, rows: Sequence[Sequence[object]], *, header: Sequence[str]) -> None:
        """Print aligned columns, numbers to the right; in JSON one object per row.

        Raises:
            BrokenPipeError: If nobody reads standard output any more.
        """
        if self._format == "json":
            for row in rows:
                self._write(_json_line(dict(zip(header, row, strict=True))))
            return
        texts = [[str(name) for name in header], *([_short(cell) for cell in row] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(header))]
        for row_texts in texts:
            cells = (
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row_texts, widths, numeric, strict=True)
            )
            self.print("  ".join(cells).rstrip())

    def progress(self, fields: Mapping[str, object], *, force: bool = False) -> None:
        """Show how far a long command is; most calls write nothing.

        A reader that went away does not stop the command: the method then returns quietly.

        Args:
            fields: In the order to show; numbers and short texts. With whole numbers `step` and
                `steps` there is a bar (in a terminal) and an estimate of the time left.
            force: Write now, whatever the interval; for evaluations and the last step.
        """
        now = self._clock()
        step, steps = fields.get("step"), fields.get("steps")
        shown = dict(fields)
        if isinstance(step, int) and isinstance(steps, int):
            # Another stage, or another algorithm after the warm-up, counts from its own start.
            kind = fields.get("stage", fields.get("algorithm"))
            if self._first is None or step <= self._first[2] or kind != self._kind:
                self._first, self._kind = (now, step, step), kind
            self._first = (*self._first[:2], step)
            shown["eta_s"] = self._seconds_left(now, step, steps)
        interval_s = _LIVE_INTERVAL_S if self.is_live else self._interval_s
        if self._reader_left or (now - self._last_s < interval_s and not force):
            return
        self._last_s = now
        try:
            if self.is_live:
                self._draw(shown)
            elif self._format == "json":
                self._write(_json_line(shown))
            else:
                self._write(logfmt(shown))
        except BrokenPipeError:
            self._reader_left = True

    def close(self) -> None:
        """End the live display, leaving its last state on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _seconds_left(self, now: float, step: int, steps: int) -> float | None:
        assert self._first is not None
        start_s, start_step, _ = self._first
        if step <= start_step:
            return None
        return (now - start_s) / (step - start_step) * (steps - step)

    def _write(self, text: str) -> None:
        # Flushed at once: a log that lags behind is no log.
        print(text, file=self._stdout, flush=True)

    def _draw(self, fields: Mapping[str, object]) -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live

        if self._live is None:
            self._live = Live(
                console=RichConsole(file=self._stdout),
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(_panel(fields), refresh=True)


def logfmt(fields: Mapping[str, object]) -> str:
    """`key=value` pairs on one line; `step` and `steps` become `step=3/10`, `eta_s` a duration."""
    parts = []
    for key, value in fields.items():
        if key == "step" and isinstance(fields.get("steps"), int):
            parts.append(f"step={value}/{fields['steps']}")
        elif key == "eta_s":
            parts.append(f"eta={_duration(value)}")
        elif not (key == "steps" and "step" in fields):
            text = _short(value)
            plain = text and not any(c.isspace() or c in '"=' for c in text)
            parts.append(f"{key}={text if plain else json.dumps(text)}")
    return " ".join(parts)


def _panel(fields: Mapping[str, object]) -> "Table":
    """Names and values in two columns, the bar on top."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    step, steps = fields.get("step"), fields.get("steps")
    has_bar = isinstance(step, int) and isinstance(steps, int)
    if isinstance(step, int) and isinstance(steps, int):
        grid.add_row(f"{step}/{steps}", ProgressBar(steps, step, width=_BAR_WIDTH))
    for key, value in fields.items():
        if key == "eta_s":
            grid.add_row("eta", Text(_duration(value)))
        elif not (has_bar and key in ("step", "steps")):
            grid.add_row(Text(key), Text(_short(value)))
    return grid


def _short(value: object) -> str:
    """A value for people: four significant digits are enough to read."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _duration(value: object) -> str:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return "-"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"


def _json_line(fields: Mapping[str, object]) -> str:
    return json.dumps(_jsonable(fields), allow_nan=False)


def _jsonable(value: Any) -> Any:
    """The value in JSON's types; NaN and infinity, which JSON has not, become null."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)
