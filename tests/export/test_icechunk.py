"""The whole history as an Icechunk repository: equal, whole after a kill, growing, and nobody else's."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from conftest import INTERMEDIATE, STAGES, put_stage

import minian_vc as mvc
from minian_vc import provenance
from minian_vc.catalog.queries import LogEntry
from minian_vc.cli.main import cli
from minian_vc.errors import (
    AlreadyExistsError,
    BusyError,
    DamagedError,
    InvalidInputError,
    NotFoundError,
)
from minian_vc.model import ArrayVersion, Checkpoint, Manifest
from minian_vc.text import short
from minian_vc.verbs.commit import Request

icechunk = pytest.importorskip("icechunk")
if tuple(map(int, importlib.metadata.version("icechunk").split(".")[:1])) < (2,):
    pytest.skip("needs icechunk 2", allow_module_level=True)
zarr = pytest.importorskip("zarr", minversion="3.1")

from minian_vc.export import icechunk as exporter  # noqa: E402


def opened(out: Path) -> icechunk.Repository:
    """Open what was exported, as a reader does."""
    return icechunk.Repository.open(icechunk.local_filesystem_storage(str(out)))


def commits(repository: icechunk.Repository) -> list:
    """Return the commits but Icechunk's own first, oldest first."""
    return [each for each in repository.ancestry(branch="main") if each.parent_id is not None][::-1]


def assert_equals(repository: icechunk.Repository, snapshot: str, dataset: mvc.Dataset, checkpoint: Checkpoint) -> int:
    """Compare every array of a checkpoint with its snapshot's; return how many there were."""
    store = repository.readonly_session(snapshot_id=snapshot).store
    expected = dataset.open(checkpoint.id, return_dict=True)
    assert set(zarr.open_group(store, mode="r")) == set(expected)
    for name, array in expected.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = xr.open_zarr(store, group=name)[name]
        xr.testing.assert_identical(found.load(), array.compute())
        assert (found.dtype, found.dims) == (array.dtype, array.dims)
        assert zarr.open_array(store, path=f"{name}/{name}", mode="r").metadata.zarr_format == 3
    return len(expected)


