"""Folders with several datasets below, as users give them to open_minian_mf, one function each.

A function is given a path that does not exist yet, ``mouse1``, and builds there the root that is to be opened.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from making import META, Bare, damage, footprints, image, make, movie, save, traces, write
from oracle import minian, quiet
from registry import MF_CASES

SESSION = ("session",)
ANIMAL_SESSION = ("animal", "session")
case = MF_CASES

REAL = Path("stage-06-final") / "mouse1"


def by(*index_dims: str, **fields: Any) -> Callable[..., Any]:
    """Register a function as a case opened by these dims."""
    return case(index_dims=index_dims, **fields)


def put(dataset: Path, *arrays: xr.DataArray, meta: dict[str, int] | None = None) -> Path:
    """Save arrays as one dataset, with the session and the animal that its folders are named for."""
    for array in arrays:
        save(array, dataset, meta=META if meta is None else meta)
    return dataset


def bare(dataset: Path, *arrays: xr.DataArray) -> Path:
    """Save arrays as one dataset without meta_dict."""
    return put(dataset, *arrays, meta={})


def usual(units: Any = 3, frames: Any = 5) -> tuple[xr.DataArray, ...]:
    """Return the arrays of a small session."""
    return footprints(units=units, dtype="float32"), traces("C", units=units, frames=frames), image()


# ---------------------------------------------------------------- healthy


@by("session")
def two_sessions(root: Path) -> None:
    """Two sessions with equal units, frames and images."""
    put(root / "session1" / "minian", *usual())
    put(root / "session2" / "minian", *usual())


@by("animal", "session")
def two_sessions_by_animal_and_session(root: Path) -> None:
    """Two sessions of one animal, indexed by both."""
    two_sessions(root)


@by("session", "animal")
def two_sessions_by_session_and_animal(root: Path) -> None:
    """The index dims in the other order."""
    two_sessions(root)


@by("session")
def two_sessions_of_other_size(root: Path) -> None:
    """Two sessions with other units and frames: padded across sessions."""
    put(root / "session1" / "minian", *usual(3, 5))
    put(root / "session2" / "minian", *usual(4, 7))


@by("session")
def two_sessions_with_overlapping_units(root: Path) -> None:
    """Cross-registered ids: some units are in one session only."""
    put(root / "session1" / "minian", *usual([0, 1, 2]))
    put(root / "session2" / "minian", *usual([2, 3]))


@by("session")
def two_sessions_with_reordered_units(root: Path) -> None:
    """The same units in another order: nothing is padded."""
    put(root / "session1" / "minian", *usual([0, 1, 2]))
    put(root / "session2" / "minian", *usual([2, 0, 1]))


@by("session")
def three_sessions_and_the_middle_differs(root: Path) -> None:
    """Three sessions, the second with fewer units and frames."""
    put(root / "session1" / "minian", *usual(3, 5))
    put(root / "session2" / "minian", *usual(2, 4))
    put(root / "session3" / "minian", *usual(3, 5))


@by("session")
def one_session(root: Path) -> None:
    """A single dataset."""
    put(root / "session1" / "minian", *usual())


@by("animal", "session")
def one_session_by_two(root: Path) -> None:
    """A single dataset by two dims."""
    put(root / "session1" / "minian", *usual())


def animals(root: Path) -> None:
    """Save two sessions of each of two animals."""
    for animal in ("m1", "m2"):
        for session in ("s1", "s2"):
            put(root / animal / session / "minian", *usual())


@by("animal", "session")
def two_animals(root: Path) -> None:
    """Two animals with two sessions each."""
    animals(root)


@by("animal", "session")
def two_animals_with_other_sessions(root: Path) -> None:
    """Two animals whose sessions have other names: half of the grid is empty."""
    put(root / "m1" / "s1" / "minian", *usual())
    put(root / "m1" / "s2" / "minian", *usual())
    put(root / "m2" / "s3" / "minian", *usual())


@by("animal", "session")
def two_animals_with_integers(root: Path) -> None:
    """An empty place in the grid of animals and sessions makes integers float."""
    put(root / "m1" / "s1" / "minian", movie(), image("mask", dtype=bool))
    put(root / "m1" / "s2" / "minian", movie(), image("mask", dtype=bool))
    put(root / "m2" / "s1" / "minian", movie(), image("mask", dtype=bool))


@by("animal", "session")
def two_animals_of_other_size(root: Path) -> None:
    """Two animals with other units in each session."""
    put(root / "m1" / "s1" / "minian", *usual(3, 5))
    put(root / "m1" / "s2" / "minian", *usual(4, 6))
    put(root / "m2" / "s1" / "minian", *usual(2, 5))
    put(root / "m2" / "s2" / "minian", *usual(5, 7))


@by("session")
def two_animals_by_session_only(root: Path) -> None:
    """Two animals by session only: sessions of one name replace one another."""
    animals(root)


@by("animal")
def two_animals_by_animal_only(root: Path) -> None:
    """Two animals by animal only: the sessions of one animal replace one another."""
    animals(root)


@by("experiment", "animal", "session")
def three_levels(root: Path) -> None:
    """Experiment, animal and session from the folders' names."""
    for parts in ("track/m1/s1", "track/m1/s2", "track/m2/s1", "field/m1/s1"):
        put(root / parts / "minian", *usual(), meta={"session": -1, "animal": -2, "experiment": -3})


