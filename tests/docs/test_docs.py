"""The documentation says what is so: pages are run, and lists are compared with the program."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import click
import codes
import pages
import pytest
from click.testing import CliRunner

import minian_vc as mvc
from minian_vc.audit.model import GRADES
from minian_vc.cli.main import cli
from minian_vc.notebook import magics
from minian_vc.verbs.commit import Request

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNNABLE = [page for page in PAGES if pages.blocks(page.read_text(encoding="utf-8"))]
COMMAND_LINE = ROOT / "docs/command-line.md"
WORDS = (
    "repository",
    "dataset",
    "session",
    "array version",
    "checkpoint",
    "provenance",
    "automatic checkpoint",
    "tag",
    "named version",
    "unit set",
    "chunk spec",
    "chunk object",
    "manifest",
    "digest",
    "object store",
    "catalog",
    "working folder",
    "commit",
    "restore",
    "check",
    "finding",
    "grade",
    "prediction",
    "numbering",
    "earlier copy",
    "verify",
    "prune",
)
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="the pages show a POSIX shell")


# -- pages that are run -----------------------------------------------------------------------


@needs_bash
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.name)
def test_a_page_shows_what_happens(page: Path, tmp_path: Path):
    """Every command and example of a page, run in order, prints what the page shows."""
    counted = pages.Runner(page, tmp_path).run()
    assert counted["commands"] + counted["examples"] > 0


def test_the_pages_with_commands_are_run():
    """Nobody turned the README's or the tutorial's blocks into ones that are not run."""
    names = {page.name: pages.blocks(page.read_text(encoding="utf-8")) for page in RUNNABLE}
    least = {
        "README.md": 9,
        "tutorial.md": 25,
        "notebook.md": 25,
        "before-you-load.md": 8,
        "repository-format.md": 8,
        "python.md": 9,
    }
    assert {name: len(names.get(name, ())) >= number for name, number in least.items()} == dict.fromkeys(least, True)


COMMITTED = """
<!-- save: 02-first-temporal -->
```python
import minian_vc as mvc
mvc.open("lab/mouse1/session1/minian_intermediate", create=True).commit("first", tag="one")
```
```console
$ cd lab/mouse1/session1
$ minian-vc log
…
0123456789  2020-01-01 00:00:00  one   5       first
"""


@needs_bash
@pytest.mark.parametrize(
    "shown",
    [
        "$ minian-vc chk\nchk = {'frame': 65, 'height': 64, 'width': 64}",
        "$ minian-vc chk\nchk = {'frame': 64, 'height': 64, 'width': 64}\nand more",
        "$ minian-vc tag two\nCheckpoint 9876543210 of minian_intermediate is now called two.",
        "$ minian-vc show nothing\n…",
    ],
    ids=["another value", "another line", "another id", "a failing command"],
)
def test_a_command_that_drifted_is_noticed(shown: str, tmp_path: Path):
    """An output, an id or an exit code that differs from the page is an error."""
    page = tmp_path / "page.md"
    page.write_text(f"{COMMITTED}{shown}\n```\n", encoding="utf-8")
    with pytest.raises(pages.DriftError, match="shown"):
        pages.Runner(page, tmp_path).run()


