"""Dataset folders as users make them, one function each.

A function is given a path that does not exist yet, ``mouse1/session1/minian``, and builds there what is to be opened.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from making import (
    META,
    Bare,
    consolidate,
    footprints,
    image,
    make,
    movie,
    save,
    traces,
    write,
)
from registry import CASES

case = CASES

# ---------------------------------------------------------------- units and frames


@case
def healthy(dataset: Path) -> None:
    """Footprints, traces and a background which agree in everything."""
    save(footprints(), dataset, meta=META)
    save(traces("C"), dataset, meta=META)
    save(traces("S"), dataset, meta=META)
    save(image("b"), dataset, meta=META)
    save(make("f", frame=8), dataset, meta=META)


@case
def healthy_chunked(dataset: Path) -> None:
    """As the notebook saves: dask arrays in many chunks, the movie by frame."""
    save(footprints().chunk(unit_id=1), dataset, meta=META)
    save(traces("C").chunk(unit_id=1, frame=-1), dataset, meta=META)
    save(movie("Y_fm_chk").chunk(frame=3), dataset, meta=META)
    save(movie("Y_hw_chk").chunk(height=2, width=3), dataset, meta=META)


@case
def healthy_without_session(dataset: Path) -> None:
    """Arrays saved without meta_dict agree too."""
    save(footprints(), dataset)
    save(traces("C"), dataset)


@case
def one_array(dataset: Path) -> None:
    """A dataset of one array has nothing to agree with."""
    save(traces("C"), dataset, meta=META)


@case
def footprints_kept_dropped_units(dataset: Path) -> None:
    """A keeps the units that update_temporal dropped from C and S."""
    save(footprints(units=7), dataset)
    save(traces("C", units=[0, 2, 3, 6]), dataset)
    save(traces("S", units=[0, 2, 3, 6]), dataset)


@case
def units_dropped_from_integers(dataset: Path) -> None:
    """An integer array over fewer units becomes float when padded."""
    save(footprints(units=7, dtype="uint8"), dataset)
    save(traces("C", units=[0, 2, 3, 6], dtype="int32"), dataset)


@case
def units_reordered(dataset: Path) -> None:
    """C and S have the units of A in another order."""
    save(footprints(units=[0, 1, 2, 3]), dataset)
    save(traces("C", units=[2, 0, 3, 1]), dataset)
    save(traces("S", units=[2, 0, 3, 1]), dataset)


@case
def units_reordered_integers(dataset: Path) -> None:
    """Only the order of units differs: nothing is filled in, and integers stay integers."""
    save(footprints(units=[0, 1, 2, 3], dtype="uint8"), dataset)
    save(traces("C", units=[2, 0, 3, 1], dtype="int16"), dataset)


@case
def units_same_but_both_unsorted(dataset: Path) -> None:
    """Two arrays with one and the same order which is not ascending."""
    save(footprints(units=[5, 1, 9]), dataset)
    save(traces("C", units=[5, 1, 9]), dataset)


@case
def units_disjoint(dataset: Path) -> None:
    """No unit of C is in A."""
    save(footprints(units=[0, 1, 2]), dataset)
    save(traces("C", units=[10, 11]), dataset)


@case
def units_overlapping(dataset: Path) -> None:
    """Each of two arrays has units that the other lacks."""
    save(footprints(units=[0, 1, 2, 3]), dataset)
    save(traces("C", units=[2, 3, 4, 5, 6], dtype="float32"), dataset)


@case
def units_three_ways(dataset: Path) -> None:
    """Three arrays with three sets of units: the union of them all."""
    save(footprints(units=[0, 1, 2, 3]), dataset)
    save(traces("C", units=[2, 3, 4]), dataset)
    save(traces("S", units=[8, 1]), dataset)
    save(image(), dataset)


@case
def units_renumbered(dataset: Path) -> None:
    """unit_merge numbered C anew from 0, and A has the old numbers."""
    save(footprints(units=[1, 4, 6, 9]), dataset)
    save(traces("C", units=[0, 1, 2]), dataset)


@case
def units_renumbered_alike(dataset: Path) -> None:
    """Ids numbered anew to the same ids: metadata cannot tell."""
    save(footprints(units=4), dataset)
    save(traces("C_mrg", units=4), dataset)


@case
def units_duplicate_in_one(dataset: Path) -> None:
    """C has one unit twice, and A has each once."""
    save(footprints(units=[0, 1, 2]), dataset)
    save(traces("C", units=[0, 1, 1, 2]), dataset)


@case
def units_duplicate_alike(dataset: Path) -> None:
    """Two arrays with the same repeated ids need no alignment."""
    save(footprints(units=[0, 1, 1, 2]), dataset)
    save(traces("C", units=[0, 1, 1, 2]), dataset)


@case
def units_duplicate_in_other_order(dataset: Path) -> None:
    """The same repeated ids in another order cannot be aligned."""
    save(footprints(units=[0, 1, 1, 2]), dataset)
    save(traces("C", units=[1, 0, 1, 2]), dataset)


@case
def units_duplicate_alone(dataset: Path) -> None:
    """Repeated ids in the only array that has units."""
    save(traces("C", units=[3, 3, 3]), dataset)
    save(image(), dataset)


@case
def units_duplicate_in_both_differently(dataset: Path) -> None:
    """Both arrays repeat ids, but not the same."""
    save(footprints(units=[0, 0, 1, 2]), dataset)
    save(traces("C", units=[0, 1, 2, 2]), dataset)


@case
def units_duplicate_and_without_coordinate(dataset: Path) -> None:
    """Repeated ids in one array, none in the other, sizes equal."""
    save(footprints(units=[0, 1, 1]), dataset)
    save(traces("C", units=Bare(3)), dataset)


@case
def units_text_in_one(dataset: Path) -> None:
    """Text ids in C and numbers in A: all units twice."""
    save(footprints(units=[0, 1, 2]), dataset)
    save(traces("C", units=["0", "1", "2"]), dataset)


@case
def units_text_in_both(dataset: Path) -> None:
    """Text ids in both arrays, one a subset of the other."""
    save(footprints(units=["a", "b", "c"]), dataset)
    save(traces("C", units=["b", "c"]), dataset)


@case
def units_text_of_other_widths(dataset: Path) -> None:
    """Equal text ids stored at two widths."""
    save(footprints(units=np.array(["a", "b"], dtype="<U1")), dataset)
    save(traces("C", units=np.array(["a", "b"], dtype="<U8")), dataset)


@case
def units_text_object_and_fixed(dataset: Path) -> None:
    """Equal text ids, here of fixed width and there as objects."""
    save(footprints(units=np.array(["a", "b"], dtype="<U1")), dataset)
    save(traces("C", units=np.array(["a", "b"], dtype=object)), dataset)


@case
def units_bytes_and_text(dataset: Path) -> None:
    """Ids as bytes in A and as text in C."""
    save(footprints(units=np.array([b"a", b"b"])), dataset)
    save(traces("C", units=np.array(["a", "b"])), dataset)


@case
def units_float_equal_to_int(dataset: Path) -> None:
    """Float ids with the same values as the integer ids."""
    save(footprints(units=[0, 1, 2]), dataset)
    save(traces("C", units=[0.0, 1.0, 2.0]), dataset)


@case
def units_float_subset_of_int(dataset: Path) -> None:
    """Float ids, a subset of the integer ids."""
    save(footprints(units=[0, 1, 2]), dataset)
    save(traces("C", units=[0.0, 2.0]), dataset)


@case
def units_float_with_nan(dataset: Path) -> None:
    """One id is NaN in both arrays."""
    save(footprints(units=[0.0, 1.0, np.nan]), dataset)
    save(traces("C", units=[0.0, 1.0, np.nan]), dataset)


@case
def units_float_with_nan_in_one(dataset: Path) -> None:
    """One id is NaN in C, whose other units are those of A."""
    save(footprints(units=[0.0, 1.0, 2.0]), dataset)
    save(traces("C", units=[0.0, 1.0, np.nan]), dataset)


@case
def units_float_with_two_nans(dataset: Path) -> None:
    """Two ids are NaN in C: repeated labels."""
    save(footprints(units=[0.0, 1.0, 2.0]), dataset)
    save(traces("C", units=[0.0, np.nan, np.nan]), dataset)


@case
def units_of_other_int_widths(dataset: Path) -> None:
    """Equal ids as int64 and int16."""
    save(footprints(units=np.arange(4, dtype="int64")), dataset)
    save(traces("C", units=np.arange(4, dtype="int16")), dataset)


@case
def units_unsigned_subset(dataset: Path) -> None:
    """uint8 ids, a subset of int64 ids."""
    save(footprints(units=np.arange(4, dtype="int64")), dataset)
    save(traces("C", units=np.array([1, 2], dtype="uint8"), dtype="uint8"), dataset)


@case
def units_float32_of_tenths(dataset: Path) -> None:
    """0.1 as float32 is not 0.1 as float64: another label."""
    save(footprints(units=np.array([0.1, 0.5], dtype="float32")), dataset)
    save(traces("C", units=np.array([0.1, 0.5], dtype="float64")), dataset)


@case
def units_bool(dataset: Path) -> None:
    """Boolean ids beside integer ids of the same value."""
    save(footprints(units=[0, 1]), dataset)
    save(traces("C", units=[False, True]), dataset)


@case
def units_bool_in_both(dataset: Path) -> None:
    """Boolean ids in both arrays, in two orders."""
    save(footprints(units=[False, True]), dataset)
    save(traces("C", units=[True, False], dtype="int8"), dataset)


@case
def units_datetime(dataset: Path) -> None:
    """Moments as unit ids, overlapping."""
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-03"], dtype="datetime64[ns]")
    save(footprints(units=days), dataset)
    save(traces("C", units=days[1:]), dataset)


@case
def units_big_numbers(dataset: Path) -> None:
    """Ids beyond what a float holds exactly, int64 beside uint64."""
    save(footprints(units=np.array([2**62, 2**62 + 1], dtype="int64")), dataset)
    save(traces("C", units=np.array([2**62, 2**62 + 1, 2**63 + 5], dtype="uint64")), dataset)


@case
def units_negative_and_unsigned(dataset: Path) -> None:
    """int64 ids with -1 beside uint64 ids."""
    save(footprints(units=np.array([-1, 0, 1], dtype="int64")), dataset)
    save(traces("C", units=np.array([0, 1], dtype="uint64")), dataset)


@case
def frames_differ(dataset: Path) -> None:
    """The movie has more frames than C."""
    save(movie(frames=12), dataset)
    save(traces("C", frames=8), dataset)


@case
def frames_of_a_movie_shorter(dataset: Path) -> None:
    """A uint8 movie of fewer frames becomes float32."""
    save(movie(frames=8), dataset)
    save(traces("C", frames=12), dataset)


@case
def frames_shifted(dataset: Path) -> None:
    """The second half of a recording beside the first, with a frame in common."""
    save(traces("C", frames=range(8)), dataset)
    save(traces("S", frames=range(7, 15)), dataset)


@case
def frames_disjoint(dataset: Path) -> None:
    """Two halves of a recording in one dataset."""
    save(traces("C", frames=range(8)), dataset)
    save(traces("S", frames=range(8, 16)), dataset)


@case
def frames_subsampled(dataset: Path) -> None:
    """Every second frame of a movie."""
    save(movie(frames=range(0, 8, 2), dtype="uint16"), dataset)
    save(traces("C", frames=8), dataset)


@case
def frames_reset_to_0(dataset: Path) -> None:
    """A cropped movie whose frames count from 0 again: silently aligned."""
    save(movie(frames=6), dataset)
    save(traces("C", frames=6), dataset)


@case
def frames_float_equal(dataset: Path) -> None:
    """Float frames of the same value as the integer frames."""
    save(traces("C", frames=4), dataset)
    save(traces("S", frames=[0.0, 1.0, 2.0, 3.0]), dataset)


@case
def frames_float_between(dataset: Path) -> None:
    """Frames as seconds, and as numbers."""
    save(traces("C", frames=4), dataset)
    save(traces("S", frames=[0.0, 0.5, 1.0, 1.5]), dataset)


@case
def frames_float_almost_equal(dataset: Path) -> None:
    """Seconds which differ in the last digit are other labels."""
    save(traces("C", frames=[0.1 * 3, 0.5]), dataset)
    save(traces("S", frames=[0.3, 0.5]), dataset)


@case
def frames_float_with_nan(dataset: Path) -> None:
    """A moment is missing in the same place in both."""
    save(traces("C", frames=[0.0, np.nan, 1.0]), dataset)
    save(traces("S", frames=[0.0, np.nan, 1.0]), dataset)


@case
def frames_float_with_nan_in_one(dataset: Path) -> None:
    """A moment is missing in one of the two."""
    save(traces("C", frames=[0.0, np.nan, 1.0], dtype="int16"), dataset)
    save(traces("S", frames=[0.0, 0.5, 1.0]), dataset)


@case
def frames_descending(dataset: Path) -> None:
    """One array counts its frames downwards."""
    save(traces("C", frames=range(7, -1, -1), dtype="uint8"), dataset)
    save(traces("S", frames=range(8)), dataset)


@case
def frames_as_timestamps(dataset: Path) -> None:
    """Moments as frame labels, in one array more of them."""
    moments = np.datetime64("2024-05-01T10:00", "ns") + np.arange(8) * np.timedelta64(33, "ms")
    save(traces("C", frames=moments), dataset)
    save(traces("S", frames=moments[:6]), dataset)


@case
def frames_as_timestamps_of_two_units(dataset: Path) -> None:
    """Equal moments, stored as seconds in one array and as days in the other."""
    moments = np.array(["2024-05-01", "2024-05-02", "2024-05-03"], dtype="datetime64[ns]")
    save(traces("C", frames=moments), dataset)
    other = traces("S", frames=moments)
    other.frame.encoding = {"units": "seconds since 2024-01-01", "dtype": "float64"}
    save(other, dataset)


@case
def frames_as_timestamps_and_numbers(dataset: Path) -> None:
    """Moments in one array, numbers in the other."""
    moments = np.array(["2024-05-01", "2024-05-02"], dtype="datetime64[ns]")
    save(traces("C", frames=moments), dataset)
    save(traces("S", frames=[0, 1]), dataset)


@case
def frames_as_durations(dataset: Path) -> None:
    """Durations as frame labels."""
    durations = np.arange(5) * np.timedelta64(33, "ms").astype("timedelta64[ns]")
    save(traces("C", frames=durations), dataset)
    save(traces("S", frames=durations[1:]), dataset)


@case
def timestamps_beside_frames(dataset: Path) -> None:
    """Moments as a second coordinate along frame, on both arrays."""
    moments = np.datetime64("2024-05-01T10:00", "ns") + np.arange(8) * np.timedelta64(33, "ms")
    save(traces("C", timestamp=("frame", moments)), dataset, meta=META)
    save(traces("S", timestamp=("frame", moments)), dataset, meta=META)


@case
def timestamps_beside_frames_on_one(dataset: Path) -> None:
    """Moments along frame on C only: spread to all."""
    moments = np.datetime64("2024-05-01T10:00", "ns") + np.arange(8) * np.timedelta64(33, "ms")
    save(traces("C", timestamp=("frame", moments)), dataset)
    save(movie(), dataset)


@case
def timestamps_beside_frames_on_a_subset(dataset: Path) -> None:
    """Moments along frame on the array with fewer frames: padded with NaT."""
    moments = np.datetime64("2024-05-01T10:00", "ns") + np.arange(6) * np.timedelta64(33, "ms")
    save(traces("C", frames=6, timestamp=("frame", moments)), dataset)
    save(movie(frames=8), dataset)


@case
def timestamps_beside_frames_differ(dataset: Path) -> None:
    """One moment differs by a millisecond."""
    moments = np.datetime64("2024-05-01T10:00", "ns") + np.arange(8) * np.timedelta64(33, "ms")
    other = moments.copy()
    other[3] += np.timedelta64(1, "ms")
    save(traces("C", timestamp=("frame", moments)), dataset)
    save(traces("S", timestamp=("frame", other)), dataset)


@case
def pixels_cropped_with_coordinates(dataset: Path) -> None:
    """A movie cropped in memory keeps its pixels' coordinates."""
    save(image("max_proj", height=6, width=8), dataset)
    save(movie(height=range(1, 4), width=range(2, 6)), dataset)