@by("experiment", "animal", "session")
def three_levels_of_other_size(root: Path) -> None:
    """Three levels, and units differ everywhere."""
    for units, parts in enumerate(("track/m1/s1", "track/m1/s2", "track/m2/s1", "field/m1/s1"), 2):
        put(root / parts / "minian", *usual(units), meta={"session": -1, "animal": -2, "experiment": -3})


@by("session")
def padded_within_a_session(root: Path) -> None:
    """A has more units than C already within each session."""
    put(root / "session1" / "minian", footprints(units=5), traces("C", units=[0, 2, 3]))
    put(root / "session2" / "minian", footprints(units=4), traces("C", units=[1, 3]))


@by("session")
def padded_within_one_session(root: Path) -> None:
    """A has more units than C in one session, of integers."""
    put(root / "session1" / "minian", footprints(units=5), traces("C", units=[0, 2, 3], dtype="uint8"))
    put(root / "session2" / "minian", footprints(units=5), traces("C", units=5, dtype="uint8"))


# ---------------------------------------------------------------- the real run


def real_run(folder: str, name: str, index_dims: tuple[str, ...], pattern: str) -> None:
    """Register a case of both sessions of the real run."""

    def build(root: Path, stages: Path) -> None:
        shutil.copytree(stages / REAL, root)

    build.__doc__ = f"The real run's last stage, {folder}."
    case(build, name=f"mf_real_{name}", index_dims=index_dims, pattern=pattern)


real_run("the final folders", "final", SESSION, "minian$")
real_run("the final folders by both", "final_by_both", ANIMAL_SESSION, "^minian$")
real_run("the intermediate folders", "intermediate", SESSION, "minian_intermediate$")
real_run("both folders of each session match, the last listed is taken", "both", SESSION, "minian")
real_run("array folders match", "array_folders", SESSION, r"C\.zarr$")
real_run("nothing matches", "nothing", SESSION, "^nothing$")


@by("session")
def real_final_with_one_session_of_an_earlier_stage(root: Path, stages: Path) -> None:
    """The second session was run to the first stage only: many arrays are in one session only."""
    shutil.copytree(stages / REAL / "session1" / "minian", root / "session1" / "minian")
    earlier = stages / "stage-02-first-temporal" / "mouse1" / "session2" / "minian"
    shutil.copytree(earlier, root / "session2" / "minian")


# ---------------------------------------------------------------- one key for two datasets


@by("session")
def copied_session(root: Path) -> None:
    """A copy of a session's folder under another name has the session's key."""
    put(root / "session1" / "minian", *usual())
    shutil.copytree(root / "session1", root / "session1 copy")


@by("session")
def copied_session_and_another(root: Path) -> None:
    """A copied session, changed afterwards, beside two sessions."""
    put(root / "session1" / "minian", *usual(3))
    put(root / "session2" / "minian", *usual(4))
    shutil.copytree(root / "session1", root / "session3")
    save(traces("C", units=6, session="session1", animal="mouse1"), root / "session3" / "minian")


@by("animal", "session")
def backup_below_the_root(root: Path) -> None:
    """A backup of the whole animal lies below the root."""
    put(root / "session1" / "minian", *usual(3))
    put(root / "session2" / "minian", *usual(4))
    shutil.copytree(root / "session1", root / "backup" / "mouse1" / "session1")
    shutil.copytree(root / "session2", root / "backup" / "mouse1" / "session2")
    save(traces("C", units=2, session="session1", animal="mouse1"), root / "backup" / "mouse1" / "session1" / "minian")


