"""What a page is made of, read with the standard library's parser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr"}


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
