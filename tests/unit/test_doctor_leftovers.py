"""doctor: what was stopped, put aside, or lies in a dataset and is no array."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import doctoring
import numpy as np
import pytest
from doctoring import codes, look, mend, the
from handmade import write_array

from minian_vc import staging, swap
from minian_vc.doctor import leftovers, probes
from minian_vc.doctor.probes import PROBE

lab, surroundings, template = doctoring.lab, doctoring.surroundings, doctoring.template
pytestmark = pytest.mark.usefixtures("surroundings")


def make_old(path: Path, seconds: float, now: float) -> Path:
    """Make a file, or a folder with all in it, so old."""
    for each in [*path.rglob("*"), path]:
        os.utime(each, (now - seconds, now - seconds))
    return path


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """A time that stands still."""
    moment = probes.time.time()
    monkeypatch.setattr("minian_vc.doctor.time.time", lambda: moment)
    monkeypatch.setattr(probes.time, "time_ns", lambda: int(moment * 1e9))
    return moment


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("batch-0123456789abcdef", "leftover-staging"),
        ("restore-0123456789abcdef", "leftover-restore"),
        ("operation-0123456789abcdef", "leftover-staging"),
        (f"{PROBE}0123456789abcdef-a", "leftover-staging"),
    ],
)
def test_what_was_staged_long_ago_is_a_leftover(lab: Path, now: float, name: str, code: str) -> None:
    """After an hour without a write, by the newest file in it; the size is told, and how to remove it."""
    folder = lab / ".minian_vc/staging" / name
    if name.startswith(("batch", "restore")):
        (folder / "deep").mkdir(parents=True)
        (folder / "deep/file").write_bytes(bytes(5000))
    else:
        folder.write_bytes(bytes(5000))
    make_old(folder, leftovers.OLD - 100, now)
    assert codes(look(lab)) == []
    make_old(folder, leftovers.OLD + 100, now)
    finding = the(look(lab), code)
    assert finding.severity == "warning"
    assert (str(folder) in finding.message, "5.0 kB" in finding.message) == (True, True)
    if folder.is_dir():
        os.utime(folder / "deep/file", (now, now))
        assert codes(look(lab)) == []
        make_old(folder, leftovers.OLD + 100, now)
    mend(replace(finding, fix=finding.fix.removeprefix("Take what you need from it, then: ")), lab)
    assert codes(look(lab)) == []


def test_the_age_of_leftovers_is_told_by_the_file_systems_clock(
    lab: Path, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A computer whose clock is two hours ahead does not take a running commit for a dead one."""
    make_old((lab / ".minian_vc/staging/batch-1"), 0, now) if (lab / ".minian_vc/staging/batch-1").mkdir() else None
    monkeypatch.setattr("minian_vc.doctor.time.time", lambda: now + 7200)
    monkeypatch.setattr(probes.time, "time_ns", lambda: int((now + 7200) * 1e9))
    assert codes(look(lab)) == ["clock-skew"]


