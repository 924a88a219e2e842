"""Dataset folders with foreign, renamed, stale, spoilt or odd files, one function each.

A function is given a path that does not exist yet, ``mouse1/session1/minian``, and builds there what is to be opened.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import dask.array
import numpy as np
import xarray as xr
import zarr
from making import (
    DAMAGES,
    META,
    Bare,
    chunks_of,
    consolidate,
    damage,
    edit,
    edit_array,
    edit_attributes,
    footprints,
    forget,
    image,
    make,
    movie,
    save,
    traces,
    write,
)
from oracle import minian, quiet
from registry import CASES

case = CASES

STAGES = {
    "00": "stage-00-init",
    "01": "stage-01-first-spatial",
    "02": "stage-02-first-temporal",
    "03": "stage-03-merge",
    "04": "stage-04-second-spatial",
    "05": "stage-05-second-temporal",
    "06": "stage-06-final",
}
UNINITIALISED = "a missing chunk of a coordinate without a fill value is uninitialised memory"
BEYOND = "the decompressor reads past the end of what it was given"


def two(dataset: Path) -> Path:
    """Save two arrays that agree; return the folder of the second, C."""
    save(footprints(), dataset, meta=META)
    return save(traces("C"), dataset, meta=META)


# ---------------------------------------------------------------- real output


def real(stage: str, session: str, folder: str) -> Callable[[Path, Path], None]:
    """Return a case that is one folder of the real run."""

    def build(dataset: Path, stages: Path) -> None:
        shutil.copytree(stages / stage / "mouse1" / session / folder, dataset)

    build.__doc__ = f"What MiniAn left at {stage} in {session}/{folder}."
    return build


for _number, _stage in STAGES.items():
    for _session in ("session1", "session2"):
        for _folder in ("minian_intermediate", "minian"):
            case(real(_stage, _session, _folder), name=f"real_{_number}_{_session}_{_folder}")


@case
def real_intermediate_beside_final(dataset: Path, stages: Path) -> None:
    """The final arrays copied into the intermediate folder: some with a session, some without."""
    session = stages / STAGES["06"] / "mouse1" / "session1"
    shutil.copytree(session / "minian_intermediate", dataset)
    shutil.copytree(session / "minian", dataset, dirs_exist_ok=True)


@case
def real_of_two_stages(dataset: Path, stages: Path) -> None:
    """C of the last stage put back among the arrays of the first."""
    shutil.copytree(stages / STAGES["01"] / "mouse1" / "session1" / "minian_intermediate", dataset)
    shutil.rmtree(dataset / "C.zarr")
    shutil.copytree(
        stages / STAGES["05"] / "mouse1" / "session1" / "minian_intermediate" / "C.zarr", dataset / "C.zarr"
    )


@case
def real_of_two_sessions(dataset: Path, stages: Path) -> None:
    """max_proj of the other session among this session's arrays."""
    run = stages / STAGES["06"] / "mouse1"
    shutil.copytree(run / "session1" / "minian", dataset)
    shutil.rmtree(dataset / "max_proj.zarr", ignore_errors=True)
    shutil.copytree(run / "session2" / "minian" / "max_proj.zarr", dataset / "max_proj.zarr")


# ---------------------------------------------------------------- two folders with one inner name


@case
def one_name_twice_equal(dataset: Path) -> None:
    """A copy of C.zarr beside it, as it was."""
    folder = two(dataset)
    shutil.copytree(folder, dataset / "C_backup.zarr")


@case
def one_name_three_times_equal(dataset: Path) -> None:
    """Two copies of C.zarr beside it."""
    folder = two(dataset)
    shutil.copytree(folder, dataset / "C copy.zarr")
    shutil.copytree(folder, dataset / "C copy 2.zarr")


@case
def one_name_twice_and_a_subset_elsewhere(dataset: Path) -> None:
    """A copy of C.zarr beside it, while A has more units: both copies are padded."""
    save(footprints(units=7), dataset)
    folder = save(traces("C", units=[0, 2]), dataset)
    shutil.copytree(folder, dataset / "C_backup.zarr")


def twice(text: str, first: xr.DataArray, second: xr.DataArray, name: str) -> None:
    """Register a case of C.zarr and of another folder whose array is named C too."""

    def build(dataset: Path) -> None:
        save(first, dataset)
        write(second, dataset / "C_backup.zarr")

    build.__doc__ = text
    case(build, name=f"one_name_twice_{name}")


_C = traces("C")
twice("A copy of C.zarr beside it, from before C changed.", _C, _C + 1, "changed")
twice("A copy of C.zarr beside it, saved as float32 of the same values.", _C, _C.astype("float32"), "other_dtype")
twice("A copy of C as integers of the same values.", _C, _C.astype("int64"), "as_integers")
twice("A copy of C.zarr beside it, all NaN: NaN agrees.", _C, _C * np.nan, "all_nan")
twice("A copy of C.zarr beside it with a NaN in it.", _C, _C.where(_C != 5), "some_nan")
twice("A part of C beside it: the same values.", _C, _C.isel(unit_id=[1, 3]), "subset")
twice("A part of C beside it, changed.", _C, _C.isel(unit_id=[1, 3]) + 1, "subset_changed")
twice("C in two halves of the units.", _C.isel(unit_id=[0, 1]), _C.isel(unit_id=[2, 3, 4]), "disjoint_units")
twice(
    "C in two halves, units and frames: the corners are missing.",
    _C.isel(unit_id=[0, 1], frame=slice(0, 4)),
    _C.isel(unit_id=[2, 3, 4], frame=slice(4, 8)),
    "disjoint_units_and_frames",
)
twice(
    "C in two overlapping parts which agree.",
    _C.isel(unit_id=[0, 1, 2]),
    _C.isel(unit_id=[2, 3, 4], frame=[0, 1]),
    "overlapping",
)
twice("C beside itself with the units in another order.", _C, _C.isel(unit_id=[4, 2, 0, 1, 3]), "reordered")
twice("C beside itself transposed.", _C, _C.transpose("frame", "unit_id"), "transposed")
twice("Another array named C, over pixels.", _C, image("C"), "other_dims")
twice("The mean over units, still named C.", _C, _C.mean("unit_id"), "fewer_dims")
twice("C of another number of units, without ids.", _C, traces("C", units=Bare(3)), "other_size")
twice("C of the same number of units, without ids.", _C, traces("C", units=Bare(5)), "without_ids")
twice("A constant C, and one unit's trace, equal where they meet.", _C * 0, _C[0] * 0, "broadcast_equal")
twice("Integers in two halves of the units.", _C.astype("int16")[:2], _C.astype("int16")[2:], "disjoint_integers")
twice("Integers twice, the same.", _C.astype("uint8"), _C.astype("uint8"), "equal_integers")
twice("Another coordinate on the copy.", _C, _C.assign_coords(unit_labels=("unit_id", [0, 1, 2, 3, 4])), "with_labels")
twice("Another session on the copy.", _C.assign_coords(session="s1"), _C.assign_coords(session="s2"), "other_session")
twice(
    "No values to disagree about.",
    traces("C", units=np.array([], dtype="int64")),
    traces("C", units=np.array([], dtype="int64"), dtype="int32"),
    "no_units",
)
twice("Text twice, the same.", traces("C", dtype="<U5"), traces("C", dtype="<U5"), "text")
twice("Text in two halves of the units.", traces("C", dtype="<U5")[:2], traces("C", dtype="<U5")[2:], "disjoint_text")
twice("Complex numbers twice, the same.", traces("C", dtype="complex64"), traces("C", dtype="complex64"), "complex")


@case
def one_name_twice_and_a_chunk_missing(dataset: Path) -> None:
    """A copy of C.zarr beside it lost its data: NaN agrees."""
    folder = two(dataset)
    shutil.copytree(folder, dataset / "C_backup.zarr")
    (dataset / "C_backup.zarr" / "C" / "0.0").unlink()


