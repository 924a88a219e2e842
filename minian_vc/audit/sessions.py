"""Rules about the datasets that ``open_minian_mf`` puts together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from minian_vc.audit.datasets import Audit
from minian_vc.audit.model import Judged, judged, listed, quoted, worst_grade
from minian_vc.findings import worst_first
from minian_vc.prediction import Bundle, Fails, Unsure

__all__ = ["SessionFacts", "audit_sessions"]

PLACES = {"session": -1, "animal": -2}  # where save_minian's meta_dict takes them from, in the dataset's path
NEEDED = {"frame": "frames-differ", "height": "image-size-differs", "width": "image-size-differs"}


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the rules need to know of one dataset: no labels, no coordinates, so that thousands fit into memory.

    ``key`` is what ``open_minian_mf`` knows it by, None where it has none; ``problem`` what prevents opening it.
    """

    path: str
    key: tuple[str, ...] | None
    problem: Fails | Unsure | None = None
    ignored: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    scalars: dict[str, str] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    padded: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        path: str,
        opened: Bundle | Fails | Unsure,
        key: tuple[str, ...] | None,
        problem: Fails | Unsure | None,
        ignored: tuple[str, ...] = (),
        parents: tuple[str, ...] = (),
    ) -> SessionFacts:
        """Take down what is needed of an opened dataset."""
        if not isinstance(opened, Bundle):
            return cls(path, key, problem, ignored, parents=parents)
        scalars = {
            name: str(variable.contents)
            for name, variable in opened.variables.items()
            if not variable.dims and name in opened.coordinates
        }
        dtypes = {name: variable.dtype.name for name, variable in opened.data.items()}
        padded = tuple(name for name, variable in opened.data.items() if variable.padded)
        return cls(path, key, problem, ignored, dict(opened.sizes), dtypes, scalars, parents, padded)


def audit_sessions(datasets: Sequence[SessionFacts], index_dims: Sequence[str], root: str) -> Audit:
    """Find what goes wrong when these datasets are put together."""
    found = [
        *_nothing(datasets, root),
        *_broken(datasets),
        *_same_keys(datasets, index_dims),
        *_ignored(datasets),
        *_moved(datasets, index_dims),
        *_padded(datasets),
        *_missing_arrays(datasets),
        *_dtypes(datasets),
        *_sizes(datasets, index_dims),
    ]
    return Audit(worst_grade(each.grade for each in found), worst_first(each.finding for each in found))


def _nothing(datasets: Sequence[SessionFacts], root: str) -> Iterator[Judged]:
    if not datasets:
        what = f"No dataset below {root} has a name that fits the pattern."
        yield judged("no-dataset", "error", what, fix="Give another --pattern.", grade="unreadable")


def _broken(datasets: Sequence[SessionFacts]) -> Iterator[Judged]:
    for dataset in datasets:
        problem = dataset.problem
        if isinstance(problem, Fails) and problem.error == "KeyError" and dataset.dtypes:
            known = any(f"no {name} coordinate" in problem.why for name in PLACES)
            fix = "Give coordinates that all datasets have, such as --index-dims animal,session"
            if known:
                fix = "minian.utilities.update_meta(root, meta_dict={'session': -1, 'animal': -2})"
            what = f"{dataset.path}: {problem.why}; open_minian_mf raises KeyError."
            yield judged("coordinate-missing", "error", what, fix=fix, grade="contradictory")
        elif isinstance(problem, Fails):
            what = f"{dataset.path} cannot be opened ({problem.error}): {problem.why}; open_minian_mf opens nothing."
            fix = f"minian-vc check {quoted(dataset.path)}"
            yield judged("dataset-unreadable", "error", what, fix=fix, grade="unreadable")
        elif problem is not None:
            what = f"{dataset.path}: {problem.why}."
            yield judged("dataset-uncertain", "warning", what, fix=f"minian-vc check {quoted(dataset.path)}")


def _same_keys(datasets: Sequence[SessionFacts], index_dims: Sequence[str]) -> Iterator[Judged]:
    by_path = {dataset.path: dataset for dataset in datasets}
    by_key: dict[tuple[str, ...], list[str]] = {}
    for dataset in datasets:
        if dataset.key is not None:
            by_key.setdefault(dataset.key, []).append(dataset.path)
    for key, paths in by_key.items():
        if len(paths) > 1:
            named = ", ".join(f"{dim} {value}" for dim, value in zip(index_dims, key, strict=True))
            what = f"{listed(paths)} are all {named}: only the last of them, {paths[-1]}, is in the result."
            copies = [path for path in paths if _has_moved(by_path[path])] or ["one of them"]
            fix = f"Move {listed(copies)} out of the root, or index by more coordinates."
            yield judged("same-key", "error", what, fix=fix, grade="contradictory")