@case
def pixels_cropped_and_reset(dataset: Path) -> None:
    """A cropped image whose coordinates count from 0 again: padded at the wrong side."""
    save(image("max_proj", height=6, width=8), dataset)
    save(image("b", height=3, width=4), dataset)


@case
def pixels_downsampled(dataset: Path) -> None:
    """Every second pixel."""
    save(image("max_proj", height=6, width=8, dtype="uint8"), dataset)
    save(image("b", height=range(0, 6, 2), width=range(0, 8, 2)), dataset)


@case
def pixels_and_units_and_frames_differ(dataset: Path) -> None:
    """Everything differs at once."""
    save(footprints(units=[0, 1, 2], height=5, width=6, dtype="float32"), dataset)
    save(traces("C", units=[1, 2, 3], frames=7, dtype="int64"), dataset)
    save(movie(frames=9, height=range(2, 7), width=4), dataset)
    save(image("mask", height=3, width=9, dtype=bool), dataset)


@case
def transposed(dataset: Path) -> None:
    """S has its dims in another order."""
    save(traces("C"), dataset)
    save(traces("S", units=[0, 2]).transpose("frame", "unit_id"), dataset)


# ---------------------------------------------------------------- dims without a coordinate


@case
def no_coordinates_at_all(dataset: Path) -> None:
    """Arrays without any coordinate, of equal size."""
    save(footprints(units=Bare(5), height=Bare(3), width=Bare(4)), dataset)
    save(traces("C", units=Bare(5), frames=Bare(8)), dataset)


