"""Where a commit is made: packages, the git commit, and the cell or script that runs."""

from __future__ import annotations

import importlib.metadata
import json
import os
import select
import shutil
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest

from minian_vc import environment, git

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
PACKAGE_ROOT = Path(environment.__file__).parents[1]


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask git anew in each test, and let a busy machine take its time."""
    monkeypatch.setattr(git, "_too_slow", set())
    monkeypatch.setattr(git, "SECONDS", 60)


# -- environment ------------------------------------------------------------------------------


def test_the_environment_says_who_where_and_with_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python, platform, host, user, the current folder, and the packages that are installed; JSON all of it."""
    monkeypatch.chdir(tmp_path)
    found = environment.describe()["environment"]
    assert found.keys() == {"python", "platform", "host", "user", "folder", "packages"}
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["folder"] == str(tmp_path)
    assert all(isinstance(found[key], str) and found[key] for key in ("platform", "host", "user"))
    assert {"xarray", "zarr", "dask", "numpy"} <= found["packages"].keys() <= set(environment.PACKAGES)
    assert all(importlib.metadata.version(name) == version for name, version in found["packages"].items())
    assert json.loads(json.dumps(found)) == found


def test_packages_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook commits after every cell."""
    environment.describe()
    monkeypatch.setattr(importlib.metadata, "version", None)
    assert environment.describe()["environment"]["packages"]


def test_nothing_heavy_is_imported() -> None:
    """A script that only commits does not load IPython, pandas or xarray for this."""
    code = "import minian_vc.environment as e, sys; e.describe(); print(*sorted(sys.modules))"
    loaded = run_python("-c", code).split()
    assert "minian_vc.environment" in loaded
    assert not {"IPython", "numpy", "pandas", "xarray", "zarr", "dask"} & set(loaded)


def test_a_user_without_a_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container a user id may have no name."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(environment.getpass, "getuser", nameless)
    monkeypatch.setattr(environment.platform, "node", lambda: "")
    assert environment.user_and_host() == ("unknown", "localhost")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the current folder")
def test_a_folder_that_was_removed_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        found = environment.describe()
    finally:
        os.chdir(tmp_path)
    assert found["environment"]["folder"] is None
    assert "git" not in found


# -- git --------------------------------------------------------------------------------------


def run_git(folder: Path, *arguments: str) -> str:
    """Run git with a name to commit under."""
    named = ["-c", "user.name=Anna", "-c", "user.email=anna@lab", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True, encoding="utf-8")
    return done.stdout.strip()


@pytest.fixture
def analysis(tmp_path: Path) -> Path:
    """A git repository with one committed notebook, and a folder in it."""
    folder = tmp_path / "analysis"
    (folder / "notebooks").mkdir(parents=True)
    run_git(folder, "init")
    (folder / "notebooks/pipeline.ipynb").write_text("{}")
    run_git(folder, "add", ".")
    run_git(folder, "commit", "-m", "begin")
    return folder


@needs_git
def test_the_commit_of_the_code_is_known(analysis: Path) -> None:
    """Commit and branch, from any folder below; files that git does not know make nothing dirty, changed ones do."""
    commit = run_git(analysis, "rev-parse", "HEAD")
    (analysis / "untracked.txt").write_text("x")
    clean = {"commit": commit, "branch": "main", "dirty": False}
    assert git.state_of(analysis) == git.state_of(analysis / "notebooks") == clean
    (analysis / "notebooks/pipeline.ipynb").write_text("{ }")
    assert git.state_of(analysis) == clean | {"dirty": True}
    run_git(analysis, "commit", "-am", "more")
    run_git(analysis, "checkout", "--detach", commit)
    assert git.state_of(analysis) == clean | {"branch": None}


@needs_git
def test_describe_asks_for_the_current_folder(analysis: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(analysis / "notebooks")
    assert environment.describe()["git"]["commit"] == run_git(analysis, "rev-parse", "HEAD")


@needs_git
def test_worktrees_have_their_own_branch(analysis: Path, tmp_path: Path) -> None:
    run_git(analysis, "worktree", "add", "-b", "other/idea", str(tmp_path / "worktree"))
    state = git.state_of(tmp_path / "worktree")
    assert state is not None
    assert state["branch"] == "other/idea"


@needs_git
def test_asking_leaves_no_trace(analysis: Path) -> None:
    """No lock, no refreshed index: another program may use the repository at this moment."""
    os.utime(analysis / "notebooks/pipeline.ipynb", (1, 1))  # same bytes, another time: git would note that
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in analysis.rglob("*") if path.is_file()}
    assert git.state_of(analysis) is not None
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in analysis.rglob("*") if path.is_file()}
    assert after == before


@needs_git
def test_variables_of_another_repository_mislead_nobody(analysis: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a git hook GIT_DIR names the hook's repository."""
    expected = git.state_of(analysis)
    monkeypatch.setenv("GIT_DIR", str(analysis / "nothing"))
    assert git.state_of(analysis) == expected


