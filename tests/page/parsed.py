"""A page taken apart, strictly: every element closed, every attribute kept."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "hr", "source", "wbr", "area", "base", "col"}
SVG_VOID = {"path", "circle", "rect", "line"}


class Parsed(HTMLParser):
    """`elements` holds (tag, attributes, text directly inside); raises on what is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(html)
        self.close()
        assert not self._open, f"not closed: {[tag for tag, _ in self._open]}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag}: an attribute stands there twice: {names}"
        text: list[str] = []
        self.elements.append((tag, dict(attrs), text))
        if tag not in VOID:
            self._open.append((tag, text))

    def handle_startendtag(self, tag, attrs):
        assert tag in SVG_VOID | VOID, f"<{tag}/> closes nothing in HTML"
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        expected, _ = self._open.pop()
        assert expected == tag, f"</{tag}> where </{expected}> was expected"

    def handle_data(self, data):
        if self._open:
            self._open[-1][1].append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        """Attributes and text of all elements of a kind."""
        return [(attrs, "".join(text)) for name, attrs, text in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        """An attribute's values wherever it stands."""
        return [a[attribute] or "" for _, a, _ in self.elements if attribute in a]

    @property
    def text(self) -> str:
        """All text that a person reads."""
        return " ".join(
            "".join(text) for tag, _, text in self.elements if tag not in ("script", "style")
        )