@case
def one_name_twice_and_a_chunk_spoilt(dataset: Path) -> None:
    """A copy of C.zarr beside it has a chunk that cannot be decoded: opening reads it."""
    folder = two(dataset)
    shutil.copytree(folder, dataset / "C_backup.zarr")
    (dataset / "C_backup.zarr" / "C" / "0.0").write_bytes(b"")


# ---------------------------------------------------------------- names and kinds of folders


@case
def renamed_folder(dataset: Path) -> None:
    """C.zarr renamed to C_old.zarr loads as C."""
    two(dataset).rename(dataset / "C_old.zarr")


@case
def renamed_folder_and_a_new_one(dataset: Path) -> None:
    """C.zarr renamed to S.zarr, and the real S is gone: two arrays, one of them misnamed."""
    two(dataset).rename(dataset / "S.zarr")
    save(traces("YrA"), dataset, meta=META)


@case
def renamed_inner_folder(dataset: Path) -> None:
    """The inner folder was renamed too, .zmetadata was not."""
    folder = two(dataset)
    (folder / "C").rename(folder / "C_old")


@case
def renamed_inner_folder_without_zmetadata(dataset: Path) -> None:
    """The inner folder was renamed, and there is no .zmetadata."""
    folder = two(dataset)
    (folder / "C").rename(folder / "C_old")
    forget(folder)


@case
def renamed_inner_folder_and_consolidated(dataset: Path) -> None:
    """The inner folder was renamed properly: the array has the new name."""
    folder = two(dataset)
    (folder / "C").rename(folder / "C_old")
    consolidate(folder)


@case
def without_suffix(dataset: Path) -> None:
    """Folders without .zarr are arrays all the same."""
    two(dataset).rename(dataset / "C")


@case
def several_variables(dataset: Path) -> None:
    """A folder with three data variables: only one of them is taken."""
    save(footprints(), dataset)
    write(xr.Dataset({"zeta": traces("zeta"), "beta": traces("beta"), "C": traces("C")}), dataset / "all.zarr")


@case
def several_variables_without_zmetadata(dataset: Path) -> None:
    """A folder with three data variables and no .zmetadata."""
    several_variables(dataset)
    forget(dataset / "all.zarr")


@case
def several_variables_appended(dataset: Path) -> None:
    """A data variable was appended to C.zarr by plain xarray."""
    folder = two(dataset)
    write(traces("B"), folder, mode="a")


@case
def several_variables_of_other_dims(dataset: Path) -> None:
    """The first data variable is over pixels, the second over units; coordinates of both are there."""
    save(traces("S", units=[0, 1]), dataset)
    write(xr.Dataset({"zeta": image("zeta"), "C": traces("C")}), dataset / "both.zarr")


@case
def coordinates_of_absent_dims(dataset: Path) -> None:
    """A folder with a coordinate along a dim that its array does not have."""
    save(footprints(), dataset)
    write(xr.Dataset({"f": make("f", frame=8)}, coords={"unit_id": [0, 1]}), dataset / "f.zarr")


@case
def scalar_coordinate_not_named_by_the_array(dataset: Path) -> None:
    """A data variable without dims beside the array, not marked as a coordinate."""
    save(footprints(), dataset)
    write(xr.Dataset({"session": xr.DataArray("s1"), "C": traces("C")}), dataset / "C.zarr")


@case
def coordinates_only(dataset: Path) -> None:
    """A group with coordinates and no array."""
    two(dataset)
    write(xr.Dataset(coords={"frame": np.arange(8)}), dataset / "coords.zarr")


@case
def group_without_arrays(dataset: Path) -> None:
    """A group with nothing in it."""
    two(dataset)
    zarr.open_group(str(dataset / "nothing.zarr"), mode="w")


@case
def foreign_folder(dataset: Path) -> None:
    """A folder with figures among the arrays."""
    two(dataset)
    (dataset / "figures").mkdir()
    (dataset / "figures" / "cells.png").write_bytes(b"\x89PNG")


@case
def foreign_folder_with_folders(dataset: Path) -> None:
    """A folder with folders among the arrays."""
    two(dataset)
    (dataset / "figures" / "old").mkdir(parents=True)
    (dataset / "figures" / "old" / "cells.png").write_bytes(b"\x89PNG")


@case
def foreign_folder_alone(dataset: Path) -> None:
    """A dataset folder that holds one foreign folder only."""
    (dataset / "figures").mkdir(parents=True)


@case
def hidden_folder(dataset: Path) -> None:
    """Jupyter left its checkpoints among the arrays."""
    two(dataset)
    (dataset / ".ipynb_checkpoints").mkdir()


@case
def hidden_array(dataset: Path) -> None:
    """An array folder with a dot before its name is taken too."""
    two(dataset).rename(dataset / ".C.zarr")


@case
def empty_folder(dataset: Path) -> None:
    """An empty folder among the arrays."""
    two(dataset)
    (dataset / "S.zarr").mkdir()


@case
def uuid_folder(dataset: Path) -> None:
    """A rechunk was killed: its uuid folder, a bare array, is still there."""
    two(dataset)
    target = dataset / "1b0f9f0e-7a5c-4b1f-8a59-3ff0d9c0b7a1"
    zarr.open_array(str(target), mode="w", shape=(5, 8), chunks=(5, 4), dtype="f8")[...] = 1.0


@case
def uuid_folder_half_moved(dataset: Path) -> None:
    """A rechunk was killed while its chunks were moved: the uuid folder has chunks and no .zarray."""
    folder = two(dataset)
    target = dataset / "1b0f9f0e-7a5c-4b1f-8a59-3ff0d9c0b7a1"
    shutil.copytree(folder / "C", target)
    (target / ".zarray").unlink()


@case
def rechunk_killed_before_the_move(dataset: Path) -> None:
    """A rechunk was killed when the array's own files were gone and nothing was moved yet."""
    folder = two(dataset)
    target = dataset / "1b0f9f0e-7a5c-4b1f-8a59-3ff0d9c0b7a1"
    (folder / "C").rename(target)
    (folder / "C").mkdir()


@case
def rechunk_killed_amid_the_move(dataset: Path) -> None:
    """A really killed rechunk: .zarray was moved or not, and the uuid folder is still there."""
    save(footprints(), dataset, meta=META)
    moved: list[str] = []
    rename = os.rename

    def stop_after_two(source: str, target: str, **options: Any) -> None:
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(source)
        rename(source, target, **options)

    array = traces("C").chunk(unit_id=1)
    with mock.patch.object(minian().os, "rename", stop_after_two):
        try:
            save(array, dataset, meta=META, chunks={"unit_id": -1, "frame": 2})
        except KeyboardInterrupt:
            return
    raise AssertionError("the rechunk was not interrupted")


@case
def bare_array(dataset: Path) -> None:
    """An array folder without a group around it."""
    two(dataset)
    shutil.move(dataset / "C.zarr" / "C", dataset / "D.zarr")


@case
def group_and_array_in_one(dataset: Path) -> None:
    """A folder with .zgroup and .zarray both."""
    folder = two(dataset)
    shutil.copy(folder / "C" / ".zarray", folder / ".zarray")


@case
def group_and_array_in_one_without_zmetadata(dataset: Path) -> None:
    """A folder with .zgroup and .zarray both, and no .zmetadata."""
    group_and_array_in_one(dataset)
    forget(dataset / "C.zarr")


@case
def nested_dataset(dataset: Path) -> None:
    """A dataset folder copied into itself."""
    two(dataset)
    shutil.copytree(dataset / "C.zarr", dataset / "minian" / "C.zarr")


@case
def nested_dataset_with_a_root_group(dataset: Path) -> None:
    """A dataset folder with a .zgroup of its own, copied into another: a group without arrays."""
    two(dataset)
    shutil.copytree(dataset / "C.zarr", dataset / "minian" / "C.zarr")
    (dataset / "minian" / ".zgroup").write_text('{"zarr_format": 2}')