@needs_git
def test_a_repository_of_settings_starts_no_program(analysis: Path, tmp_path: Path) -> None:
    """core.fsmonitor names a program; a shared drive's repository does not get it run."""
    program = tmp_path / "monitor"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    run_git(analysis, "config", "core.fsmonitor", str(program))
    assert git.state_of(analysis) is not None
    assert not (tmp_path / "ran").exists()


@needs_git
def test_no_repository_or_no_commit_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to name: no repository, one without a commit, or a folder that is not there."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git.state_of(tmp_path) is None
    run_git(tmp_path, "init")
    assert git.state_of(tmp_path) is None
    assert git.state_of(tmp_path / "nowhere") is None


@needs_git
def test_where_git_refuses_the_owner_it_is_none(analysis: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safe.directory: a folder of another user is not asked; git can be made to believe it is one."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("HOME", str(analysis.parent))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    if subprocess.run(["git", "status"], cwd=analysis, capture_output=True, check=False).returncode == 0:
        pytest.skip("this git believes nothing of the kind")
    assert git.state_of(analysis) is None


def fake_git(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put another git in front."""
    folder.mkdir(exist_ok=True)
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_without_a_git_program_it_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git.state_of(PACKAGE_ROOT) is None


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for git")
def test_a_git_that_hangs_is_ended_with_its_children_and_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is still known, dirty is not; the child that holds the output does not hold us up."""
    monkeypatch.setattr(git, "SECONDS", 1)
    os.mkfifo(tmp_path / "held")
    reader = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    answer = 'case "$*" in *rev-parse*) echo abc; echo refs/heads/main;; *)'
    hang = f"echo x >> {tmp_path}/asked; sleep 600 > {tmp_path}/held & wait;; esac"
    fake_git(tmp_path / "bin", f"{answer} {hang}", monkeypatch)
    for _ in range(2):
        assert git.state_of(tmp_path) == {"commit": "abc", "branch": "main", "dirty": None}
    assert (tmp_path / "asked").read_text() == "x\n"
    ended, _, _ = select.select([reader], [], [], 60)
    assert ended  # nobody holds the other end any more
    assert os.read(reader, 1) == b""
    os.close(reader)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for git")
def test_an_answer_of_a_git_that_failed_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_git(tmp_path / "bin", "echo abc; echo refs/heads/main; exit 1", monkeypatch)
    assert git.state_of(tmp_path) is None


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for git")
@pytest.mark.parametrize("script", ["exit 1", "echo abc", "printf '\\377\\n\\376\\n'", "kill -9 $$"])
def test_a_git_that_answers_nonsense_is_no_error(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_git(tmp_path / "bin", script, monkeypatch)
    assert git.state_of(tmp_path) in (None, {"commit": "�", "branch": None, "dirty": True})


# -- the code that runs -----------------------------------------------------------------------


def run_python(*arguments: str | Path, **variables: str) -> str:
    """Run Python in a process of its own."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(PACKAGE_ROOT)} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


PRINT_CODE = "import json; from minian_vc.environment import running_code; print(json.dumps(running_code()))"


def test_a_script_is_named_by_its_path(tmp_path: Path) -> None:
    """Also where it went to another folder; code without a file, and minian-vc itself, are no script."""
    script = tmp_path / "analysis.py"
    script.write_text(f"import os; os.chdir('/'); {PRINT_CODE}")
    assert json.loads(run_python(script)) == {"script": str(script)}
    program = tmp_path / "minian-vc"
    program.write_text(PRINT_CODE)
    assert json.loads(run_python(program)) is None
    assert json.loads(run_python("-c", PRINT_CODE)) is None


def test_the_prompt_is_no_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At ``python -i script.py`` the script has ended."""
    main = types.SimpleNamespace(__file__=str(tmp_path / "x.py"))
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.delattr(sys, "ps1", raising=False)  # of a shell that another test made
    assert environment.running_code() == {"script": str(tmp_path / "x.py")}
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert environment.running_code() is None


def shell_with(source: object, number: int | None, **told: bool) -> types.SimpleNamespace:
    """What IPython's shell has while a cell runs."""
    info = types.SimpleNamespace(raw_cell=source, **{"store_history": True, "silent": False} | told)
    running = types.SimpleNamespace(info=info, execution_count=number)
    return types.SimpleNamespace(displayhook=types.SimpleNamespace(exec_result=running))


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        (shell_with("run('http://u:secret@h')", 2), {"cell": "run('http://u:***@h')", "number": 2}),
        (shell_with("a", 2, store_history=False), {"cell": "a", "number": None}),
        (shell_with("a", 2, silent=True), None),  # a front end's own code
        (shell_with(None, 2), None),
        (types.SimpleNamespace(displayhook=types.SimpleNamespace(exec_result=None)), None),
        (types.SimpleNamespace(), None),
    ],
    ids=["cell", "without a number", "silent", "no source", "between cells", "strange"],
)
def test_a_notebook_cell_is_kept_with_its_number(shell: object, code: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only while it runs, and never the kernel's own script instead."""
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert environment.running_code() == code


def test_ipython_without_a_shell_is_a_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Widgets import IPython in plain scripts too."""
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    monkeypatch.delattr(sys, "ps1", raising=False)
    monkeypatch.setitem(sys.modules, "__main__", types.SimpleNamespace(__file__=str(tmp_path / "x.py")))
    assert environment.running_code() == {"script": str(tmp_path / "x.py")}


def test_the_real_ipython_gives_the_running_cell(tmp_path: Path) -> None:
    """Cells as they were typed, magics and all; not a front end's silent code, and not after the cell."""
    pytest.importorskip("IPython")
    script = tmp_path / "kernel.py"
    script.write_text(
        textwrap.dedent("""
            import json
            from IPython.core.interactiveshell import InteractiveShell
            from minian_vc.environment import running_code
            shell = InteractiveShell.instance()
            seen = []
            shell.user_ns.update(seen=seen, running_code=running_code)
            shell.run_cell("x = 1", store_history=True)
            shell.run_cell("%time seen.append(running_code())\\n# a comment", store_history=True)
            shell.run_cell("seen.append(running_code())", store_history=False)
            shell.run_cell("seen.append(running_code())", silent=True)
            shell.run_cell("seen.append(running_code())", store_history=True)
            seen.append(running_code())
            print("\\n" + json.dumps(seen))
        """)
    )
    seen = json.loads(run_python(script, IPYTHONDIR=str(tmp_path)).splitlines()[-1])
    assert seen == [
        {"cell": "%time seen.append(running_code())\n# a comment", "number": 2},
        {"cell": "seen.append(running_code())", "number": None},
        None,
        {"cell": "seen.append(running_code())", "number": 3},
        None,
    ]
