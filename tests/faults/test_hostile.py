"""Names, documents, catalogs and folders made to harm: an error, nothing written outside, nothing executed."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import tree
from tampering import Place, places, put, tamper
from zarr_trees import make_old, write_units

import minian_vc as mvc
from minian_vc import staging
from minian_vc.catalog import Catalog
from minian_vc.catalog.queries import DatasetRow
from minian_vc.doctor import examine
from minian_vc.errors import (
    DamagedError,
    EnvironmentUnfitError,
    InvalidInputError,
    MinianVCError,
    NotFoundError,
    UnreadableError,
)
from minian_vc.model import FileEntry, to_document
from minian_vc.objects import store_object
from minian_vc.provenance import gather
from minian_vc.verbs.commit import Request
from minian_vc.working_folder import WorkingFolder

CASES = int(os.environ.get("MINIAN_VC_HOSTILE", "30"))
JUNK: list[Any] = [
    None,
    True,
    5,
    -1,
    10**30,
    1.5,
    float("nan"),
    "",
    "x",
    "../../x",
    "\ud800",
    [],
    ["x"],
    [[]],
    {},
    {"x": 1},
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with some history: commits, a tag, a restore, an undo, a prune; and a folder beside the root."""
    around = tmp_path_factory.mktemp("hostile")
    root = around / "lab"
    root.mkdir()
    mvc.Repository.create(root)
    for step in (1, 2, 3):
        for name in ("A", "C"):
            write_units(root / "m" / f"{name}.zarr", (1, 2), (step, 4))
        options = (
            {"automatic": "notebook"}
            if step == 2
            else {"params": {"p": {"q": step}}, "code": {"cell": "x", "number": 1}}
        )
        mvc.open(root / "m").record(Request(f"step {step}", f"t{step}" if step != 2 else None, None, options, wait=0))
    dataset = mvc.open(root / "m")
    dataset.restore("C@t1")
    dataset.undo()
    dataset.prune(automatic=True, dry_run=False)
    (around / "elsewhere").mkdir()
    (around / "elsewhere/file").write_text("ours")
    return around


@pytest.fixture
def around(template: Path, tmp_path: Path) -> Path:
    """A copy of it: ``lab`` and ``elsewhere``."""
    return Path(shutil.copytree(template, tmp_path / "around"))


def outside(around: Path) -> dict[str, bytes | None]:
    """Everything that is not below the repository's root."""
    found: dict[str, bytes | None] = {}
    for path in sorted(around.rglob("*")):
        if (around / "lab") not in (path, *path.parents):
            found[str(path)] = path.read_bytes() if path.is_file() else None
    return found


def uses(root: Path, out: Path) -> Iterator[Callable[[], object]]:
    """Yield what one can do with a dataset; each is tried, whatever the one before it met."""

    def dataset() -> mvc.Dataset:
        return mvc.open(root / "m")

    yield lambda: mvc.Repository.open(root)._repr_html_()
    yield lambda: [repr(dataset()), dataset()._repr_html_()]
    yield lambda: dataset().log()
    yield lambda: dataset().history(array="C", params={"p": ...})
    yield lambda: [(repr(c), c._repr_html_()) for c in (dataset().show(e.id) for e in dataset().history())]
    yield lambda: [each.compute() for each in dataset().open("t1", return_dict=True).values()]
    yield lambda: dataset().open("latest").compute()
    yield lambda: dataset().units()
    yield lambda: dataset().status()
    yield lambda: dataset().chk
    yield lambda: [repr(dataset().diff("t1")), repr(dataset().diff("t1", "latest"))]
    yield lambda: repr(dataset().check("@t1"))
    yield lambda: repr(dataset().check())
    yield lambda: repr(dataset().prune(automatic=True))
    yield lambda: dataset().operations()
    yield lambda: dataset().restore("@t1", to=out)
    yield lambda: dataset().restore("C@t1")
    yield lambda: dataset().restore("@t1")
    yield lambda: dataset().commit("again", tag="again")
    yield lambda: dataset().undo()
    yield lambda: dataset().prune(automatic=True, keep_last=1, dry_run=False, grace_days=0)
    yield lambda: repr(examine(root))