def test_a_stopped_swap_is_told_and_mended(lab: Path) -> None:
    """Between its two renames a restore leaves no dataset: the command that is given brings it back."""
    staging = lab / ".minian_vc/staging"
    aside = staging / "restore-1/dataset.old"
    aside.parent.mkdir()
    (lab / "s1").rename(aside)
    note = staging / "swap-1.json"
    names = {"live": lab / "s1", "staged": staging / "restore-1/dataset", "aside": aside}
    note.write_text(json.dumps({key: str(path) for key, path in names.items()}))
    os.utime(note, (1_000_000_000, 1_000_000_000))
    diagnosis = look(lab)
    assert codes(diagnosis) == ["dataset-missing", "swap-unfinished"]
    finding = the(diagnosis, "swap-unfinished")
    assert str(lab / "s1") in finding.message
    mend(finding, lab)
    assert codes(look(lab)) == []
    assert (lab / "s1/A.zarr").is_dir()


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", "[" * 100_000])
def test_a_damaged_note_of_a_swap_is_told(lab: Path, content: str) -> None:
    """Other commands fail on it."""
    note = lab / ".minian_vc/staging/swap-1.json"
    note.write_text(content)
    os.utime(note, (1_000_000_000, 1_000_000_000))
    finding = the(look(lab), "swap-note-damaged")
    assert (finding.severity, str(note) in finding.message) == ("error", True)


def test_a_swap_that_runs_is_no_leftover(lab: Path, now: float) -> None:
    """A note of this moment belongs to a command that runs."""
    note = lab / ".minian_vc/staging/swap-1.json"
    names = {"live": lab / "s1", "staged": note.with_name("x"), "aside": note.with_name("y")}
    note.write_text(json.dumps({key: str(path) for key, path in names.items()}))
    make_old(note, swap.UNDER_WAY / 2, now)
    assert codes(look(lab)) == []
    make_old(note, swap.UNDER_WAY * 2, now)
    assert codes(look(lab)) == ["swap-unfinished"]


def test_folders_that_were_put_aside_are_listed(lab: Path) -> None:
    """What, where, how large and of when: somebody may miss it. It is no fault."""
    aside = lab / ".minian_vc/displaced/20200102T030405-01234567"
    (aside / "C.zarr/C").mkdir(parents=True)
    (aside / "C.zarr/C/0.0").write_bytes(bytes(7000))
    moment = 1_577_934_245.0
    make_old(aside, 0, moment)
    diagnosis = look(lab)
    assert codes(diagnosis) == []
    finding = the(diagnosis, "displaced-folder")
    day = leftovers.datetime.fromtimestamp(moment).strftime("%Y-%m-%d")
    for word in ("C.zarr", str(aside), "7.0 kB", day):
        assert word in finding.message


def foreign(dataset: Path) -> Path:
    (dataset / "figures").mkdir()
    (dataset / "figures/a.png").write_bytes(b"png")
    return dataset / "figures"


def hidden(dataset: Path) -> Path:
    (dataset / ".ipynb_checkpoints").mkdir()
    return dataset / ".ipynb_checkpoints"


def rechunked(dataset: Path) -> Path:
    (dataset / "0b5ffc03-9d6b-4d1c-8a76-5d3c3b0e7a11").mkdir()
    return dataset / "0b5ffc03-9d6b-4d1c-8a76-5d3c3b0e7a11"


def restored(dataset: Path) -> Path:
    (dataset / "restore-0123456789abcdef.tmp/A.zarr").mkdir(parents=True)
    return dataset / "restore-0123456789abcdef.tmp"


@pytest.mark.parametrize(
    ("make", "code", "severity"),
    [
        (foreign, "foreign-folder", "warning"),
        (hidden, "foreign-folder", "warning"),
        (rechunked, "rechunker-folder", "warning"),
        (restored, "ours-in-dataset", "error"),
    ],
)
@pytest.mark.parametrize("repository", [True, False], ids=["with a repository", "without one"])
def test_folders_in_a_dataset_that_are_no_arrays_are_told(
    lab: Path, make: Callable[[Path], Path], code: str, severity: str, repository: bool
) -> None:
    """MiniAn cannot open a dataset that has one; what the fix says is enough."""
    if not repository:
        shutil.rmtree(lab / ".minian_vc")
    folder = make(lab / "s1")
    diagnosis = look(lab if repository else lab / "s1")
    assert codes(diagnosis) == [code]
    finding = the(diagnosis, code)
    assert (finding.severity, str(folder) in finding.message) == (severity, True)
    mend(replace(finding, fix=finding.fix.removeprefix("If no save is running: ")), lab)
    assert codes(look(lab if repository else lab / "s1")) == []


def test_arrays_and_files_in_a_dataset_are_at_home(lab: Path) -> None:
    """With and without ``.zarr`` in their name, in either zarr format; half an array is another command's affair."""
    write_array(lab / "s1/plain", np.ones(3), ("frame",), name="plain")
    (lab / "s1/three").mkdir()
    (lab / "s1/three/zarr.json").write_text("{}")
    (lab / "s1/bare").mkdir()
    (lab / "s1/bare/.zarray").write_text("{}")
    (lab / "s1/half.zarr").mkdir()
    (lab / "s1/timeStamps.csv").write_text("0,0")
    (lab / "s1/0b5ffc03-9d6b-4d1c-8a76-5d3c3b0e7a11.zarr").mkdir()
    assert codes(look(lab)) == []


def test_what_a_killed_save_left_is_told(lab: Path) -> None:
    """One that runs is none of doctor's business; one that could not be put in place holds the only new version."""

    def left() -> list[str]:
        return [finding.code for finding in look(lab).findings["leftovers"]]

    staging.make_stage(running := staging.new_stage(lab / "s1"), lab / "s1")
    assert left() == []
    dead = running.with_name(f"{running.name.rpartition('-')[0].rpartition('-')[0]}-99999999-0123456789ab")
    (dead / "C.zarr").mkdir(parents=True)
    (dead / staging.OWNER).touch()
    assert left() == ["leftover-save"]
    note = dead / "swap-0123456789abcdef.json"
    note.write_text("{")
    assert left() == ["swap-note-damaged"]
    lives = {"live": lab / "s1/C.zarr", "staged": dead / "C.zarr", "aside": dead / "C.zarr.old"}
    note.write_text(json.dumps({key: str(path) for key, path in lives.items()}))
    assert left() == ["swap-unfinished"]
    assert the(look(lab), "swap-unfinished").fix == f"minian-vc check {lab / 's1'}"
    note.unlink()
    kept = staging.keep_stage(running)
    assert sorted(left()) == ["leftover-save", "save-kept"]
    assert str(kept) in the(look(lab), "save-kept").message
    mend(the(look(lab), "leftover-save"), lab)
    assert left() == ["save-kept"]
