"""Rules about single folders: what is no array, what cannot be opened, what is not whole."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePath

from minian_vc.audit.model import Judged, Rule, judged, listed, quoted
from minian_vc.facts import ArrayFacts, DatasetFacts
from minian_vc.findings import Severity
from minian_vc.prediction import Fails, Unsure

__all__ = ["RULES"]

RECENT = 60_000_000_000  # ns: what was written since may still be under way
PLAIN = re.compile(r"[\w /.,:@%+=-]*")  # signs that mean nothing within double quotes
HARMLESS = ('fill_value null, not "NaN"', 'fill_value "NaN", not null')  # where no chunk is missing
SAVE = "Let the save finish and check again."


def nothing(dataset: DatasetFacts) -> Iterator[Judged]:
    """A folder without a single array."""
    if not dataset.arrays:
        what = f"There is no array in {dataset.where}."
        yield judged("no-arrays", "warning", what, fix="Give the folder that save_minian wrote to.")


def strange_folders(dataset: DatasetFacts) -> Iterator[Judged]:
    """Folders that are no arrays: MiniAn takes each for one, and opens nothing at all."""
    for array in dataset.arrays:
        path = f"{dataset.where}/{array.folder}"
        if array.kind == "foreign":
            what = f"{array.folder} is no array; open_minian takes every folder for one and cannot open the dataset."
            ours = array.folder == ".minian_vc"
            fix = (
                "Give a dataset, not the folder above it."
                if ours
                else f"mv {quoted(path)} {quoted(_above(dataset.where))}"
            )
            yield judged("foreign-folder", "error", what, [array.folder], fix=fix, grade="unreadable")
        elif array.kind == "leftover":
            what = f"{array.folder} was left behind by a save with chunks=; open_minian cannot open the dataset."
            if _is_recent(dataset, array):
                what = f"{array.folder} is a save with chunks= under way."
            fix = SAVE if _is_recent(dataset, array) else f"rm -r {quoted(path)}"
            yield judged("leftover-folder", "error", what, [array.folder], fix=fix, grade="unreadable")
        elif array.kind == "format-3":
            what = f"{array.name} has zarr format 3, which MiniAn's zarr 2 cannot read."
            fix = f"Save {array.name} again with zarr_format=2."
            yield judged("zarr-format-3", "error", what, [array.name], fix=fix, grade="unreadable")


def broken_arrays(dataset: DatasetFacts) -> Iterator[Judged]:
    """Array folders that MiniAn cannot open."""
    for array in dataset.arrays:
        if array.kind == "broken" and isinstance(array.opened, Fails):
            what = f"{array.name} cannot be opened ({array.opened.error}): {array.opened.why}."
            fix = _bring_back(dataset, array)
            yield judged("array-unreadable", "error", what, [array.name], fix=fix, grade="unreadable")
        elif isinstance(array.opened, Unsure):
            what = f"{array.name} may not open: {array.opened.why}."
            yield judged("array-uncertain", "warning", what, [array.name], fix=f"Save {array.name} again.")


def damaged_metadata(dataset: DatasetFacts) -> Iterator[Judged]:
    """Arrays that MiniAn opens by their .zmetadata alone, for their own metadata are broken."""
    for array in dataset.readable:
        if array.metadata is None:
            what = f"The metadata of {array.name} are damaged: only open_minian gets by, with .zmetadata."
            fix = _bring_back(dataset, array)
            yield judged("metadata-damaged", "error", what, [array.name], fix=fix, grade="contradictory")


def uncertain_coordinates(dataset: DatasetFacts) -> Iterator[Judged]:
    """Coordinates of which chunks are missing or broken: their labels are whatever lies in memory."""
    for array in dataset.readable:
        for name, variable in array.coordinates.items():
            if isinstance(variable.contents, Fails | Unsure):
                what = f"The coordinate {name} of {array.name} cannot be trusted: {variable.contents.why}."
                fix = _bring_back(dataset, array)
                yield judged(
                    "coordinate-damaged", "error", what, [array.name], dim=name, fix=fix, grade="contradictory"
                )


def missing_chunks(dataset: DatasetFacts) -> Iterator[Judged]:
    """Chunks that are not there: left out on purpose, or lost with a save that was killed."""
    for array in dataset.arrays:
        chunks = array.chunks
        if not chunks.missing or not array.bytes_kept or array.metadata is None:
            continue
        fill_value = array.metadata.fill_value
        count = f"{chunks.missing} of {chunks.expected} chunks of {array.name} are missing"
        if _is_recent(dataset, array):
            yield judged("save-in-progress", "warning", f"{count}: it is being saved.", [array.name], fix=SAVE)
        elif fill_value is None and array.metadata.zarr_format == 2:
            what = f"{count} and there is no fill value: they read as whatever lies in memory."
            yield judged("chunks-missing", "error", what, [array.name], fix=_bring_back(dataset, array))
        elif str(fill_value) == "NaN":
            killed = " (a save was killed, or the array was saved onto itself)" if chunks.missing > 1 else ""
            yield judged(
                "chunks-missing",
                "warning",
                f"{count}: they read as NaN{killed}.",
                [array.name],
                fix=_bring_back(dataset, array),
            )
        else:
            what = f"{count}: they read as {fill_value}, and zarr leaves such chunks out on purpose."
            yield judged("chunks-left-out", "info", what, [array.name])


def damaged_chunks(dataset: DatasetFacts) -> Iterator[Judged]:
    """Chunks shorter than they say, and files of a save that was killed in mid-write."""
    for array in dataset.arrays:
        recent = _is_recent(dataset, array)
        if array.chunks.cut_off:
            count = len(array.chunks.cut_off)
            which = f"1 chunk of {array.name} is" if count == 1 else f"{count} chunks of {array.name} are"
            what = f"{which} cut off ({listed(array.chunks.cut_off, 3)})."
            yield judged("chunks-cut-off", "error", what, [array.name], fix=_bring_back(dataset, array))
        if array.chunks.unfinished and recent:
            yield judged("save-in-progress", "warning", f"{array.name} is being saved.", [array.name], fix=SAVE)
        elif array.chunks.unfinished:
            what = f"A save of {array.name} was killed: {listed(array.chunks.unfinished, 3)} was left behind."
            yield judged("save-killed", "warning", what, [array.name], fix=_bring_back(dataset, array))


def stale_metadata(dataset: DatasetFacts) -> Iterator[Judged]:
    """Consolidated metadata that are not the arrays' own, as each save with chunks= leaves them."""
    stale = [array for array in dataset.arrays if array.stale]
    wrong = [array for array in stale if _misleads(array)]
    sides: tuple[tuple[list[ArrayFacts], Severity], ...]
    sides = ((wrong, "warning"), ([array for array in stale if array not in wrong], "info"))
    for arrays, severity in sides:
        if not arrays:
            continue
        names = [array.name for array in arrays]
        effect = "plain xarray.open_zarr reads wrong values" if arrays is wrong else "it changes nothing that is read"
        what = f"The .zmetadata of {listed(names)} is stale ({arrays[0].stale[0]}): {effect}."
        paths = [f"{dataset.where}/{array.folder}" for array in arrays]
        code = f"import zarr; [zarr.consolidate_metadata(path) for path in {paths}]"
        fix = f'python -c "{code}"' if PLAIN.fullmatch("".join(paths)) else f"python -c {shlex.quote(code)}"
        if dataset.now_ns:
            yield judged("stale-metadata", severity, what, names, fix=fix)
        else:  # recorded versions are opened by their own metadata
            yield judged("stale-metadata", "info", what, names)


