"""Point 7 of the first issue: bad input gets one clear error, the right exit code, and changes nothing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import running
from conftest import INTERMEDIATE, put_stage
from running import Outcome, Runner, everything

import minian_vc as mvc

run_cli = running.run_cli

FIRST = "stage-01-first-spatial"
USAGE, REFUSED, NOT_FOUND, BUSY, DAMAGED, UNFIT = 2, 3, 4, 5, 6, 7


SOME = ("A", "C", "C_chk", "C_init", "C_new", "b", "max_res")


@pytest.fixture(scope="module")
def template(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one small dataset and the checkpoints first and second, to be copied."""
    root = tmp_path_factory.mktemp("template") / "lab"
    for name in SOME:
        shutil.copytree(stages / FIRST / INTERMEDIATE / f"{name}.zarr", root / INTERMEDIATE / f"{name}.zarr")
    mvc.Repository.create(root)
    mvc.open(root / INTERMEDIATE).commit("one", tag="first_iteration")
    shutil.rmtree(root / INTERMEDIATE / "C_new.zarr")
    mvc.open(root / INTERMEDIATE).commit("two", tag="second_iteration")
    return root


@pytest.fixture
def lab(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the template as the current folder."""
    shutil.copytree(template, tmp_path / "lab")
    monkeypatch.chdir(tmp_path / "lab")
    return tmp_path / "lab"


@pytest.fixture
def same_lab(template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template itself, for tests which prove that they change nothing."""
    monkeypatch.chdir(template)
    return template


def refused(run_cli: Runner, root: Path, code: int, words: tuple[str, ...], *arguments: str | Path) -> Outcome:
    """Run a command that must fail so, in words and in JSON, and change nothing below root."""
    before = everything(root)
    outcome = run_cli(*arguments)
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    for word in words:
        assert word in outcome.err, outcome.err
    assert outcome.err.startswith(("Error: ", "Usage: "))
    as_json = run_cli(*arguments, "--json")
    assert as_json.code == code
    if outcome.err.startswith("Error: "):
        error = as_json.json["error"]
        assert error["message"]
        assert error["hint"], "an error says what to do next"
    after = everything(root)
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == set()
    return outcome


# -- names ----------------------------------------------------------------------------------------

NAMES = {
    "unknown tag": (NOT_FOUND, ("first_iteratoin", "first_iteration"), "show", "@first_iteratoin"),
    "unknown id": (NOT_FOUND, ("0000ffff",), "show", "@0000ffff"),
    "short id": (NOT_FOUND, ("abc",), "show", "@abc"),
    "too far back": (NOT_FOUND, ("latest~9", "log"), "show", "latest~9"),
    "odd revision": (NOT_FOUND, ("latest~x",), "show", "latest~x"),
    "empty revision": (USAGE, ("''",), "show", ""),
    "unknown array": (NOT_FOUND, ("C_nwe", "C_new"), "restore", "C_nwe@first_iteration"),
    "array not in that one": (NOT_FOUND, ("C_new",), "restore", "C_new@second_iteration"),
    "unknown array in log": (NOT_FOUND, ("C_nwe",), "log", "--array", "C_nwe"),
    "unknown array in only": (NOT_FOUND, ("C_inti", "C_init"), "commit", "--only", "C_inti"),
    "unknown alias": (NOT_FOUND, ("C_third", "first_iteration"), "restore", "C_third"),
    "alias of an array": (USAGE, ("C_chk@",), "restore", "C_chk"),
    "no revision": (USAGE, ("C@",), "restore", "C@"),
    "unknown in diff": (NOT_FOUND, ("thrid",), "diff", "@first_iteration", "@thrid"),
    "tag that exists": (REFUSED, ("first_iteration",), "commit", "-t", "first_iteration"),
    "tag of another": (REFUSED, ("second_iteration",), "tag", "second_iteration", "@first_iteration"),
    "unknown setting": (USAGE, ("record_without_byte", "record_without_bytes"), "config", "record_without_byte"),
    "unknown setting to set": (USAGE, ("formt",), "config", "formt", "2"),
    "format is no setting": (USAGE, ("format",), "config", "format", "2"),
    "bad name in setting": (USAGE, ("../A",), "config", "record_without_bytes", "../A"),
    "param without =": (USAGE, ("novalue",), "commit", "--param", "novalue"),
    "whole and single": (USAGE, (), "restore", "@first_iteration", "C@first_iteration"),
    "whole under a name": (USAGE, (), "restore", "@first_iteration", "--as", "C_old"),
    "two under one name": (USAGE, (), "restore", "C@latest", "A@latest", "--as", "C_old"),
    "two under one name to": (USAGE, (), "restore", "C@latest", "A@latest", "--as", "C_old", "--to", "elsewhere"),
    "no spec": (USAGE, (), "restore"),
    "unknown option": (USAGE, (), "log", "--nonsense"),
    "negative number": (USAGE, (), "log", "-n", "-1"),
    "no number at all": (USAGE, (), "log", "-n", "0"),
    "coordinate as name": (USAGE, ("frame",), "restore", "C@latest", "--as", "frame"),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_that_are_not_there_or_taken(same_lab: Path, run_cli: Runner, case: str) -> None:
    """Unknown and taken names are refused with the near ones, and nothing changes."""
    code, words, *arguments = NAMES[case]
    refused(run_cli, same_lab, code, words, *arguments)


@pytest.mark.parametrize(
    "tag", ["", " ", ".", "..", "a/b", "a\\b", "a\0b", "a b", "a@b", "a~1", "latest", "-x", "con", "x" * 300, "a\nb"]
)
@pytest.mark.parametrize("command", ["commit", "tag"])
def test_bad_tag_names(lab: Path, run_cli: Runner, command: str, tag: str) -> None:
    """A tag that REV could not tell from something else is refused, before anything is recorded."""
    shutil.rmtree(lab / INTERMEDIATE / "b.zarr")  # there is something to commit
    arguments = ("commit", f"--tag={tag}") if command == "commit" else ("tag", "--", tag, "@latest")
    before = everything(lab)
    outcome = run_cli(*arguments)
    assert (outcome.code, outcome.out) == (USAGE, "")
    assert repr(tag) in outcome.err
    assert everything(lab) == before


BAD_ARRAYS = ["../C", "..", "a/b", "a\\b", "/etc/C", "C\0", "C\n", ".hidden", "aux", "C.", "C:D", "x" * 300]


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_array_names_in_spec(same_lab: Path, run_cli: Runner, name: str) -> None:
    """An array name that could leave the dataset or is no file name everywhere is refused."""
    refused(run_cli, same_lab.parent, USAGE, (repr(name),), "restore", f"{name}@latest")


@pytest.mark.parametrize("name", ["", *BAD_ARRAYS])
@pytest.mark.parametrize("to", [False, True], ids=["in-place", "to"])
def test_bad_array_names_in_as(same_lab: Path, run_cli: Runner, name: str, to: bool) -> None:
    """The same for ``--as``, in place and elsewhere."""
    more = ("--to", "../elsewhere") if to else ()
    refused(run_cli, same_lab.parent, USAGE, (repr(name),), "restore", "C@latest", f"--as={name}", *more)


def test_an_ambiguous_id_is_refused_with_its_continuations(lab: Path, run_cli: Runner) -> None:
    """The beginning of two ids names neither: the error shows both."""
    with contextlib.closing(sqlite3.connect(lab / ".minian_vc/catalog.sqlite")) as connection, connection:
        for row, digits in enumerate(("abcd1", "abcd2"), start=1):
            digest = "blake3:" + digits.ljust(64, "0")
            connection.execute("UPDATE checkpoint SET digest = ? WHERE id = ?", (digest, row))
    refused(run_cli, lab, USAGE, ("abcd10", "abcd20"), "show", "@abcd")


def test_an_ambiguous_alias_is_refused_with_both_readings(lab: Path, run_cli: Runner) -> None:
    """``C_init_x`` can be C at init_x or C_init at x: the error names both."""
    run_cli.ok("tag", "init_x")
    run_cli.ok("tag", "x")
    refused(run_cli, lab, USAGE, ("C@init_x", "C_init@x"), "restore", "C_init_x")


# -- paths ----------------------------------------------------------------------------------------


def test_no_repository(stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Runner) -> None:
    """Without a repository every command says how to make one; none is made by itself."""
    folder = put_stage(stages, FIRST, tmp_path)
    monkeypatch.chdir(tmp_path)
    for arguments in (("status",), ("log", folder), ("commit", folder), ("restore", "C@x"), ("config",), ("chk",)):
        refused(run_cli, tmp_path, NOT_FOUND, ("minian-vc init",), *arguments)


def a_plain_folder(lab: Path) -> Path:
    (lab / "figures").mkdir()
    (lab / "figures/a.png").write_bytes(b"png")
    return lab / "figures"


def a_folder_above_datasets(lab: Path) -> Path:
    return lab / "mouse1"


def a_missing_folder(lab: Path) -> Path:
    return lab / "mouse1/session1/minian_intermediat"


def a_file(lab: Path) -> Path:
    (lab / "notes.txt").write_text("mine")
    return lab / "notes.txt"


def a_dataset_in_a_dataset(lab: Path) -> Path:
    shutil.copytree(lab / INTERMEDIATE, lab / "copy")
    (lab / "copy").rename(lab / INTERMEDIATE / "backup")
    return lab / INTERMEDIATE / "backup"


def an_array_folder(lab: Path) -> Path:
    return lab / INTERMEDIATE / "C.zarr"


def a_folder_in_an_array(lab: Path) -> Path:
    return lab / INTERMEDIATE / "C.zarr/C"


def the_root(lab: Path) -> Path:
    return lab


def the_repository_itself(lab: Path) -> Path:
    return lab / ".minian_vc"


def a_folder_in_the_repository(lab: Path) -> Path:
    return lab / ".minian_vc/objects"


def a_folder_outside(lab: Path) -> Path:
    outside = lab.parent / "outside"
    outside.mkdir()
    return outside


PATHS = [
    (a_plain_folder, USAGE, "figures"),
    (a_folder_above_datasets, USAGE, "minian_intermediate"),
    (a_missing_folder, NOT_FOUND, "minian_intermediate"),
    (a_file, USAGE, "notes.txt"),
    (a_dataset_in_a_dataset, USAGE, "backup"),
    (an_array_folder, USAGE, "minian_intermediate"),
    (a_folder_in_an_array, USAGE, "minian_intermediate"),
    (the_root, USAGE, "lab"),
    (the_repository_itself, USAGE, ".minian_vc"),
    (a_folder_in_the_repository, USAGE, ".minian_vc"),
    (a_folder_outside, NOT_FOUND, "minian-vc init"),
]


@pytest.mark.parametrize("command", ["commit", "status"])
@pytest.mark.parametrize(("make", "code", "word"), PATHS, ids=[make.__name__ for make, _, _ in PATHS])
def test_paths_that_are_no_dataset(
    lab: Path, run_cli: Runner, command: str, make: Callable[[Path], Path], code: int, word: str
) -> None:
    """What is no dataset is refused by name, with the dataset that was meant where there is one."""
    path = make(lab)
    refused(run_cli, lab.parent, code, (word,), command, path)


@pytest.mark.parametrize("make", [an_array_folder, a_folder_in_an_array])
def test_init_inside_a_dataset_is_refused(lab: Path, run_cli: Runner, make: Callable[[Path], Path]) -> None:
    """A repository in a dataset would be an array to MiniAn: the error names the folder to take."""
    above = str((lab / INTERMEDIATE).parent)
    refused(run_cli, lab, USAGE, (INTERMEDIATE, f"minian-vc init {above}"), "init", lab / INTERMEDIATE)
    refused(run_cli, lab, USAGE, (INTERMEDIATE,), "init", make(lab))


def test_init_in_a_subfolder_of_a_dataset_is_refused(lab: Path, run_cli: Runner) -> None:
    """Deeper inside a dataset too, where a figures folder lies in it."""
    (lab / INTERMEDIATE / "figures/today").mkdir(parents=True)
    refused(run_cli, lab, USAGE, (INTERMEDIATE,), "init", lab / INTERMEDIATE / "figures")
    refused(run_cli, lab, USAGE, (INTERMEDIATE,), "init", lab / INTERMEDIATE / "figures/today")


def test_init_of_a_missing_folder_or_a_file_is_refused(tmp_path: Path, run_cli: Runner) -> None:
    """init makes no folders that were not there."""
    (tmp_path / "file").write_text("mine")
    refused(run_cli, tmp_path, NOT_FOUND, ("nowhere",), "init", tmp_path / "nowhere")
    refused(run_cli, tmp_path, NOT_FOUND, ("file",), "init", tmp_path / "file")


def test_restore_to_unfit_places(lab: Path, run_cli: Runner) -> None:
    """``--to`` a dataset, the repository, or where the array is already: refused by path."""
    (lab / "taken/C.zarr").mkdir(parents=True)
    (lab / "file").write_text("mine")
    for code, where in (
        (USAGE, INTERMEDIATE),
        (USAGE, f"{INTERMEDIATE}/old"),
        (USAGE, ".minian_vc/old"),
        (REFUSED, "taken"),
        (REFUSED, "file"),
        (REFUSED, "file/below"),
    ):
        refused(run_cli, lab, code, (where.split("/")[0],), "restore", "C@latest", "--to", where)


# -- what lies in the folder ----------------------------------------------------------------------


def no_arrays(folder: Path) -> str:
    for path in folder.glob("*.zarr"):
        shutil.rmtree(path)
    return "minian_intermediate"


def link_to_a_folder_outside(folder: Path) -> str:
    (folder / "S.zarr").symlink_to(folder / "../elsewhere/S.zarr")
    (folder.parent / "elsewhere").mkdir()
    shutil.copytree(folder / "C.zarr", folder.parent / "elsewhere/S.zarr")
    return "S.zarr"


def link_to_a_chunk_outside(folder: Path) -> str:
    (folder / "C.zarr/C/0.0").rename(folder.parent / "chunk")
    (folder / "C.zarr/C/0.0").symlink_to(folder.parent / "chunk")
    return "0.0"


def link_to_nothing(folder: Path) -> str:
    (folder / "C.zarr/C/99.0").symlink_to("/nonexistent")
    return "99.0"


def a_pipe(folder: Path) -> str:
    os.mkfifo(folder / "C.zarr/C/99.0")
    return "99.0"


def broken_json(folder: Path) -> str:
    (folder / "C.zarr/C/.zarray").write_text('{"zarr_format": 2, "sha')
    return ".zarray"


def empty_zarray(folder: Path) -> str:
    (folder / "C.zarr/C/.zarray").write_text("")
    return ".zarray"


def binary_zarray(folder: Path) -> str:
    (folder / "C.zarr/C/.zarray").write_bytes(b"\xff\xfe\0\0")
    return ".zarray"


def zarray_that_is_a_list(folder: Path) -> str:
    (folder / "C.zarr/C/.zarray").write_text("[]")
    return ".zarray"


def zarray_without_shape(folder: Path) -> str:
    path = folder / "C.zarr/C/.zarray"
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "shape"}))
    return "shape"