def use_all(around: Path) -> list[str]:
    """Do everything; return what was not an error of ours, and see that nothing outside was touched."""
    before = outside(around)
    wrong = []
    for number, use in enumerate(uses(around / "lab", around / "lab/out")):
        try:
            with warnings.catch_warnings(action="ignore"):
                use()
        except MinianVCError:
            pass
        except Exception as error:
            wrong.append(f"use {number}: {error!r:.300}")
    assert outside(around) == before
    return wrong


# -- documents that are self-consistent -------------------------------------------------------


def documents(template: Path) -> dict[str, dict[str, Any]]:
    """One document of each kind, to see what fields there are."""
    folder = template / "lab/.minian_vc"
    bodies = [
        json.loads(path.read_bytes()) for path in (folder / "objects").glob("[cm]*/*/*") if path.parts[-3] != "chunks"
    ]
    operations = [json.loads(path.read_bytes()) for path in sorted((folder / "operations").iterdir())]
    found = {body["kind"]: body for body in bodies}
    found["operation"] = {key: value for body in operations for key, value in body.items()}
    return found


def cases(template: Path) -> list[tuple[str, Place, Any]]:
    """Every place in every kind of document with every kind of junk, in an order of chance."""
    found = [
        (kind, place, junk) for kind, body in documents(template).items() for place in places(body) for junk in JUNK
    ]
    random.Random(6).shuffle(found)  # noqa: S311
    return found


def test_a_repository_that_was_written_anew_unchanged_is_good(around: Path) -> None:
    """What is tried below works where nothing is wrong: all of it."""
    tamper(around / "lab")
    for use in uses(around / "lab", around / "lab/out"):
        use()


@pytest.mark.counted
def test_whatever_stands_in_a_field_is_an_error_of_ours(template: Path, tmp_path: Path) -> None:
    """Or is harmless: no traceback of another kind, and nothing written outside."""
    wrong = []
    chosen = cases(template)[:CASES]
    for number, (kind, place, junk) in enumerate(chosen):
        around = Path(shutil.copytree(template, tmp_path / f"case-{number}"))
        tamper(around / "lab", **{kind: put(place, junk)})
        wrong += [f"{kind} {place} = {junk!r}: {what}" for what in use_all(around)]
        shutil.rmtree(around)
    print(f"{len(chosen)} documents with junk")
    assert wrong == []


# -- what leads out -----------------------------------------------------------------------------

OUT = [
    "../../elsewhere",
    "../elsewhere",
    "/etc/x",
    "a/../../../elsewhere/x",
    "a//b",
    "./a",
    "..",
    "",
    "a\0b",
    "C\\..\\x",
]


@pytest.mark.parametrize("key", OUT)
def test_a_key_of_a_manifest_does_not_lead_out(around: Path, key: str) -> None:
    """Whatever reads the manifest refuses it: no restore begins."""

    def change(body: dict[str, Any]) -> None:
        body["entries"][key] = body["entries"].pop(".zgroup")

    tamper(around / "lab", manifest=change)
    assert use_all(around) == []
    with pytest.raises(DamagedError, match="is not whole"):
        mvc.open(around / "lab/m").restore("@t1", to=around / "lab/new")
    assert not (around / "lab/new").exists()


@pytest.mark.parametrize("value", OUT)
@pytest.mark.parametrize("name", ["folder", "name", "variable"])
def test_an_array_version_does_not_lead_out(around: Path, name: str, value: str) -> None:
    """Its folder, its name and the path of its variable."""
    if (name, value) == ("variable", ""):
        pytest.skip("the folder itself is the array")
    tamper(around / "lab", checkpoint=put(("arrays", 0, name), value))
    assert use_all(around) == []
    with pytest.raises(DamagedError, match=f"The {name} of an array version cannot be"):
        mvc.open(around / "lab/m").show("t1")


@pytest.mark.parametrize("path", [*OUT, ".minian_vc", ".minian_vc/objects", "a/.MINIAN_VC", ".minian_vc-saving/x"])
def test_a_dataset_does_not_lie_elsewhere(around: Path, path: str) -> None:
    """An operation's path is below the root, and not in what is ours; nor is the catalog's."""
    if os.name != "nt" and "\\" in path:
        pytest.skip("the name of one folder here")
    with pytest.raises(DamagedError, match="no path below"):
        DatasetRow("uid", path, None)
    tamper(around / "lab", operation=put(("path",), path))
    with pytest.raises(DamagedError, match="The path of an operation cannot be"):
        mvc.Repository.open(around / "lab")


