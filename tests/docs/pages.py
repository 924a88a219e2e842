"""Reading the documentation's pages and running what they show.

In a page, a fenced ``console`` block holds commands (``$ …``) and what they print, a ``python`` block plain
statements or a ``>>>`` session, an ``ipython`` block one notebook cell, and a ``text`` block right after it all that
the cell shows. ``<!-- save: 02-first-temporal -->`` plays MiniAn: the dataset's arrays are then those of that stage.
``<!-- restart: kernel -->`` begins a new notebook kernel.
``<!-- needs: minian -->`` before a block leaves it out where that package is not installed.
"""

from __future__ import annotations

import contextlib
import difflib
import doctest
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cells import Notebook

import minian_vc

HOME = "/home/anna"  # how the pages call the folder that everything happens in
DATASET = "lab/mouse1/session1/minian_intermediate"
DEMO_DATA = Path(minian_vc.__file__).parent / "cli/demo.tar.xz"
ANY = "…"

_BLOCK = re.compile(
    r"^<!-- (?P<order>save|needs|restart): (?P<value>\S+) -->$|^```(?P<kind>console|python|ipython)\n(?P<body>.*?)^```$"
    r"(?:(?<=^```)\n\n^```text\n(?P<shown>.*?)^```$)?",
    re.M | re.S,
)
_TOKEN = re.compile(  # what differs from run to run
    r"(?P<wild>…)|(?P<day>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?)|(?P<aside>\d{8}T\d{6}-[0-9a-f]{8})"
    rf"|(?P<home>{HOME})|(?P<id>\b(?:[0-9a-f]{{64}}|[0-9a-f]{{16}}|[0-9a-f]{{10}})\b)"
)


class DriftError(AssertionError):
    """A page shows something else than what happens."""


@dataclass(frozen=True)
class Block:
    """One thing to do in a page: an order in a comment, or a fenced block."""

    kind: str
    body: str
    line: int
    shown: str = ""


def blocks(text: str) -> list[Block]:
    """Return what a page has to run, in order."""
    return [
        Block(m["order"] or m["kind"], m["value"] or m["body"], text.count("\n", 0, m.start()) + 1, m["shown"] or "")
        for m in _BLOCK.finditer(text)
    ]


def commands(body: str) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with the output that is shown."""
    found: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [(command, "\n".join(output)) for command, output in found]


@dataclass
class Matcher:
    """Compares outputs with what a page shows. An id of the page stands for one real id throughout."""

    home: Path
    known: dict[str, str] = field(default_factory=dict)  # first ten digits in the page → real id

    def real(self, command: str) -> str:
        """Return a command with the real paths and ids in it."""
        command = command.replace(HOME, str(self.home))
        for shown, real in self.known.items():
            command = command.replace(shown, real[:10])
        return command

    def pattern(self, shown: str) -> str:
        """Return what the output must match."""
        lines = [line.rstrip() for line in shown.strip("\n").splitlines()]
        parts = []
        for i, line in enumerate(lines):
            last = i == len(lines) - 1
            if line.strip() == ANY:
                parts.append("(?:.*\n)*" + (".*" if last else ""))
            else:
                parts.append(self._line(line) + ("" if last else "\n"))
        return self._distinct("".join(parts))

    def _line(self, line: str) -> str:
        parts, end = [], 0
        for token in _TOKEN.finditer(line):
            parts += [re.escape(line[end : token.start()]), self._token(token)]
            end = token.end()
        return "".join([*parts, re.escape(line[end:])])

    def _token(self, token: re.Match[str]) -> str:
        text = token[0]
        if token["id"]:
            known = self.known.get(text[:10])
            if known and len(known) >= len(text):
                return re.escape(known[: len(text)])
            return f"(?P<id_{text}>{known or ''}[0-9a-f]{{{len(text) - len(known or '')}}})"
        kinds = {
            "wild": ".*?",
            "day": r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?",
            "aside": r"\d{8}T\d{6}-[0-9a-f]{8}",
        }
        return kinds.get(str(token.lastgroup), re.escape(str(self.home)))

    def matches(self, shown: str, output: str) -> bool:
        """Compare, and learn the ids that the page shows for the first time."""
        match = re.fullmatch(self.pattern(shown), tidy(output))
        if match is None:
            return False
        learned = dict(self.known)
        for name, real in match.groupdict().items():
            shown_id = name.removeprefix("id_")[:10]
            if len(learned.get(shown_id, "")) < len(real):
                learned[shown_id] = real
        if len({real[:10] for real in learned.values()}) < len(learned):
            return False  # two ids in the page, one in truth
        self.known = learned
        return True

    @staticmethod
    def _distinct(pattern: str) -> str:
        """Let an id that occurs twice in one output be the same both times."""
        seen: set[str] = set()

        def once(match: re.Match[str]) -> str:
            if match[1] in seen:
                return f"(?P={match[1]})"
            seen.add(match[1])
            return match[0]

        return re.sub(r"\(\?P<(id_[0-9a-f]+)>[^)]*\)", once, pattern)

    def as_shown(self, output: str) -> str:
        """Return an output with the page's ids and paths in it, for people to compare."""
        output = tidy(output).replace(str(self.home), HOME)
        for shown, real in self.known.items():
            output = output.replace(real[:10], shown)
        return output