def chunks_that_do_not_fit(folder: Path) -> str:
    path = folder / "C.zarr/C/.zarray"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chunks": [1]}))
    return "chunks"


def no_zarray(folder: Path) -> str:
    (folder / "C.zarr/C/.zarray").unlink()
    return "C.zarr"


def no_zarray_but_a_session(folder: Path) -> str:
    attributes = {"_ARRAY_DIMENSIONS": ["unit_id", "frame"], "coordinates": "session"}
    (folder / "C.zarr/C/.zattrs").write_text(json.dumps(attributes))
    scalar = {"zarr_format": 2, "shape": [], "chunks": [], "dtype": "<U2", "fill_value": None, "order": "C"}
    (folder / "C.zarr/session").mkdir()
    (folder / "C.zarr/session/.zarray").write_text(json.dumps({**scalar, "compressor": None, "filters": None}))
    (folder / "C.zarr/session/.zattrs").write_text('{"_ARRAY_DIMENSIONS": []}')
    (folder / "C.zarr/session/0").write_bytes("s1".encode("utf-32-le"))
    (folder / "C.zarr/C/.zarray").unlink()
    return "C.zarr"


def no_variable(folder: Path) -> str:
    shutil.rmtree(folder / "C.zarr/C")
    return "C.zarr"