@case
def no_coordinates_at_all_and_sizes_differ(dataset: Path) -> None:
    """Arrays without any coordinate, of different size."""
    save(footprints(units=Bare(5), height=Bare(3), width=Bare(4)), dataset)
    save(traces("C", units=Bare(4), frames=Bare(8)), dataset)


@case
def dim_without_coordinate_of_equal_size(dataset: Path) -> None:
    """C has no unit ids but as many units as A: it adopts A's."""
    save(footprints(units=[3, 5, 8]), dataset)
    save(traces("C", units=Bare(3)), dataset)


@case
def dim_without_coordinate_of_other_size(dataset: Path) -> None:
    """C has no unit ids and fewer units than A."""
    save(footprints(units=[3, 5, 8]), dataset)
    save(traces("C", units=Bare(2)), dataset)


@case
def dim_without_coordinate_beside_two_indexes(dataset: Path) -> None:
    """S has no unit ids and as many units as A, but C has fewer."""
    save(footprints(units=[3, 5, 8]), dataset)
    save(traces("C", units=[3, 5]), dataset)
    save(traces("S", units=Bare(3)), dataset)


@case
def dim_without_coordinate_of_the_unions_size(dataset: Path) -> None:
    """S has no unit ids and as many units as the union of A's and C's."""
    save(footprints(units=[3, 5, 8]), dataset)
    save(traces("C", units=[3, 9]), dataset)
    save(traces("S", units=Bare(4)), dataset)