@by("session")
def old_minian_beside_minian(root: Path) -> None:
    """old_minian matches the pattern too: of one folder only the last listed is opened."""
    put(root / "session1" / "minian", *usual(3))
    put(root / "session1" / "old_minian", *usual(2))
    put(root / "session2" / "minian", *usual(3))


@by("session")
def several_matches_in_one_folder(root: Path) -> None:
    """Four folders of one session match."""
    for units, name in enumerate(("minian", "a_minian", "z_minian", "2024_minian"), 2):
        put(root / "session1" / name, *usual(units))


@by("session", pattern="^minian$")
def old_minian_not_matched(root: Path) -> None:
    """old_minian does not match the stricter pattern."""
    old_minian_beside_minian(root)


@by("session")
def session_as_number_and_text_of_one_key(root: Path) -> None:
    """The session 1 and the session "1" have one key: one replaces the other."""
    bare(root / "a" / "minian", traces("C", session=1))
    bare(root / "b" / "minian", traces("C", units=4, session="1"))


@by("session")
def moved_session(root: Path) -> None:
    """A session's folder was renamed: its coordinate tells the old name, and that is the key."""
    put(root / "session1" / "minian", *usual(3))
    put(root / "session2" / "minian", *usual(4))
    (root / "session2").rename(root / "session2_moved")


@by("session")
def swapped_sessions(root: Path) -> None:
    """A session's folder was renamed to another session's name and that one saved anew: the same key."""
    put(root / "session1" / "minian", *usual(3))
    (root / "session1").rename(root / "session2")
    put(root / "session1" / "minian", *usual(4))


@by("session")
def nested_datasets(root: Path) -> None:
    """A dataset inside a dataset's folder breaks the outer one."""
    put(root / "session1" / "minian", *usual(3))
    put(root / "session1" / "minian" / "session2" / "minian", *usual(3))


@by("session")
def nested_sessions(root: Path) -> None:
    """A session inside a session's folder, beside its dataset."""
    put(root / "session1" / "minian", *usual(3))
    put(root / "session1" / "session2" / "minian", *usual(4))


# ---------------------------------------------------------------- the index coordinate


@by("session")
def no_session_at_all(root: Path) -> None:
    """Saved without meta_dict: no session."""
    bare(root / "session1" / "minian", *usual())
    bare(root / "session2" / "minian", *usual())


@by("session")
def session_missing_in_one(root: Path) -> None:
    """One of two datasets was saved without meta_dict."""
    put(root / "session1" / "minian", *usual())
    bare(root / "session2" / "minian", *usual())


@by("animal", "session")
def animal_missing(root: Path) -> None:
    """The session is there and the animal is not."""
    for name in ("session1", "session2"):
        put(root / name / "minian", *usual(), meta={"session": -1})


@by("session")
def session_on_one_array(root: Path) -> None:
    """One array of each dataset has the session: that is enough."""
    for name in ("session1", "session2"):
        put(root / name / "minian", traces("C"))
        bare(root / name / "minian", footprints())


@by("session")
def session_contradictory(root: Path) -> None:
    """Two arrays of one dataset name two sessions."""
    put(root / "session1" / "minian", *usual())
    bare(root / "session2" / "minian", traces("C", session="s2"), footprints(session="session2"))


@by("session")
def sessions_as_numbers(root: Path) -> None:
    """Sessions as numbers."""
    bare(root / "a" / "minian", traces("C", session=1))
    bare(root / "b" / "minian", traces("C", units=4, session=2))


@by("session")
def sessions_as_number_and_text(root: Path) -> None:
    """One session is a number, the other a name."""
    bare(root / "a" / "minian", traces("C", session=1))
    bare(root / "b" / "minian", traces("C", session="two"))


@by("animal", "session")
def sessions_as_number_and_text_of_two_animals(root: Path) -> None:
    """Sessions are numbers in one animal and names in the other."""
    bare(root / "a" / "minian", traces("C", animal="m1", session=1))
    bare(root / "b" / "minian", traces("C", animal="m2", session="two"))


@by("animal", "session")
def sessions_as_int_and_float_of_two_animals(root: Path) -> None:
    """Sessions are integers in one animal and floats in the other: the same session."""
    bare(root / "a" / "minian", traces("C", animal="m1", session=1))
    bare(root / "b" / "minian", traces("C", animal="m2", session=1.0))


@by("session")
def sessions_as_floats(root: Path) -> None:
    """Sessions as floats, one of them NaN."""
    bare(root / "a" / "minian", traces("C", session=1.5))
    bare(root / "b" / "minian", traces("C", session=np.nan))


