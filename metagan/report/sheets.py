"""The pictures of a run: adaptation to unseen domains, and previews while it trained."""

from collections.abc import Sequence
from pathlib import Path

from metagan.report.html import Child, Html, el, shorten
from metagan.report.load import RunFiles
from metagan.report.pictures import Sheet, embed, read_sheet, split_groups
from metagan.report.values import plural

# A report stays below 3 MB: base64 makes 4 bytes of 3, and the rest of a page is small.
_ADAPTATION_BYTES = 1_300_000
_PREVIEW_BYTES = 400_000
_MAX_DOMAINS = 12
_MAX_PREVIEWS = 3
_MAX_LABEL = 60


def adaptation_section(run: RunFiles) -> list[Child]:
    """A picture per unseen domain; of an unevaluated run the last preview."""
    read = [(picture, read_sheet(picture.path)) for picture in run.adaptation[:_MAX_DOMAINS]]
    shown = [(picture, sheet) for picture, sheet in read if sheet is not None]
    if not shown:
        return [
            el(
                "p",
                "There are no pictures of unseen domains yet: metagan evaluate draws them. "
                "Previews on validation classes are with the training curves.",
                class_="muted",
            )
        ]
    share = _ADAPTATION_BYTES // len(shown)
    figures = [
        _figure(
            picture.domain,
            sheet,
            rows=picture.rows,
            steps=picture.adapt_steps,
            heading=True,
            max_bytes=share,
        )
        for picture, sheet in shown
    ]
    left = len(run.adaptation) - len(shown)
    return [
        el(
            "p",
            "Classes of domains that training never saw, drawn by the seed and not by eye: the "
            "given real samples, what the initialization generates from them, and what it "
            "generates after a few inner steps on them.",
        ),
        figures,
        el(
            "p",
            f"{plural(left, 'more picture')} in {run.path / 'samples' / 'adaptation'} could not "
            "be read or had no room.",
            class_="muted",
        )
        if left
        else None,
    ]


def previews(run: RunFiles) -> list[Child]:
    """The first, a middle and the last preview of training."""
    chosen = _spread(run.previews, _MAX_PREVIEWS)
    read = [(step, sheet) for step, path in chosen if (sheet := read_sheet(path)) is not None]
    if not read:
        return []
    steps = run.settings.get("inner.steps")
    figures = [
        _figure(
            f"Outer step {step:,}",
            sheet,
            rows=(),
            steps=steps if isinstance(steps, int) else None,
            heading=False,
            max_bytes=_PREVIEW_BYTES // len(read),
        )
        for step, sheet in read
    ]
    return [
        el("h3", "Previews while training"),
        el("p", "A few validation classes, from the averaged initialization."),
        figures[-1],
        el(
            "details",
            el("summary", f"{plural(len(figures) - 1, 'earlier preview')}"),
            figures[:-1],
        )
        if len(figures) > 1
        else None,
    ]


def _figure(
    title: str,
    sheet: Sheet,
    *,
    rows: Sequence[str],
    steps: int | None,
    heading: bool,
    max_bytes: int,
) -> Html:
    groups = split_groups(sheet)
    after = "After adaptation" + (f", {plural(steps, 'inner step')}" if steps is not None else "")
    names = ["Given", "Before adaptation", after]
    alts = [
        f"{title}: real samples given, one class per row",
        f"{title}: samples generated before adaptation, one class per row",
        f"{title}: samples generated {after[0].lower()}{after[1:]}, one class per row",
    ]
    if len(groups) != len(names):
        groups, names = [sheet], [f"Given, before, {after[0].lower()}{after[1:]}"]
        alts = [f"{title}: real samples, samples generated before and after adaptation"]
    widths = [group.shape[1] for group in groups]
    images = embed(groups, max_bytes=max_bytes)
    labels = [shorten(label, _MAX_LABEL) for label in rows]
    return el(
        "figure",
        el("h3", title) if heading else el("figcaption", el("b", title)),
        el(
            "div",
            el("ol", [el("li", label) for label in labels], class_="rows") if labels else None,
            el(
                "div",
                [
                    el(
                        "div",
                        el("p", name),
                        image.img(alt),
                        class_="group",
                        # On a phone they stand below each other, in one scale.
                        style=f"flex:{width} {width} 0;--share:{100 * width / max(widths):.3g}%",
                    )
                    for name, image, alt, width in zip(names, images, alts, widths, strict=True)
                ],
                class_="groups",
            ),
            class_="body" if labels else None,
        ),
        el("figcaption", f"Rows, from the top: {', '.join(labels)}", class_="rows-text")
        if labels
        else None,
        class_="picture",
    )


def _spread(found: Sequence[tuple[int, Path]], number: int) -> list[tuple[int, Path]]:
    """The first, the last and some between, as evenly as it goes."""
    if len(found) <= number:
        return list(found)
    return [found[round(i * (len(found) - 1) / (number - 1))] for i in range(number)]
