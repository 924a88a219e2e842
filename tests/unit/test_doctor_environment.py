"""Which packages go together: a pure question, and what it predicts is what happens."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from minian_vc.doctor import environment
from minian_vc.findings import Finding, worst

MINIANS: dict[str, str | None] = environment.REQUIRED | {
    "minian": "2.0.2",
    "xarray": "2026.4.0",
    "zarr": "2.18.7",
    "numcodecs": "0.15.2",
}
NEWEST = MINIANS | {"minian": None, "xarray": "2026.9.0", "zarr": "3.1.6", "numcodecs": "0.16.6"}


def found(packages: dict[str, str | None], **other: str | None) -> dict[str, Finding]:
    """What is found of a set of packages with some versions exchanged, by code, without the news on MiniAn."""
    all_of_them = list(environment.findings({**packages, **other}))
    assert all_of_them[-1].code.startswith("minian-")
    return {finding.code: finding for finding in all_of_them[:-1]}


def test_the_bounds_are_those_of_the_package() -> None:
    """A bound that is raised in pyproject.toml is raised here."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    bound = re.compile(r"([a-z0-9]+)(?:\[\w+\])?>=([\d.]+)(?:,!=3\.0\.\*(?:,!=3\.1\.[0-2])+)?")
    parsed = [bound.fullmatch(each) for each in project["dependencies"]]
    assert {match[1]: match[2] for match in parsed} == environment.REQUIRED


@pytest.mark.parametrize("packages", [MINIANS, NEWEST, NEWEST | {"zarr": "3.1.3"}, NEWEST | {"numcodecs": "0.12.1"}])
def test_good_sets_are_good(packages: dict[str, str | None]) -> None:
    """MiniAn's own set, which has the lower bounds of all else, and the newest have nothing to tell."""
    assert found(packages) == {}


@pytest.mark.parametrize(
    ("version", "works"),
    [
        ("2025.1.2", True),
        ("2026.7.0", True),
        ("2026.7.3", True),
        ("2026.8.0", False),
        ("2026.9.0", False),
        ("2027.1", False),
    ],
)
def test_a_new_xarray_cannot_save_with_zarr_2(version: str, works: bool) -> None:
    """The pair that a plain ``pip install minian`` gives is an error, with MiniAn and without; not with zarr 3."""
    for minian in ("2.0.2", None):
        codes = found(MINIANS, xarray=version, minian=minian)
        assert list(codes) == ([] if works else ["xarray-zarr-pair"])
        for finding in codes.values():
            assert finding.severity == "error"
            assert version in finding.message
            assert finding.fix == "pip install 'xarray<2026.8'"
    assert found(NEWEST, xarray=version) == {}


@pytest.mark.parametrize(("version", "works"), [("0.15.2", True), ("0.16.0", False), ("0.16.6", False), ("1.0", False)])
def test_a_new_numcodecs_keeps_zarr_2_from_being_imported(version: str, works: bool) -> None:
    """numcodecs 0.16 took away what zarr 2 imports; zarr 3 does not mind."""
    codes = found(MINIANS, numcodecs=version)
    assert [(code, each.severity) for code, each in codes.items()] == (
        [] if works else [("numcodecs-zarr-pair", "error")]
    )
    assert found(NEWEST, numcodecs=version) == {}


@pytest.mark.parametrize(
    ("version", "severity"),
    [
        ("3.0.0", "error"),
        ("3.0.10", "error"),
        ("3.1.0", "error"),
        ("3.1.2", "error"),
        ("3.1.3", None),
        ("3.2", None),
    ],
)
def test_zarr_3_wrote_in_place_at_first(version: str, severity: str | None) -> None:
    """Before 3.1.3 a killed save leaves half a chunk; pip would not install it with minian_vc."""
    codes = found(NEWEST, zarr=version)
    assert worst(codes.values()) == severity
    assert list(codes) == (["zarr-writes-in-place"] if severity else [])


@pytest.mark.parametrize("version", ["3.0.8", "3.1.6", "4.0"])
def test_minian_cannot_run_with_zarr_3(version: str) -> None:
    """Every fix then leads to a set that MiniAn runs with, and not to another zarr 3."""
    codes = found(NEWEST, zarr=version, minian="2.0.2")
    assert codes["minian-with-zarr-3"].severity == "error"
    assert {finding.fix for finding in codes.values()} == {environment.AS_MINIAN_NEEDS}


@pytest.mark.parametrize("name", environment.REQUIRED)
def test_what_is_missing_or_too_old_is_told_with_what_is_needed(name: str) -> None:
    """Each package by itself; the lower bound is enough, with or without zeros behind it."""
    bound = environment.REQUIRED[name]
    for enough in (bound, f"{bound}.0", f"{bound}.1", f"{bound}.post1", bound.removesuffix(".0")):
        assert not {"package-too-old", "package-missing"} & found(MINIANS, **{name: enough}).keys()
    missing = found(MINIANS, **{name: None})["package-missing"]
    first, _, rest = bound.partition(".")
    too_old = found(MINIANS, **{name: f"{int(first) - 1}.99" if int(first) else f"0.{int(rest) - 1}.99"})[
        "package-too-old"
    ]
    for finding in (missing, too_old):
        assert finding.severity == "error"
        assert name in finding.message
        assert finding.fix == f"pip install -U '{name}>={bound}'"


def test_all_that_is_missing_is_told() -> None:
    """An empty environment: one finding for each package, and none about pairs."""
    findings = list(environment.findings({}))
    assert [finding.code for finding in findings[:-1]] == ["package-missing"] * len(environment.REQUIRED)
    assert findings[-1].code == "minian-not-installed"


@pytest.mark.parametrize("version", ["unknown", "", "v"])
def test_a_version_without_numbers_says_nothing(version: str) -> None:
    """It is not taken for an old one."""
    assert found(MINIANS, dask=version, zarr=version, xarray=version) == {}


@pytest.mark.parametrize(("version", "code"), [("2.0.2", "minian-installed"), (None, "minian-not-installed")])
def test_minian_is_told_whether_or_not_it_is_there(version: str | None, code: str) -> None:
    """It is not needed, so this is information."""
    last = list(environment.findings(MINIANS | {"minian": version}))[-1]
    assert (last.code, last.severity, last.fix) == (code, "info", "")


def test_the_versions_are_those_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the metadata; a package without any, or with broken metadata, is not installed."""
    packages = environment.installed()
    assert packages["xarray"] == importlib.metadata.version("xarray")
    assert set(packages) == {"minian_vc", "minian", *environment.REQUIRED}

    def version(name: str) -> str | None:
        if name == "zarr":
            raise importlib.metadata.PackageNotFoundError(name)
        if name == "dask":
            raise KeyError("Version")
        return None if name == "xarray" else "1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    packages = environment.installed()
    assert [packages[name] for name in ("zarr", "dask", "xarray", "numpy")] == [None, None, None, "1"]


def test_the_prediction_is_what_happens_here(tmp_path: Path) -> None:
    """In the environment at hand xarray can save zarr exactly where no error is predicted."""
    import xarray as xr

    predicted = {finding.code for finding in environment.findings(environment.installed())}
    try:
        xr.Dataset({"a": ("x", np.arange(3))}).to_zarr(tmp_path / "a.zarr", consolidated=False)
        happened = False
    except TypeError:
        happened = True
    assert happened == ("xarray-zarr-pair" in predicted)