def empty_array_folder(folder: Path) -> str:
    (folder / "S.zarr").mkdir()
    return "S.zarr"


def broken_coordinate(folder: Path) -> str:
    (folder / "C.zarr/unit_id/0").write_bytes(b"nonsense")
    return "unit_id"


def names_that_differ_in_case(folder: Path) -> str:
    shutil.copytree(folder / "C.zarr", folder / "c.zarr")
    return "c"


CONTENTS = [
    no_arrays,
    link_to_a_folder_outside,
    link_to_a_chunk_outside,
    link_to_nothing,
    a_pipe,
    broken_json,
    empty_zarray,
    binary_zarray,
    zarray_that_is_a_list,
    zarray_without_shape,
    chunks_that_do_not_fit,
    no_zarray,
    no_zarray_but_a_session,
    no_variable,
    empty_array_folder,
    broken_coordinate,
    names_that_differ_in_case,
]


@pytest.mark.parametrize("spoil", CONTENTS, ids=[spoil.__name__ for spoil in CONTENTS])
def test_contents_that_cannot_be_recorded(lab: Path, run_cli: Runner, spoil: Callable[[Path], str]) -> None:
    """What is not what MiniAn writes is refused by path; no checkpoint is made of the rest."""
    word = spoil(lab / INTERMEDIATE)
    refused(run_cli, lab, REFUSED, (word, INTERMEDIATE), "commit", INTERMEDIATE, "--wait", "0", "-t", "bad")


