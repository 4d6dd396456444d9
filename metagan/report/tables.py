"""Tables: captions, headings with a scope, numbers to the right; wide ones scroll by themselves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from metagan.report.html import Child, Html, el
from metagan.report.values import DASH, Estimate, fixed


@dataclass(frozen=True)
class Column:
    """A column's heading.

    Attributes:
        name: The heading.
        numeric: Whether its cells are numbers, which stand to the right.
        prose: Whether its cells are sentences, which need room on a narrow screen, too.
    """

    name: str
    numeric: bool = True
    prose: bool = False

    @property
    def class_(self) -> str:
        """For the style sheet."""
        return "num" if self.numeric else "prose" if self.prose else "text"


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        cells: One per column; the first names the row.
        is_first: Whether a group of rows begins here.
        class_: For the style sheet.
    """

    cells: Sequence[Child]
    is_first: bool = False
    class_: str = ""


def table(title: str, columns: Sequence[Column], rows: Iterable[Row], *, about: str = "") -> Html:
    """A table; its first column heads the rows.

    Args:
        title: First words of the caption.
        columns: One per cell of a row.
        rows: In order.
        about: The rest of the caption.
    """
    head = [el("th", column.name, scope="col", class_=column.class_) for column in columns]
    caption = el("caption", el("span", el("b", f"{title}."), f" {about}" if about else None))
    return el(
        "div",
        el(
            "table",
            caption,
            el("thead", el("tr", head)),
            el("tbody", [_row(columns, row) for row in rows]),
        ),
        class_="scroll",
        # A box that scrolls must be reachable by keyboard, and say what it is.
        role="region",
        tabindex="0",
        aria_label=title,
    )


def _row(columns: Sequence[Column], row: Row) -> Html:
    cells = []
    for position, (column, cell) in enumerate(zip(columns, row.cells, strict=True)):
        shown = DASH if cell is None else cell
        if position == 0:
            cells.append(el("th", shown, scope="row", class_=column.class_))
        else:
            cells.append(el("td", shown, class_=column.class_))
    names = " ".join(["first"] * row.is_first + [row.class_] * bool(row.class_))
    return el("tr", cells, class_=names or None)


def estimate_cell(value: Estimate | None, *, signed: bool = False) -> Child:
    """`mean [low, high]`, the interval less prominent."""
    if value is None:
        return None
    mean, space, ends = value.text(signed=signed).partition(" ")
    return [mean, el("span", f"{space}{ends}", class_="ends")] if ends else mean


def plus_minus(value: float | None, error: float | None, decimals: int) -> Child:
    """`value ± standard error`."""
    if value is None:
        return None
    text = fixed(value, decimals)
    if error is None:
        return text
    return [text, el("span", f" \u00b1 {fixed(error, decimals)}", class_="ends")]


def facts(pairs: Iterable[tuple[str, Child]]) -> Html:
    """A list of terms with what is said about each; what has nothing is left out."""
    return el(
        "dl",
        [
            el("div", el("dt", term), el("dd", text))
            for term, text in pairs
            if text is not None and text != ""
        ],
        class_="facts",
    )


def note(*children: Child, warning: bool = False) -> Html:
    """A paragraph or more set apart from the text."""
    return el("div", children, class_="note warning" if warning else "note")