@pytest.fixture(scope="module")
def recorded(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the history of six stages, made once; tests copy it."""
    root = tmp_path_factory.mktemp("recorded") / "lab"
    root.mkdir()
    mvc.Repository.create(root)
    for stage in STAGES[:-1]:
        put_stage(stages, stage, root)
        mvc.open(root / INTERMEDIATE).commit(stage, tag=stage)
    return root


@pytest.fixture
def history(recorded: Path, tmp_path: Path) -> mvc.Dataset:
    """As conftest's, but quicker."""
    return mvc.open(shutil.copytree(recorded, tmp_path / "lab") / INTERMEDIATE)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "history.icechunk"


def test_every_array_of_every_checkpoint_reads_back_equal(history: mvc.Dataset, out: Path):
    """Six checkpoints, by their commits and by their tags: dims, coordinates, dtypes, attributes and values."""
    done = history.export(format="icechunk", out=out)
    entries = history.history()[::-1]
    repository = opened(out)
    found = commits(repository)
    assert [each.metadata["minian_vc"]["checkpoint"] for each in found] == [entry.id for entry in entries]
    assert list(done.added) == [entry.id for entry in entries]
    compared = sum(
        assert_equals(repository, commit.id, history, history.show(entry.id))
        for commit, entry in zip(found, entries, strict=True)
    )
    assert compared == sum(len(entry.arrays) for entry in entries) > 100
    tags = {entry.tags[0]: commit.id for entry, commit in zip(entries, found, strict=True)}
    assert {tag: repository.lookup_tag(tag) for tag in repository.list_tags()} == tags
    assert (done.present, dict(done.tags)) == (0, {tag: tag for tag in tags})


def odd_arrays() -> dict[str, xr.DataArray]:
    """Arrays as they rarely are: no unit, text and dates for labels, other dtypes, fill values, no dim at all."""
    units = ("unit_id", [3, 5])
    made = {
        "none": xr.DataArray(np.zeros((0, 4), "f4"), dims=("unit_id", "frame"), coords={"unit_id": np.zeros(0, int)}),
        "text": xr.DataArray(np.arange(2.0), dims="unit_id", coords={"unit_id": ["cell a", "célula"]}),
        "labels": xr.DataArray(
            np.arange(2.0),
            dims="unit_id",
            coords={"unit_id": units, "unit_labels": ("unit_id", [-1, 5]), "session": "1"},
        ),
        "when": xr.DataArray(
            np.arange(3), dims="frame", coords={"frame": np.array(["2026-01-01", "2026-01-02", "2026-03-01"], "M8[ns]")}
        ),
        "movie": xr.DataArray(np.arange(60, dtype="u1").reshape(5, 4, 3) % 2, dims=("frame", "height", "width")),
        "mask": xr.DataArray(np.array([[True, False], [False, False]]), dims=("height", "width")),
        "gaps": xr.DataArray(np.array([1.0, np.nan, np.inf, -np.inf, -0.0]), dims="frame", attrs={"unit": "a.u."}),
        "complex": xr.DataArray(np.array([1 + 2j, 0]), dims="frame"),
        "scalar": xr.DataArray(np.float64(0.5)),
    }
    made["movie"] = made["movie"].chunk({"frame": 2, "height": 4, "width": 3})
    return {name: array.rename(name) for name, array in made.items()}


def test_odd_arrays_read_back_equal(root: Path, out: Path):
    """Also where one changes its dtype and dims under the same name in the next checkpoint."""
    dataset = mvc.open(root / "odd", create=True)
    dataset.path.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for array in odd_arrays().values():
            mvc.save_minian(array, str(dataset.path), overwrite=True)
        first = dataset.commit("odd")
        mvc.save_minian(odd_arrays()["mask"].rename("movie"), str(dataset.path), overwrite=True)
        second = dataset.commit("another movie")
    dataset.export(format="icechunk", out=out)
    repository = opened(out)
    compared = [
        assert_equals(repository, commit.id, dataset, checkpoint)
        for commit, checkpoint in zip(commits(repository), (first, second), strict=True)
    ]
    assert compared == [9, 9]


def test_it_is_written_in_this_process(dataset: mvc.Dataset, out: Path):
    """Whatever scheduler is set, a cluster's too: workers of other processes cannot write into one session."""

    def refusing(*_, **__):
        raise AssertionError("another scheduler was asked")

    dataset.commit("one")
    with dask.config.set(scheduler=refusing):
        dataset.export(format="icechunk", out=out)


def test_chunks_are_as_they_were(history: mvc.Dataset, out: Path):
    """The chunk spec survives: one dask chunk of the old version is one of the export's."""
    history.export(format="icechunk", out=out)
    store = opened(out).readonly_session("main").store
    for name, array in history.open(return_dict=True).items():
        assert xr.open_zarr(store, group=name)[name].chunks == array.chunks


def test_a_commit_tells_who_it_is(dataset: mvc.Dataset, out: Path):
    """Message, author, time, dataset, session, animal and provenance; the identity in the root, tags in neither."""
    first = dataset.commit("after the first\ntemporal update", tag="first", params={"p": 1, "noise": [0.1, 0.5]})
    dataset.export(format="icechunk", out=out)
    repository = opened(out)
    (commit,) = commits(repository)
    said = commit.metadata["minian_vc"]
    assert commit.message == first.message
    assert (said["author"], said["created_at"], said["dataset"]) == (first.author, first.created_at, dataset.name)
    assert (said["session"], said["animal"], said["dataset_id"]) == ("session1", "mouse1", first.dataset)
    assert said["provenance"]["params"] == {"p": 1, "noise": [0.1, 0.5]}
    assert said["provenance"] == first.provenance
    root = zarr.open_group(repository.readonly_session("main").store, mode="r")
    identity = json.loads(root.attrs["minian_vc"])
    assert identity["provenance"] == first.provenance
    assert identity["checkpoint"] == root.attrs["checkpoint"] == first.id
    assert (root.attrs["session"], root.attrs["animal"]) == ("session1", "mouse1")
    attributes = root["max_res"].attrs
    assert (attributes["session"], attributes["animal"]) == ("session1", "mouse1")
    assert attributes["manifest"] == first.array("max_res").manifest
    assert "tags" not in identity


def test_long_provenance_is_not_in_the_commit_but_in_the_root(dataset: mvc.Dataset, out: Path):
    """Icechunk rewrites all commits' metadata at each commit."""
    first = dataset.commit("long", params={"note": "all the notes of a day " * 300})
    dataset.export(format="icechunk", out=out)
    (commit,) = commits(opened(out))
    assert "provenance" not in commit.metadata["minian_vc"]
    root = zarr.open_group(opened(out).readonly_session("main").store, mode="r")
    assert json.loads(root.attrs["minian_vc"])["provenance"] == first.provenance


def test_an_empty_message_stays_empty(dataset: mvc.Dataset, out: Path):
    """None is invented."""
    dataset.commit()
    dataset.export(format="icechunk", out=out)
    assert [each.message for each in commits(opened(out))] == [""]


def test_unchanged_arrays_are_not_rewritten(history: mvc.Dataset, out: Path):
    """A commit touches the arrays whose manifest is another than before, and removes those that are gone."""
    history.export(format="icechunk", out=out)
    repository = opened(out)
    found, entries = commits(repository), history.history()[::-1]
    for i in range(1, len(found)):
        before, after = (
            {a.name: a.manifest for a in history.show(entry.id).arrays} for entry in (entries[i - 1], entries[i])
        )
        changes = repository.diff(from_snapshot_id=found[i - 1].id, to_snapshot_id=found[i].id)
        touched = {path.split("/")[1] for path in changes.updated_chunks} | {
            path.split("/")[1] for path in changes.new_arrays
        }
        assert touched == {name for name in after if before.get(name) != after[name]} < set(after)
        gone = {path.split("/")[1] for path in changes.deleted_groups}
        assert gone >= before.keys() - after.keys()


def test_it_grows(history: mvc.Dataset, out: Path):
    """Run again, it adds what is new and leaves the rest; run once more, nothing."""
    history.export(format="icechunk", out=out)
    old = commits(opened(out))
    new = change(history, "C")
    history.tag("later")
    done = history.export(format="icechunk", out=out)
    assert (done.added, done.present) == ((new.id,), 6)
    repository = opened(out)
    found = commits(repository)
    assert [each.id for each in found[:6]] == [each.id for each in old]
    assert [each.message for each in found[6:]] == ["C"]
    assert repository.lookup_tag("later") == found[6].id
    assert_equals(repository, found[6].id, history, new)
    again = history.export(format="icechunk", out=out)
    assert (again.added, again.present, again.nbytes) == ((), 7, 0)
    assert [each.id for each in commits(opened(out))] == [each.id for each in found]


@pytest.mark.parametrize("where", ["between two commits", "within one"])
def test_killed_in_the_middle_it_goes_on(history: mvc.Dataset, out: Path, monkeypatch: pytest.MonkeyPatch, where: str):
    """What was committed is whole, and the next run adds the rest and the tags."""
    name = "_commit" if where == "between two commits" else "_write_array"
    real, calls = getattr(exporter, name), []

    def dying(*arguments):
        calls.append(arguments)
        if len(calls) > (3 if name == "_commit" else 40):
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(exporter, name, dying)
        with pytest.raises(KeyboardInterrupt):
            history.export(format="icechunk", out=out)
    half, entries = commits(opened(out)), history.history()[::-1]
    assert 0 < len(half) < 6
    for commit, entry in zip(half, entries, strict=False):
        assert_equals(opened(out), commit.id, history, history.show(entry.id))
    done = history.export(format="icechunk", out=out)
    assert list(done.added) == [entry.id for entry in entries[len(half) :]]
    found = commits(opened(out))
    for commit, entry in zip(found, entries, strict=True):
        assert_equals(opened(out), commit.id, history, history.show(entry.id))
        assert opened(out).lookup_tag(entry.tags[0]) == commit.id


def test_a_killed_process_leaves_no_lock(history: mvc.Dataset, out: Path):
    """A real kill between two commits; the next export is not kept out."""
    script = f"""
import os, minian_vc as mvc
from minian_vc.export import icechunk as exporter
real, calls = exporter._commit, []
def dying(*arguments):
    calls.append(1)
    if len(calls) > 2:
        os.kill(os.getpid(), 9)
    return real(*arguments)
exporter._commit = dying
mvc.open({str(history.path)!r}).export(format="icechunk", out={str(out)!r})
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert len(commits(opened(out))) == 2
    assert len(history.export(format="icechunk", out=out).added) == 4


def test_damaged_bytes_stop_it_and_what_was_before_stays(history: mvc.Dataset, out: Path):
    """The error says how far it came; nothing of the damaged checkpoint is there."""
    entries = history.history()[::-1]
    damage(history, entries[2], "C")
    with pytest.raises(DamagedError, match=f"has the checkpoints before @{short(entries[2].id)}, whole"):
        history.export(format="icechunk", out=out)
    assert [each.metadata["minian_vc"]["checkpoint"] for each in commits(opened(out))] == [e.id for e in entries[:2]]


def damage(dataset: mvc.Dataset, entry: LogEntry, name: str) -> None:
    """Spoil a stored chunk that no checkpoint before has."""
    store, before = dataset.repository.objects, set()
    for each in dataset.history()[::-1]:
        arrays = dataset.show(each.id).arrays
        if each.id == entry.id:
            break
        before |= {file.digest for array in arrays for file in files_of(dataset, array).values()}
    files = files_of(dataset, next(array for array in arrays if array.name == name))
    chunk = next(f for key, f in files.items() if key.startswith(f"{name}/0") and f.digest not in before)
    path = store.path("chunks", chunk.digest)
    path.chmod(0o644)
    path.write_bytes(bytes(chunk.size))


def files_of(dataset: mvc.Dataset, array: ArrayVersion) -> Manifest:
    """Return an array version's stored files."""
    return dataset.repository.stored_files(array.manifest).entries


# -- tags ------------------------------------------------------------------------------------------


def move_tag(dataset: mvc.Dataset, tag: str) -> Checkpoint:
    """Let a save take a tag over, as a notebook's cell does when it is run again."""
    array = dataset.open("latest", return_dict=True)["C"].compute() + np.float32(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mvc.save_minian(array.rename("C"), str(dataset.path), overwrite=True, tag=tag, record=True)
    return dataset.show(tag)


def test_a_tag_that_moved_stays_and_its_new_place_has_one_that_says_so(history: mvc.Dataset, out: Path):
    """Icechunk's tags are immutable: a reader of the old name must not be told that it is the new one."""
    history.export(format="icechunk", out=out)
    old = opened(out).lookup_tag("stage-05-second-temporal")
    moved = move_tag(history, "stage-05-second-temporal")
    with pytest.warns(
        UserWarning, match=r"Icechunk's tags cannot move: stage-05-second-temporal .* is stage-05-second"
    ):
        done = history.export(format="icechunk", out=out)
    name = f"stage-05-second-temporal@{moved.short_id}"
    assert done.tags["stage-05-second-temporal"] == name
    assert opened(out).lookup_tag("stage-05-second-temporal") == old
    assert_equals(opened(out), opened(out).lookup_tag(name), history, moved)


def test_a_tag_that_somebody_deleted_there_is_given_under_the_longer_name(history: mvc.Dataset, out: Path):
    """Its name is used up in Icechunk; when that of the replacement is too, it is said."""
    history.export(format="icechunk", out=out)
    begins = history.show("stage-00-init").short_id
    opened(out).delete_tag("stage-00-init")
    with pytest.warns(UserWarning, match="was deleted"):
        done = history.export(format="icechunk", out=out)
    assert done.tags["stage-00-init"] == f"stage-00-init@{begins}"
    opened(out).delete_tag(f"stage-00-init@{begins}")
    with pytest.warns(UserWarning, match="has no tag"):
        history.export(format="icechunk", out=out)


def test_a_tag_given_later_arrives(dataset: mvc.Dataset, out: Path):
    """Also where no checkpoint is new."""
    dataset.commit("one")
    dataset.export(format="icechunk", out=out)
    dataset.tag("named_later")
    dataset.export(format="icechunk", out=out)
    assert opened(out).lookup_tag("named_later") == commits(opened(out))[0].id


# -- what is left out ------------------------------------------------------------------------------


def test_arrays_recorded_without_bytes_are_left_out_and_said(history: mvc.Dataset, out: Path):
    """In how many checkpoints; and inside. When they were there before, they are removed."""
    history.repository.configure("record_without_bytes", "C,S")
    bare = change(history, "C")
    with pytest.warns(
        UserWarning, match=r"Recorded without their bytes, and left out: C \(in 1 checkpoint\), S \(in 1"
    ):
        history.export(format="icechunk", out=out)
    repository = opened(out)
    assert "C" in zarr.open_group(repository.readonly_session(tag="stage-05-second-temporal").store, mode="r")
    assert_equals(repository, commits(repository)[-1].id, history, bare)
    root = zarr.open_group(repository.readonly_session("main").store, mode="r")
    assert json.loads(root.attrs["minian_vc"])["without_bytes"] == ["C", "S"]
    assert not {"C", "S"} & set(root)


def change(dataset: mvc.Dataset, name: str, automatic: str | None = None) -> Checkpoint:
    """Take a chunk out of an array and commit that."""
    sorted((dataset.path / f"{name}.zarr" / name).glob("[0-9]*"))[0].unlink()
    return dataset.record(Request(name, None, None, provenance.gather(automatic=automatic), 3.0)).checkpoint


def test_pruned_checkpoints_are_not_exported_and_those_exported_before_stay(history: mvc.Dataset, out: Path):
    """What is pruned afterwards does not make the export another history's."""
    automatic = change(history, "C", "notebook")
    change(history, "S")
    history.export(format="icechunk", out=out)
    assert [each.id for each in history.prune(automatic=True, grace_days=0, dry_run=False).checkpoints] == [
        automatic.id
    ]
    new = change(history, "b0")
    assert history.export(format="icechunk", out=out).added == (new.id,)
    found = [each.metadata["minian_vc"]["checkpoint"] for each in commits(opened(out))]
    assert (found[6], found[8], len(found)) == (automatic.id, new.id, 9)
    assert len(history.export(format="icechunk", out=out.with_name("fresh")).added) == 8


# -- what is refused -------------------------------------------------------------------------------


def test_a_foreign_repository_is_refused(dataset: mvc.Dataset, out: Path):
    """One commit of somebody else on main is enough; nothing is added to it."""
    dataset.commit("one")
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(out)))
    session = repository.writable_session("main")
    zarr.open_group(session.store, mode="a").attrs["a"] = 1
    session.commit("theirs")
    with pytest.raises(AlreadyExistsError, match="which no export of minian_vc made"):
        dataset.export(format="icechunk", out=out)
    assert [each.message for each in commits(opened(out))] == ["theirs"]


