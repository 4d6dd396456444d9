"""Numbers as readers see them: sensible digits, a true minus, a dash where there is none."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metagan.words import agreeing

DASH = "\u2013"
MINUS = "\u2212"
LARGE = 1e6  # From here on a number with all its digits has no room on an axis or in a column.
SPACE = "\u00a0"  # Keeps a number and its unit on one line.
# Control characters mean nothing on a page, and the bidirectional ones among them could make a
# name from a data set change how the text around it reads.
_UNWANTED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)


def clean(text: str) -> str:
    """The text without characters that no page can show, such as control characters."""
    return _UNWANTED.sub("\ufffd", text.encode("utf-8", "replace").decode())


def shorten(text: str, length: int) -> str:
    """The text in at most `length` characters, with an ellipsis where it is cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "\u2026"


def finite(value: object) -> float | None:
    """The value as a finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def whole(value: object) -> int | None:
    """The value as a whole number, or None for anything else."""
    number = finite(value)
    return None if number is None else int(number)


def pick(mapping: object, *keys: str) -> Any:
    """The value below these keys, or None where one of them is missing."""
    for key in keys:
        if not isinstance(mapping, Mapping) or key not in mapping:
            return None
        mapping = mapping[key]
    return mapping


def records(values: object) -> list[Mapping[str, Any]]:
    """The mappings in a list; nothing for anything else."""
    return [v for v in values if isinstance(v, Mapping)] if isinstance(values, list) else []


def fixed(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """The number with this many decimals; a dash for None."""
    if value is None:
        return DASH
    text = f"{value:{'+' if signed else ''},.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def significant(value: float | None, digits: int = 3) -> str:
    """The number with this many significant digits, with a power of ten if very large or small."""
    if value is None:
        return DASH
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if exponent < -4 or exponent > 5:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(power)}".replace("-", MINUS)
    return fixed(value, max(0, digits - 1 - exponent))


def brief(value: float | None, digits: int = 4) -> str:
    """The number without zeros at its end, as a setting would be written."""
    mantissa, e, power = significant(value, digits).partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return mantissa + e + power


def count(value: object) -> str:
    """A whole number with thousands apart."""
    number = finite(value)
    return DASH if number is None else f"{number:,.0f}"


def percent(value: float | None, *, decimals: int = 1) -> str:
    """A fraction in per cent, with the unit."""
    return DASH if value is None else f"{fixed(100 * value, decimals)}{SPACE}%"


def duration(seconds: float | None) -> str:
    """Seconds in the units that people would use."""
    if seconds is None:
        return DASH
    if seconds == 0:
        return f"0{SPACE}s"
    if seconds < 0.0995:
        return f"{significant(1000 * seconds, 2)}{SPACE}ms"
    if seconds < 9.95:
        return f"{significant(seconds, 2)}{SPACE}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{SPACE}s"
    if whole < 3600:
        return f"{whole // 60}{SPACE}min {whole % 60:02d}{SPACE}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60}{SPACE}h {minutes % 60:02d}{SPACE}min"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """`1 domain`, `2 domains`."""
    return f"{number:,}{SPACE}{agreeing(number, noun, nouns)}"


def listing(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    items = list(words)
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


@dataclass(frozen=True)
class Estimate:
    """A mean over paired seeds and its 95 % interval; None where not known."""

    mean: float
    low: float | None
    high: float | None
    seeds: int | None

    def text(self, *, signed: bool = False, scale: float = 100, decimals: int = 1) -> str:
        """`mean [low, high]`; of a fraction in per cent, or in points where signed."""
        mean = fixed(scale * self.mean, decimals, signed=signed)
        if self.low is None or self.high is None:
            return mean
        low, high = (fixed(scale * end, decimals, signed=signed) for end in (self.low, self.high))
        return f"{mean} [{low}, {high}]"


def parted(text: str) -> tuple[str, str]:
    """A number, and the interval or the standard error behind it."""
    end = re.search(r" [\[\u00b1]", text)
    return (text, "") if end is None else (text[: end.start()], text[end.start() :])


def plus_minus(value: float | None, error: float | None, decimals: int, **sign: bool) -> str | None:
    """`value \u00b1 standard error`; None without a value."""
    if value is None:
        return None
    text = fixed(value, decimals, **sign)
    return text if error is None else f"{text} \u00b1{SPACE}{fixed(error, decimals)}"


def estimate_text(value: object, **form: Any) -> str | None:
    """The estimate in a mapping as text; None without a mean."""
    found = estimate(value)
    return None if found is None else found.text(**form)


def estimate(value: object) -> Estimate | None:
    """The estimate in a mapping with mean, low, high, seeds; None without a mean."""
    mean = finite(pick(value, "mean"))
    if mean is None:
        return None
    low, high = (finite(pick(value, end)) for end in ("low", "high"))
    return Estimate(mean, low, high, whole(pick(value, "seeds")))