def test_a_catalog_that_was_tampered_with_does_not_lead_out(around: Path) -> None:
    """It is no document and has no digest: its paths are looked at where they are read."""
    sql(around, "UPDATE dataset SET path = '../elsewhere'")
    before = outside(around)
    for use in (lambda r: r.datasets(), lambda r: r.dataset_row("../elsewhere")):
        with pytest.raises(DamagedError, match="no path below"):
            use(mvc.Repository.open(around / "lab"))
    assert outside(around) == before


def test_a_dataset_that_is_a_link_is_not_written_through(around: Path) -> None:
    """A repository may come with a link in a dataset's place."""
    shutil.rmtree(around / "lab/m")
    (around / "lab/m").symlink_to(around / "elsewhere")
    dataset = mvc.Dataset(mvc.Repository.open(around / "lab"), "m")
    before = outside(around)
    for use in (
        lambda: dataset.restore("@t1"),
        lambda: dataset.restore("C@t1"),
        dataset.status,
        lambda: dataset.commit("x"),
    ):
        with pytest.raises(InvalidInputError, match="is not a dataset below"):
            use()
    assert outside(around) == before


@pytest.mark.parametrize("which", ["staged", "aside", "live"])
@pytest.mark.parametrize("where", [".minian_vc/staging", ".minian_vc-saving/HOST-1-0123456789ab"])
def test_the_note_of_a_swap_moves_and_removes_nothing_elsewhere(around: Path, where: str, which: str) -> None:
    """Opening or checking a dataset completes swaps: not those that no swap of ours can have left."""
    stage = around / "lab" / where.replace("HOST", staging._host())
    stage.mkdir(parents=True, exist_ok=True)
    (stage / staging.OWNER).touch()
    for name in ("staged", "aside"):
        (stage / f"x/{name}").mkdir(parents=True)
    names = {"live": around / "lab/m/new", "staged": stage / "x/staged", "aside": stage / "x/aside"}
    names[which] = around / "elsewhere" if which != "live" else around / "gone"
    (stage / "swap-1.json").write_text(json.dumps({key: str(path) for key, path in names.items()}))
    os.utime(stage / "swap-1.json", (1, 1))
    before = outside(around)
    mvc.open(around / "lab/m")
    mvc.check(around / "lab/m")
    assert outside(around) == before
    (stage / "link").symlink_to(around, target_is_directory=True)
    names[which] = stage / "link" / ("elsewhere" if which != "live" else "gone")
    (stage / "swap-1.json").write_text(json.dumps({key: str(path) for key, path in names.items()}))
    os.utime(stage / "swap-1.json", (1, 1))
    mvc.open(around / "lab/m")
    mvc.check(around / "lab/m")
    assert outside(around) == before


def test_an_undo_of_what_is_none_ends(around: Path) -> None:
    """Neither one of itself, which would go round for ever, nor of one that is not there."""
    for undoes, match in ((7, "not before it"), (10**6, "not before it"), (2, "takes back")):

        def change(body: dict[str, Any], undoes: int = undoes) -> None:
            if body["action"] == "undo":
                body["undoes"] = undoes
            if undoes == 2 and body["sequence"] == 2:
                body["group"] = 1

        fresh = Path(shutil.copytree(around, around.with_name(f"undo-{undoes}")))
        tamper(fresh / "lab", operation=change)
        with pytest.raises(DamagedError, match=match):
            mvc.Repository.open(fresh / "lab")


# -- sizes ------------------------------------------------------------------------------------


def test_a_size_that_is_made_up_allocates_nothing(around: Path) -> None:
    """An exabyte in a manifest, and more bytes than there are in an object."""
    tamper(around / "lab", manifest=put(("entries", "C/0.0"), ["blake3:" + "0" * 64, 10**18]))
    assert use_all(around) == []
    store = mvc.Repository.open(around / "lab").objects
    digest = store_object(store, "chunks", b"small")
    with store.path("chunks", digest).open("r+b") as file:
        file.truncate(1 << 42)  # with holes
    for entry in (FileEntry(digest, 5), FileEntry(digest, 1 << 30)):
        with pytest.raises(DamagedError):
            store.write_file(entry, around / "lab/file")
        with pytest.raises(DamagedError):
            store.read_file(entry)
    digest = store_object(store, "manifests", b"a document")
    with store.path("manifests", digest).open("r+b") as file:
        file.truncate(1 << 42)
    with pytest.raises(DamagedError):
        store.read("manifests", digest)