@case
def dim_without_coordinate_beside_a_reordered(dataset: Path) -> None:
    """S has no unit ids; A and C have the same in two orders."""
    save(footprints(units=[3, 5, 8]), dataset)
    save(traces("C", units=[8, 5, 3]), dataset)
    save(traces("S", units=Bare(3)), dataset)


@case
def frame_without_coordinate_of_other_size(dataset: Path) -> None:
    """A movie without frame labels and with other frames."""
    save(movie(frames=Bare(10)), dataset)
    save(traces("C", frames=8), dataset)


@case
def two_dims_without_coordinate_conflict(dataset: Path) -> None:
    """Two arrays without frame labels, of different length, in a dataset whose other dims agree."""
    save(make("f", frame=Bare(8)), dataset)
    save(make("g", frame=Bare(9)), dataset)
    save(image(), dataset)


# ---------------------------------------------------------------- data types

AS_DATA = {
    "bool": bool,
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "float16": "float16",
    "float32": "float32",
    "float64": "float64",
    "big_endian": ">f8",
    "complex64": "complex64",
    "complex128": "complex128",
    "text": "<U5",
    "object_text": object,
    "datetime": "datetime64[ns]",
    "timedelta": "timedelta64[ns]",
}


def of_dtype(dtype: Any) -> Callable[[Path], None]:
    """Return a case with an array of a data type that is aligned, and one that is padded."""

    def build(dataset: Path) -> None:
        save(make("aligned", dtype, unit_id=5, frame=3), dataset)
        save(make("padded", dtype, unit_id=[1, 2], frame=3), dataset)

    build.__doc__ = f"An array of {dtype} aligned, and one padded."
    return build


