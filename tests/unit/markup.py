"""HTML parsed as a browser would, for tests of what notebooks show."""

from __future__ import annotations

from html.parser import HTMLParser

OURS = {"style", "div", "span", "strong", "code", "pre", "br", "table", "thead", "tbody", "tr", "th", "td"} | {
    "details", "summary",
}  # fmt: skip
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;</td></style>"


class Page(HTMLParser):
    """Parses HTML and keeps what a browser would see; tags must be closed as they were opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a tag."""
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "br":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close it."""
        if tag != "br":
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep text, but not that of the style."""
        if self._open[-1:] != ["style"]:
            self.text += data


def harmless(html: str) -> Page:
    """Return the page, after checking that it is Unicode and has no element or attribute but ours."""
    html.encode()
    page = Page(html)
    assert set(page.tags) <= OURS
    assert page.tags.count("style") == 1
    assert {name for name, _ in page.attributes} <= {"class", "scope", "open"}
    assert "url(" not in html.partition("</style>")[0]
    assert all(sign.isprintable() or sign in "\n\t" for sign in page.text)
    return page