@case
def nested_group(dataset: Path) -> None:
    """A group inside an array folder."""
    folder = two(dataset)
    write(traces("D"), folder / "inner")
    consolidate(folder)


@case
def nested_group_without_zmetadata(dataset: Path) -> None:
    """A group inside an array folder, and no .zmetadata."""
    nested_group(dataset)
    forget(dataset / "C.zarr")


@case
def foreign_folder_in_an_array_folder(dataset: Path) -> None:
    """Folders and files that are not zarr's inside C.zarr."""
    folder = two(dataset)
    (folder / "figures").mkdir()
    (folder / "notes.txt").write_text("nothing")
    (folder / "C" / "notes.txt").write_text("nothing")
    (folder / "C" / ".ipynb_checkpoints").mkdir()


@case
def foreign_folder_in_an_array_folder_without_zmetadata(dataset: Path) -> None:
    """Folders and files that are not zarr's inside C.zarr, and no .zmetadata."""
    foreign_folder_in_an_array_folder(dataset)
    forget(dataset / "C.zarr")


@case
def plain_files(dataset: Path) -> None:
    """Plain files among the arrays are passed over, .zgroup too."""
    two(dataset)
    (dataset / "timeStamps.csv").write_text("Frame Number,Time Stamp (ms)\n0,0\n")
    (dataset / ".zgroup").write_text('{"zarr_format": 2}')
    (dataset / ".zmetadata").write_text("garbage")


def as_zarr_3(folder: Path) -> None:
    """Write the metadata of one array folder by hand as format 3 has it."""
    for name in ("C", "unit_id", "frame"):
        old = json.loads((folder / name / ".zarray").read_text())
        document = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": old["shape"],
            "data_type": "float64" if name == "C" else "int64",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": old["chunks"]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "attributes": {},
            "dimension_names": ["unit_id", "frame"] if name == "C" else [name],
        }
        (folder / name / "zarr.json").write_text(json.dumps(document))
    group = {"zarr_format": 3, "node_type": "group", "attributes": {}}
    (folder / "zarr.json").write_text(json.dumps(group))


@case
def zarr_3(dataset: Path) -> None:
    """A folder of zarr format 3, which zarr 2 does not see."""
    save(footprints(), dataset)
    folder = save(traces("C"), dataset)
    as_zarr_3(folder)
    for path in folder.rglob(".z*"):
        path.unlink()


@case
def zarr_3_beside_2(dataset: Path) -> None:
    """A folder with the metadata of both formats."""
    save(footprints(), dataset)
    as_zarr_3(save(traces("C"), dataset))


@case
def zarr_3_arrays_in_a_group_of_2(dataset: Path) -> None:
    """A group of format 2 whose arrays are of format 3, without .zmetadata."""
    save(footprints(), dataset)
    folder = save(traces("C"), dataset)
    as_zarr_3(folder)
    for path in folder.glob("*/.z*"):
        path.unlink()
    forget(folder)


@case
def symlinked_array(dataset: Path) -> None:
    """An array folder that is a link to another place."""
    folder = two(dataset)
    folder.rename(dataset.parent / "C_elsewhere.zarr")
    folder.symlink_to(dataset.parent / "C_elsewhere.zarr")


@case
def symlink_to_nothing(dataset: Path) -> None:
    """A link whose target is gone is passed over."""
    two(dataset)
    (dataset / "S.zarr").symlink_to(dataset / "gone")


@case
def symlink_to_a_file(dataset: Path) -> None:
    """A link to a file is passed over."""
    two(dataset)
    (dataset.parent / "notes.txt").write_text("nothing")
    (dataset / "S.zarr").symlink_to(dataset.parent / "notes.txt")


@case
def symlinked_inner_folder(dataset: Path) -> None:
    """The array inside its folder is a link."""
    folder = two(dataset)
    (folder / "C").rename(dataset.parent / "C_data")
    (folder / "C").symlink_to(dataset.parent / "C_data")


@case
def symlinked_dataset(dataset: Path) -> None:
    """The dataset folder itself is a link."""
    real_place = dataset.parent / "real"
    two(real_place)
    dataset.symlink_to(real_place)


@case
def symlinked_twice(dataset: Path) -> None:
    """A link to another array of the same dataset: one name twice, and equal."""
    folder = two(dataset)
    (dataset / "C_link.zarr").symlink_to(folder)


@case
def array_as_a_file(dataset: Path) -> None:
    """C.zarr is a file, not a folder: passed over."""
    folder = two(dataset)
    shutil.rmtree(folder)
    folder.write_bytes(b"PK\x05\x06")


@case
def path_is_missing(dataset: Path) -> None:
    """There is nothing at the path."""


@case
def path_is_a_text_file(dataset: Path) -> None:
    """The path is a text file."""
    dataset.write_text("not a dataset")


@case
def path_is_an_empty_file(dataset: Path) -> None:
    """The path is an empty file."""
    dataset.write_bytes(b"")


@case
def path_is_a_netcdf_file(dataset: Path) -> None:
    """The path is a file of netCDF 3, as old MiniAn saved: opened as it is."""
    with quiet():
        xr.Dataset({"C": traces("C"), "A": footprints()}).to_netcdf(dataset, engine="scipy")


@case
def path_is_a_netcdf_4_file(dataset: Path) -> None:
    """The path is a file of netCDF 4, as old MiniAn saved: opened as it is."""
    with quiet():
        xr.Dataset({"C": traces("C"), "A": footprints(dtype="uint8")}).to_netcdf(dataset, engine="netcdf4")


@case
def path_is_a_link_to_nothing(dataset: Path) -> None:
    """The path is a link whose target is gone."""
    dataset.symlink_to(dataset.parent / "gone")


@case
def path_is_an_array_folder(dataset: Path) -> None:
    """An array folder was given in place of the dataset."""
    folder = two(dataset.parent / "other")
    shutil.copytree(folder, dataset)


@case
def path_is_the_session_folder(dataset: Path) -> None:
    """The session's folder was given in place of the dataset in it."""
    two(dataset / "minian")


# ---------------------------------------------------------------- spoilt files

FILES = {
    "zgroup": ".zgroup",
    "zattrs": ".zattrs",
    "array_zarray": "C/.zarray",
    "array_zattrs": "C/.zattrs",
    "array_chunk": "C/0.0",
    "unit_zarray": "unit_id/.zarray",
    "unit_zattrs": "unit_id/.zattrs",
    "unit_chunk": "unit_id/0",
    "session_zarray": "session/.zarray",
    "session_zattrs": "session/.zattrs",
    "session_chunk": "session/0",
    "labels_zarray": "unit_labels/.zarray",
    "labels_zattrs": "unit_labels/.zattrs",
    "labels_chunk": "unit_labels/0",
}


def spoilt(file: str, how: str, consolidated: bool) -> Callable[[Path], None]:
    """Return a case with one file of C.zarr spoilt, with or without .zmetadata."""

    def build(dataset: Path) -> None:
        labels = ("unit_id", [0, 1, 2, -1, -1])
        save(footprints(unit_labels=labels), dataset, meta=META)
        folder = save(traces("C", unit_labels=labels), dataset, meta=META)
        damage(folder / file, how)
        if not consolidated:
            forget(folder)

    build.__doc__ = f"C.zarr/{file} is {how}, {'with' if consolidated else 'without'} .zmetadata."
    return build


def why_spoilt_varies(key: str, how: str) -> str:
    """Say why what happens with a spoilt file may vary."""
    if key.endswith("_chunk") and not key.startswith("array"):
        if how == "missing":
            return UNINITIALISED
        if not key.startswith("session") and how in ("empty", "truncated", "list", "object"):
            return BEYOND
    return ""