def test_the_other_arrays_can_be_recorded_beside_a_broken_one(lab: Path, run_cli: Runner) -> None:
    """``--only`` takes the arrays that are whole, as the error's hint says."""
    broken_json(lab / INTERMEDIATE)
    shutil.copytree(lab / INTERMEDIATE / "A.zarr", lab / INTERMEDIATE / "A_copy.zarr")
    assert "--only" in run_cli("commit", "--wait", "0").err
    assert "A_copy" in run_cli.json("commit", "--only", "A_copy")["arrays"]


def test_a_file_that_is_being_written_is_busy(lab: Path, run_cli: Runner) -> None:
    """zarr's .partial file means a save in progress: busy, with the array's path."""
    (lab / INTERMEDIATE / "C.zarr/C/0.0.0123abcd.partial").write_bytes(b"half")
    refused(run_cli, lab, BUSY, ("C.zarr", ".partial"), "commit", "--wait", "0")


def test_a_missing_chunk_of_a_fresh_save_is_busy(lab: Path, run_cli: Runner) -> None:
    """An array that was touched just now and lacks chunks is still being saved."""
    (lab / INTERMEDIATE / "C.zarr/C/0.0").unlink()
    (lab / INTERMEDIATE / "C.zarr/C/1.0").touch()
    refused(run_cli, lab, BUSY, ("C.zarr", "chunks"), "commit", "--wait", "0")


