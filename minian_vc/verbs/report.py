"""What check returns: a grade, findings, and what loading would do."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from minian_vc.arrays.opening import levels_to_caller
from minian_vc.audit import Grade
from minian_vc.errors import ConflictError, InvalidInputError, MinianVCError, UnreadableError
from minian_vc.facts import DatasetFacts
from minian_vc.findings import Finding, Severity, worst
from minian_vc.prediction import Outcome
from minian_vc.verbs import report_text
from minian_vc.verbs.load import load_each, load_together

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["CheckReport"]

WARNED = frozenset(  # what opening does not mend
    {"array-empty", "chunks-cut-off", "chunks-missing", "coordinate-missing", "foreign-folder", "leftover-folder"}
    | {"numbering-uncertain", "save-in-progress", "save-killed"}
)


@dataclass(frozen=True, eq=False)
class CheckReport:
    """What :func:`minian_vc.check` found.

    Attributes
    ----------
    where : str
        What was checked.
    grade : {"aligned", "alignable", "contradictory", "unreadable"}
        Whether the arrays belong together: as they are; on their common units; not at all; or not to be opened.
    findings : tuple of Finding
        Worst first. A finding has ``code``, ``severity``, ``arrays``, ``dim``, ``message`` and ``fix``.
    prediction : dict of str to Outcome
        What ``open_minian`` would do: ``return_dict``, ``merge`` and ``merge_exact``; or ``open_minian_mf``.
    input_nbytes : int
        Bytes in memory of all arrays as they are on disk.
    groups : tuple of dict
        The arrays that agree in session, units, frames, image size and chunk spec.
    datasets : tuple of CheckReport
        The reports on each dataset, where several were checked.
    facts : DatasetFacts, optional
        What the dataset says of itself; None where several were checked.

    Examples
    --------
    >>> import minian_vc as mvc
    >>> report = mvc.check("minian_intermediate")  # doctest: +SKIP
    >>> report.raise_for_errors()  # doctest: +SKIP
    >>> together = report.load()  # doctest: +SKIP
    """

    where: str
    grade: Grade
    findings: tuple[Finding, ...]
    prediction: Mapping[str, Outcome] = field(default_factory=dict)
    input_nbytes: int = 0
    groups: tuple[dict[str, Any], ...] = ()
    datasets: tuple[CheckReport, ...] = ()
    facts: DatasetFacts | None = None

    def __repr__(self) -> str:
        return report_text.text(self)

    def _repr_html_(self) -> str:
        return report_text.html(self)

    @property
    def worst(self) -> Severity | None:
        """The gravest severity of the findings, or None if there are none."""
        return worst(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``minian-vc check --json`` prints it."""
        body: dict[str, Any] = {"grade": self.grade, "findings": [finding.to_json() for finding in self.findings]}
        if self.datasets:
            return {**body, "datasets": [{"path": each.where, **each.to_dict()} for each in self.datasets]}
        prediction = {name: outcome.to_json() for name, outcome in self.prediction.items()}
        return {**body, "prediction": prediction, "input_nbytes": self.input_nbytes, "groups": list(self.groups)}

    def to_dataframe(self) -> pd.DataFrame:
        """Return the findings as a pandas DataFrame, one row each, worst first."""
        import pandas as pd

        columns = ["dataset", "code", "severity", "arrays", "dim", "message", "fix"]
        reports = self.datasets or (self,)
        rows = [
            {"dataset": report.where, **finding.to_json(), "arrays": finding.arrays}
            for report in reports
            for finding in report.findings
        ]
        return pd.DataFrame(rows, columns=columns)

    def raise_for_errors(self, level: Severity = "error") -> None:
        """Raise if there is a finding of that severity or graver.

        Raises
        ------
        UnreadableError
            An array, or a folder taken for one, cannot be opened.
        ConflictError
            The arrays do not belong together, or there is a finding of that severity.
        InvalidInputError
            There is no such severity.
        """
        levels = {"info": 0, "warning": 1, "error": 2}
        if level not in levels:
            raise InvalidInputError(f"{level!r} is no severity.", "Give info, warning or error.")
        grave = [finding for finding in self.findings if levels[finding.severity] >= levels[level]]
        if grave:
            raise self._error(grave)

    def load(self, arrays: Sequence[str] | None = None) -> xr.Dataset:
        """Open the arrays together: on their common units, in one order, of one session, nothing padded.

        Parameters
        ----------
        arrays : sequence of str, optional
            Open these only. By default all but the copies of earlier steps (``A_init``, ``C_new``, ``A_mrg``).

        Returns
        -------
        xarray.Dataset
            Lazy: dask-backed with the stored chunks, values as stored. What was left out is in
            ``attrs["left_out"]`` and in a ``LeftOutWarning``.

        Raises
        ------
        ConflictError
            They do not belong together.
        UnreadableError
            One of them cannot be opened.
        BusyError
            The folder has changed since it was checked.
        NotFoundError
            There is no array of that name.
        InvalidInputError
            Several datasets were checked, or sessions: load each by itself.

        Warns
        -----
        LeftOutWarning
            Units were left out.
        UserWarning
            What was found on these arrays and is not mended by opening: missing chunks, a save in progress.
        """
        facts = self._one_dataset()
        if arrays is None and self.grade in ("contradictory", "unreadable"):
            raise self._error(self.findings)
        together = load_together(facts, arrays)
        self._warn(arrays)
        return together

    def load_each(self) -> dict[str, xr.DataArray]:
        """Open each array as saved, under the name that MiniAn has it by.

        Returns
        -------
        dict of str to xarray.DataArray
            Lazy: dask-backed with the stored chunks, dims, shape and dtype as stored.

        Raises
        ------
        UnreadableError
            An array cannot be opened. Folders that are no arrays are passed over.
        BusyError
            The folder has changed since it was checked.
        InvalidInputError
            Several datasets were checked, or sessions.
        """
        each = load_each(self._one_dataset())
        self._warn(None)
        return each

    def _warn(self, arrays: Sequence[str] | None) -> None:
        """Say what was found on these arrays and opening them does not mend."""
        for finding in self.findings:
            if finding.code in WARNED and (arrays is None or set(arrays) & set(finding.arrays)):
                warnings.warn(finding.message, UserWarning, stacklevel=levels_to_caller())

    def _one_dataset(self) -> DatasetFacts:
        if self.facts is None:
            raise InvalidInputError(
                "Only a report on one dataset can be loaded.", "Check that one alone, then load it."
            )
        return self.facts

    def _error(self, grave: Sequence[Finding]) -> MinianVCError:
        first = grave[0]
        more = f" And {len(grave) - 1} more." if len(grave) > 1 else ""
        kind = UnreadableError if self.grade == "unreadable" else ConflictError
        return kind(f"{self.where}: {first.message}{more}", first.fix)