for _key, _file in FILES.items():
    for _how in DAMAGES:
        for _consolidated in (True, False):
            case(
                spoilt(_file, _how, _consolidated),
                name=f"spoilt_{_key}_{_how}_{'with' if _consolidated else 'without'}_zmetadata",
                varies=why_spoilt_varies(_key, _how),
            )

for _how in DAMAGES:
    case(spoilt(".zmetadata", _how, True), name=f"spoilt_zmetadata_{_how}")


@case
def spoilt_two_arrays(dataset: Path) -> None:
    """Two arrays are spoilt in different ways: the first that is listed decides."""
    save(footprints(), dataset)
    damage(save(traces("C"), dataset) / "C" / ".zarray", "missing")
    damage(save(traces("S"), dataset) / "S" / ".zarray", "text")
    (dataset / "figures").mkdir()


@case
def spoilt_labels_on_one_only(dataset: Path) -> None:
    """unit_labels of the only array that has them cannot be decoded: nothing reads them."""
    save(footprints(), dataset)
    folder = save(traces("C", unit_labels=("unit_id", [0, 1, 2, -1, -1])), dataset)
    damage(folder / "unit_labels" / "0", "garbage")


@case(varies=UNINITIALISED)
def spoilt_labels_of_a_subset(dataset: Path) -> None:
    """unit_labels of an array with fewer units lost their chunk: padded, not compared."""
    save(footprints(), dataset)
    folder = save(traces("C", units=[0, 1], unit_labels=("unit_id", [0, -1])), dataset)
    damage(folder / "unit_labels" / "0", "missing")


@case
def spoilt_session_on_one_only(dataset: Path) -> None:
    """The session of the only array that has one cannot be decoded: nothing reads it."""
    save(footprints(), dataset)
    folder = save(traces("C"), dataset, meta=META)
    damage(folder / "session" / "0", "text")


@case
def spoilt_float_frames(dataset: Path) -> None:
    """Float frames lost their chunk: all labels are NaN, and repeated."""
    frames = [0.5, 1.0, 1.5]
    save(traces("S", frames=frames), dataset)
    damage(save(traces("C", frames=frames), dataset) / "frame" / "0", "missing")


@case
def spoilt_float_frames_in_both(dataset: Path) -> None:
    """Float frames lost their chunk in both arrays: both all NaN."""
    frames = [0.5, 1.0, 1.5]
    damage(save(traces("S", frames=frames), dataset) / "frame" / "0", "missing")
    damage(save(traces("C", frames=frames), dataset) / "frame" / "0", "missing")


@case
def spoilt_power_cut(dataset: Path) -> None:
    """A power cut left every file of the array written last empty."""
    save(footprints(), dataset)
    folder = save(traces("C"), dataset)
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")


@case
def spoilt_no_files_at_all(dataset: Path) -> None:
    """A synchronisation made the folders and not the files."""
    save(footprints(), dataset)
    folder = save(traces("C"), dataset)
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()


@case
def spoilt_no_hidden_files(dataset: Path) -> None:
    """A copy left out every file whose name begins with a dot."""
    save(footprints(), dataset)
    folder = save(traces("C"), dataset)
    for path in folder.rglob(".z*"):
        path.unlink()


@case
def spoilt_inner_folder_gone(dataset: Path) -> None:
    """The array inside its folder is gone."""
    shutil.rmtree(two(dataset) / "C")


@case
def spoilt_inner_folder_gone_without_zmetadata(dataset: Path) -> None:
    """The array inside its folder is gone, and there is no .zmetadata."""
    folder = two(dataset)
    shutil.rmtree(folder / "C")
    forget(folder)


@case
def spoilt_unit_folder_gone(dataset: Path) -> None:
    """The unit ids' folder is gone, .zmetadata has them: without a fill value anything may be read."""
    save(footprints(dtype="uint8"), dataset)
    folder = save(traces("C", units=[0.5, 1.5, 2.5]), dataset)
    shutil.rmtree(folder / "unit_id")


@case
def spoilt_unit_folder_gone_without_zmetadata(dataset: Path) -> None:
    """The unit ids' folder is gone, and there is no .zmetadata: a dim without a coordinate."""
    folder = two(dataset)
    shutil.rmtree(folder / "unit_id")
    forget(folder)


@case
def spoilt_session_folder_gone(dataset: Path) -> None:
    """The session's folder is gone and .zmetadata was made anew: an array that names an absent coordinate."""
    folder = two(dataset)
    shutil.rmtree(folder / "session")
    consolidate(folder)


# ---------------------------------------------------------------- stale metadata and broken saves


@case
def stale_after_rechunk(dataset: Path) -> None:
    """save_minian with chunks leaves the old chunk grid and fill value in .zmetadata."""
    save(footprints(), dataset)
    save(traces("C").chunk(unit_id=1), dataset, chunks={"unit_id": -1, "frame": 3})


@case
def stale_after_rechunk_and_padded(dataset: Path) -> None:
    """Rechunked arrays of several types over fewer units."""
    save(footprints(units=7), dataset)
    for name, dtype in {"C": "float64", "S": "float32", "mask": "uint8"}.items():
        save(traces(name, dtype=dtype).chunk(unit_id=1), dataset, chunks={"unit_id": -1, "frame": 3})


@case
def stale_after_rechunk_of_a_movie(dataset: Path) -> None:
    """The movie in both chunkings, as the notebook makes it."""
    save(movie("Y_fm_chk").chunk(frame=2), dataset, meta=META, chunks={"frame": 2, "height": -1, "width": -1})
    save(movie("Y_hw_chk").chunk(frame=2), dataset, meta=META, chunks={"frame": -1, "height": 2, "width": 2})


@case
def stale_after_rechunk_and_a_chunk_missing(dataset: Path) -> None:
    """A chunk of a rechunked array is missing: its values are not initialised, its metadata are."""
    save(footprints(), dataset)
    folder = save(traces("C").chunk(unit_id=1), dataset, chunks={"unit_id": -1, "frame": 3})
    chunks_of(folder / "C")[0].unlink()


@case
def stale_shape(dataset: Path) -> None:
    """The array was replaced on disk by one of another shape, .zmetadata tells the old one."""
    folder = two(dataset)
    edit(folder / "C" / ".zarray", shape=[3, 8])


@case
def stale_shape_of_unit_ids(dataset: Path) -> None:
    """The unit ids' .zarray tells fewer than .zmetadata does, which xarray follows."""
    folder = two(dataset)
    edit(folder / "unit_id" / ".zarray", shape=[3], chunks=[3])


@case
def stale_dtype(dataset: Path) -> None:
    """The array's .zarray tells another type than .zmetadata: .zarray decides."""
    folder = two(dataset)
    edit(folder / "C" / ".zarray", dtype="<f4", fill_value=None)


@case
def stale_dtype_and_padded(dataset: Path) -> None:
    """The array's .zarray tells another type than .zmetadata, and the array is padded."""
    save(footprints(units=7), dataset)
    folder = save(traces("C"), dataset)
    edit(folder / "C" / ".zarray", dtype="<i2", fill_value=None)


@case
def stale_dims(dataset: Path) -> None:
    """.zattrs tells other dims than .zmetadata, which xarray follows."""
    folder = two(dataset)
    edit(folder / "C" / ".zattrs", _ARRAY_DIMENSIONS=["unit_id", "time"])


@case
def stale_chunks(dataset: Path) -> None:
    """.zarray tells another chunk grid than .zmetadata."""
    folder = two(dataset)
    edit(folder / "C" / ".zarray", chunks=[1, 3])


@case
def stale_coordinate_added(dataset: Path) -> None:
    """A coordinate was copied into the folder, .zmetadata does not know it."""
    folder = save(traces("C"), dataset)
    other = save(traces("C", session="other"), dataset.parent / "other")
    shutil.copytree(other / "session", folder / "session")
    save(footprints(session="s1"), dataset)


@case
def stale_of_another_array(dataset: Path) -> None:
    """.zmetadata is another array's: copied by mistake."""
    folder = two(dataset)
    shutil.copy(dataset / "A.zarr" / ".zmetadata", folder / ".zmetadata")