def test_a_part_that_a_manifest_names_a_million_times_is_read_twice(
    around: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a list of parts that never ends is too long."""
    store = mvc.Repository.open(around / "lab").objects
    part = store_object(
        store, "manifests", to_document("manifest_part", {"entries": {"a": FileEntry.of(b"").to_json()}})
    )
    root = store_object(store, "manifests", to_document("manifest", {"entries": {}, "parts": [part] * 1_000_000}))
    reads = []
    real = store.read
    monkeypatch.setattr(store, "read", lambda *given: reads.append(given) or real(*given))
    with pytest.raises(DamagedError, match="not in order"):
        store.read_manifest(root)
    assert len(reads) == 3


@pytest.mark.parametrize("shape", [[10**9, 10**9], [10**18], [2**70], [-1], [1] * 100])
def test_a_shape_that_is_made_up_is_only_a_number(around: Path, shape: list[int]) -> None:
    """In a document, and in the metadata of an array in the folder."""
    tamper(around / "lab", checkpoint=put(("arrays", 0, "shape"), shape))
    assert use_all(around) == []
    meta = around / "lab/m/A.zarr/A/.zarray"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "shape": shape, "chunks": shape}))
    assert use_all(around) == []


def test_a_coordinate_that_is_too_large_is_refused_before_it_is_read(around: Path) -> None:
    """Its metadata may say anything: no chunk of it need be there."""
    meta = around / "lab/m/A.zarr/unit_id/.zarray"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "shape": [1 << 26], "chunks": [1 << 26]}))
    with pytest.raises(UnreadableError, match="unit_id cannot be decoded: it would be 536,870,912 bytes"):
        mvc.open(around / "lab/m").commit("x")


def test_a_grid_that_is_made_up_is_not_walked(around: Path) -> None:
    """A thousand million chunks, of which none is there: a commit ends all the same."""
    folder = around / "lab/m/A.zarr"
    meta = folder / "A/.zarray"
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "shape": [10**9, 40]}))
    for chunk in folder.glob("A/*.0"):
        chunk.unlink()
    make_old(folder)
    done = mvc.open(around / "lab/m").record(Request("x", wait=0))
    assert done.checkpoint.array("A").missing_chunks == 10**9


@pytest.mark.parametrize("depth", [50, 90])
def test_parameters_that_are_nested_without_end_are_damage(around: Path, depth: int) -> None:
    """Beyond what anybody records: what goes down them would not come back."""
    nested: Any = 1
    for _ in range(depth):
        nested = {"x": nested}
    tamper(around / "lab", checkpoint=put(("provenance", "params"), nested))
    if depth > 64:
        with pytest.raises(DamagedError, match="provenance"):
            mvc.Repository.open(around / "lab")
    else:
        assert mvc.open(around / "lab/m").history(params={"x": ...})


# -- files that are none ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "device"])
@pytest.mark.parametrize(
    "where",
    ["operations/00000001", "objects/checkpoints/*/*", "objects/manifests/*/*", "objects/chunks/*/*", "working/*/*"],
)
def test_what_is_no_file_is_not_read(around: Path, where: str, kind: str) -> None:
    """A pipe would be waited for, a device has no end, a link leads elsewhere."""
    victim = around / "elsewhere/file"
    for path in (around / "lab/.minian_vc").glob(where):
        content = path.read_bytes()
        path.unlink()
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "device":
            path.symlink_to("/dev/zero")
        else:
            victim.write_bytes(content)
            path.symlink_to(victim)
    for path in (around / "lab/.minian_vc").glob("catalog.sqlite*"):
        path.unlink()
    assert use_all(around) == []


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_that_is_swapped_in_while_a_folder_is_read_is_not_followed(
    around: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Between the listing and the opening: nothing of what it leads to is recorded, not even as an object."""
    folder = around / "lab/m/A.zarr"
    write_units(folder, (1, 2), (7, 8))
    secret = around / "elsewhere/0.0"
    secret.write_bytes(b"secret".ljust(320))
    real = WorkingFolder.scan

    def scan_and_swap(self: WorkingFolder) -> object:
        found = real(self)
        monkeypatch.setattr(WorkingFolder, "scan", real)
        victim = folder / ("A/0.0" if what == "file" else "A")
        victim.rename(around / "lab/away")
        victim.symlink_to(secret if what == "file" else secret.parent)
        return found

    dataset = mvc.open(around / "lab/m")
    monkeypatch.setattr(WorkingFolder, "scan", scan_and_swap)
    with pytest.raises(UnreadableError, match="cannot be read"):  # and not: it changed while it was read
        dataset.record(Request("x", wait=0))
    for path in (around / "lab/.minian_vc").rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes(), path


# -- the catalog and the configuration --------------------------------------------------------


def sql(around: Path, *statements: str) -> None:
    """Change the catalog behind our back."""
    with closing(sqlite3.connect(around / "lab/.minian_vc/catalog.sqlite")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON operation BEGIN DELETE FROM tag; END",
        "CREATE VIEW v AS SELECT 1",
        "PRAGMA application_id = 1",
        "DROP TABLE alembic_version",
    ],
)
def test_a_catalog_that_is_not_ours_is_not_used(around: Path, statement: str) -> None:
    """Triggers would run in our name, views would lie: nothing is read from it, and nothing written."""
    sql(around, statement)
    before = (around / "lab/.minian_vc/catalog.sqlite").read_bytes()
    with pytest.raises(DamagedError, match="not one that minian_vc made"):
        mvc.open(around / "lab/m")
    assert (around / "lab/.minian_vc/catalog.sqlite").read_bytes() == before


