"""HTML for notebooks: one style and a few builders. Whatever is given as plain text is escaped here.

The text has the page's own color. Lines are half transparent, so they suit light and dark; the few colors follow
JupyterLab's, VS Code's and Sphinx's theme, and the system's where the page has none. No script, nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from html import escape

from minian_vc.text import printable

__all__ = ["Html", "badge", "code", "details", "element", "facts", "heading", "muted", "page", "part", "pre", "table"]

LIGHT = "--mvc-error:#b3261e;--mvc-warning:#8a5300;--mvc-good:#1a6b3c"
DARK = "--mvc-error:#f2766b;--mvc-warning:#d99a2b;--mvc-good:#55b47c"
LIGHT_PAGES = "[data-jp-theme-light=true],.vscode-light,[data-theme=light]"
DARK_PAGES = "[data-jp-theme-light=false],.vscode-dark,.vscode-high-contrast,[data-theme=dark]"
STYLE = f"""<style>
.mvc{{{LIGHT};--mvc-line:rgba(128,128,128,.35);color:inherit;font-size:13px;line-height:1.5;max-width:100%}}
@media (prefers-color-scheme:dark){{.mvc{{{DARK}}}}}
:is({LIGHT_PAGES}) .mvc{{{LIGHT}}}
:is({DARK_PAGES}) .mvc{{{DARK}}}
.mvc .mvc-scroll{{overflow-x:auto;margin:.4em 0}}
.mvc .mvc-head{{font-size:15px;margin:.2em 0}}
.mvc .mvc-said{{white-space:pre-line;overflow-wrap:anywhere;margin:.2em 0}}
.mvc table{{border-collapse:collapse;border:0;margin:0;font-size:inherit;table-layout:auto}}
.mvc th,.mvc td{{text-align:left!important;vertical-align:top!important;padding:.2em 1.2em .2em 0!important;border:0;\
background:none!important;max-width:none;white-space:nowrap}}
.mvc tr{{background:none!important;border:0}}
.mvc .mvc-rows thead th{{border-bottom:1px solid var(--mvc-line);font-weight:600}}
.mvc .mvc-rows tbody td{{border-bottom:1px solid rgba(128,128,128,.15)}}
.mvc .mvc-facts th{{font-weight:normal;opacity:.7}}
.mvc td.mvc-number,.mvc th.mvc-number{{text-align:right!important;font-variant-numeric:tabular-nums}}
.mvc td.mvc-text{{white-space:pre-line;overflow-wrap:anywhere;min-width:14em}}
.mvc code,.mvc pre{{font-family:monospace;font-size:12px;color:inherit!important;background:none!important;\
padding:0!important;margin:0}}
.mvc pre{{white-space:pre;overflow:auto;max-height:24em;border:0}}
.mvc summary{{cursor:pointer;padding:.1em 0}}
.mvc .mvc-inside{{margin:.1em 0 .4em .3em;padding-left:.8em;border-left:2px solid var(--mvc-line)}}
.mvc .mvc-part+.mvc-part{{margin-top:1.4em}}
.mvc .mvc-badge{{display:inline-block;border:1px solid var(--mvc-line);border-radius:9px;padding:0 .6em;margin:0 .3em;\
font-size:12px}}
.mvc .mvc-muted{{opacity:.7}}
.mvc .error,.mvc .deleted{{color:var(--mvc-error)}}
.mvc .warning,.mvc .modified{{color:var(--mvc-warning)}}
.mvc .good,.mvc .new{{color:var(--mvc-good)}}
</style>"""


class Html(str):
    """Markup: a text in which everything is escaped already."""

    __slots__ = ()


def element(name: str, *content: object, cls: str = "", **attributes: str) -> Html:
    """Return an element; what is not markup among its content is escaped."""
    given = {"class": cls, **attributes} if cls else attributes
    written = "".join(f' {key}="{_escaped(value)}"' for key, value in given.items())
    return Html(f"<{name}{written}>{_joined(content)}</{name}>")


def _joined(content: Iterable[object]) -> str:
    return "".join(part if isinstance(part, Html) else _escaped(part) for part in content)


def _escaped(value: object) -> str:
    return escape(printable(str(value), keep="\n\t"))


def page(*parts: object) -> Html:
    """Return what a notebook shows: the style and the parts."""
    return Html(STYLE + element("div", *parts, cls="mvc"))


def heading(*content: object) -> Html:
    """Return the first line: what it is, in short."""
    return element("div", *content, cls="mvc-head")


def part(*content: object) -> Html:
    """Return one of several things that are shown together."""
    return element("div", *content, cls="mvc-part")


def badge(text: str) -> Html:
    """Return a small label, such as a tag."""
    return element("span", text, cls="mvc-badge")


def code(text: str) -> Html:
    """Return a name or an id as it would be typed."""
    return element("code", text)


def pre(text: str) -> Html:
    """Return text with its own lines, scrolling where it is long."""
    return element("pre", text)


def muted(*content: object) -> Html:
    """Return what matters less."""
    return element("span", *content, cls="mvc-muted")


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """Return names and values below one another; what has no value is left out."""
    rows = [
        element("tr", element("th", name, scope="row"), element("td", value, cls="mvc-text"))
        for name, value in pairs
        if value not in ("", None)
    ]
    return element("table", element("tbody", *rows), cls="mvc-facts") if rows else Html()


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Container[str] = (),
    texts: Container[str] = (),
) -> Html:
    """Return a table; columns of numbers are set right, columns of texts may break their lines."""
    kinds = ["mvc-number" if name in numbers else "mvc-text" if name in texts else "" for name in columns]
    head = [element("th", name, cls=kind, scope="col") for name, kind in zip(columns, kinds, strict=True)]
    body = [
        element("tr", *(element("td", cell, cls=kind) for cell, kind in zip(row, kinds, strict=True))) for row in rows
    ]
    if not body:
        return Html()
    whole = element("table", element("thead", element("tr", *head)), element("tbody", *body), cls="mvc-rows")
    return element("div", whole, cls="mvc-scroll")


def details(summary: object, *content: object, opened: bool = False) -> Html:
    """Return what opens on a click, without a script."""
    return element(
        "details",
        element("summary", summary),
        element("div", *content, cls="mvc-inside"),
        **({"open": ""} if opened else {}),
    )