@case
def stale_group_attributes(dataset: Path) -> None:
    """The group's own attributes are in .zattrs only."""
    folder = two(dataset)
    (folder / ".zattrs").write_text('{"coordinates": "unit_id", "animal": "m9"}')


@case
def update_meta_added_a_session(dataset: Path) -> None:
    """update_meta gave every array its session afterwards."""
    save(footprints(), dataset)
    save(traces("C"), dataset)
    with quiet():
        minian().update_meta(str(dataset.parents[1]), meta_dict=META)


@case
def update_meta_replaced_a_session(dataset: Path) -> None:
    """A moved folder whose session update_meta put right."""
    save(footprints(session="sessionX"), dataset)
    save(traces("C", session="sessionX"), dataset)
    with quiet():
        minian().update_meta(str(dataset.parents[1]), meta_dict=META)


@case
def update_meta_and_one_saved_later(dataset: Path) -> None:
    """After update_meta one array was saved anew, with the session's name that the folder had before."""
    save(footprints(session="sessionX"), dataset)
    with quiet():
        minian().update_meta(str(dataset.parents[1]), meta_dict=META)
    save(traces("C", session="sessionX"), dataset)


@case
def update_meta_failed(dataset: Path) -> None:
    """update_meta fails where the new name is longer than the old: nothing was changed in that array."""
    save(footprints(session="s"), dataset)
    save(traces("C"), dataset)
    with contextlib.suppress(ValueError), quiet():
        minian().update_meta(str(dataset.parents[1]), meta_dict=META)


@case
def saved_onto_itself(dataset: Path) -> None:
    """C was read, cut and saved under its own name: all NaN, and it opens."""
    two(dataset)
    with quiet():
        opened = minian().open_minian(str(dataset))["C"].isel(unit_id=[0, 1, 2])
    save(opened, dataset)


@case
def saved_onto_itself_twice(dataset: Path) -> None:
    """C saved onto itself with labels added, and with its type changed by the padding."""
    save(footprints(units=7), dataset)
    save(traces("C", dtype="uint8"), dataset)
    with quiet():
        opened = minian().open_minian(str(dataset))["C"]
    save(opened.assign_coords(unit_labels=("unit_id", np.arange(7))), dataset)


@case
def saved_from_merged(dataset: Path) -> None:
    """All arrays opened merged and saved into one folder again, as the last cell of the notebook."""
    source = dataset.parent / "source"
    save(footprints(units=7), source, meta=META)
    save(traces("C"), source)
    with quiet():
        merged = minian().open_minian(str(source))
    for array in merged.values():
        save(array, dataset)


@case
def saved_without_compute(dataset: Path) -> None:
    """save_minian with compute=False: metadata and coordinates, no data."""
    save(footprints(), dataset)
    save(traces("C").chunk(unit_id=1), dataset, compute=False)


@case
def save_failed_amid(dataset: Path) -> None:
    """An error in mid-save: the old version is gone and half of the new is there."""
    two(dataset)

    def fail(block: np.ndarray) -> np.ndarray:
        raise RuntimeError("a worker died")

    array = traces("C", units=6).copy(data=dask.array.ones((6, 8), chunks=(1, 8)).map_blocks(fail, dtype=float))
    try:
        save(array, dataset)
    except RuntimeError:
        return
    raise AssertionError("the save did not fail")


@case
def chunks_missing(dataset: Path) -> None:
    """Every second chunk is missing: NaN, and it opens."""
    save(footprints(units=7), dataset)
    folder = save(traces("C").chunk(unit_id=1), dataset)
    for path in chunks_of(folder / "C")[::2]:
        path.unlink()


@case
def chunks_missing_of_integers(dataset: Path) -> None:
    """The only chunk of an integer array without a fill value is missing; nothing reads it on opening."""
    save(footprints(), dataset)
    folder = save(traces("C", dtype="int16"), dataset)
    chunks_of(folder / "C")[0].unlink()


# ---------------------------------------------------------------- attributes and fill values


WHERE = {"data": ("C", 5), "padded": ("C", 7), "units": ("unit_id", 5)}
"""Which variable is altered, and how many units the other array has."""


def altered(variable: str, file: str, changes: dict[str, Any], dtype: Any, units: int) -> Callable[[Path], None]:
    """Return a case with entries of a variable's file changed, consistently in .zmetadata."""

    def build(dataset: Path) -> None:
        save(footprints(units=units), dataset)
        folder = save(traces("C", dtype=dtype), dataset)
        edit(folder / variable / file, **changes)
        with contextlib.suppress(Exception):  # what zarr cannot read it does not consolidate
            consolidate(folder)

    build.__doc__ = f"{variable}/{file} of C.zarr, {dtype}, has {changes}; A has {units} units and C 5."
    return build


def alter(
    name: str, file: str, changes: dict[str, Any], where: tuple[str, ...] = tuple(WHERE), dtype: Any = "int16"
) -> None:
    """Register cases of an altered file."""
    for place in where:
        variable, units = WHERE[place]
        case(altered(variable, file, changes, dtype, units), name=f"{name}_on_{place}")


ATTRIBUTES: dict[str, dict[str, Any]] = {
    "scale_factor": {"scale_factor": 0.5},
    "scale_factor_and_offset": {"scale_factor": 0.5, "add_offset": 10},
    "add_offset": {"add_offset": 10},
    "scale_factor_text": {"scale_factor": "a half"},
    "scale_factor_list": {"scale_factor": [0.5]},
    "fill_value": {"_FillValue": 3},
    "fill_value_nan": {"_FillValue": "NaN"},
    "fill_value_encoded": {"_FillValue": "AAAAAAAA+H8="},
    "missing_value": {"missing_value": 3},
    "missing_value_absent": {"missing_value": 99},
    "missing_and_fill_value": {"missing_value": 1, "_FillValue": 3},
    "missing_values": {"missing_value": [1, 3]},
    "unsigned": {"_Unsigned": "true"},
    "units_of_time": {"units": "seconds since 2024-01-01"},
    "units_of_time_and_calendar": {"units": "days since 2024-01-01", "calendar": "standard"},
    "units_of_time_noleap": {"units": "days since 2024-01-01", "calendar": "noleap"},
    "units_of_time_calendar_unknown": {"units": "days since 2024-01-01", "calendar": "mayan"},
    "units_of_time_garbage": {"units": "seconds since yesterday"},
    "units_of_time_unit_unknown": {"units": "frames since 2024-01-01"},
    "units_of_duration": {"units": "seconds"},
    "units_of_duration_with_dtype": {"units": "seconds", "dtype": "timedelta64[ns]"},
    "units_plain": {"units": "a.u.", "long_name": "calcium"},
    "units_number": {"units": 3},
    "dtype_bool": {"dtype": "bool"},
    "dtype_garbage": {"dtype": "garbage"},
    "dtype_float32": {"dtype": "float32"},
    "unknown": {"who": "me", "list": [1, 2], "nested": {"a": None}},
    "dims_missing": {"_ARRAY_DIMENSIONS": None},
    "dims_too_few": {"_ARRAY_DIMENSIONS": []},
    "dims_too_many": {"_ARRAY_DIMENSIONS": ["unit_id", "frame", "height"]},
    "dims_repeated": {"_ARRAY_DIMENSIONS": ["frame", "frame"]},
    "dims_of_other_names": {"_ARRAY_DIMENSIONS": ["cell", "time"]},
    "dims_text": {"_ARRAY_DIMENSIONS": "unit_id"},
    "dims_numbers": {"_ARRAY_DIMENSIONS": [0, 1]},
    "dims_swapped": {"_ARRAY_DIMENSIONS": ["frame", "unit_id"]},
    "coordinates_absent": {"coordinates": "session animal"},
    "coordinates_one_absent": {"coordinates": "unit_id session"},
    "coordinates_itself": {"coordinates": "C"},
    "coordinates_empty": {"coordinates": ""},
    "coordinates_number": {"coordinates": 3},
    "coordinates_list": {"coordinates": ["unit_id"]},
}

