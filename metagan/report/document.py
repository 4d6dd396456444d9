"""What every page is: one file with nothing to load, a contents list, sections, a footer."""

from collections.abc import Sequence

from metagan.report.html import Child, Html, el
from metagan.report.style import STYLE

Section = tuple[str, str, Sequence[Child]]
"""Its name in links, its heading, and what is in it."""


def document(
    title: str, header: Html, sections: Sequence[Section], footer: str, *, more_style: str = ""
) -> str:
    """A page as text.

    Args:
        title: Of the window.
        header: What comes before the contents.
        sections: In order.
        footer: What the numbers mean.
        more_style: Rules beside those that all pages share.
    """
    body = el(
        "body",
        el(
            "div",
            header,
            _navigation(sections),
            el(
                "main",
                [
                    el("section", el("h2", heading), children, id=name)
                    for name, heading, children in sections
                ],
            ),
            el("footer", footer),
            class_="page",
        ),
    )
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        # Whatever a page might be made to name, a browser will fetch nothing for this one.
        el(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        ),
        el("title", title),
        el("style", Html(STYLE + more_style)),
    )
    return f"<!DOCTYPE html>\n{el('html', head, body, lang='en')}\n"


def _navigation(sections: Sequence[Section]) -> Html:
    links = [el("li", el("a", title, href=f"#{name}")) for name, title, _ in sections]
    return el("nav", el("ol", links), aria_label="Contents")
