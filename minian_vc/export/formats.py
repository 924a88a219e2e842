"""The formats: where each is written, what it takes, and what it needs installed."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from minian_vc.arrays.opening import levels_to_caller
from minian_vc.errors import EnvironmentUnfitError, InvalidInputError
from minian_vc.names import near

__all__ = ["FORMATS", "Format", "find_format"]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes
    ----------
    name : str
        What ``--format`` calls it.
    module : str
        The module of this package whose ``write(bundle, path, *, option=…)`` writes it.
    folder : bool
        It is a folder, else a file.
    sidecar : bool
        It has no place for the identity: that lies in a file beside it.
    history : bool
        It takes the whole history of a dataset: ``write(history, location, *, option=…)`` with a
        :class:`~minian_vc.export.whole_history.WholeHistory` and a path or URL returns what was written.
    extra : str, optional
        The extra of minian_vc that brings what it needs.
    takes : tuple of str, optional
        The arrays that it has a place for; by default it takes any.
    template : str, optional
        The function in that module that returns the file of what MiniAn does not know, to be filled in.
    """

    name: str
    module: str
    folder: bool = False
    sidecar: bool = False
    history: bool = False
    extra: str | None = None
    takes: tuple[str, ...] | None = None
    template: str | None = None

    @property
    def write(self) -> Callable[..., Any]:
        """The function that writes it; its keyword-only parameters are the format's options."""
        found: Callable[..., Any] = self._named("write")
        return found

    def placed(self, names: list[str], *, named: bool) -> list[str]:
        """Return the arrays that the format has a place for.

        Raises
        ------
        InvalidInputError
            It has none for one that was named, or for any.

        Warns
        -----
        UserWarning
            Arrays of a whole checkpoint were left out.
        """
        others = [name for name in names if self.takes is not None and name not in self.takes]
        if not others:
            return names
        what = f"The format {self.name} has no place for {', '.join(others)}"
        takes = f"It takes {', '.join(self.takes or ())}."
        if named or len(others) == len(names):
            raise InvalidInputError(f"{what}.", f"Nothing was written. {takes}")
        warnings.warn(f"{what}: left out. {takes}", UserWarning, stacklevel=levels_to_caller())
        return [name for name in names if name not in others]

    def template_text(self) -> str:
        """Return the file of what MiniAn does not know, each field explained and empty.

        Raises
        ------
        InvalidInputError
            The format needs none.
        """
        if self.template is None:
            raise InvalidInputError(f"The format {self.name} has no template.", "Nothing was written. It needs none.")
        return str(self._named(self.template)())

    def _named(self, function: str) -> Any:
        return getattr(importlib.import_module(f"minian_vc.export.{self.module}"), function)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse options that the format has not.

        Raises
        ------
        InvalidInputError
            There is such an option.
        """
        parameters = inspect.signature(self.write).parameters.values()
        known = [each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
        for name in options:
            if name not in known:
                has = f"It has {', '.join(known)}." if known else "It has none."
                raise InvalidInputError(
                    f"The format {self.name} has no option {name!r}.", f"Nothing was written. {has}"
                )

    def needs(self, package: str) -> EnvironmentUnfitError:
        """Return the error for a package that is not installed."""
        return EnvironmentUnfitError(
            f"Exporting to {self.name} needs {package}, which is not installed.",
            f'Nothing was written. pip install "minian_vc[{self.extra}]"',
        )


FORMATS = {
    each.name: each
    for each in (
        Format("netcdf", "netcdf", extra="netcdf"),
        Format("csv", "csv_file", sidecar=True),
        Format("parquet", "parquet", extra="parquet"),
        Format("npy", "npy", sidecar=True),
        Format("npz", "npz"),
        Format("mat", "mat", extra="mat"),
        Format("zarr", "zarr_group", folder=True),
        Format("minian", "minian_folder", folder=True),
        Format(
            "nwb",
            "nwb",
            extra="nwb",
            takes=("A", "C", "S", "b0", "max_proj"),
            template="template",
        ),
        Format("icechunk", "icechunk", history=True, extra="icechunk"),
    )
}


def find_format(name: str) -> Format:
    """Return a format by name.

    Raises
    ------
    InvalidInputError
        There is none.
    """
    if name not in FORMATS:
        raise InvalidInputError(f"There is no format {name!r}.", near(name, FORMATS))
    return FORMATS[name]
