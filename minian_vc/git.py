"""The state of the git repository that holds a folder, asked of the git program: briefly, and without a trace."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from minian_vc.json_values import clean_text

__all__ = ["state_of"]

SECONDS = 2.0
SETTINGS = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",  # a partial clone would go to the network
    "LC_ALL": "C",
}
OF_ANOTHER = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE"}
_too_slow: set[tuple[Path, str]] = set()  # what took too long once: a notebook commits again and again


def state_of(folder: Path) -> dict[str, Any] | None:
    """Return ``commit``, ``branch`` and ``dirty`` of the repository that holds a folder.

    ``branch`` is None where a commit is checked out without one. ``dirty`` tells whether files that git tracks
    differ from the commit; None where that could not be told in time. The result is None where there is no repository,
    no commit yet, no git program, or where git refuses, as for a folder that another user owns.
    """
    said = _ask(folder, "rev-parse", "HEAD", "--symbolic-full-name", "HEAD")
    lines = said.splitlines() if said else []
    if len(lines) != 2:
        return None
    commit, name = lines
    branch = clean_text(name.removeprefix("refs/heads/")) if name.startswith("refs/heads/") else None
    changes = _ask(folder, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=untracked")
    return {"commit": commit, "branch": branch, "dirty": None if changes is None else bool(changes)}


def _ask(folder: Path, *question: str) -> str | None:
    """Return what git answers; None where it refuses, is not there, or takes too long."""
    program = shutil.which("git")
    if program is None or (folder, question[0]) in _too_slow:
        return None
    command = [program, "-c", "core.fsmonitor=false", *question]  # else git may leave a daemon behind
    try:
        return _run(command, folder)
    except subprocess.TimeoutExpired:
        _too_slow.add((folder, question[0]))
    except OSError:
        pass
    return None


def _run(command: list[str], folder: Path) -> str | None:
    with tempfile.TemporaryFile() as answer:  # a pipe would stay open as long as any child of git
        git = subprocess.Popen(  # noqa: S603 (the program that PATH names, and words of our own)
            command,
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name not in OF_ANOTHER} | SETTINGS,
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # no terminal to ask on, and a group to end as one
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        try:
            code = git.wait(SECONDS)
        finally:
            _end(git)
        answer.seek(0)
        return answer.read().decode("utf-8", "replace") if code == 0 else None


def _end(git: subprocess.Popen[bytes]) -> None:
    """End git and what it started, if it still runs; a drive that hangs may not let it."""
    if git.poll() is not None:
        return
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(git.pid, signal.SIGKILL)
        else:
            git.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        git.wait(1)