for _name, _changes in ATTRIBUTES.items():
    alter(f"attribute_{_name}", ".zattrs", _changes, tuple(WHERE) if "dims" in _name else ("padded", "units"))

for _name, _dtype, _value in (
    ("float64_nan", "float64", "NaN"),
    ("float64_0", "float64", 0),
    ("float64_null", "float64", None),
    ("float64_infinity", "float64", "Infinity"),
    ("float64_text", "float64", "nothing"),
    ("float64_big_text", "float64", "1e5"),
    ("float64_list", "float64", [0]),
    ("float32_0", "float32", 0.0),
    ("uint8_0", "uint8", 0),
    ("uint8_300", "uint8", 300),
    ("uint8_nan", "uint8", "NaN"),
    ("uint8_text", "uint8", "zero"),
    ("int16_3", "int16", 3),
    ("int64_0", "int64", 0),
    ("int64_true", "int64", True),
    ("bool_0", bool, 0),
    ("complex_0", "complex64", [0.0, 0.0]),
    ("complex_bare", "complex64", 0),
    ("text", "<U5", ""),
    ("text_number", "<U5", 0),
    ("object_text", object, ""),
    ("object_number", object, 0),
    ("datetime_0", "datetime64[ns]", 0),
):
    alter(f"fill_value_{_name}", ".zarray", {"fill_value": _value}, ("data", "padded"), _dtype)

for _name, _value in (
    ("0", 0),
    ("3", 3),
    ("99", 99),
    ("nan", "NaN"),
    ("text", "none"),
    ("float", 1.5),
    ("true", True),
    ("big", 2**70),
):
    alter(f"fill_value_{_name}", ".zarray", {"fill_value": _value}, ("units",))

ARRAYS: dict[str, dict[str, Any]] = {
    "codec_unknown": {"compressor": {"id": "mystery"}},
    "codec_without_id": {"compressor": {"level": 1}},
    "codec_text": {"compressor": "blosc"},
    "codec_odd_settings": {"compressor": {"id": "blosc", "colour": "red"}},
    "codec_zlib": {"compressor": {"id": "zlib", "level": 1}},
    "codec_none": {"compressor": None},
    "filter_unknown": {"filters": [{"id": "mystery"}]},
    "filter_delta": {"filters": [{"id": "delta", "dtype": "<i2"}]},
    "filters_empty": {"filters": []},
    "order_f": {"order": "F"},
    "order_unknown": {"order": "K"},
    "separator_slash": {"dimension_separator": "/"},
    "separator_dot": {"dimension_separator": "."},
    "separator_odd": {"dimension_separator": "-"},
    "format_3": {"zarr_format": 3},
    "format_text": {"zarr_format": "2"},
    "dtype_garbage": {"dtype": "garbage"},
    "dtype_null": {"dtype": None},
    "dtype_big_endian": {"dtype": ">i2"},
    "dtype_bool": {"dtype": "|b1", "fill_value": None},
    "dtype_object": {"dtype": "|O"},
    "dtype_structured": {"dtype": [["x", "<i4"], ["y", "<f8"]], "fill_value": None},
    "dtype_bytes": {"dtype": "|S2", "fill_value": None},
    "dtype_datetime": {"dtype": "<M8[ns]", "fill_value": None},
    "dtype_void": {"dtype": "|V2", "fill_value": None},
    "shape_null": {"shape": None},
    "shape_number": {"shape": 5},
    "shape_text": {"shape": ["5", "8"]},
    "shape_negative": {"shape": [-1, 8]},
    "shape_float": {"shape": [5.0, 8.0]},
    "chunks_0": {"chunks": [0, 0]},
    "chunks_null": {"chunks": None},
    "chunks_too_few": {"chunks": []},
    "chunks_too_many": {"chunks": [5, 8, 1]},
    "chunks_larger": {"chunks": [10, 20]},
    "chunks_smaller": {"chunks": [2, 3]},
    "chunks_text": {"chunks": "all"},
    "chunks_of_texts": {"chunks": ["5", "8"]},
    "chunks_of_fractions": {"chunks": [2.5, 8]},
    "chunks_negative": {"chunks": [-1, 8]},
    "extra_entries": {"colour": "red"},
}

for _name, _changes in ARRAYS.items():
    alter(f"zarray_{_name}", ".zarray", _changes, ("data",))

UNIT_ARRAYS: dict[str, dict[str, Any]] = {
    "shape_negative": {"shape": [-3]},
    "chunks_negative": {"chunks": [-1]},
    "chunks_of_texts": {"chunks": ["5"]},
    "chunks_of_fractions": {"chunks": [2.5]},
    "chunks_0": {"chunks": [0]},
}

for _name, _changes in UNIT_ARRAYS.items():
    alter(f"zarray_{_name}", ".zarray", _changes, ("units",))

alter("attribute_dims_nested", ".zattrs", {"_ARRAY_DIMENSIONS": [["unit_id"], "frame"]}, ("data",))

for _name in ("codec_unknown", "codec_zlib", "filter_unknown", "dtype_garbage", "dtype_object"):
    alter(f"zarray_{_name}", ".zarray", ARRAYS[_name], ("units",))


@case
def codec_unknown_without_zmetadata(dataset: Path) -> None:
    """The compressor is not known here, and there is no .zmetadata."""
    folder = two(dataset)
    edit(folder / "C" / ".zarray", compressor={"id": "mystery"})
    forget(folder)


@case
def codec_unknown_on_a_scalar(dataset: Path) -> None:
    """The session's compressor is not known here."""
    edit_array(two(dataset), "session", compressor={"id": "mystery"})


@case
def keys_of_zarray_missing(dataset: Path) -> None:
    """The array's .zarray has only what little there must be."""
    folder = two(dataset)
    (folder / "C" / ".zarray").write_text('{"zarr_format": 2, "shape": [5, 8], "chunks": [5, 8], "dtype": "<f8"}')
    forget(folder)


CODECS = {
    "zlib": {"id": "zlib"},
    "zstd": {"id": "zstd"},
    "gzip": {"id": "gzip"},
    "bz2": {"id": "bz2"},
    "lzma": {"id": "lzma"},
    "lz4": {"id": "lz4"},
    "none": None,
    "blosc_zstd": {"id": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 2},
}


def with_codec(settings: dict[str, Any] | None) -> Callable[[Path], None]:
    """Return a case whose arrays and unit ids are compressed in another way."""

    def build(dataset: Path) -> None:
        codec = None if settings is None else zarr.codecs.get_codec(dict(settings))
        save(footprints(units=7), dataset)
        encoding = {"C": {"compressor": codec}, "unit_id": {"compressor": codec}}
        write(traces("C", units=[2, 4, 6]), dataset / "C.zarr", encoding=encoding)

    build.__doc__ = f"C and its unit ids compressed with {settings}."
    return build


for _name, _settings in CODECS.items():
    case(with_codec(_settings), name=f"codec_{_name}")


@case
def filters_and_order(dataset: Path) -> None:
    """Unit ids with a delta filter and in big endian, C in order F and in folders by chunk."""
    save(footprints(units=7), dataset)
    folder = save(traces("C", units=[2, 4, 6]), dataset)
    group = zarr.open_group(str(folder))
    for name, options in {
        "unit_id": {"filters": [zarr.codecs.Delta(dtype=">i8")], "dtype": ">i8"},
        "C": {"order": "F", "dimension_separator": "/", "dtype": "f8", "chunks": (1, 4)},
    }.items():
        old, dims = group[name][...], group[name].attrs["_ARRAY_DIMENSIONS"]
        shutil.rmtree(folder / name)
        array = group.create_dataset(name, shape=old.shape, fill_value=None, **options)
        array[...] = old
        array.attrs["_ARRAY_DIMENSIONS"] = dims
    consolidate(folder)