@by("session")
def sessions_as_dates(root: Path) -> None:
    """Sessions as dates."""
    bare(root / "a" / "minian", traces("C", session=np.datetime64("2024-01-01", "ns")))
    bare(root / "b" / "minian", traces("C", units=4, session=np.datetime64("2024-01-02", "ns")))


@by("session")
def sessions_as_date_and_text(root: Path) -> None:
    """One session is a date, the other a name."""
    bare(root / "a" / "minian", traces("C", session=np.datetime64("2024-01-01", "ns")))
    bare(root / "b" / "minian", traces("C", session="two"))


@by("session")
def session_along_a_dim(root: Path) -> None:
    """The session stands along frame in each dataset."""
    for name in ("s1", "s2"):
        bare(root / name / "minian", traces("C", session=("frame", [name] * 8)))


@by("session")
def session_is_a_dim(root: Path) -> None:
    """Datasets which have a session dim of their own, of one session each."""
    for name in ("s1", "s2"):
        bare(root / name / "minian", make("C", session=[name], unit_id=3, frame=4))


@by("session")
def session_is_a_dim_of_some_arrays(root: Path) -> None:
    """Only C has the session dim; the footprints have no session."""
    for name in ("s1", "s2"):
        bare(root / name / "minian", make("C", session=[name], unit_id=3, frame=4), footprints(units=3))


@by("session")
def session_is_a_dim_in_one(root: Path) -> None:
    """One dataset has a session dim, the other a scalar session."""
    bare(root / "s1" / "minian", make("C", session=["s1"], unit_id=3, frame=4))
    bare(root / "s2" / "minian", make("C", unit_id=3, frame=4, coords={"session": "s2"}))


@by("session")
def session_is_an_array(root: Path) -> None:
    """An array is named session."""
    for name in ("s1", "s2"):
        bare(root / name / "minian", traces("C"), xr.DataArray(name, name="session"))


@by("unit_id")
def by_units(root: Path) -> None:
    """Two datasets put together along units, which both have."""
    put(root / "session1" / "minian", traces("C", units=[0, 1]), footprints(units=[0, 1]))
    put(root / "session2" / "minian", traces("C", units=[2, 3, 4]), footprints(units=[2, 3, 4]))


@by("unit_id")
def by_units_and_arrays_without_units(root: Path) -> None:
    """Put together along units, with an image which has none: repeated."""
    put(root / "session1" / "minian", traces("C", units=[0, 1]), image())
    put(root / "session2" / "minian", traces("C", units=[2, 3, 4]), image())


@by("unit_id")
def by_units_which_are_equal(root: Path) -> None:
    """Put together along units which are the same in both: one key, one dataset."""
    put(root / "session1" / "minian", *usual())
    put(root / "session2" / "minian", *usual(frames=9))


@by("unit_id")
def by_many_units(root: Path) -> None:
    """So many units that the key is shortened: other ids in the middle make the same key."""
    put(root / "session1" / "minian", make("f", unit_id=range(1100)))
    put(root / "session2" / "minian", make("f", unit_id=[0, 1, 2, *range(5000, 6094), 1097, 1098, 1099]))


@by("unit_id")
def by_units_without_coordinate(root: Path) -> None:
    """Put together along units without ids: they are numbered from 0, which is the key."""
    put(root / "session1" / "minian", traces("C", units=Bare(2)))
    put(root / "session2" / "minian", traces("C", units=Bare(3)))


@by("frame")
def by_frames(root: Path) -> None:
    """Two parts of a recording put together along frames."""
    put(root / "part1" / "minian", traces("C", frames=range(5)), movie(frames=range(5)), image())
    put(root / "part2" / "minian", traces("C", frames=range(5, 9)), movie(frames=range(5, 9)), image())


@by("frame")
def by_frames_with_other_units(root: Path) -> None:
    """Two parts of a recording with other units, and footprints which have no frames: repeated and padded."""
    put(root / "part1" / "minian", traces("C", units=3, frames=range(5)), footprints(units=3))
    put(root / "part2" / "minian", traces("C", units=4, frames=range(5, 9)), footprints(units=4))


@by("session", "frame")
def by_session_and_frames(root: Path) -> None:
    """By session and along frames, which differ between the sessions."""
    put(root / "session1" / "minian", traces("C", frames=range(5)))
    put(root / "session2" / "minian", traces("C", frames=range(7)))


@by("shift")
def by_an_unknown_dim(root: Path) -> None:
    """A dim that nothing has."""
    two_sessions(root)


@by("C")
def by_an_array(root: Path) -> None:
    """An array's name as the index dim."""
    two_sessions(root)