def test_a_commit_of_others_on_top_of_ours_is_refused(history: mvc.Dataset, out: Path):
    """Somebody went on from the export."""
    history.export(format="icechunk", out=out)
    session = opened(out).writable_session("main")
    zarr.open_group(session.store, mode="a").attrs["a"] = 1
    session.commit("theirs")
    with pytest.raises(AlreadyExistsError, match="which no export of minian_vc made"):
        history.export(format="icechunk", out=out)


def test_another_datasets_history_is_refused(history: mvc.Dataset, out: Path, stages: Path):
    """Two datasets never share a branch."""
    history.export(format="icechunk", out=out)
    other = mvc.open(put_stage(stages, "stage-00-init", history.repository.root, "mouse1/session2/minian_intermediate"))
    other.commit("other")
    with pytest.raises(AlreadyExistsError, match="another dataset, mouse1/session1"):
        other.export(format="icechunk", out=out)
    assert len(commits(opened(out))) == 6


def test_a_copy_that_went_on_by_itself_is_refused(history: mvc.Dataset, out: Path):
    """A copied repository has the same dataset id; checkpoints of one and not the other tell them apart."""
    root = history.repository.root
    copied = root.with_name("copy")
    shutil.copytree(root, copied)
    twin = mvc.open(copied / history.name)
    change(twin, "C")
    change(history, "S")
    twin.export(format="icechunk", out=out)
    with pytest.raises(AlreadyExistsError, match="never had"):
        history.export(format="icechunk", out=out)


