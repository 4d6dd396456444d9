"""Parts of a page, read with the standard library's parser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr"}
HOSTILE = "</title><script src='https://example.org/x.js'>alert(1)</script>&\"'<b>\u202e\x00\ud800"


@dataclass
class Page(HTMLParser):
    """Elements of a page; parsing fails where opening and closing tags do not match."""

    source: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []
        self.feed(self.source)
        self.close()
        assert self._open == [], f"never closed: {self._open}"

    def __hash__(self) -> int:
        return id(self)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All text that a reader sees, with plain spaces."""
        return " ".join(" ".join(self.texts).replace("\u00a0", " ").split())

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        """Attributes of the elements with these tags."""
        return [attributes for tag, attributes in self.elements if tag in tags]


def check_opens_offline(page: Page) -> None:
    """Nothing on the page runs, and nothing is loaded from anywhere."""
    assert "<script" not in page.source.lower()
    assert not {tag for tag, _ in page.elements} & {"script", "iframe", "object", "embed", "link"}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action", "data", "xlink:href", "poster"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:image/png;base64,")), target
        assert "url(" not in (attributes.get("style") or "")
    assert "url(" not in page.source
    assert "@import" not in page.source