@case
def unit_ids_in_chunks(dataset: Path) -> None:
    """Unit ids in several chunks, the last one not full."""
    save(footprints(units=7), dataset)
    write(traces("C", units=[6, 1, 3, 5, 0]), dataset / "C.zarr", encoding={"unit_id": {"chunks": (2,)}})


@case
def unit_ids_in_chunks_and_one_missing(dataset: Path) -> None:
    """Float unit ids in several chunks, one of them missing: NaN twice."""
    save(footprints(units=7), dataset)
    folder = write(
        traces("C", units=[6.0, 1.0, 3.0, 5.0, 0.0]), dataset / "C.zarr", encoding={"unit_id": {"chunks": (2,)}}
    )
    (folder / "unit_id" / "1").unlink()


@case
def unit_ids_scaled(dataset: Path) -> None:
    """Unit ids stored as small integers with a scale, as xarray's encoding makes them."""
    save(footprints(units=[0.0, 0.5, 1.0, 1.5]), dataset)
    encoding = {"unit_id": {"dtype": "int16", "scale_factor": 0.5, "_FillValue": -1}}
    write(traces("C", units=[0.5, 1.5]), dataset / "C.zarr", encoding=encoding)


@case
def session_with_a_fill_value(dataset: Path) -> None:
    """A number as the session, with a fill value which masks it: NaN agrees with anything."""
    save(footprints(session=0), dataset)
    edit_array(save(traces("C", session=3), dataset), "session", fill_value=3)


@case
def session_with_a_fill_value_that_is_not_it(dataset: Path) -> None:
    """A number as the session, with a fill value that is another number: becomes float, and agrees."""
    save(footprints(session=3), dataset)
    edit_array(save(traces("C", session=3), dataset), "session", fill_value=0)


@case
def text_session_with_a_fill_value(dataset: Path) -> None:
    """The session's name is the fill value: masked."""
    save(footprints(session="s1"), dataset)
    edit_array(save(traces("C", session="s1"), dataset), "session", fill_value="s1")


@case
def text_session_missing_with_a_fill_value(dataset: Path) -> None:
    """The session's chunk is missing, its fill value is the empty text."""
    save(footprints(session="s1"), dataset)
    folder = save(traces("C", session="s1"), dataset)
    edit_array(folder, "session", fill_value="")
    (folder / "session" / "0").unlink()


@case
def labels_with_a_fill_value(dataset: Path) -> None:
    """unit_labels with a fill value of -1, so that noise is NaN and agrees with anything."""
    save(footprints(unit_labels=("unit_id", [0, 1, 2, 3, 4])), dataset)
    folder = save(traces("C", unit_labels=("unit_id", [0, 1, 2, -1, -1])), dataset)
    edit_array(folder, "unit_labels", fill_value=-1)


@case
def labels_as_moments_in_one(dataset: Path) -> None:
    """A coordinate of numbers in one array, and with units of time in the other."""
    save(footprints(when=("unit_id", [0, 1, 2, 3, 4])), dataset)
    folder = save(traces("C", when=("unit_id", [0, 1, 2, 3, 4])), dataset)
    edit_attributes(folder, "when", units="seconds since 2024-01-01")


@case
def frames_with_units_of_time_in_one(dataset: Path) -> None:
    """Frame numbers which carry units of time in one array only."""
    save(movie(frames=4), dataset)
    edit_attributes(save(traces("C", frames=4), dataset), "frame", units="seconds since 2024-01-01")


@case
def frames_with_units_of_time_in_both(dataset: Path) -> None:
    """Frame numbers as seconds since different days: disjoint moments."""
    edit_attributes(save(movie(frames=4), dataset), "frame", units="seconds since 2024-01-01")
    edit_attributes(save(traces("C", frames=4), dataset), "frame", units="seconds since 2024-01-02")


@case
def frames_with_units_of_duration(dataset: Path) -> None:
    """Frames in seconds, as the attribute says, in one array."""
    save(movie(frames=4), dataset)
    edit_attributes(save(traces("C", frames=4), dataset), "frame", units="s")


@case
def characters(dataset: Path) -> None:
    """Text stored character by character, which xarray joins on opening."""
    save(footprints(), dataset)
    letters = np.array([[b"a", b"b"], [b"c", b"d"], [b"e", b"f"]])
    write(xr.DataArray(letters, dims=("unit_id", "letter"), name="note"), dataset / "note.zarr")


@case
def object_labels_with_odd_codec(dataset: Path) -> None:
    """Text as JSON objects in a coordinate on both arrays."""
    labels = np.array(["cell", "junk", "cell", "cell", "junk"], dtype=object)
    save(footprints(unit_labels=("unit_id", labels)), dataset)
    folder = save(traces("C", unit_labels=("unit_id", labels)), dataset)
    shutil.rmtree(folder / "unit_labels")
    group = zarr.open_group(str(folder))
    array = group.create_dataset("unit_labels", shape=5, dtype=object, object_codec=zarr.codecs.JSON(), fill_value=None)
    array[...] = labels
    array.attrs["_ARRAY_DIMENSIONS"] = ["unit_id"]
    consolidate(folder)


# ---------------------------------------------------------------- several things at once


@case
def together_session_differs_and_units_repeat(dataset: Path) -> None:
    """The session differs and an id is repeated: alignment comes before merging."""
    save(footprints(units=[0, 1, 2], session="s1"), dataset)
    save(traces("C", units=[0, 1, 1], session="s2"), dataset)


@case
def together_session_differs_and_sizes_do_not_fit(dataset: Path) -> None:
    """The session differs and C has no unit ids and another size."""
    save(footprints(session="s1"), dataset)
    save(traces("C", units=Bare(4), session="s2"), dataset)


@case
def together_units_repeat_and_frames_do_not_fit(dataset: Path) -> None:
    """An id is repeated, and a dim without a coordinate does not fit."""
    save(footprints(units=[0, 1, 2]), dataset)
    save(traces("C", units=[0, 1, 1], frames=8), dataset)
    save(make("f", frame=Bare(7)), dataset)


@case
def together_units_repeat_and_are_dates(dataset: Path) -> None:
    """An id is repeated in C, frames are moments in C and numbers in the movie."""
    days = np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[ns]")
    save(footprints(units=[0, 1, 2]), dataset)
    save(traces("C", units=[0, 1, 1], frames=days), dataset)
    save(movie(frames=2), dataset)


@case
def together_foreign_folder_and_session_differs(dataset: Path) -> None:
    """A foreign folder, and the session differs: opening comes first."""
    save(footprints(session="s1"), dataset)
    save(traces("C", session="s2"), dataset)
    (dataset / "figures").mkdir()


@case
def together_two_foreign_folders(dataset: Path) -> None:
    """A bare array, an empty group and an empty folder: the first that is listed decides."""
    two(dataset)
    zarr.open_array(str(dataset / "bare"), mode="w", shape=3, dtype="f8")
    zarr.open_group(str(dataset / "group"), mode="w")
    (dataset / "empty").mkdir()


@case
def together_three_foreign_folders_by_other_names(dataset: Path) -> None:
    """The same under other names, so that another one may come first."""
    two(dataset)
    zarr.open_array(str(dataset / "zz"), mode="w", shape=3, dtype="f8")
    zarr.open_group(str(dataset / "yy"), mode="w")
    (dataset / "xx").mkdir()


@case
def together_a_day_of_work(dataset: Path) -> None:
    """Units dropped, a movie shortened, labels on a part, the session on some, and a rechunked copy."""
    save(footprints(units=8, height=5, width=5), dataset, meta=META)
    save(traces("C", units=[0, 2, 3], unit_labels=("unit_id", [0, 2, 2])), dataset)
    save(traces("C_chk", units=[0, 2, 3]).chunk(unit_id=1), dataset, chunks={"unit_id": -1, "frame": 4})
    save(movie(frames=6, height=range(1, 5), width=5), dataset, meta=META)
    save(image(height=5, width=5, dtype="uint8"), dataset, meta=META)
    save(make("motion", frame=6, shift_dim=["height", "width"]), dataset)