# -- the repository -------------------------------------------------------------------------------


def test_a_newer_repository_is_refused(lab: Path, run_cli: Runner) -> None:
    """A repository of a later format is not touched: the environment is unfit for it."""
    path = lab / ".minian_vc/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    for arguments in (("log",), ("commit", INTERMEDIATE), ("restore", "C@latest"), ("config",), ("init", lab)):
        refused(run_cli, lab, UNFIT, ("99", ".minian_vc", "Install a newer minian_vc"), *arguments)


def test_a_newer_catalog_is_refused(lab: Path, run_cli: Runner) -> None:
    """A catalog that a later program migrated is refused as well, and kept as it is."""
    with contextlib.closing(sqlite3.connect(lab / ".minian_vc/catalog.sqlite")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    refused(run_cli, lab, UNFIT, ("catalog.sqlite",), "log")
    refused(run_cli, lab, UNFIT, ("catalog.sqlite",), "commit", INTERMEDIATE)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}'])
def test_a_damaged_configuration_is_told(lab: Path, run_cli: Runner, content: str) -> None:
    """A config.json that is no configuration is damage, with its path."""
    (lab / ".minian_vc/config.json").write_text(content)
    refused(run_cli, lab, DAMAGED, ("config.json",), "log")


def test_a_catalog_that_is_no_database_is_damaged(lab: Path, run_cli: Runner) -> None:
    """A catalog that SQLite cannot read is damage, with its path."""
    (lab / ".minian_vc/catalog.sqlite").write_bytes(b"this is not a database at all" * 100)
    refused(run_cli, lab, DAMAGED, ("catalog.sqlite",), "log")


