"""Names as the user writes them."""

from __future__ import annotations

import unicodedata

import pytest

from minian_vc.errors import InvalidInputError
from minian_vc.names import (
    Spec,
    alias_splits,
    check_array_name,
    check_key,
    check_tag_name,
    collisions,
    near,
    parse_spec,
    split_ancestor,
)

NOWHERE = [
    "",
    " ",
    ".",
    "..",
    "../x",
    "/etc",
    "a/b",
    "a\\b",
    "C:\\x",
    "a\0b",
    "a\nb",
    "a\x7f",
    "a:b",
    "a*",
    "a?",
    'a"b',
]
WINDOWS = ["con", "NUL", "Aux.zarr", "com1", "LPT9.txt", "prn", "trailing.", "trailing ", " leading", "a<b", "a|b"]
TOO_LONG = ["x" * 201, "é" * 101]


@pytest.mark.parametrize("name", [*NOWHERE, *WINDOWS, *TOO_LONG])
def test_a_name_that_is_no_file_name_everywhere_is_refused(name: str) -> None:
    """An array or tag cannot leave its folder, nor have a name some system cannot hold."""
    for check in (check_array_name, check_tag_name):
        with pytest.raises(InvalidInputError):
            check(name)


@pytest.mark.parametrize("name", ["A", "C_chk_new", "varr_ref", "Ä", "two words", "x" * 200, "con_1", "-A", "a~b", "1"])
def test_an_ordinary_array_name_is_taken(name: str) -> None:
    """What MiniAn and people call arrays is accepted as it is."""
    assert check_array_name(name) == name


@pytest.mark.parametrize("name", [".hidden", ".zgroup", ".minian_vc"])
def test_an_array_name_cannot_begin_with_a_dot(name: str) -> None:
    """Such names are zarr's metadata and our own."""
    with pytest.raises(InvalidInputError, match="dot"):
        check_array_name(name)


@pytest.mark.parametrize("name", ["a b", "a@b", "a~2", "latest", "-f", "a\tb", "a\u00a0b"])
def test_a_tag_that_a_revision_could_not_name_is_refused(name: str) -> None:
    """A tag must be told from a SPEC, an ancestor, an option and ``latest``."""
    with pytest.raises(InvalidInputError):
        check_tag_name(name)


@pytest.mark.parametrize("name", ["first_iteration", "v1.2", "Latest", "après", ".1", "deadbeef"])
def test_an_ordinary_tag_is_taken(name: str) -> None:
    """Letters, digits, dots and underscores make a tag."""
    assert check_tag_name(name) == name


@pytest.mark.parametrize("key", ["A/0.0", "A/c/0/0", ".zgroup", "A/empty/", "c", "zarr.json", "Ä/…"])
def test_a_key_inside_the_folder_is_taken(key: str) -> None:
    """Manifest keys of files and of empty folders pass."""
    assert check_key(key) == key


@pytest.mark.parametrize(
    "key", ["", "/", "/etc/x", "../x", "A/../../x", "A//0", "./A", "A/.", "a\0b", "A/..", "A\\..\\x"]
)
def test_a_key_that_leads_outside_is_refused(key: str) -> None:
    """A manifest cannot make restore write anywhere else."""
    with pytest.raises(InvalidInputError):
        check_key(key)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("C@first", Spec("C", "first")),
        ("@first", Spec(None, "first")),
        ("C_chk@latest~2", Spec("C_chk", "latest~2")),
        ("A@0123abcd", Spec("A", "0123abcd")),
    ],
)
def test_a_spec_is_an_array_and_a_revision(text: str, spec: Spec) -> None:
    """ARRAY@REV names one array, @REV all of them."""
    assert parse_spec(text) == spec


@pytest.mark.parametrize("text", ["C", "C@", "@", "", "../x@first", "a/b@first", "/x@first", "a\0@first", "..@x"])
def test_what_is_no_spec_is_refused(text: str) -> None:
    """A SPEC without a revision, or whose array is a path, is refused."""
    with pytest.raises(InvalidInputError):
        parse_spec(text)


@pytest.mark.parametrize(
    ("revision", "parts"),
    [
        ("latest", ("latest", 0)),
        ("latest~2", ("latest", 2)),
        ("@first~1", ("first", 1)),
        ("abc~0", ("abc", 0)),
        ("a~b", ("a~b", 0)),
        ("a~1~2", ("a~1", 2)),
    ],
)
def test_a_revision_is_a_base_and_a_number_of_parents(revision: str, parts: tuple[str, int]) -> None:
    """``~N`` at the end goes back N parents."""
    assert split_ancestor(revision) == parts


@pytest.mark.parametrize("revision", ["", "@"])
def test_an_empty_revision_is_refused(revision: str) -> None:
    """There must be something to look for."""
    with pytest.raises(InvalidInputError):
        split_ancestor(revision)


@pytest.mark.parametrize("digits", [10, 4000, 5000])
def test_an_absurd_number_of_parents_is_refused(digits: int) -> None:
    """A number of any length does not end in an error of Python's own."""
    with pytest.raises(InvalidInputError):
        split_ancestor("latest~" + "9" * digits)


def test_an_alias_is_split_at_each_underscore_shortest_array_first() -> None:
    """``C_chk_first`` may be C@chk_first or C_chk@first; nothing is split into an empty part."""
    assert alias_splits("C_chk_first") == [Spec("C", "chk_first"), Spec("C_chk", "first")]
    assert alias_splits("_C_") == []
    assert alias_splits("__") == []
    assert alias_splits("C") == []


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("frst_iteration", ["first_iteration", "merge"], "Did you mean first_iteration?"),
        ("fi", ["first", "final", "merge"], "Did you mean final or first?"),
        ("zzz", ["a", "b"], "There is: a, b."),
        ("x", [], "There is none yet."),
        ("q", [f"n{i}" for i in range(9)], "There is: n0, n1, n2, n3, n4, n5, n6, n7, …."),
    ],
)
def test_near_names_are_given(name: str, known: list[str], sentence: str) -> None:
    """A name that is not there is answered with those most like it."""
    assert near(name, known) == sentence


def test_names_that_are_one_file_elsewhere_are_found() -> None:
    """Case and Unicode form do not make two files on every system; both names are given."""
    composed, split = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    assert collisions(["A", "b", "a"]) == [("A", "a")]
    assert collisions([composed, split]) == [(composed, split)]
    assert collisions(["straße", "STRASSE"]) == [("straße", "STRASSE")]
    assert collisions(["A", "A_", "B", "a/b", "a/c"]) == []