for _name, _dtype in AS_DATA.items():
    case(of_dtype(_dtype), name=f"dtype_{_name}")


@case
def raw_bool(dataset: Path) -> None:
    """A boolean array which zarr itself wrote as boolean, padded."""
    folder = save(make("mask", "int8", unit_id=[1, 2]), dataset)
    shutil.rmtree(folder / "mask")
    array = zarr.open_group(str(folder)).create_dataset("mask", shape=(2,), dtype=bool, fill_value=None)
    array[...] = True
    array.attrs["_ARRAY_DIMENSIONS"] = ["unit_id"]
    consolidate(folder)
    save(footprints(), dataset)


@case
def raw_datetime(dataset: Path) -> None:
    """Moments which zarr itself wrote as moments, padded."""
    folder = save(make("when", "int64", unit_id=[1, 2]), dataset)
    shutil.rmtree(folder / "when")
    array = zarr.open_group(str(folder)).create_dataset("when", shape=(2,), dtype="M8[ns]", fill_value=None)
    array[...] = np.array(["2024-01-01", "2024-01-02"], dtype="M8[ns]")
    array.attrs["_ARRAY_DIMENSIONS"] = ["unit_id"]
    consolidate(folder)
    save(footprints(), dataset)


@case
def raw_bytes(dataset: Path) -> None:
    """Fixed-width bytes, one aligned and one padded."""
    save(xr.DataArray(np.array([b"ab", b"cd"]), dims="unit_id", coords={"unit_id": [0, 1]}, name="padded"), dataset)
    save(xr.DataArray(np.full(3, b"ab"), dims="unit_id", coords={"unit_id": [0, 1, 2]}, name="aligned"), dataset)


# ---------------------------------------------------------------- sizes 0, no dims, no arrays


@case
def no_units_left(dataset: Path) -> None:
    """All units were dropped from C; A keeps its own: C is all NaN."""
    save(footprints(), dataset)
    save(traces("C", units=[]), dataset)


@case
def no_units_left_as_integers(dataset: Path) -> None:
    """No units in C, its ids still integers."""
    save(footprints(dtype="uint8"), dataset)
    save(traces("C", units=np.array([], dtype="int64"), dtype="uint8"), dataset)


@case
def no_units_in_any(dataset: Path) -> None:
    """No units in any array."""
    save(footprints(units=np.array([], dtype="int64")), dataset)
    save(traces("C", units=np.array([], dtype="int64")), dataset)


@case
def no_units_but_more_frames(dataset: Path) -> None:
    """No units, and frames are padded: nothing is filled in, but the type changes."""
    save(traces("C", units=np.array([], dtype="int64"), frames=4, dtype="uint8"), dataset)
    save(make("f", frame=8), dataset)


@case
def no_units_without_coordinate(dataset: Path) -> None:
    """No units and no ids, beside an A with units."""
    save(footprints(), dataset)
    save(traces("C", units=Bare(0)), dataset)


@case
def no_units_without_coordinate_alone(dataset: Path) -> None:
    """No units and no ids, and no other array with units."""
    save(traces("C", units=Bare(0)), dataset)
    save(image(), dataset)


@case
def no_units_of_text(dataset: Path) -> None:
    """No units in a text array, beside an A with units."""
    save(footprints(), dataset)
    save(traces("note", units=np.array([], dtype="int64"), dtype="<U5"), dataset)


@case
def no_units_of_each_dtype(dataset: Path) -> None:
    """No units in arrays of several types, beside an A with units: all are filled in."""
    save(footprints(), dataset)
    for name, dtype in {"n": "uint8", "x": "float32", "c": "complex64", "m": bool, "t": "datetime64[ns]"}.items():
        save(make(name, dtype, unit_id=np.array([], dtype="int64")), dataset)


@case
def no_frames(dataset: Path) -> None:
    """A movie without frames."""
    save(movie(frames=np.array([], dtype="int64")), dataset)
    save(traces("C"), dataset)


@case
def scalar_array(dataset: Path) -> None:
    """A single number as an array."""
    save(xr.DataArray(3.5, name="threshold"), dataset, meta=META)
    save(traces("C"), dataset, meta=META)


@case
def scalar_integer_and_text(dataset: Path) -> None:
    """Single values of other types."""
    save(xr.DataArray(np.int16(3), name="threshold"), dataset)
    save(xr.DataArray("some text", name="note"), dataset)
    save(traces("C"), dataset)


