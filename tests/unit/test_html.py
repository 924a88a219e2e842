"""The builders of HTML: one place escapes, and the style knows light and dark."""

from __future__ import annotations

import re

import pytest
from markup import HOSTILE, Page, harmless

from minian_vc import html


@pytest.mark.parametrize(
    "make",
    [
        html.heading,
        html.badge,
        html.code,
        html.pre,
        html.muted,
        html.part,
        lambda text: html.facts([(text, text)]),
        lambda text: html.table((text, "b"), [(text, "c")], numbers=(text,)),
        lambda text: html.table((text, "b"), [(text, "c")], texts=(text,)),
        lambda text: html.details(text, text, opened=True),
        lambda text: html.element("div", text, cls=text),
    ],
)
def test_each_builder_escapes_what_it_is_given(make) -> None:
    """A text with tags, quotes and entities is shown as it is, and makes no element."""
    page = harmless(html.page(make(HOSTILE)))
    assert HOSTILE in page.text


def test_markup_is_not_escaped_again_and_its_sum_with_text_is() -> None:
    """What a builder returns can be put into another; gluing text to it makes it text again."""
    inner = html.code("a < b")
    assert html.heading(inner) == '<div class="mvc-head"><code>a &lt; b</code></div>'
    assert "&lt;code&gt;" in html.heading(inner + "<b>")


def test_control_characters_are_spelled_out() -> None:
    """Neither escape sequences nor turned writing direction nor broken Unicode gets into a notebook; lines stay."""
    page = harmless(html.page(html.pre("a\x1b[2Jb\u202ec\ud800d\n\te\u00a0f".replace("\u00a0", " "))))
    assert page.text.endswith("a\\x1b[2Jb\\u202ec\\ud800d\n\te f")


def test_what_is_empty_leaves_nothing_behind() -> None:
    """No table without rows, no fact without a value."""
    assert html.table(("a",), []) == ""
    assert html.facts([("a", ""), ("b", None)]) == ""
    assert "zero" in html.facts([("zero", 0)])


def test_a_row_of_another_length_is_refused() -> None:
    """A cell is never shown under the wrong heading."""
    with pytest.raises(ValueError, match="zip"):
        html.table(("a", "b"), [("only one",)])


def test_the_style_follows_system_and_page_and_the_page_wins() -> None:
    """Dark where the system is, and where JupyterLab, VS Code or Sphinx say so; they say light as well."""
    style = html.STYLE
    assert Page(style).tags == ["style"]
    system = style.index("prefers-color-scheme:dark")
    for sign in ("[data-jp-theme-light=false]", ".vscode-dark", "[data-theme=dark]"):
        assert style.index(sign) > system
    for sign in ("[data-jp-theme-light=true]", ".vscode-light", "[data-theme=light]"):
        assert style.index(sign) > system
    assert "prefers-color-scheme:dark){.mvc{" + html.DARK in style
    assert len(style) < 3000  # notebooks keep it with every output


def test_light_and_dark_name_the_same_colors() -> None:
    """No color is missing in one of them, and each that is used is there."""
    light, dark = (re.findall(r"(--mvc-\w+):", colors) for colors in (html.LIGHT, html.DARK))
    assert light == dark
    assert set(re.findall(r"var\((--mvc-\w+)\)", html.STYLE)) == {*light, "--mvc-line"}