@pytest.mark.parametrize("value", JUNK)
@pytest.mark.parametrize("name", ["format", "repository", "author", "record_without_bytes", "grace_days"])
def test_settings_of_the_wrong_type_are_damage(around: Path, name: str, value: Any) -> None:
    """Or of the right one, and then taken as they are: no traceback."""
    path = around / "lab/.minian_vc/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    try:
        mvc.open(around / "lab/m").status()
    except (DamagedError, EnvironmentUnfitError):
        return
    kinds = {"format": int, "repository": str, "author": str, "record_without_bytes": list, "grace_days": (int, float)}
    assert isinstance(value, kinds[name])


@pytest.mark.parametrize("content", [b"[" * 100_000, b"{}", b"null", b"", b'{"format": 1}', b"\xff\xfe"])
def test_a_configuration_that_is_none_is_damage(around: Path, content: bytes) -> None:
    """Deep, empty, of another kind."""
    (around / "lab/.minian_vc/config.json").write_bytes(content)
    with pytest.raises(DamagedError, match=r"config\.json is damaged"):
        mvc.open(around / "lab/m")


@pytest.mark.parametrize("depth", [60, 900, 100_000])
def test_a_document_that_is_nested_without_end_is_damage(around: Path, depth: int) -> None:
    """Not a crash of the interpreter."""
    content = b'{"kind":"operation","path":' + b"[" * depth + b"]" * depth + b',"version":1}'
    (around / "lab/.minian_vc/operations/00000001").write_bytes(content)
    (around / "lab/.minian_vc/catalog.sqlite").unlink()
    with pytest.raises(DamagedError):
        mvc.Repository.open(around / "lab")


# -- names ------------------------------------------------------------------------------------