@case
def empty_dataset(dataset: Path) -> None:
    """A dataset folder with nothing in it."""
    dataset.mkdir()


@case
def only_files(dataset: Path) -> None:
    """A dataset folder with plain files only."""
    dataset.mkdir()
    (dataset / "notes.txt").write_text("nothing")
    (dataset / ".DS_Store").write_bytes(b"\0")


# ---------------------------------------------------------------- scalar coordinates


def with_sessions(first: Any, second: Any, name: str = "session") -> Callable[[Path], None]:
    """Return a case of two arrays with these scalar coordinates; None for without."""

    def build(dataset: Path) -> None:
        save(footprints(**({} if first is None else {name: first})), dataset)
        save(traces("C", **({} if second is None else {name: second})), dataset)

    build.__doc__ = f"The {name} is {first!r} on one array and {second!r} on the other; None means none."
    return build


for _name, _pair in {
    "equal": ("session1", "session1"),
    "differ": ("session1", "session2"),
    "zero_padded": ("1", "01"),
    "text_and_int": ("1", 1),
    "int_and_float": (1, 1.0),
    "int_and_other_float": (1, 1.5),
    "ints": (1, 1),
    "ints_differ": (1, 2),
    "int_widths": (np.int8(1), np.int64(1)),
    "missing_on_one": ("session1", None),
    "nan_and_number": (np.nan, 1.0),
    "nan_and_nan": (np.nan, np.nan),
    "nan_and_text": (np.nan, "session1"),
    "nan_and_int": (np.nan, 3),
    "case_differs": ("Session1", "session1"),
    "text_widths": (np.array("s1", dtype="<U2"), np.array("s1", dtype="<U9")),
    "object_and_text": (np.array("s1", dtype=object), np.array("s1", dtype="<U2")),
    "bytes_and_text": (np.array(b"s1"), np.array("s1")),
    "bool_and_int": (True, 1),
    "bools": (True, False),
    "text_empty_and_not": ("", "session1"),
    "dates": (np.datetime64("2024-01-01", "ns"), np.datetime64("2024-01-01", "ns")),
    "dates_differ": (np.datetime64("2024-01-01", "ns"), np.datetime64("2024-01-02", "ns")),
    "date_and_nat": (np.datetime64("2024-01-01", "ns"), np.datetime64("NaT", "ns")),
    "date_and_text": (np.datetime64("2024-01-01", "ns"), "2024-01-01"),
    "floats_almost_equal": (0.1 * 3, 0.3),
}.items():
    case(with_sessions(*_pair), name=f"session_{_name}")


@case
def session_missing_on_two_of_three(dataset: Path) -> None:
    """The session is on one array of three: spread to all."""
    save(footprints(), dataset)
    save(traces("C"), dataset, meta=META)
    save(traces("S"), dataset)


@case
def session_differs_on_the_third(dataset: Path) -> None:
    """The session of one array of three differs; the animal agrees."""
    save(footprints(session="s1", animal="m1"), dataset)
    save(traces("C", session="s1", animal="m1"), dataset)
    save(traces("S", session="s2", animal="m1"), dataset)


@case
def session_fills_nan_and_conflicts(dataset: Path) -> None:
    """NaN agrees with anything, but the two others do not agree with one another."""
    save(footprints(session=np.nan), dataset)
    save(traces("C", session=1.0), dataset)
    save(traces("S", session=2.0), dataset)


@case
def animal_differs(dataset: Path) -> None:
    """The folder was copied from another animal and one array saved anew."""
    save(footprints(session="s1", animal="m1"), dataset)
    save(traces("C", session="s1", animal="m2"), dataset)


@case
def scalar_names_differ(dataset: Path) -> None:
    """The session stands under other names: all are spread."""
    save(footprints(session="s1"), dataset)
    save(traces("C", sess="s1", experiment="linear track"), dataset)


@case
def scalar_named_as_a_dim(dataset: Path) -> None:
    """A scalar coordinate frame on the projection of a single frame, a dim elsewhere."""
    save(movie(), dataset)
    save(image("frame0", frame=0), dataset)


@case
def scalar_unit_beside_units(dataset: Path) -> None:
    """The footprint of a single unit has its id as a scalar."""
    save(traces("C"), dataset)
    save(footprints().isel(unit_id=2).rename("A2"), dataset)


@case
def scalar_named_as_a_dim_in_a_label(dataset: Path) -> None:
    """A scalar coordinate named as another array's coordinate along a dim."""
    save(traces("C", unit_labels=("unit_id", [0, 1, 2, 3, 4])), dataset)
    save(image("b", unit_labels=3), dataset)


@case
def session_along_frames(dataset: Path) -> None:
    """The session stands along frame in one array, as a scalar in the other."""
    save(traces("C", session=("frame", ["s1"] * 8)), dataset)
    save(footprints(session="s1"), dataset)


@case
def real_meta_dict_of_two_folders(dataset: Path) -> None:
    """One array was saved in another session's folder and copied here: the sessions differ."""
    save(footprints(), dataset, meta=META)
    other = save(traces("C"), dataset.parents[1] / "session2" / "minian", meta=META)
    shutil.copytree(other, dataset / "C.zarr")