def tidy(output: str) -> str:
    """Return an output without blanks at line ends and empty lines around it."""
    return "\n".join(line.rstrip() for line in output.strip("\n").splitlines())


class _Checker(doctest.OutputChecker):
    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return super().check_output(want, got, optionflags) or self._matcher.matches(want, got)


class Runner:
    """Runs one page from top to bottom in a folder of its own."""

    def __init__(self, page: Path, home: Path) -> None:
        self.page = page
        self.home = home.resolve()
        self.here = self.home
        self.matcher = Matcher(self.home)
        self.counted = {"commands": 0, "examples": 0, "left out": 0}
        self._code = 0
        self._notebook: Notebook | None = None
        self._globals: dict[str, Any] = {"__name__": "__main__"}

    def run(self) -> dict[str, int]:
        """Run everything; return how much that was.

        Raises
        ------
        DriftError
            Something happened that the page does not show.
        """
        try:
            self._run()
        finally:
            self._restart()
        return self.counted

    def _run(self) -> None:
        needs = None
        for block in blocks(self.page.read_text(encoding="utf-8")):
            if block.kind == "needs":
                needs = block.body
                continue
            if needs is not None and importlib.util.find_spec(needs) is None:
                self.counted["left out"] += 1
            else:
                getattr(self, f"_{block.kind}")(block)
            needs = None

    def _save(self, block: Block) -> None:
        with tarfile.open(DEMO_DATA) as archive:
            archive.extractall(self.home / "stages", filter="data")
        target = self.home / DATASET
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.home / "stages" / block.body, target)
        shutil.rmtree(self.home / "stages")

    def _console(self, block: Block) -> None:
        for command, shown in commands(block.body):
            output = self._shell(self.matcher.real(command))
            self.counted["commands"] += 1
            if not self.matcher.matches(shown, output):
                self._drifted(block, f"$ {command}", shown, output)
            if self._code not in (0, 1) and "Error: " not in shown:
                self._drifted(block, f"$ {command}", "exit code 0", f"exit code {self._code}")

    def _shell(self, command: str) -> str:
        program = "from minian_vc.cli import main; main()"
        script = f"""
            minian-vc() {{ "$PYTHON" -c '{program}' "$@"; }}
            mvc() {{ minian-vc "$@"; }}
            cd "$HERE"
            (exit {self._code})
            {command}
            code=$?
            pwd > "$HOME/.here"
            exit $code"""
        environment = os.environ | {
            "HOME": str(self.home),
            "HERE": str(self.here),
            "PYTHON": sys.executable,
            "PYTHONPATH": str(Path(minian_vc.__file__).parents[1]),
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            ["bash", "-c", script],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
            timeout=120,
        )
        self.here = Path((self.home / ".here").read_text().strip())
        self._code = done.returncode
        return done.stdout

    def _python(self, block: Block) -> None:
        with self._warning():
            if ">>> " in block.body:
                self._doctest(block)
            else:
                exec(compile(block.body, f"{self.page.name}:{block.line}", "exec"), self._globals)  # noqa: S102
                self.counted["examples"] += 1

    def _ipython(self, block: Block) -> None:
        self._notebook = self._notebook or Notebook()
        with self._warning():
            output = self._notebook.run(self.matcher.real(block.body))
        self.counted["examples"] += 1
        if not self.matcher.matches(block.shown, output):
            self._drifted(block, "cell", block.shown, output)

    def _restart(self, _: Block | None = None) -> None:
        if self._notebook is not None:
            self._notebook.close()
        self._notebook = None

    @contextlib.contextmanager
    def _warning(self) -> Iterator[None]:
        """Show our warnings as the Python prompt does, and nobody else's."""
        with contextlib.chdir(self.here), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", "Common units only|.* lacks |The tag ")
            warnings.showwarning = _print_warning
            yield

    def _doctest(self, block: Block) -> None:
        test = doctest.DocTestParser().get_doctest(block.body, {}, self.page.name, str(self.page), block.line)
        for example in test.examples:
            example.source = self.matcher.real(example.source)
        test.globs = self._globals
        said: list[str] = []
        runner = doctest.DocTestRunner(_Checker(self.matcher), verbose=False, optionflags=doctest.ELLIPSIS)
        failed, tried = runner.run(test, out=said.append, clear_globs=False)
        self.counted["examples"] += tried
        if failed:
            raise DriftError(self.matcher.as_shown("".join(said)))

    def _drifted(self, block: Block, what: str, shown: str, output: str) -> None:
        lines = difflib.unified_diff(
            tidy(shown).splitlines(), self.matcher.as_shown(output).splitlines(), "shown", "printed", lineterm=""
        )
        raise DriftError("\n".join([f"{self.page.name}, block at line {block.line}: {what}", *lines]))


def _print_warning(message: Warning | str, category: type[Warning], _: str, line: int, *__: object) -> None:
    """Print a warning as the Python prompt does."""
    print(f"<stdin>:{line}: {category.__name__}: {message}")