# ---------------------------------------------------------------- arrays


def two_datasets(name: str, text: str, first: tuple[xr.DataArray, ...], second: tuple[xr.DataArray, ...]) -> None:
    """Register a case of two sessions with these arrays."""

    def build(root: Path) -> None:
        put(root / "session1" / "minian", *first)
        put(root / "session2" / "minian", *second)

    build.__doc__ = text
    case(build, name=name, index_dims=SESSION)


_C, _A = traces("C", units=3), footprints(units=3)
two_datasets("array_missing_in_the_first", "C is in the second session only.", (_A,), (_A, _C))
two_datasets("array_missing_in_the_last", "C is in the first session only.", (_A, _C), (_A,))
two_datasets(
    "array_missing_integers", "An integer array in one session only.", (_A,), (_A, movie(frames=3, dtype="uint8"))
)
two_datasets(
    "array_missing_bools", "A boolean array in one session only.", (_A,), (_A, traces("mask", units=3, dtype=bool))
)
two_datasets("array_missing_text", "A text array in one session only.", (_A,), (_A, traces("t", units=3, dtype="<U5")))
two_datasets("array_missing_scalar", "A single number in one session only.", (_A,), (_A, xr.DataArray(3, name="n")))
two_datasets("arrays_have_nothing_in_common", "Each session has another array.", (_A,), (_C,))
two_datasets(
    "arrays_have_nothing_in_common_not_even_dims",
    "Each session has another array over other dims.",
    (image(),),
    (make("f", frame=8),),
)
two_datasets(
    "dtypes_differ", "C is float32 in one session and int16 in the other.", (_C.astype("f4"),), (_C.astype("i2"),)
)
two_datasets("dtypes_differ_integers", "uint8 and int8.", (_C.astype("u1"),), (_C.astype("i1"),))
two_datasets("dtypes_differ_uint64", "uint64 and int64.", (_C.astype("u8"),), (_C.astype("i8"),))
two_datasets("dtypes_differ_complex", "float32 and complex64.", (_C.astype("f4"),), (_C.astype("c8"),))
two_datasets("dtypes_differ_text", "Numbers and text.", (_C,), (traces("C", units=3, dtype="<U5"),))
two_datasets("dtypes_text_widths", "Text of two widths.", (traces("C", dtype="<U2"),), (traces("C", dtype="<U7"),))
two_datasets(
    "dtypes_differ_and_padded",
    "uint8 of fewer units and float32.",
    (traces("C", units=2, dtype="uint8"),),
    (_C.astype("f4"),),
)
two_datasets(
    "integers_padded",
    "uint8 and int64 arrays of other frames.",
    (movie(frames=3), make("n", "int64", frame=3)),
    (movie(frames=5), make("n", "int64", frame=5)),
)
two_datasets("bools_padded", "Boolean arrays of other units.", (traces(dtype=bool),), (traces(units=6, dtype=bool),))
two_datasets("text_padded", "Text of other units.", (traces(dtype="<U5"),), (traces(units=6, dtype="<U5"),))
two_datasets(
    "objects_padded", "Text objects of other units.", (traces(dtype=object),), (traces(units=6, dtype=object),)
)
two_datasets(
    "dates_padded",
    "Moments of other units.",
    (traces(dtype="datetime64[ns]"),),
    (traces(units=6, dtype="datetime64[ns]"),),
)
two_datasets("complex_padded", "Complex of other units.", (traces(dtype="c8"),), (traces(units=6, dtype="c8"),))
two_datasets("float16_padded", "float16 of other units.", (traces(dtype="f2"),), (traces(units=6, dtype="f2"),))
two_datasets("dims_order_differs", "C is transposed in one session.", (_C,), (_C.transpose("frame", "unit_id"),))
two_datasets("dims_differ", "C has a dim more in one session.", (_C,), (make("C", unit_id=3, frame=8, channel=2),))
two_datasets("dims_fewer", "C has a dim less in one session.", (_C,), (make("C", frame=8),))
two_datasets("dims_named_otherwise", "Units are called cell in one session.", (_C,), (make("C", cell=3, frame=8),))
two_datasets(
    "image_sizes_differ",
    "Other cameras: other image sizes.",
    (image(height=3, width=4), movie(height=3, width=4)),
    (image(height=5, width=4), movie(height=5, width=4)),
)
two_datasets(
    "cropped_with_coordinates",
    "One session was cropped and kept its coordinates.",
    (image(height=6, width=8),),
    (image(height=range(2, 5), width=range(1, 7)),),
)
two_datasets("cropped_and_reset", "One session was cropped and reset.", (image(height=6, width=8),), (image(),))
two_datasets(
    "labels_in_one_session_only",
    "unit_labels in one session only.",
    (_C.assign_coords(unit_labels=("unit_id", [0, 1, -1])),),
    (_C,),
)
two_datasets(
    "labels_in_the_second_session_only",
    "unit_labels in the second session only.",
    (_C,),
    (_C.assign_coords(unit_labels=("unit_id", [0, 1, -1])),),
)
two_datasets(
    "labels_in_both_sessions_equal",
    "unit_labels in both sessions, equal.",
    (_C.assign_coords(unit_labels=("unit_id", [0, 1, -1])),),
    (_C.assign_coords(unit_labels=("unit_id", [0, 1, -1])),),
)
two_datasets(
    "labels_in_both_sessions",
    "unit_labels in both sessions, differing.",
    (_C.assign_coords(unit_labels=("unit_id", [0, 1, -1])),),
    (_C.assign_coords(unit_labels=("unit_id", [0, -1, 2])),),
)
two_datasets(
    "scalar_coordinate_in_one_session_only",
    "A scalar coordinate in one session only.",
    (_C.assign_coords(experimenter="anna"),),
    (_C,),
)
two_datasets(
    "scalar_coordinate_in_the_second_session_only",
    "A scalar coordinate in the second session only.",
    (_C,),
    (_C.assign_coords(experimenter="anna"),),
)
two_datasets(
    "scalar_coordinates_differ",
    "A scalar coordinate which differs.",
    (_C.assign_coords(experimenter="anna"),),
    (_C.assign_coords(experimenter="ben"),),
)
two_datasets(
    "timestamps_differ",
    "Moments along frame, other ones in each session.",
    (traces("C", timestamp=("frame", np.arange(8).astype("datetime64[ns]"))),),
    (traces("C", timestamp=("frame", np.arange(10, 18).astype("datetime64[ns]"))),),
)
two_datasets("coordinate_on_one_session_only", "No unit ids in one session.", (_C,), (traces("C", units=Bare(3)),))
two_datasets(
    "coordinate_on_one_session_only_of_other_size",
    "No unit ids in one session, and more units.",
    (_C,),
    (traces("C", units=Bare(4)),),
)
two_datasets(
    "no_coordinates_of_equal_size",
    "No unit ids and no frames in either session.",
    (traces("C", units=Bare(3), frames=Bare(5)),),
    (traces("C", units=Bare(3), frames=Bare(5)),),
)
two_datasets(
    "no_coordinates_of_other_size",
    "No unit ids in either session, and sizes differ.",
    (traces("C", units=Bare(3)),),
    (traces("C", units=Bare(4)),),
)
two_datasets("units_text_in_one_session", "Text ids in one session.", (_C,), (traces("C", units=["a", "b"]),))
two_datasets("units_text", "Text ids in both sessions.", (traces(units=["c", "b"]),), (traces(units=["a", "b"]),))
two_datasets("units_float_in_one_session", "Float ids in one session.", (_C,), (traces("C", units=[0.0, 1.0, 2.0]),))
two_datasets(
    "units_dates_and_numbers",
    "Moments as ids in one session, numbers in the other.",
    (_C,),
    (traces("C", units=np.array(["2024-01-01"], dtype="datetime64[ns]")),),
)
two_datasets("units_repeated_alike", "Repeated ids, alike.", (traces(units=[1, 1]),), (traces(units=[1, 1]),))
two_datasets("units_repeated_in_one", "Repeated ids in one session.", (traces(units=[1, 1]),), (traces(units=[1, 2]),))
two_datasets("no_units_in_one", "No units in one session.", (_C,), (traces("C", units=np.array([], dtype="i8")),))
two_datasets(
    "no_units_in_either",
    "No units in either session, and frames differ: nothing is filled in.",
    (traces("C", units=np.array([], dtype="i8"), dtype="uint8"),),
    (traces("C", units=np.array([], dtype="i8"), frames=9, dtype="uint8"),),
)
two_datasets("no_units_of_object_ids", "No units in one session, ids of float.", (_C,), (traces("C", units=[]),))
two_datasets("scalars", "Single numbers.", (xr.DataArray(1.5, name="n"),), (xr.DataArray(2, name="n"),))
two_datasets(
    "array_is_a_coordinate_in_one",
    "unit_labels is an array in one session and a coordinate in the other.",
    (_C, make("unit_labels", "int64", unit_id=3)),
    (_C.assign_coords(unit_labels=("unit_id", [0, 1, 2])),),
)
two_datasets(
    "scalar_frame_in_one",
    "frame is a scalar coordinate in one session and a dim in the other.",
    (image("first", frame=0),),
    (image("first"), make("f", frame=4)),
)


