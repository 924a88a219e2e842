"""Where Icechunk cannot run, as beside MiniAn, the export says what to do instead."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

import minian_vc as mvc
from minian_vc.errors import EnvironmentUnfitError
from minian_vc.export import icechunk_place

REAL = importlib.metadata.version


def pretend(monkeypatch: pytest.MonkeyPatch, installed: dict[str, str | None]) -> None:
    """Let packages have other versions, or None."""

    def version(name: str) -> str:
        if installed.get(name, "") is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed.get(name) or REAL(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({"zarr": "2.18.7"}, r"needs zarr 3\.1\.3 or newer; zarr 2\.18\.7 is installed"),
        ({"zarr": "3.0.8"}, r"needs zarr 3\.1\.3 or newer; zarr 3\.0\.8 is installed"),
        ({"zarr": "3.1.2"}, r"needs zarr 3\.1\.3 or newer; zarr 3\.1\.2 is installed"),
        ({"zarr": "3.1.3", "icechunk": "1.1.21"}, r"needs icechunk 2\.0 or newer; icechunk 1\.1\.21 is installed"),
        ({"zarr": "3.1.3", "icechunk": None}, r"needs icechunk 2\.0 or newer; icechunk is not installed"),
    ],
)
def test_an_unfit_environment_is_told(dataset: mvc.Dataset, tmp_path: Path, monkeypatch, installed, said):
    """With the version that is needed, and where to run it; nothing is made."""
    dataset.commit("one")
    pretend(monkeypatch, installed)
    with pytest.raises(EnvironmentUnfitError, match=rf"{said}(?s:.*)environment of its own.*minian_vc\[icechunk\]"):
        dataset.export(format="icechunk", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(REAL("zarr").startswith("3"), reason="needs zarr 2")
def test_beside_minian_it_is_told(dataset: mvc.Dataset, tmp_path: Path):
    """With the zarr that is really there."""
    dataset.commit("one")
    with pytest.raises(EnvironmentUnfitError, match=rf"zarr {REAL('zarr')} is installed"):
        dataset.export(format="icechunk", out=tmp_path / "out")


@pytest.mark.parametrize(
    ("location", "endpoint"),
    [
        ("s3://anna:hunter2@lab-data/x", None),
        ("s3://lab-data/x?secret=hunter2", None),
        ("s3://lab-data/x", "https://anna:hunter2@127.0.0.1"),
        ("s3://lab-data/x", "https://127.0.0.1/?key=hunter2"),
        ("https://anna:hunter2@127.0.0.1/x", None),
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(location: str, endpoint: str | None):
    """They come from the environment alone."""
    with pytest.raises(mvc.errors.InvalidInputError) as caught, icechunk_place.storage_at(location, endpoint):
        pass
    assert "hunter2" not in str(caught.value)