@case
def together_labels_and_units_reordered_and_dropped(dataset: Path) -> None:
    """Three arrays with labels, other units, another order."""
    save(footprints(units=[4, 2, 0], unit_labels=("unit_id", [4, 2, 0])), dataset)
    save(traces("C", units=[0, 2, 6], unit_labels=("unit_id", [0, 2, 6])), dataset)
    save(traces("S", units=[6, 7], unit_labels=("unit_id", [6, 7])), dataset)


@case
def together_labels_of_the_third_conflict(dataset: Path) -> None:
    """Three arrays with labels, the third contradicts what the first two make together."""
    save(footprints(units=[4, 2, 0], unit_labels=("unit_id", [4, 2, 0])), dataset)
    save(traces("C", units=[0, 2, 6], unit_labels=("unit_id", [0, 2, 6])), dataset)
    save(traces("S", units=[6, 7], unit_labels=("unit_id", [5, 7])), dataset)


@case
def together_text_ids_and_labels(dataset: Path) -> None:
    """Text ids in one array, number ids in the other, labels on both: nothing in common, no conflict."""
    save(footprints(units=[0, 1], unit_labels=("unit_id", [5, 6])), dataset)
    save(traces("C", units=["0", "1"], unit_labels=("unit_id", [7, 8])), dataset)


@case
def together_padded_and_repeated_elsewhere(dataset: Path) -> None:
    """Frames are padded, and repeated ids are alike: they are not reindexed."""
    save(footprints(units=[0, 1, 1]), dataset)
    save(traces("C", units=[0, 1, 1], frames=6), dataset)
    save(make("f", frame=8), dataset)


@case
def together_session_as_scalar_along_and_absent(dataset: Path) -> None:
    """The session is a scalar, along frame, and absent."""
    save(footprints(session="s1"), dataset)
    save(traces("C", session=("frame", ["s1"] * 7 + ["s2"])), dataset)
    save(image(), dataset)


@case
def together_name_twice_and_session_differs(dataset: Path) -> None:
    """A copy of C with other values, and a session which differs."""
    save(traces("C", session="s1"), dataset)
    write(traces("C", session="s2") + 1, dataset / "C_old.zarr")


# ---------------------------------------------------------------- odd names and sizes


@case
def name_with_a_slash(dataset: Path) -> None:
    """An array's name with a slash makes a folder that is no array."""
    save(footprints(), dataset)
    with contextlib.suppress(Exception):
        save(traces("old/C"), dataset)


@case
def names_with_odd_characters(dataset: Path) -> None:
    """Names with blanks, dots and Greek letters."""
    for name in ("my C", "C.v2", "ΔF", "C-1", "C#1", "C%201"):
        save(traces(name), dataset)


ODD_CHARACTERS = {
    "brackets": "C[0]",
    "star": "C*",
    "question_mark": "C?",
    "exclamation_mark": "[!C]",
    "braces": "{C}",
    "tilde": "~C",
    "tilde_alone": "~",
    "colons": "C::D",
    "colon": "C:D",
    "protocol": "file:C",
    "backslash": "C\\D",
    "ampersand": "C&D",
    "percent": "%43",
    "hash": "#C",
    "newline": "C\nD",
    "blank_at_the_end": "C ",
}


def named(name: str) -> Callable[[Path], None]:
    """Return a case with an array of an odd name."""

    def build(dataset: Path) -> None:
        save(footprints(), dataset)
        folder = save(traces("C"), dataset).rename(dataset / f"{name}.zarr")
        (folder / "C").rename(folder / name)
        forget(folder)

    build.__doc__ = f"An array is named {name!r}: MiniAn's path to it may be taken for a pattern or an address."
    return build


def in_a_folder_named(name: str) -> Callable[[Path], Path]:
    """Return a case whose session has an odd name."""

    def build(dataset: Path) -> Path:
        for array in (footprints(units=6), traces()):
            save(array, dataset)
        return dataset.parent.rename(dataset.parents[1] / name) / "minian"

    build.__doc__ = f"The session's folder is named {name!r}."
    return build


for _name, _text in ODD_CHARACTERS.items():
    case(named(_text), name=f"name_with_{_name}")
    case(in_a_folder_named(_text), name=f"folder_with_{_name}")


@case
def folder_with_a_star_that_matches_another(dataset: Path) -> Path:
    """The session's folder is named session*, and session1 is there too."""
    save(traces("C"), dataset)
    moved = dataset.parent.rename(dataset.parents[1] / "session*") / "minian"
    save(traces("C"), dataset)
    return moved


@case
def folder_with_brackets_that_match_another(dataset: Path) -> Path:
    """The session's folder is named session[12], which as a pattern means session1, which is there."""
    save(traces("C", units=4), dataset)
    moved = dataset.parent.rename(dataset.parents[1] / "session[12]") / "minian"
    save(traces("C", units=5), dataset)
    return moved


@case
def folder_with_brackets_that_match_its_like(dataset: Path) -> Path:
    """The session's folder is named session[12], and session1 has an array of the same shape and another type."""
    save(traces("C", units=4), dataset)
    moved = dataset.parent.rename(dataset.parents[1] / "session[12]") / "minian"
    save(traces("C", units=4, dtype="int16"), dataset)
    return moved


@case
def name_that_begins_with_a_dot(dataset: Path) -> None:
    """An array's name begins with a dot."""
    save(footprints(), dataset)
    save(traces(".C"), dataset)


@case
def names_that_differ_in_case(dataset: Path) -> None:
    """c and C are two arrays."""
    save(traces("c"), dataset)
    save(traces("C", units=3), dataset)


@case
def many_arrays(dataset: Path) -> None:
    """Thirty arrays of one dim."""
    for number in range(30):
        save(make(f"f{number}", frame=8 - number % 3), dataset)


@case
def movie_of_an_hour(dataset: Path) -> None:
    """A movie of 10 GB, of which only the metadata are there, padded by ten frames."""
    save(make("f", frame=20010), dataset)
    folder = save(make("varr", "uint8", frame=range(20000), height=2, width=2), dataset)
    shutil.rmtree(folder / "varr")
    for name in ("height", "width"):
        shutil.rmtree(folder / name)
    group = zarr.open_group(str(folder))
    array = group.create_dataset("varr", shape=(20000, 600, 800), chunks=(500, 600, 800), dtype="u1", fill_value=None)
    array.attrs["_ARRAY_DIMENSIONS"] = ["frame", "height", "width"]
    consolidate(folder)


@case
def integer_ids_missing_with_a_fill_value(dataset: Path) -> None:
    """The unit ids' chunk is missing and their fill value is 0: masked, so all NaN and repeated."""
    save(footprints(units=3), dataset)
    folder = save(traces("C", units=3), dataset)
    edit_array(folder, "unit_id", fill_value=0)
    (folder / "unit_id" / "0").unlink()


@case
def single_integer_id_missing_with_a_fill_value(dataset: Path) -> None:
    """The only unit id's chunk is missing and its fill value is 0: one label NaN."""
    save(footprints(units=3), dataset)
    folder = save(traces("C", units=[2]), dataset)
    edit_array(folder, "unit_id", fill_value=0)
    (folder / "unit_id" / "0").unlink()


@case(varies=UNINITIALISED)
def float_ids_missing_without_a_fill_value(dataset: Path) -> None:
    """The float unit ids' chunk is missing and they have no fill value."""
    save(footprints(units=3), dataset)
    folder = save(traces("C", units=[0.5, 1.5]), dataset)
    edit_array(folder, "unit_id", fill_value=None)
    (folder / "unit_id" / "0").unlink()