@by("session")
def one_name_twice_in_a_session(root: Path) -> None:
    """One session holds a copy of C among its arrays."""
    two_sessions(root)
    shutil.copytree(root / "session1" / "minian" / "C.zarr", root / "session1" / "minian" / "C_backup.zarr")


@by("session")
def saved_onto_itself_in_a_session(root: Path) -> None:
    """C of one session was saved onto itself."""
    two_sessions_of_other_size(root)
    dataset = root / "session2" / "minian"
    with quiet():
        opened = minian().open_minian(str(dataset))["C"].isel(unit_id=[0, 2])
    save(opened, dataset)


@by("session")
def rechunked_in_a_session(root: Path) -> None:
    """C was saved with chunks in one session."""
    two_sessions_of_other_size(root)
    array = traces("C", units=2, dtype="uint8").chunk(unit_id=1)
    save(array, root / "session2" / "minian", meta=META, chunks={"unit_id": -1, "frame": 3})


# ---------------------------------------------------------------- what else lies there


@by("session")
def a_dataset_fails(root: Path) -> None:
    """A foreign folder in one session's dataset: all fail."""
    two_sessions(root)
    (root / "session2" / "minian" / "figures").mkdir()


@by("session")
def a_dataset_fails_for_its_zarray(root: Path) -> None:
    """One array of one session lost its .zarray: all fail."""
    two_sessions(root)
    damage(root / "session1" / "minian" / "C.zarr" / "C" / ".zarray", "missing")


