"""chk recall."""

from __future__ import annotations

from minian_vc.chunk_specs import recall


def test_the_sizes_that_arrays_are_cut_by_are_chk() -> None:
    """An array that is whole along a dimension does not vote where another is cut."""
    chk = recall(
        {
            "Y_hw": {"frame": (190, 190), "height": (64, 37), "width": (64, 37)},
            "Y_fm": {"frame": (190, 64), "height": (64, 64), "width": (64, 64)},
            "C": {"unit_id": (12, 1), "frame": (190, 190)},
        }
    )
    assert chk == {"frame": 64, "height": 37, "width": 37}
    assert chk.deviating == {}
    assert chk.unreadable == ()


def test_where_none_is_cut_it_is_the_whole_size() -> None:
    """A recording shorter than a chunk has one chunk."""
    assert recall({"C": {"frame": (190, 190)}, "b": {"height": (64, 64)}}) == {"frame": 190, "height": 64}


def test_the_most_frequent_size_wins_and_the_others_deviate() -> None:
    """An array cut otherwise is named with its size; the tie goes to the smaller chunk."""
    chk = recall({"a": {"frame": (9, 4)}, "b": {"frame": (9, 4)}, "c": {"frame": (9, 3), "height": (8, 2)}})
    assert chk == {"frame": 4, "height": 2}
    assert chk.deviating == {"c": {"frame": 3}}
    assert recall({"a": {"frame": (9, 4)}, "b": {"frame": (9, 3)}}) == {"frame": 3}


def test_dimensions_that_chk_has_not_are_left_out() -> None:
    """Only frame, height and width are chk's; of nothing comes nothing."""
    assert recall({"A": {"unit_id": (5, 1)}}) == {}
    assert recall({}, ["broken"]).unreadable == ("broken",)


def test_an_empty_dimension_or_a_chunk_larger_than_the_array_is_no_cut() -> None:
    """A chunk at least as large as the array says only that it is whole."""
    assert recall({"a": {"frame": (5, 8)}, "b": {"frame": (0, 1)}, "c": {"frame": (5, 5)}}) == {"frame": 5}