# ---------------------------------------------------------------- other coordinates


@case
def labels_on_all(dataset: Path) -> None:
    """unit_labels after curation on all arrays."""
    labels = ("unit_id", [0, 1, 2, -1, 4])
    for array in (footprints(unit_labels=labels), traces("C", unit_labels=labels), traces("S", unit_labels=labels)):
        save(array, dataset, meta=META)


@case
def labels_on_one(dataset: Path) -> None:
    """unit_labels on C only: spread to A."""
    save(footprints(), dataset)
    save(traces("C", unit_labels=("unit_id", [0, 1, 2, -1, 4])), dataset)


@case
def labels_differ(dataset: Path) -> None:
    """unit_labels contradict one another."""
    save(footprints(unit_labels=("unit_id", [0, 1, 2, 3, 4])), dataset)
    save(traces("C", unit_labels=("unit_id", [0, 1, 2, -1, 4])), dataset)


@case
def labels_on_a_subset(dataset: Path) -> None:
    """unit_labels on an array with fewer units become float."""
    save(footprints(units=[0, 1, 2, 3]), dataset)
    save(traces("C", units=[0, 2], unit_labels=("unit_id", [0, -1])), dataset)


@case
def labels_on_a_subset_agree(dataset: Path) -> None:
    """unit_labels on all units, and the same on fewer: no conflict, for NaN agrees."""
    save(footprints(units=[0, 1, 2, 3], unit_labels=("unit_id", [0, 1, -1, 3])), dataset)
    save(traces("C", units=[0, 2], unit_labels=("unit_id", [0, -1])), dataset)


@case
def labels_on_a_subset_disagree(dataset: Path) -> None:
    """unit_labels on fewer units, one of them another."""
    save(footprints(units=[0, 1, 2, 3], unit_labels=("unit_id", [0, 1, -1, 3])), dataset)
    save(traces("C", units=[0, 2], unit_labels=("unit_id", [0, 2])), dataset)


@case
def labels_on_disjoint_units(dataset: Path) -> None:
    """unit_labels on two sets of units: put together."""
    save(footprints(units=[0, 1], unit_labels=("unit_id", [0, 1])), dataset)
    save(traces("C", units=[2, 3], unit_labels=("unit_id", [-1, 3])), dataset)


@case
def labels_with_nan(dataset: Path) -> None:
    """NaN in unit_labels agrees with any label."""
    save(footprints(units=3, unit_labels=("unit_id", [0.0, np.nan, 2.0])), dataset)
    save(traces("C", units=3, unit_labels=("unit_id", [0.0, 1.0, 2.0])), dataset)


@case
def labels_with_nan_in_turn(dataset: Path) -> None:
    """Each array knows a label that the other lacks."""
    save(footprints(units=3, unit_labels=("unit_id", [0.0, np.nan, 2.0])), dataset)
    save(traces("C", units=3, unit_labels=("unit_id", [np.nan, 1.0, 2.0])), dataset)
    save(traces("S", units=3, unit_labels=("unit_id", [0.0, 1.0, 9.0])), dataset)


@case
def labels_int_and_float(dataset: Path) -> None:
    """Equal unit_labels as int and as float."""
    save(footprints(units=3, unit_labels=("unit_id", [0, 1, 2])), dataset)
    save(traces("C", units=3, unit_labels=("unit_id", [0.0, 1.0, 2.0])), dataset)


@case
def labels_text_and_int(dataset: Path) -> None:
    """unit_labels as text and as numbers."""
    save(footprints(units=3, unit_labels=("unit_id", [0, 1, 2])), dataset)
    save(traces("C", units=3, unit_labels=("unit_id", ["0", "1", "2"])), dataset)


@case
def labels_text(dataset: Path) -> None:
    """unit_labels as text on two arrays, one with fewer units."""
    save(footprints(units=3, unit_labels=("unit_id", ["cell", "junk", "cell"])), dataset)
    save(traces("C", units=[0, 1], unit_labels=("unit_id", ["cell", "junk"])), dataset)


@case
def labels_as_objects(dataset: Path) -> None:
    """unit_labels as text objects, agreeing."""
    labels = ("unit_id", np.array(["cell", "junk", "cell"], dtype=object))
    save(footprints(units=3, unit_labels=labels), dataset)
    save(traces("C", units=3, unit_labels=labels), dataset)


@case
def labels_as_objects_differ(dataset: Path) -> None:
    """unit_labels as text objects, disagreeing."""
    save(footprints(units=2, unit_labels=("unit_id", np.array(["cell", "junk"], dtype=object))), dataset)
    save(traces("C", units=2, unit_labels=("unit_id", np.array(["cell", "cell"], dtype=object))), dataset)


@case
def labels_as_bools(dataset: Path) -> None:
    """A boolean coordinate on all units, and on fewer."""
    save(footprints(units=3, good=("unit_id", [True, False, True])), dataset)
    save(traces("C", units=[0, 1], good=("unit_id", [True, False])), dataset)