@by("session")
def two_datasets_fail(root: Path) -> None:
    """Two sessions fail for different reasons: the first that is walked decides."""
    two_sessions(root)
    damage(root / "session1" / "minian" / "C.zarr" / "C" / ".zarray", "text")
    (root / "session2" / "minian" / "figures").mkdir()


@by("session")
def an_empty_dataset(root: Path) -> None:
    """One session's dataset folder is empty: no session."""
    two_sessions(root)
    (root / "session3" / "minian").mkdir(parents=True)


@by("session")
def a_file_matches(root: Path) -> None:
    """A plain file has the dataset's name."""
    two_sessions(root)
    (root / "session3").mkdir()
    (root / "session3" / "minian").write_text("not a dataset")


@by("session")
def a_file_matches_beside_a_dataset(root: Path) -> None:
    """A plain file matches too, beside the dataset: folders come after files, so it is not opened."""
    two_sessions(root)
    (root / "session1" / "notes_on_minian").write_text("not a dataset")


@by("session", pattern=r"minian\.nc$")
def netcdf_files(root: Path) -> None:
    """Old MiniAn's files of netCDF, one per session."""
    for name in ("session1", "session2"):
        (root / name).mkdir(parents=True)
        with quiet():
            dataset = xr.Dataset({"C": traces("C"), "A": footprints()}).assign_coords(session=name)
            dataset.to_netcdf(root / name / "minian.nc", engine="netcdf4")


@by("session")
def nothing_below(root: Path) -> None:
    """An empty root."""
    root.mkdir()


@by("animal", "session")
def nothing_below_by_two(root: Path) -> None:
    """An empty root, by two dims."""
    root.mkdir()


@by("animal", "session")
def nothing_matches(root: Path) -> None:
    """Only intermediate folders are below."""
    put(root / "session1" / "minian_intermediate", *usual())


@by("session")
def root_is_missing(root: Path) -> None:
    """There is nothing at the root."""


@by("session")
def root_is_a_file(root: Path) -> None:
    """The root is a file."""
    root.write_text("nothing")


@by("session", pattern="mouse1$")
def root_itself_matches(root: Path) -> None:
    """The root's own name matches, and what is in it does not: it is not looked at."""
    put(root, *usual())


@by("session", pattern="")
def everything_matches(root: Path) -> None:
    """The empty pattern matches every file and folder."""
    two_sessions(root)


@by("session", pattern="minian(")
def pattern_is_broken(root: Path) -> None:
    """The pattern is no regular expression."""
    two_sessions(root)


@by("session", pattern=r"\.zarr$")
def array_folders_match(root: Path) -> None:
    """The pattern matches array folders, which are no datasets."""
    two_sessions(root)