NAMES = [
    *("../x", "/x", "a/b", "a\\b", ".", "..", "", " ", "a\0b", "a\nb", "\ud800"),
    *(
        "con",
        "NUL",
        "aux.txt",
        "COM1",
        "lpt9.zarr",
        "com¹",
        "CONIN$",
        "x.",
        "x ",
        " x",
        "a:b",
        'a"b',
        "a|b",
        "a?b",
        "a*b",
    ),
    *("<script>", "x" * 201, "ä" * 101, ".hidden"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_are_no_file_names_everywhere_are_refused(around: Path, name: str) -> None:
    """As a tag, as ``--as``, as an array of ``--only`` and as the name of a folder; nothing is changed or recorded."""
    dataset = mvc.open(around / "lab/m")
    write_units(around / "lab/m/A.zarr", (1, 2), (9, 9))
    before = tree(around / "lab/m"), len(dataset.history())
    uses = [
        lambda: dataset.restore("C@t1", as_=name),
        lambda: dataset.commit("x", only=[name]),
        lambda: dataset.restore(f"{name}@t1") if name else dataset.restore("@"),
    ]
    if name != ".hidden":
        uses += [lambda: dataset.tag(name), lambda: dataset.commit("x", tag=name)]
    for use in uses:
        with pytest.raises((InvalidInputError, NotFoundError)):
            use()
    assert (tree(around / "lab/m"), len(dataset.history())) == before
    if "/" in name or "\0" in name or "\ud800" in name or len(name.encode()) > 200 or name in ("", ".", ".."):
        return
    shutil.copytree(around / "lab/m/C.zarr", around / "lab/m" / f"{name}.zarr")
    with pytest.raises(MinianVCError):
        dataset.commit("x")


@pytest.mark.parametrize(("one", "other"), [("Q", "q"), ("\u00e9", "e\u0301"), ("STRASSE", "straße")])
def test_names_that_are_one_elsewhere_are_refused_with_both(around: Path, one: str, other: str) -> None:
    """By case, or by Unicode form: array folders, and files in them."""
    for name in (one, other):
        shutil.copytree(around / "lab/m/C.zarr", around / f"lab/m/{name}.zarr")
    dataset = mvc.open(around / "lab/m")
    with pytest.raises(UnreadableError) as caught:
        dataset.commit("x")
    assert one in str(caught.value)
    assert other in str(caught.value)
    for name in (one, other):
        shutil.rmtree(around / f"lab/m/{name}.zarr")
        (around / f"lab/m/C.zarr/{name}").write_text("x")
    with pytest.raises(UnreadableError, match="one name"):
        dataset.commit("x")


# -- text -------------------------------------------------------------------------------------

EVIL = "'); DROP TABLE checkpoint; -- <script>alert(1)</script><img src=x onerror=alert(1)>"


def test_sql_and_html_in_texts_are_texts(around: Path) -> None:
    """In message, author, tag, parameters, attributes and the dataset's own name."""
    root = around / "lab"
    name = "<img src=x onerror=alert(1)>'; DROP TABLE dataset; --"
    write_units(root / name / "A.zarr", (1,), (1,))
    repository = mvc.Repository.open(root)
    repository.configure("author", EVIL)
    dataset = mvc.open(root / name)
    given = {"params": {EVIL: EVIL}, "code": {"cell": EVIL, "number": 1}, "automatic": EVIL}
    dataset.record(Request(EVIL, "'tag';--", None, given, wait=0))
    checkpoint = dataset.show("'tag';--")
    assert (checkpoint.message, checkpoint.author, checkpoint.tags) == (EVIL, EVIL, ("'tag';--",))
    assert [entry.message for entry in dataset.history(params={EVIL: EVIL})] == [EVIL]
    assert len(mvc.open(root / "m").history()) == 2
    shown = [each._repr_html_() for each in (mvc.Repository.open(root), dataset, checkpoint, dataset.check())]
    for html in shown:
        assert "<script" not in html
        assert "<img" not in html


SECRETS = "hunter2"
URL = f"https://anna:{SECRETS}@example.org/data?token={SECRETS}&x=1"


def test_secrets_in_urls_are_kept_nowhere(around: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the catalog, not in a document, not in the configuration, and not in what is said."""
    root = around / "lab"
    repository = mvc.Repository.open(root)
    repository.configure("author", URL)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/minian-vc", "commit", "--param", f"url={URL}"])
    dataset = mvc.open(root / "m")
    write_units(root / "m/A.zarr", (1, 2), (6, 6))
    dataset.commit(f"from {URL}", params={"url": URL, "nested": [{"deep": URL}], "password": SECRETS})
    write_units(root / "m/A.zarr", (1, 2), (5, 5))
    source = {"code": {"cell": f"open({URL!r})", "number": 1}}
    dataset.record(Request(lambda names: f"{names} {URL}", None, None, gather(code=source["code"]), wait=0))
    dataset.undo()
    with Catalog(root / ".minian_vc/catalog.sqlite").write():
        kept = {path: path.read_bytes() for path in (root / ".minian_vc").rglob("*") if path.is_file()}
    assert any(path.name == "writer.json" for path in kept)
    assert [path for path, content in kept.items() if SECRETS.encode() in content] == []
    assert "example.org" in dataset.show("latest").message
