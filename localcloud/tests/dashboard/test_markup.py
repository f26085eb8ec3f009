import pytest
from lxml import html

from localcloud.dashboard.markup import Html, el, join


def test_text_is_escaped_in_elements_and_in_attributes() -> None:
    hostile = "\"><script>alert('x')</script>&amp;"
    made = el("a", hostile, href=hostile)
    (link,) = html.fragments_fromstring(made)
    assert link.text == hostile
    assert link.get("href") == hostile
    assert made.count("<") == 2


def test_markup_is_kept_and_whatever_else_joins_it_is_text() -> None:
    kept = el("b", "x")
    assert join("<i>", kept, None, 7, [" & ", [kept]]) == "&lt;i&gt;<b>x</b>7 &amp; <b>x</b>"
    assert isinstance(join("x"), Html)
    assert not isinstance(kept + "x", Html)


def test_attributes_are_named_and_left_out_as_html_wants_it() -> None:
    assert el("input", class_="x", aria_label="y", hidden=True, checked=False, name=None) == (
        '<input class="x" aria-label="y" hidden>'
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\0b", "a␀b"),
        ("\x1b[31m", "␛[31m"),
        ("\x7f\x85", "␡\ufffd"),
        ("\ud800", "?"),
        ("tab\tline\n", "tab\tline\n"),
        ("\U0001f600é", "\U0001f600é"),
    ],
)
def test_what_html_cannot_carry_is_shown_by_a_symbol(text: str, shown: str) -> None:
    made = el("p", text)
    assert made == f"<p>{shown}</p>"
    made.encode()