@by("session")
def symlinked_session(root: Path) -> None:
    """A session's folder is a link: not walked into."""
    two_sessions(root)
    put(root.parent / "elsewhere" / "session3" / "minian", *usual(6))
    (root / "session3").symlink_to(root.parent / "elsewhere" / "session3")


@by("session")
def symlinked_dataset_in_a_session(root: Path) -> None:
    """A dataset's folder is a link: opened."""
    two_sessions(root)
    put(root.parent / "elsewhere" / "session3" / "minian", *usual(6))
    (root / "session3").mkdir()
    (root / "session3" / "minian").symlink_to(root.parent / "elsewhere" / "session3" / "minian")


@by("session")
def symlinked_session_to_another(root: Path) -> None:
    """A link named minian to another session's dataset: the same key."""
    put(root / "session1" / "minian", *usual())
    (root / "session2").mkdir()
    (root / "session2" / "minian").symlink_to(root / "session1" / "minian")


@by("session")
def files_and_folders_besides(root: Path) -> None:
    """Movies, notes and figures beside the datasets do not matter."""
    two_sessions(root)
    (root / "session1" / "0.avi").write_bytes(b"RIFF")
    (root / "session1" / "minian_mp4.mp4").write_bytes(b"\0")
    (root / "figures").mkdir()
    (root / ".ipynb_checkpoints").mkdir()


@by("session")
def hidden_copy(root: Path) -> None:
    """A hidden folder with a copy of a session is walked too."""
    put(root / "session1" / "minian", *usual(3))
    put(root / "session2" / "minian", *usual(3))
    shutil.copytree(root / "session1", root / ".trash" / "session1")


@by("session")
def half_of_a_session_without_suffix(root: Path) -> None:
    """One session's arrays lie in folders without .zarr, written by plain xarray."""
    put(root / "session1" / "minian", *usual())
    for array in usual(4):
        write(array.assign_coords(session="session2", animal="mouse1"), root / "session2" / "minian" / str(array.name))


@by("session")
def brackets_in_a_sessions_name(root: Path) -> None:
    """One session's folder has brackets in its name, which MiniAn's path to an array cannot have."""
    two_sessions(root)
    (root / "session2").rename(root / "session2 [good]")


def text_missing(name: str, text: str, *sessions: tuple[xr.DataArray, ...]) -> None:
    """Register a case of several sessions of which some lack a text array."""

    def build(root: Path) -> None:
        for number, arrays in enumerate(sessions):
            put(root / f"session{number}" / "minian", *arrays)

    build.__doc__ = text
    case(build, name=f"text_missing_{name}", index_dims=SESSION)


_T, _O, _T4 = traces("t", units=3, dtype="<U5"), traces("t", units=3, dtype=object), traces("t", units=4, dtype="<U5")
text_missing("in_the_last", "Text in the first session only.", (_A, _T), (_A,))
text_missing("objects_in_the_first", "Text objects in the last session only.", (_A,), (_A, _O))
text_missing("objects_in_the_last", "Text objects in the first session only.", (_A, _O), (_A,))
text_missing("in_the_middle", "Text in the first and the last of three sessions.", (_A, _T), (_A,), (_A, _T))
text_missing("in_one_and_padded", "Text in one session only, padded across sessions.", (_A, _T), (footprints(units=4),))
text_missing("in_one_and_padded_in_it", "Text in one session only, padded within it.", (_A,), (footprints(units=4), _T))
text_missing("in_one_of_three_and_padded", "Text padded in two sessions.", (_A, _T), (_A,), (footprints(units=4), _T4))
text_missing("bytes", "Bytes in one session only.", (_A,), (_A, traces("t", units=3, dtype="S3")))
text_missing("dates", "Moments in one session only.", (_A,), (_A, traces("t", units=3, dtype="datetime64[ns]")))
text_missing("complex", "Complex numbers in one session only.", (_A,), (_A, traces("t", units=3, dtype="complex64")))


_NONE = np.array([], dtype="int64")
text_missing("no_units_in_the_last", "No text at all in the last session.", (_T,), (traces("t", _NONE, dtype="<U5"),))
text_missing("no_units_in_the_first", "No text at all in the first session.", (traces("t", _NONE, dtype="<U5"),), (_T,))
text_missing("no_units_in_any", "No text at all.", *((traces("t", _NONE, frames, dtype="<U5"),) for frames in (4, 6)))
text_missing("no_units_of_objects", "No objects in the last session.", (_O,), (traces("t", _NONE, dtype=object),))
text_missing("no_units_of_integers", "No integers in the last.", (traces("t", 3, dtype="u1"),), (traces("t", _NONE),))