def _ignored(datasets: Sequence[SessionFacts]) -> Iterator[Judged]:
    for dataset in datasets:
        if dataset.ignored:
            what = f"{listed(dataset.ignored)} fit the pattern too, and only {dataset.path} is opened."
            fix = "Give a narrower pattern, such as --pattern '^minian$'."
            yield judged("dataset-ignored", "warning", what, fix=fix)


def _moved(datasets: Sequence[SessionFacts], index_dims: Sequence[str]) -> Iterator[Judged]:
    """A session or animal that is not called as the folder is: moved or renamed since it was saved."""
    for dataset in datasets:
        for name, place in PLACES.items():
            folder = dataset.parents[place] if len(dataset.parents) >= -place else None
            value = dataset.scalars.get(name)
            if name in index_dims and value is not None and folder is not None and value != folder:
                what = f"{dataset.path} says that its {name} is {value}, and lies in {folder}: moved, or renamed."
                fix = f"Rename the folder to {value}, or save its arrays again with meta_dict."
                yield judged("folder-moved", "warning", what, dim=name, fix=fix)


def _has_moved(dataset: SessionFacts) -> bool:
    """Tell whether a dataset's session or animal is another than its folder's name: the copy, of two with one key."""
    places = {name: dataset.parents[place] for name, place in PLACES.items() if len(dataset.parents) >= -place}
    return any(dataset.scalars.get(name, folder) != folder for name, folder in places.items())


def _padded(datasets: Sequence[SessionFacts]) -> Iterator[Judged]:
    """Datasets whose own arrays differ in units or frames."""
    for dataset in datasets:
        if dataset.padded:
            what = f"{listed(dataset.padded)} in {dataset.path} would be padded with NaN within the dataset."
            fix = f"minian-vc check {quoted(dataset.path)}"
            yield judged("dataset-padded", "warning", what, dataset.padded, fix=fix, grade="alignable")


def _missing_arrays(datasets: Sequence[SessionFacts]) -> Iterator[Judged]:
    opened = [dataset for dataset in datasets if dataset.dtypes]
    every = dict.fromkeys(name for dataset in opened for name in dataset.dtypes)
    for name in every:
        lacking = [dataset.path for dataset in opened if name not in dataset.dtypes]
        if lacking:
            what = f"{name} is missing in {listed(lacking, 3)}: NaN takes its place there."
            yield judged("array-missing", "warning", what, [name], fix=f"Save {name} there, or leave it out.")


def _dtypes(datasets: Sequence[SessionFacts]) -> Iterator[Judged]:
    kinds: dict[str, dict[str, str]] = {}
    for dataset in datasets:
        for name, dtype in dataset.dtypes.items():
            kinds.setdefault(name, {}).setdefault(dtype, dataset.path)
    for name, owners in kinds.items():
        if len(owners) > 1:
            shown = ", ".join(f"{dtype} in {path}" for dtype, path in owners.items())
            what = f"{name} is not of one dtype: {shown}."
            fix = f"Save {name} with one dtype: {name}.astype(float)"
            yield judged("dtype-differs", "warning", what, [name], fix=fix)


def _sizes(datasets: Sequence[SessionFacts], index_dims: Sequence[str]) -> Iterator[Judged]:
    """Frames, pictures and units that differ from session to session: the shorter are padded."""
    sizes: dict[str, dict[int, str]] = {}
    for dataset in datasets:
        for dim, size in dataset.sizes.items():
            if dim not in index_dims:
                sizes.setdefault(dim, {}).setdefault(size, dataset.path)
    for dim, owners in sizes.items():
        if len(owners) > 1:
            shown = ", ".join(f"{size} in {path}" for size, path in sorted(owners.items())[:4])
            picture = dim in ("height", "width")
            what = f"{dim} differs ({shown}): the shorter are padded with NaN."
            fix = "Crop all sessions alike." if picture else 'result_format="pandas" keeps the sessions apart.'
            yield judged(NEEDED.get(dim, "sizes-differ"), "warning" if picture else "info", what, dim=dim, fix=fix)
