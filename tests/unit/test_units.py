"""Unit sets over a dataset's history."""

from __future__ import annotations

import pytest

from minian_vc.units import ArrayUnits, is_merge_result, renumbered_between, unit_history


def step(name: str, **arrays: tuple[str, tuple | None]) -> tuple[str, dict[str, ArrayUnits]]:
    """One checkpoint: array → (manifest, unit ids)."""
    return name, {array: ArrayUnits(*given) for array, given in arrays.items()}


def test_arrays_are_grouped_by_their_unit_set() -> None:
    """Each distinct set is there once with the arrays that have it; arrays without units are in none."""
    (entry,) = unit_history([step("1", A=("a", (0, 1)), C=("c", (0, 1)), S=("s", (1, 0)), b=("b", None))])
    assert entry.unit_sets == (((0, 1), ("A", "C")), ((1, 0), ("S",)))
    assert (entry.disappeared, entry.renumbered) == ({}, ())


def test_an_id_that_is_gone_has_disappeared_where_it_went() -> None:
    """Updates drop ids; each array says which, at the checkpoint where it happened."""
    entries = unit_history(
        [step("1", A=("a1", (0, 1, 2)), C=("c1", (0, 1, 2))), step("2", A=("a2", (0, 2)), C=("c1", (0, 1, 2)))]
    )
    assert entries[1].disappeared == {"A": (1,)}
    assert entries[1].renumbered == ()


def test_new_ids_mean_a_new_numbering() -> None:
    """An array that has an id it did not have before was numbered anew."""
    entries = unit_history([step("1", A=("a1", (0, 2))), step("2", A=("a2", (0, 1)))])
    assert entries[1].renumbered == ("A",)
    assert entries[1].disappeared == {}


def test_after_a_merge_ids_count_anew_even_if_they_are_a_subset() -> None:
    """``unit_merge`` numbers from 0: the same id is not the same cell, for each array saved since."""
    entries = unit_history(
        [
            step("1", A=("a1", (0, 1, 2)), C=("c1", (0, 1, 2))),
            step("2", A=("a1", (0, 1, 2)), C=("c1", (0, 1, 2)), A_mrg=("m", (0, 1))),
            step("3", A=("a2", (0, 1)), C=("c1", (0, 1, 2)), A_mrg=("m", (0, 1))),
            step("4", A=("a3", (0,)), C=("c2", (0, 1)), A_mrg=("m", (0, 1))),
        ]
    )
    assert [entry.renumbered for entry in entries] == [(), (), ("A",), ("C",)]
    assert entries[3].disappeared == {"A": (1,)}


def test_a_merge_result_in_the_first_checkpoint_says_nothing() -> None:
    """Nobody knows what was before the first checkpoint."""
    entries = unit_history([step("1", A=("a1", (0, 1)), A_mrg=("m", (0, 1))), step("2", A=("a2", (0,)))])
    assert entries[1].renumbered == ()
    assert entries[1].disappeared == {"A": (1,)}


def test_an_array_that_comes_back_is_compared_with_its_last_version() -> None:
    """An array missing from a checkpoint in between is not new when it returns."""
    entries = unit_history([step("1", A=("a1", (0, 1))), step("2", b=("b", None)), step("3", A=("a2", (1,)))])
    assert entries[2].disappeared == {"A": (0,)}


def test_units_that_come_or_go_altogether_are_no_renumbering() -> None:
    """An array that had no units, or has none now, is not compared."""
    entries = unit_history([step("1", A=("a1", None)), step("2", A=("a2", (0,))), step("3", A=("a3", None))])
    assert all(entry.renumbered == () and entry.disappeared == {} for entry in entries)


def test_text_ids_are_not_numbers() -> None:
    """3 and "3" are two units."""
    entries = unit_history([step("1", A=("a1", (3,))), step("2", A=("a2", ("3",)))])
    assert entries[1].renumbered == ("A",)


def test_renumbering_between_two_checkpoints_is_found_in_either_order() -> None:
    """What happened after the older one up to the newer one counts, not what lies outside."""
    entries = unit_history([step(str(i), A=(f"a{i}", (i,))) for i in range(3)] + [step("3", A=("a3", (2,)))])
    assert renumbered_between(entries, "0", "1") == renumbered_between(entries, "1", "0") == {"A"}
    assert renumbered_between(entries, "2", "3") == frozenset()
    assert renumbered_between(entries, "1", "1") == frozenset()


@pytest.mark.parametrize(("name", "merged"), [("A_mrg", True), ("C_mrg_sub", True), ("A", False), ("merged", False)])
def test_merge_results_are_known_by_their_name(name: str, merged: bool) -> None:
    """The notebook calls them ``…_mrg``."""
    assert is_merge_result(name) is merged