def test_an_empty_icechunk_repository_is_taken(dataset: mvc.Dataset, out: Path):
    """Somebody made it for this; so does a kill right after it was made."""
    dataset.commit("one")
    icechunk.Repository.create(icechunk.local_filesystem_storage(str(out)))
    assert len(dataset.export(format="icechunk", out=out).added) == 1


def test_a_folder_with_something_else_is_refused_and_left_alone(dataset: mvc.Dataset, out: Path):
    """And so are a file, a place in a dataset, and one without a parent."""
    dataset.commit("one")
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(AlreadyExistsError, match="no Icechunk repository"):
        dataset.export(format="icechunk", out=out)
    assert [each.name for each in out.iterdir()] == ["notes.txt"]
    with pytest.raises(AlreadyExistsError, match="no folder"):
        dataset.export(format="icechunk", out=out / "notes.txt")
    with pytest.raises(InvalidInputError, match="lies in"):
        dataset.export(format="icechunk", out=dataset.path / "x")
    with pytest.raises(NotFoundError, match="no folder"):
        dataset.export(format="icechunk", out=out / "no" / "such")


def test_two_exports_to_one_folder_do_not_meet(dataset: mvc.Dataset, out: Path, monkeypatch: pytest.MonkeyPatch):
    """Local Icechunk storage is for one writer: the second is told to wait."""
    dataset.commit("one")
    real, said = exporter._commit, []

    def meanwhile(*arguments):
        with pytest.raises(BusyError, match="Another export writes") as caught:
            dataset.export(format="icechunk", out=out)
        said.append(caught.value)
        return real(*arguments)

    monkeypatch.setattr(exporter, "_commit", meanwhile)
    dataset.export(format="icechunk", out=out)
    assert len(said) == 1
    assert len(commits(opened(out))) == 1


