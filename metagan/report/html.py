"""HTML built from elements, so that no text reaches a page without being escaped."""

import html
import re
from collections.abc import Iterable

# Elements without content; SVG shapes are closed the same way.
_EMPTY = frozenset({"meta", "img", "br", "hr", "line", "circle", "rect", "path"})
# Control characters mean nothing on a page, and the bidirectional ones among them could make a
# name from a data set change how the text around it reads.
_UNWANTED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)


class Html(str):
    """Text that is markup already; any other text is escaped where it is used."""

    __slots__ = ()


Child = str | Iterable["Child"] | None


def el(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Html:
    """One element.

    Args:
        name: Such as "p".
        children: Text (escaped), elements, iterables of both, or None for nothing.
        attributes: `class_` stands for class, other underscores for hyphens; None and False leave
            an attribute out, True writes it without a value.
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = "class" if key == "class_" else key.replace("_", "-")
        words.append(key if value is True else f'{key}="{escape(str(value))}"')
    opening = " ".join(words)
    if name in _EMPTY:
        assert not children, f"<{name}> has no content"
        return Html(f"<{opening}/>")
    return Html(f"<{opening}>{join(children)}</{name}>")


def join(children: Child) -> Html:
    """Everything one after the other, text escaped."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        return escape(children)
    return Html("".join(join(child) for child in children))


def escape(text: str) -> Html:
    """The text as it can stand between tags or between the quotes of an attribute."""
    return Html(html.escape(clean(text), quote=True))


def clean(text: str) -> str:
    """Without characters that no page can show: control characters, halves of surrogate pairs."""
    readable = text.encode("utf-8", "replace").decode("utf-8")
    return _UNWANTED.sub("\ufffd", readable)


def shorten(text: str, length: int) -> str:
    """At most `length` characters, an ellipsis at the end of what is cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "\u2026"
