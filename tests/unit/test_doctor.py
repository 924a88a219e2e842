"""doctor: what is examined from where, and that nothing is changed by it."""

from __future__ import annotations

import shutil
from pathlib import Path

import doctoring
import pytest
from conftest import put_stage
from doctoring import codes, give_device, look, mend, the

import minian_vc as mvc
from minian_vc.doctor import environment, examine
from minian_vc.doctor.probes import Probes
from minian_vc.errors import InvalidInputError, NotFoundError

lab, surroundings, template, written = doctoring.lab, doctoring.surroundings, doctoring.template, doctoring.written
pytestmark = pytest.mark.usefixtures("surroundings")


def test_a_healthy_repository_has_nothing_to_mend(history: mvc.Dataset) -> None:
    """A real run, committed at each stage: no warning from wherever one looks, and nothing is changed."""
    root = history.repository.root
    for start in (root, root / "mouse1", history.path, history.path / "A.zarr/A", root / ".minian_vc/objects"):
        diagnosis = look(start)
        assert codes(diagnosis) == []
        assert diagnosis.repository == root / ".minian_vc"
    assert list((root / ".minian_vc/staging").iterdir()) == []


def test_without_a_repository_the_environment_and_the_file_system_are_told(stages: Path, tmp_path: Path) -> None:
    """In an empty folder, in a dataset and in an array."""
    dataset = put_stage(stages, "stage-01-first-spatial", tmp_path)
    (tmp_path / "empty").mkdir()
    for start in (tmp_path / "empty", dataset, dataset / "A.zarr"):
        diagnosis = look(start)
        assert diagnosis.repository is None
        assert the(diagnosis, "no-repository").severity == "info"
        assert codes(diagnosis) == []
        assert diagnosis.packages["xarray"] == environment.REQUIRED["xarray"]
        assert diagnosis.file_system.probes.writable


def test_a_path_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    """What cannot be examined at all is said as any command says it."""
    with pytest.raises(NotFoundError, match="nowhere"):
        examine(tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match="mountinfo"):
        examine(tmp_path / "mountinfo")


def test_nothing_is_ever_written_in_a_dataset(stages: Path, tmp_path: Path, written: set[Path]) -> None:
    """With a repository it is tried in its staging folder, without one above the dataset, and there it is files."""
    dataset = put_stage(stages, "stage-01-first-spatial", tmp_path)
    for start in (dataset, dataset / "A.zarr", dataset / "A.zarr/A"):
        examine(start)
    assert written == {dataset.parent}
    written.clear()
    mvc.Repository.create(tmp_path)
    examine(dataset)
    assert written == {tmp_path / ".minian_vc/staging"}
    written.clear()
    (tmp_path / ".minian_vc/staging").rmdir()
    examine(dataset)
    assert written == {tmp_path}
    assert not (tmp_path / ".minian_vc/staging").exists()


def test_a_repository_in_a_dataset_is_told_and_not_written_to(lab: Path, written: set[Path]) -> None:
    """MiniAn takes ``.minian_vc`` for an array: it is an error, and nothing is tried inside."""
    shutil.move(lab / ".minian_vc", lab / "s1/.minian_vc")
    for start in (lab / "s1", lab / "s1/A.zarr"):
        diagnosis = look(start)
        finding = the(diagnosis, "ours-in-dataset")
        assert (finding.severity, str(lab / "s1/.minian_vc") in finding.message) == ("error", True)
    assert written == {lab}
    mend(finding, lab)
    assert "ours-in-dataset" not in codes(look(lab))


def test_a_dataset_that_is_a_whole_drive_is_not_tried(
    lab: Path, monkeypatch: pytest.MonkeyPatch, written: set[Path]
) -> None:
    """The folder above is on another file system: nothing is written, and that is said."""
    monkeypatch.setattr("minian_vc.doctor.repository.find", lambda _: None)
    give_device(monkeypatch, lab / "s1", 12345)
    diagnosis = look(lab / "s1")
    assert written == set()
    assert [each.severity for each in diagnosis.all_findings if each.code == "not-probed"] == ["info"]
    assert diagnosis.file_system.probes == Probes()