@pytest.mark.parametrize(
    ("specs", "options", "said"),
    [
        (["@latest"], {}, "takes the whole history"),
        ([], {"force": True}, "nothing to force"),
        ([], {"compression": 4}, "no option 'compression'"),
        ([], {"endpoint_url": "http://127.0.0.1:9"}, "is a local path"),
    ],
)
def test_what_a_history_has_no_use_for_is_refused(dataset: mvc.Dataset, out: Path, specs, options, said):
    """A SPEC, force, another format's options."""
    dataset.commit("one")
    with pytest.raises(InvalidInputError, match=said):
        dataset.export(*specs, format="icechunk", out=out, **options)
    assert not out.exists()


def test_a_dataset_without_checkpoints_is_not_found(dataset: mvc.Dataset, out: Path):
    """There is no history yet."""
    with pytest.raises(NotFoundError, match="no checkpoint yet"):
        dataset.export(format="icechunk", out=out)
    assert not out.exists()


# -- the command -----------------------------------------------------------------------------------


def test_the_command(history: mvc.Dataset, out: Path):
    """Without a SPEC; its JSON says what was added; nothing else is printed."""
    done = CliRunner().invoke(cli, ["export", "--format", "icechunk", str(out), "-d", str(history.path), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["added"] == [entry.id for entry in history.history()[::-1]]
    assert (said["present"], said["location"], said["format"], said["warnings"]) == (0, str(out), "icechunk", [])
    again = CliRunner().invoke(cli, ["export", "--format", "icechunk", str(out), "-d", str(history.path)])
    assert again.output == f"{out} has all 6 checkpoints of {history.name} already.\n"