@pytest.mark.parametrize("shown", [">>> 1 + 1\n3", ">>> 1 / 0", "assert 1 + 1 == 3", ">>> 1 + 1"])
def test_an_example_that_drifted_is_noticed(shown: str, tmp_path: Path):
    """A value that differs, an exception, or a value that is not shown is an error."""
    page = tmp_path / "page.md"
    page.write_text(f"```python\n{shown}\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        pages.Runner(page, tmp_path).run()


CELL = "```ipython\n%load_ext minian_vc\n```\n\n"


@pytest.mark.parametrize(
    "shown",
    [
        "```ipython\n1 + 1\n```\n\n```text\n3\n```\n",
        "```ipython\n1 + 1\n```\n\nSaid in the text, not shown.\n",
        "```ipython\n%mvc log\n```\n",
    ],
    ids=["another value", "a value not shown", "an error not shown"],
)
def test_a_cell_that_drifted_is_noticed(shown: str, tmp_path: Path):
    """What a cell shows is all in the page."""
    page = tmp_path / "page.md"
    page.write_text(CELL + shown, encoding="utf-8")
    with pytest.raises(pages.DriftError, match="cell"):
        pages.Runner(page, tmp_path).run()


def test_a_new_kernel_knows_nothing_of_the_old_one(tmp_path: Path):
    """`<!-- restart: kernel -->` takes the variables away."""
    page = tmp_path / "page.md"
    page.write_text("```ipython\nx = 1\n```\n<!-- restart: kernel -->\n```ipython\nx + 1\n```\n", encoding="utf-8")
    with pytest.raises(NameError):
        pages.Runner(page, tmp_path).run()


def test_what_a_cell_shows_is_compared(tmp_path: Path):
    """What it prints, and the value of its last line."""
    page = tmp_path / "page.md"
    page.write_text(CELL + "```ipython\nprint(2)\n1 + 1\n```\n\n```text\n2\n2\n```\n", encoding="utf-8")
    assert pages.Runner(page, tmp_path).run() == {"commands": 0, "examples": 2, "left out": 0}


@needs_bash
def test_ids_and_times_of_a_page_stand_for_real_ones(tmp_path: Path):
    """What differs from run to run is no drift, and a page's id can be used in its next command."""
    page = tmp_path / "page.md"
    shown = (
        f"$ minian-vc show 0123456789\ncheckpoint 0123456789{54 * '0'} (one)\n…\nwhen       2020-01-01 00:00:00\n…\n"
    )
    page.write_text(f"{COMMITTED}{shown}```\n", encoding="utf-8")
    assert pages.Runner(page, tmp_path).run() == {"commands": 3, "examples": 1, "left out": 0}


# -- lists that are compared ------------------------------------------------------------------


def section(name: str) -> str:
    """Return what the command line page says of a command."""
    text = COMMAND_LINE.read_text(encoding="utf-8")
    found = re.search(rf"^### {re.escape(name)}\n(.*?)(?=^##|\Z)", text, re.M | re.S)
    assert found, f"docs/command-line.md has no section on {name}"
    return found[1]


def test_every_command_has_its_section_and_every_section_its_command():
    sections = re.findall(r"^### (.+)$", COMMAND_LINE.read_text(encoding="utf-8"), re.M)
    assert sorted(sections) == sorted(cli.commands)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_option_is_documented_and_exists(name: str):
    """The table of options and the usage line are those of the program."""
    parameters = cli.commands[name].params
    options = {text for p in parameters if isinstance(p, click.Option) for text in (*p.opts, *p.secondary_opts)}
    first_cells = re.findall(r"^\| (`-.*?) \|", section(name), re.M)
    assert {text for cell in first_cells for text in re.findall(r"`([^`]+)`", cell)} == options
    arguments = [p.make_metavar(click.Context(cli.commands[name])) for p in parameters if isinstance(p, click.Argument)]
    assert f"`minian-vc {' '.join([name, *arguments])}`" in section(name)


def test_every_command_line_in_the_pages_names_a_command():
    for page in PAGES:
        for name in re.findall(r"`(?:minian-vc|mvc) ([a-z]+)", page.read_text(encoding="utf-8")):
            assert name in cli.commands, f"{page.name}: minian-vc {name}"


def test_every_magic_in_the_pages_names_a_command():
    for page in PAGES:
        for name in re.findall(r"%mvc ([a-z]+)", page.read_text(encoding="utf-8")):
            assert name in {*magics.group.commands, *cli.commands}, f"{page.name}: %mvc {name}"


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two stages of the demo's recording, committed, each with an automatic checkpoint after it.

    The current folder is the repository's.
    """
    runner = pages.Runner(tmp_path / "page.md", tmp_path)
    for stage in ("01-first-spatial", "02-first-temporal"):
        runner._save(pages.Block("save", stage, 0))
        dataset = mvc.open(tmp_path / pages.DATASET, create=True)
        dataset.commit(stage, tag=stage)
        (dataset.path / "C.zarr").rename(dataset.path / "C_kept.zarr")
        dataset.record(Request("after a cell", provenance={"automatic": "notebook"}))
        (dataset.path / "C_kept.zarr").rename(dataset.path / "C.zarr")
    dataset.commit("as before")
    folder = tmp_path / Path(pages.DATASET).parent
    monkeypatch.chdir(folder)
    return folder


JSON_COMMANDS = {
    "init": [],
    "commit": [],
    "tag": ["again"],
    "restore": ["C@01-first-spatial", "--as", "C_old"],
    "export": ["C@02-first-temporal", "C.csv", "--format", "csv"],
    "config": [],
    "status": [],
    "log": [],
    "show": [],
    "diff": ["01-first-spatial", "02-first-temporal"],
    "chk": [],
    "units": [],
    "check": [],
    "doctor": [],
    "prune": ["--automatic"],
    "undo": [],
    "du": [],
    "rebuild": [],
}


@pytest.mark.parametrize("name", JSON_COMMANDS)
def test_json_keys_are_documented_and_there(name: str, committed: Path):
    """The keys that ``--json`` prints are those that the page lists."""
    assert listed_keys(name) == printed_keys(name, *JSON_COMMANDS[name])


@pytest.mark.parametrize("name", ["verify", "repair"])
def test_json_keys_are_documented_and_there_where_something_is_damaged(name: str, committed: Path):
    """All chunk objects are gone: some have a copy in the working folder, some have none."""
    shutil.rmtree(committed / ".minian_vc/objects/chunks")
    assert listed_keys(name) == printed_keys(name)


def printed_keys(name: str, *arguments: str) -> set[str]:
    """Return the keys that a command prints."""
    done = CliRunner().invoke(cli, [name, *arguments, "--json"], standalone_mode=False)
    document = json.loads(done.stdout)
    assert document.pop("schema_version") == 1
    printed = set()
    for key, value in document.items():
        items = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
        printed |= {f"{key}[].{inner}" for item in items for inner in item} or {key}
    return printed


def listed_keys(name: str) -> set[str]:
    """Return the keys that the page lists for a command."""
    listed = re.search(r"^JSON keys: (.*?)(?:\n\n|\Z)", section(name), re.M | re.S)
    assert listed
    keys = re.split(r", and |; |\.\s", re.sub(r"\([^)]*\)", "", listed[1]))[0]
    return set(re.findall(r"`([^`]+)`", keys))


# -- findings ---------------------------------------------------------------------------------

FINDINGS = ROOT / "docs/findings.md"
PACKAGE = Path(mvc.__file__).parent
MAKERS = [*sorted((PACKAGE / "audit").glob("*.py")), PACKAGE / "verbs/check.py", PACKAGE / "verbs/commit.py"]
MADE = [found for path in MAKERS for found in codes.Source(path).findings()]


def listed_findings() -> dict[str, set[str]]:
    """Return the codes in the page's tables, each with the severities that they give."""
    listed: dict[str, set[str]] = {}
    for code, cell in re.findall(r"^\| `([a-z0-9-]+)` \| ([a-z ]+) \|", FINDINGS.read_text(encoding="utf-8"), re.M):
        if set(cell.split(" or ")) <= codes.SEVERITIES:
            listed.setdefault(code, set()).update(cell.split(" or "))
    return listed


def test_every_finding_is_documented_and_every_documented_finding_exists():
    """The page on findings has the codes of check and commit, all of them and no others."""
    known = {code for found, _ in MADE for code in found}
    assert len(known) > 40
    assert sorted(listed_findings()) == sorted(known)


def test_the_severities_of_findings_are_documented():
    """The page gives a finding no severity that it never has, and leaves out none that it certainly may have."""
    certain: dict[str, set[str]] = {}
    possible: dict[str, set[str]] = {}
    for found, severities in MADE:
        for code in found:
            possible.setdefault(code, set()).update(severities)
            if len(found) == 1 or len(severities) == 1:
                certain.setdefault(code, set()).update(severities)
    for code, listed in listed_findings().items():
        assert certain.get(code, set()) <= listed <= possible.get(code, set()), code


def test_the_grades_are_documented():
    page, command = FINDINGS.read_text(encoding="utf-8"), section("check")
    for grade in GRADES:
        assert f"| `{grade}` |" in page
        assert f"`{grade}`" in command


def test_every_error_class_and_exit_code_is_documented():
    text = COMMAND_LINE.read_text(encoding="utf-8")
    table = {int(row[0]): row[1] for row in re.findall(r"^\| (\d) \|.*\|(.*)\|$", text, re.M)}
    for name in mvc.errors.__all__:
        kind = getattr(mvc.errors, name)
        if kind is not mvc.errors.MinianVCError:
            assert f"`{name}`" in table[kind.exit_code], name


def test_the_readme_holds_the_test_command():
    """`.ci/run` takes the block from the README by its mark."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"Run the tests\n.*?^<!-- test-command -->\n```sh\n(.*?)^```$", readme, re.M | re.S)
    assert block
    assert readme.count("<!-- test-command -->") == 1
    assert ".venv-test" in block[1]
    assert "-e '.[test]'" in block[1]
    assert "pytest -n 2" in block[1]
    assert "minian-vc demo" in readme


def test_the_glossary_has_every_word():
    glossary = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^(.+)\n: ", glossary, re.M)
    assert set(WORDS) <= set(terms)
    assert len(terms) == len(set(terms))


def test_links_between_the_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            if page.name == "README.md" or not target.startswith("#"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
