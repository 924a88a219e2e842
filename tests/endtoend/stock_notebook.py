"""MiniAn's own notebook as it is installed, over a small recording.

Its cells run as they stand, but for what each user sets: where the recording lies, and thresholds that suit it.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbformat import NotebookNode

HERE = Path(__file__).parent
SETTINGS = {  # what stands in the notebook, and how often → what a user with this recording writes there
    ('dpath = os.fspath(fetch("pipeline-demo"))', 1): "dpath = {folder!r}",
    ('"size_thres": (25, None)', 2): '"size_thres": (300, None)',
    ('param_first_merge = {"thres_corr": 0.8,', 1): 'param_first_merge = {{"thres_corr": 0.65,',
}
ENVIRONMENT = {"MINIAN_INTERACTIVE": "false", "MINIAN_NWORKERS": "1", "MINIAN_RECHUNK_MEM_LIMIT": "100MB"}


@dataclass(frozen=True)
class Places:
    """The folders of a run, as a user has them: the notebook lies elsewhere than the recording."""

    root: Path

    @property
    def recording(self) -> Path:
        """Where the video lies."""
        return self.root / "lab" / "mouse1" / "session1"

    @property
    def notebook(self) -> Path:
        """Where the notebook runs."""
        return self.root / "analysis"

    @property
    def intermediate(self) -> Path:
        """The dataset that the notebook writes beside itself."""
        return self.notebook / "minian_intermediate"

    @property
    def final(self) -> Path:
        """The dataset that the notebook writes beside the video."""
        return self.recording / "minian"

    @property
    def tools(self) -> Path:
        """For programs, settings and logs of the test."""
        return self.root / "tools"

    @property
    def copies(self) -> Path:
        """For copies of what was saved."""
        return self.tools / "copies"

    def make(self) -> None:
        """Make the folders that are there before the notebook runs."""
        for folder in (self.recording, self.notebook, self.copies):
            folder.mkdir(parents=True)


def make_recording(places: Places) -> None:
    """Simulate the recording and write its video, in a process of its own: minisim warns and prints."""
    command = [sys.executable, "-W", "ignore", str(HERE / "recording.py"), str(places.recording)]
    subprocess.run(command, check=True, capture_output=True)


def environment(places: Places) -> dict[str, str]:
    """Return what the user sets outside of the notebook: MiniAn's variables, and ffmpeg on PATH."""
    return {**ENVIRONMENT, "PATH": f"{_ffmpeg(places.tools / 'bin')}{os.pathsep}{os.environ['PATH']}"}


def _ffmpeg(folder: Path) -> Path:
    """Make a folder with ffmpeg and ffprobe."""
    import imageio_ffmpeg

    folder.mkdir()
    programs = {"ffmpeg": [imageio_ffmpeg.get_ffmpeg_exe()], "ffprobe": [sys.executable, str(HERE / "ffprobe.py")]}
    for name, command in programs.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def stock_cells(places: Places) -> list[str]:
    """Return the sources of the notebook's code cells, set to the recording."""
    package = find_spec("minian").submodule_search_locations[0]
    notebook = nbformat.read(Path(package) / "notebooks" / "pipeline" / "pipeline.ipynb", as_version=4)
    text = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    for (old, times), new in SETTINGS.items():
        if text.count(old) != times:
            raise LookupError(f"MiniAn's notebook has {old!r} {text.count(old)} times instead of {times}")
        text = text.replace(old, new.format(folder=str(places.recording)))
    return text.split("\0")


def parameter_names(cells: list[str]) -> set[str]:
    """Return the names of the parameter dictionaries that the notebook sets."""
    return set(re.findall(r"^(param_\w+) = \{", "\n".join(cells), re.MULTILINE))


def to_notebook(cells: list[str]) -> NotebookNode:
    """Return a notebook of code cells."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
