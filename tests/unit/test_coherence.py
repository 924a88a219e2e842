"""Bringing arrays together on their common units."""

from __future__ import annotations

from dataclasses import replace

import pytest
from handmade import coordinate, version

from minian_vc.coherence import Alignment, align
from minian_vc.errors import ConflictError
from minian_vc.model import ArrayVersion


def units(name: str, *ids: int | str) -> ArrayVersion:
    """An array with those units."""
    return version(name, unit_ids=ids)


def test_arrays_that_agree_stay_as_they_are() -> None:
    """The order is their own, also where it is not ascending, and nothing is left out."""
    assert align([units("A", 5, 2, 9), units("C", 5, 2, 9)]) == Alignment((5, 2, 9), {}, {})


def test_the_order_is_kept_where_all_agree_on_it() -> None:
    """Subsets in one order keep that order; what is dropped is said per array."""
    plan = align([units("A", 5, 2, 9), units("C", 5, 9), units("S", 7, 5, 9)])
    assert plan == Alignment((5, 9), {"A": (0, 2), "S": (1, 2)}, {"A": (2,), "S": (7,)})


def test_the_order_is_ascending_where_they_disagree() -> None:
    """Each array that is ordered otherwise is reordered; numbers come before text."""
    plan = align([units("A", 9, 2, 5), units("C", 5, 9, 2), units("S", 2, 5, 9)])
    assert plan == Alignment((2, 5, 9), {"A": (1, 2, 0), "C": (2, 0, 1)}, {})
    assert align([units("A", "b", 10, "a", 9), units("C", 9, "a", "b", 10)]).units == (9, 10, "a", "b")


def test_a_single_array_keeps_its_order() -> None:
    """Alone, an array is as saved."""
    assert align([units("A", 3, 1, 2)]) == Alignment((3, 1, 2), {}, {})


def test_arrays_without_units_come_along() -> None:
    """A background has no units and restricts nothing; without any units there is no plan."""
    background = version("b", unit_ids=None)
    assert align([units("A", 1, 2), background]).units == (1, 2)
    assert align([background]) == Alignment()
    assert align([]) == Alignment()


def test_arrays_without_any_cell_come_together() -> None:
    """Empty and empty is empty, no conflict."""
    assert align([units("A"), units("C")]).units == ()


def test_nothing_in_common_is_a_conflict() -> None:
    """Arrays with no unit in common do not become an empty result."""
    with pytest.raises(ConflictError, match="A and C share no unit_id"):
        align([units("A", 1), units("C", 2)])
    with pytest.raises(ConflictError, match="share no unit_id"):
        align([units("A", 3), units("C", "3")])


def test_units_that_are_there_twice_or_have_no_labels_are_a_conflict() -> None:
    """Nobody can say which cell is meant."""
    with pytest.raises(ConflictError, match="more than once"):
        align([units("A", 1, 1), units("C", 1)])
    with pytest.raises(ConflictError, match="without labels"):
        align([version("A", unit_ids=None, dims=("unit_id", "frame"), shape=(3, 5))])


@pytest.mark.parametrize("what", ["session", "animal"])
def test_another_session_or_animal_is_a_conflict(what: str) -> None:
    """Both arrays and both values are named; an array that does not say fits any."""
    other = replace(units("C", 1), **{what: "other"})
    with pytest.raises(ConflictError, match=f"A and C are of different {what}s .*'other'"):
        align([units("A", 1), other])
    assert align([units("A", 1), replace(other, **{what: None})]).units == (1,)


def test_another_size_or_other_labels_are_a_conflict() -> None:
    """Frames that differ would be padded or paired wrongly."""
    first = version("A", coordinates=(coordinate("frame", range(5)),))
    with pytest.raises(ConflictError, match=r"A and C differ in frame \(5 and 4\)"):
        align([first, version("C", shape=(3, 4))])
    shifted = version("C", coordinates=(coordinate("frame", range(1, 6)),))
    with pytest.raises(ConflictError, match="different frame coordinates"):
        align([first, shifted])
    assert align([first, version("C")]).units == (0, 1, 2)


def test_a_conflict_says_how_to_open_them_all_the_same() -> None:
    """The hint names the two ways out."""
    with pytest.raises(ConflictError) as caught:
        align([units("A", 1), units("C", 2)])
    assert "return_dict=True" in caught.value.hint
    assert "arrays=" in caught.value.hint