def test_a_damaged_object_is_told(lab: Path, run_cli: Runner) -> None:
    """restore refuses stored bytes that are not what was recorded, with the object's path."""
    objects = sorted((lab / ".minian_vc/objects/chunks").rglob("*"))
    for path in objects:
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    (lab / INTERMEDIATE / "C.zarr/C/0.0").touch()
    refused(run_cli, lab, DAMAGED, ("objects",), "restore", "C@first_iteration", "--to", "elsewhere")


def test_another_writer_makes_it_busy(lab: Path, run_cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program holds the catalog a tag waits, then says busy."""
    monkeypatch.setattr("minian_vc.catalog.engine.BUSY_SECONDS", 0.1)
    connection = sqlite3.connect(lab / ".minian_vc/catalog.sqlite", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        outcome = run_cli("tag", "x")
    finally:
        connection.execute("ROLLBACK")
        connection.close()
    assert outcome.code == BUSY
    assert "x" not in run_cli.json("log")["checkpoints"][0]["tags"]


# -- the disk -------------------------------------------------------------------------------------


def test_a_disk_that_says_full_changes_nothing(lab: Path, run_cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC in the middle of a commit or restore: refused, told, and everything is as it was."""
    chunk = lab / INTERMEDIATE / "A.zarr/A/0.0.0"
    chunk.write_bytes(chunk.read_bytes() + os.urandom(5000))
    write = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        if ".minian_vc" in self.parts and len(content) > 300:
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    refused(run_cli, lab, REFUSED, ("No space left", "Free some space"), "commit", "-t", "third")


def test_too_little_space_is_seen_beforehand(lab: Path, run_cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """commit and restore say what they need and what is free, before they write."""
    for chunk in (lab / INTERMEDIATE / "A.zarr/A").glob("*.0.0"):
        chunk.write_bytes(os.urandom(5000))
    monkeypatch.setattr("minian_vc.durable.free_bytes", lambda _: 1000)
    refused(run_cli, lab, REFUSED, ("free", ".minian_vc"), "commit")
    refused(run_cli, lab, REFUSED, ("free",), "restore", "C@latest", "--to", "elsewhere")


def can_mount() -> bool:
    """Tell whether an ordinary user may mount in a namespace of their own."""
    unshare = shutil.which("unshare")
    if unshare is None or sys.platform != "linux":
        return False
    command = [unshare, "-Urm", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_mount = pytest.mark.skipif(not can_mount(), reason="no user namespaces with mount here")

PROGRAM = """
import io, contextlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from running import everything
from minian_vc.cli.main import main
from minian_vc import durable
if sys.argv[3] == "unforeseen":
    durable.free_bytes = lambda path: 10**12
root, outcomes = Path(sys.argv[2]), []
for arguments in json.loads(sys.argv[4]):
    before = everything(root)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code
    outcomes.append([code, out.getvalue(), err.getvalue(), everything(root) == before])
print(json.dumps(outcomes))
"""


def in_namespace(setup: str, root: Path, commands: list[list[str]], mode: str = "plain") -> list[Outcome]:
    """Run commands below root after a shell line that mounts; each must leave everything as it was."""
    here = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    shell = f'{setup} && cd "$ROOT" && exec "$PYTHON" -c "$PROGRAM" "$@"'
    given = [json.dumps(here), str(root), mode, json.dumps(commands)]
    environment = {**os.environ, "ROOT": str(root), "PYTHON": sys.executable, "PROGRAM": PROGRAM}
    command = ["unshare", "-Urm", "sh", "-ec", shell, "sh", *given]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert [same for *_, same in outcomes] == [True] * len(commands), outcomes
    return [Outcome(code, out, err) for code, out, err, _ in outcomes]


@needs_mount
@pytest.mark.parametrize("mode", ["plain", "unforeseen"])
def test_a_really_full_disk(lab: Path, tmp_path: Path, mode: str) -> None:
    """On a file system of 8 MB: foreseen, or met in mid-write, a full disk changes nothing."""
    disk = tmp_path / "disk"
    disk.mkdir()
    big = lab / INTERMEDIATE / "max_res.zarr/max_res/9.9"
    big.write_bytes(os.urandom(2 << 20))
    fill = 'dd if=/dev/zero of="$ROOT/ballast" bs=64k 2>/dev/null || true; rm -f "$ROOT/one"'
    setup = (
        f'mount -t tmpfs -o size=12m none "{disk}" && cp -a "{lab}" "$ROOT" '
        f'&& dd if=/dev/zero of="$ROOT/one" bs=64k count=2 2>/dev/null && {{ {fill}; }}'
    )
    commands = [["commit", "-t", "third"], ["restore", "@first_iteration", "--to", str(disk / "lab/elsewhere")]]
    for outcome in in_namespace(setup, disk / "lab", commands, mode):
        assert outcome.code == REFUSED
        assert "Traceback" not in outcome.err
        assert ("No space left" if mode == "unforeseen" else "free") in outcome.err
        assert outcome.out == ""


@needs_mount
def test_a_read_only_repository(lab: Path) -> None:
    """On a read-only volume nothing can be recorded, and the errors say so; history can still be read."""
    shutil.rmtree(lab / INTERMEDIATE / "b.zarr")
    setup = 'mount --bind "$ROOT" "$ROOT" && mount -o remount,ro,bind "$ROOT"'
    writing = [["commit", "-t", "x"], ["tag", "x"], ["restore", "C@first_iteration"], ["config", "author", "Ada"]]
    looking = [["log"], ["show"], ["units"], ["chk"], ["diff", "@first_iteration", "@latest"], ["status"]]
    outcomes = in_namespace(setup, lab, [*writing, *looking])
    for command, outcome in zip(writing, outcomes, strict=False):
        assert outcome.code == REFUSED, (command, outcome)
        assert "Traceback" not in outcome.err
        assert ".minian_vc" in outcome.err, command
    for command, outcome in zip(looking, outcomes[len(writing) :], strict=True):
        assert outcome.code == 0, (command, outcome)


@needs_mount
@pytest.mark.parametrize("options", ["bind", "remount,ro,bind"], ids=["writable", "read-only"])
def test_a_dataset_on_a_volume_of_its_own(lab: Path, options: str) -> None:
    """A dataset that is a mount point cannot be replaced in one step: each error names it and offers ``--to``."""
    folder = lab / INTERMEDIATE
    setup = f'mount --bind "{folder}" "{folder}" && mount -o {options} "{folder}" "{folder}"'
    commands = [["restore", "C@first_iteration"], ["restore", "C@latest", "--as", "C_old"], ["restore", "@latest~1"]]
    for command, outcome in zip(commands, in_namespace(setup, lab, commands), strict=True):
        assert outcome.code == REFUSED, (command, outcome)
        assert "Traceback" not in outcome.err
        assert INTERMEDIATE in outcome.err, (command, outcome.err)
        assert "--to" in outcome.err, (command, outcome.err)
        assert "single arrays" not in outcome.err  # they lie on that volume too