def _misleads(array: ArrayFacts) -> bool:
    """Tell whether values would be read wrongly; another fill value alone is read only where chunks are missing."""
    return bool(array.chunks.missing) or any(text.partition(": ")[2] not in HARMLESS for text in array.stale)


def names(dataset: DatasetFacts) -> Iterator[Judged]:
    """Folders whose array is called otherwise, and two with one array name."""
    owners: dict[str, list[str]] = {}
    for array in dataset.readable:
        inner = array.inner_name
        if inner is None:
            continue
        owners.setdefault(inner, []).append(array.folder)
        if inner != array.name:
            what = f"{array.folder} holds an array called {inner}: open_minian gives it under that name."
            yield judged("folder-renamed", "info", what, [array.name])
    for inner, folders in owners.items():
        if len(folders) > 1:
            what = f"{listed(folders)} all hold an array called {inner}: open_minian reads all their data to compare."
            fix = f"mv {quoted(f'{dataset.where}/{folders[-1]}')} {quoted(_above(dataset.where))}"
            yield judged("name-twice", "error", what, folders, fix=fix, grade="contradictory")


def curiosities(dataset: DatasetFacts) -> Iterator[Judged]:
    """Links, arrays without a single value, arrays of which only the description is kept."""
    for array in dataset.arrays:
        if array.link:
            what = f"{array.folder} is a link: MiniAn follows it, and commit refuses it."
            yield judged("link", "info", what, [array.name], fix="Put the data itself there.")
        if not array.bytes_kept:
            what = f"{array.name} is recorded without its bytes: it cannot be loaded from the history."
            yield judged("bytes-not-kept", "info", what, [array.name])
        if array.variable is not None and not array.variable.size:
            what = f"{array.name} has no values: {array.variable.sizes}."
            yield judged("array-empty", "warning", what, [array.name], fix=f"Save {array.name} again, or remove it.")


def _bring_back(dataset: DatasetFacts, array: ArrayFacts) -> str:
    """Return how to get an array back: from the latest checkpoint, where that has another version of it."""
    latest = dataset.history.latest if dataset.history else ()
    if any(version.name == array.name and version.manifest != array.manifest for version in latest):
        return f"minian-vc restore {shlex.quote(f'{array.name}@latest')}"
    if any(version.name == array.name for version in latest):
        return f"Save {array.name} again, or restore an older version: minian-vc log --array {shlex.quote(array.name)}"
    return f"Save {array.name} again."


def _above(where: str) -> str:
    """Return the folder above; of a relative path it may have to be said as the path that it is."""
    return str(PurePath(where).parent) if PurePath(where).is_absolute() else f"{where}/.."


def _is_recent(dataset: DatasetFacts, array: ArrayFacts) -> bool:
    return bool(dataset.now_ns) and 0 <= dataset.now_ns - array.newest_ns < RECENT


RULES: tuple[Rule, ...] = (
    nothing,
    strange_folders,
    broken_arrays,
    damaged_metadata,
    uncertain_coordinates,
    missing_chunks,
    damaged_chunks,
    stale_metadata,
    names,
    curiosities,
)