@case
def labels_as_bools_differ(dataset: Path) -> None:
    """A boolean coordinate contradicts itself."""
    save(footprints(units=2, good=("unit_id", [True, False])), dataset)
    save(traces("C", units=2, good=("unit_id", [True, True])), dataset)


@case
def labels_without_unit_ids(dataset: Path) -> None:
    """unit_labels along a dim that has no ids."""
    save(footprints(units=Bare(3), unit_labels=("unit_id", [0, 1, 2])), dataset)
    save(traces("C", units=[4, 5, 6]), dataset)


@case
def labels_without_unit_ids_differ(dataset: Path) -> None:
    """unit_labels along a dim that has no ids, contradictory."""
    save(footprints(units=Bare(3), unit_labels=("unit_id", [0, 1, 2])), dataset)
    save(traces("C", units=Bare(3), unit_labels=("unit_id", [0, 1, 1])), dataset)


@case
def labels_reordered(dataset: Path) -> None:
    """unit_labels agree unit by unit, though the order differs."""
    save(footprints(units=[0, 1, 2], unit_labels=("unit_id", [10, 11, 12])), dataset)
    save(traces("C", units=[2, 0, 1], unit_labels=("unit_id", [12, 10, 11])), dataset)


@case
def labels_reordered_disagree(dataset: Path) -> None:
    """unit_labels agree by position, but not unit by unit."""
    save(footprints(units=[0, 1, 2], unit_labels=("unit_id", [10, 11, 12])), dataset)
    save(traces("C", units=[2, 0, 1], unit_labels=("unit_id", [10, 11, 12])), dataset)


@case
def labels_along_two_dims(dataset: Path) -> None:
    """A coordinate of one name along units here and along frames there."""
    save(footprints(units=3, tag=("unit_id", [0, 1, 2])), dataset)
    save(traces("C", units=3, frames=3, tag=("frame", [0, 1, 2])), dataset)


@case
def coordinate_of_pixels(dataset: Path) -> None:
    """A coordinate over height and width, on two arrays."""
    where = (("height", "width"), np.arange(12).reshape(3, 4))
    save(image(pos=where), dataset)
    save(footprints(pos=where), dataset)


@case
def coordinate_of_pixels_on_a_crop(dataset: Path) -> None:
    """A coordinate over height and width, on an image and on a crop of it."""
    whole = image(pos=(("height", "width"), np.arange(12).reshape(3, 4)))
    save(whole, dataset)
    save(whole.isel(height=slice(1, 3), width=slice(0, 2)).rename("b"), dataset)


@case
def coordinate_of_pixels_differs(dataset: Path) -> None:
    """A coordinate over height and width which contradicts itself."""
    where = np.arange(12).reshape(3, 4)
    save(image(pos=(("height", "width"), where)), dataset)
    save(footprints(pos=(("height", "width"), where + 1)), dataset)


@case
def coordinate_of_pixels_transposed(dataset: Path) -> None:
    """A coordinate over height and width, stored transposed in the other array."""
    where = np.arange(12).reshape(3, 4)
    save(image(pos=(("height", "width"), where)), dataset)
    save(footprints(pos=(("width", "height"), where.T)), dataset)


@case
def coordinate_on_one_only(dataset: Path) -> None:
    """C has frame labels and the movie none, the session is on the movie only."""
    save(movie(frames=Bare(8)), dataset, meta=META)
    save(traces("C"), dataset)


@case
def coordinate_of_a_dim_named_otherwise(dataset: Path) -> None:
    """One array calls its units unit_id and the other unit."""
    save(footprints(), dataset)
    save(make("C", unit=4, frame=8), dataset)


@case
def coordinate_named_as_an_array(dataset: Path) -> None:
    """A coordinate of one array has the name of another array."""
    save(traces("C", S=("unit_id", [0, 1, 2, 3, 4])), dataset)
    save(traces("S"), dataset)


@case
def coordinate_named_as_an_array_of_its_dims(dataset: Path) -> None:
    """An array unit_labels was saved as an array, and is a coordinate of C too."""
    save(traces("C", unit_labels=("unit_id", [0, 1, 2, 3, 4])), dataset)
    save(make("unit_labels", "int64", unit_id=5), dataset)


@case
def coordinate_named_as_an_array_and_differing(dataset: Path) -> None:
    """An array unit_labels contradicts the coordinate unit_labels."""
    save(traces("C", unit_labels=("unit_id", [0, 1, 2, 3, 9])), dataset)
    save(make("unit_labels", "int64", unit_id=5), dataset)


@case
def array_named_as_a_dim(dataset: Path) -> None:
    """A coordinate was saved as an array of its own: the folder has no data variable."""
    save(traces("C"), dataset)
    write(xr.Dataset(coords={"frame": np.arange(8)}), dataset / "frame.zarr")


@case
def array_named_as_a_dim_of_others(dataset: Path) -> None:
    """An array named frame over another dim."""
    save(traces("C"), dataset)
    save(xr.DataArray(np.arange(3), dims="event", name="frame"), dataset)


@case
def array_named_as_a_scalar(dataset: Path) -> None:
    """An array named session beside the scalar coordinate session."""
    save(traces("C"), dataset, meta=META)
    save(xr.DataArray(np.arange(3), dims="event", name="session"), dataset)
