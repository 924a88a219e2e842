"""The environment: which packages are installed, and which of them do not go together.

Versions come from the packages' metadata: nothing heavy is imported, and a package that is broken is still told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from minian_vc.environment import package_version
from minian_vc.findings import Finding
from minian_vc.version import __version__

__all__ = ["REQUIRED", "Packages", "findings", "installed"]

Packages = Mapping[str, str | None]  # name → version, None where it is not installed

REQUIRED = {  # the lower bounds of pyproject.toml
    "alembic": "1.13",
    "blake3": "1.0",
    "click": "8.1",
    "dask": "2024.8",
    "numcodecs": "0.12",
    "numpy": "1.26",
    "pandas": "2.1",
    "psutil": "5.9",
    "rich": "13",
    "tqdm": "4.65",
    "sqlalchemy": "2.0.30",
    "xarray": "2025.1.2",
    "zarr": "2.18",
}
LAST_XARRAY_FOR_ZARR_2 = (2026, 7)
FIRST_NUMCODECS_AFTER_ZARR_2 = (0, 16)
FIRST_ZARR_3_THAT_RENAMES = (3, 1, 3)
AS_MINIAN_NEEDS = "pip install 'zarr<3' 'xarray<2026.8' 'numcodecs<0.16'"


def installed() -> dict[str, str | None]:
    """Return the version of each package that matters, None for one that is not installed."""
    return {"minian_vc": __version__} | {name: package_version(name) for name in (*REQUIRED, "minian")}


def findings(packages: Packages) -> Iterator[Finding]:
    """Yield what is wrong with a set of packages, and whether MiniAn is among them. Pure.

    Parameters
    ----------
    packages : mapping of str to str or None
        Versions by name, as :func:`installed` returns them.
    """
    yield from _too_old(packages)
    yield from _pairs(packages)
    yield _minian(packages.get("minian"))


def _too_old(packages: Packages) -> Iterator[Finding]:
    for name, bound in REQUIRED.items():
        version = packages.get(name)
        fix = f"pip install -U '{name}>={bound}'"
        if version is None:
            message = f"{name} is not installed; minian_vc needs {name} {bound} or newer."
            yield Finding("package-missing", "error", message, fix=fix)
        elif () < _release(version) < _release(bound):
            message = f"{name} {version} is too old; minian_vc needs {name} {bound} or newer."
            yield Finding("package-too-old", "error", message, fix=fix)


def _pairs(packages: Packages) -> Iterator[Finding]:
    """Yield the pairs that are known not to work together."""
    minian, zarr, numcodecs, xarray = (packages.get(name) or "" for name in ("minian", "zarr", "numcodecs", "xarray"))
    if _release(zarr)[:1] == (2,):
        if _release(xarray)[:2] > LAST_XARRAY_FOR_ZARR_2:
            message = (
                f"xarray {xarray} can neither open nor save with zarr {zarr} (TypeError), nor can MiniAn with them."
            )
            yield Finding("xarray-zarr-pair", "error", message, fix="pip install 'xarray<2026.8'")
        if _release(numcodecs) >= FIRST_NUMCODECS_AFTER_ZARR_2:
            message = f"zarr {zarr} cannot be imported with numcodecs {numcodecs}."
            yield Finding("numcodecs-zarr-pair", "error", message, fix="pip install 'numcodecs<0.16'")
        return
    if minian and _release(zarr) >= (3,):
        message = f"MiniAn {minian} cannot run with zarr {zarr}: its rechunker needs zarr 2."
        yield Finding("minian-with-zarr-3", "error", message, fix=AS_MINIAN_NEEDS)
    if (3,) <= _release(zarr) < FIRST_ZARR_3_THAT_RENAMES:
        message = f"zarr {zarr} writes chunks in place: a save that is killed leaves half a chunk behind."
        fix = AS_MINIAN_NEEDS if minian else "pip install -U 'zarr>=3.1.3'"
        yield Finding("zarr-writes-in-place", "error", message, fix=fix)


def _minian(version: str | None) -> Finding:
    if version is None:
        return Finding("minian-not-installed", "info", "MiniAn is not installed here; minian_vc works without it.")
    return Finding("minian-installed", "info", f"MiniAn {version} is installed.")


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version without zeros at the end; () where it has none."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
