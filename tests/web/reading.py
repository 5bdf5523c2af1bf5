"""Reading a page as a browser would: its text, its links, its forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "rect", "wbr"}


@dataclass
class Form:
    """A form: where its buttons send it, by what they say, and the value that a button adds."""

    method: str
    action: str
    fields: list[str] = field(default_factory=list)
    buttons: dict[str, tuple[str, str | None]] = field(default_factory=dict)


class Page(HTMLParser):
    """The parts of a page. Every tag must be closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.loaded: list[str] = []
        self.forms: list[Form] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self._words: list[str] = []
        self._inside: list[str] = []
        self._href = ""
        self._button: tuple[str, str | None] | None = None
        self.feed(text)
        self.close()
        assert self._open == [], self._open

    @property
    def text(self) -> str:
        """Everything that is to be read, with single spaces."""
        return " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.attributes |= given.keys()
        if tag not in VOID:
            self._open.append(tag)
        if tag == "a":
            self._href = given["href"] or ""
            self._inside = []
        elif tag == "form":
            self.forms.append(Form(given["method"] or "", given["action"] or ""))
        elif tag in ("input", "select"):
            self.forms[-1].fields.append(given["name"] or "")
        elif tag == "button":
            self._button = given.get("formaction") or self.forms[-1].action, given.get("value")
        elif tag in ("link", "img"):
            self.loaded.append(given.get("href") or given.get("src") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag
        if tag == "a":
            self.links[" ".join(" ".join(self._inside).split())] = self._href

    def handle_data(self, data: str) -> None:
        self._words.append(data)
        self._inside.append(data)
        if self._open and self._open[-1] == "a":
            self.links[data.strip()] = self._href
        elif self._open and self._open[-1] == "button" and self._button is not None:
            self.forms[-1].buttons[data.strip()] = self._button
