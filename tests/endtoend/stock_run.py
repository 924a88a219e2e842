"""The one run that the tests look at: the stock notebook between cells of ours, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

import nbformat
from kernel import run
from nbformat import NotebookNode
from stock_notebook import Places, environment, make_recording, stock_cells, to_notebook
from witness import Save, hook_seconds, saves_in

import minian_vc as mvc

RAN, LOG = "ran.ipynb", "past-the-notebook.log"

FRONT = """\
import sys
sys.path.insert(0, {here!r})
from witness import install
witness_of_saves = install({copies!r}, get_ipython())"""
OURS = """\
from minian_vc import save_minian
intpath = "ours/minian_intermediate"
param_save_minian = {**param_save_minian, "dpath": "ours/mouse1/session1/minian"}"""
TWICE = """\
from minian.utilities import save_minian
for factor in (2, 3):
    save_minian((C * factor).compute().rename("C"), "./minian_intermediate", overwrite=True)"""


@dataclass(frozen=True)
class Run:
    """What a run left: folders, the notebook with its outputs, what was saved, and what went past the notebook."""

    places: Places
    notebook: NotebookNode
    saves: list[Save]
    log: str

    def saved(self, dataset: Path, name: str) -> list[Save]:
        """Return the saves of one array, in order."""
        return [save for save in self.saves if (save.dataset, save.name) == (str(dataset), name)]


def read_run(root: Path) -> Run:
    """Return a run that was made."""
    places = Places(root)
    notebook = nbformat.read(places.tools / RAN, as_version=4)
    return Run(places, notebook, saves_in(places.copies), (places.tools / LOG).read_text())


def make_run(root: Path) -> None:
    """Run the notebook; then C is saved twice in one cell, and two cells run again with our save_minian."""
    places = Places(root)
    places.make()
    make_recording(places)
    cells = stock_cells(places)
    last_update, last_saves = [cell for cell in cells if "b0 = save_minian(" in cell][-2:]
    front = [FRONT.format(here=str(Path(__file__).parent), copies=str(places.copies)), "%load_ext minian_vc"]
    front.append("witness_of_saves.time_hooks()")
    notebook = to_notebook([*front, *cells, TWICE, OURS, last_update, last_saves])
    (places.tools / LOG).write_text(run(notebook, places.notebook, places.tools, environment(places)))
    nbformat.write(notebook, places.tools / RAN)
    saves = saves_in(places.copies)
    for save in saves:
        named(save).parent.mkdir(parents=True)
        named(save).symlink_to(save.copy, target_is_directory=True)
    _tell(notebook, saves, hook_seconds(places.copies))


def named(save: Save) -> Path:
    """Return where the copy lies under its array's name, which readers want."""
    copy = Path(save.copy)
    return copy.parent / "named" / copy.name / f"{save.name}.zarr"


def _tell(notebook: NotebookNode, saves: list[Save], hooks: dict[int, float]) -> None:
    """Print the run's numbers (pytest -s): of timings, nothing is asserted."""
    saving = {save.cell for save in saves}
    seen = {cell: 1000 * seconds for cell, seconds in hooks.items() if cell <= max(saving)}  # later ones save unseen
    quiet = [ms for cell, ms in seen.items() if cell not in saving]
    busy = [ms for cell, ms in seen.items() if cell in saving]
    print(f"\n{len(notebook.cells)} cells, {len(saves)} saves in {len(saving)} cells, recorded in")
    for dataset in dict.fromkeys(save.dataset for save in saves):
        print(f"  {len(mvc.open(dataset).history())} checkpoints of {dataset}")
    print(f"after a cell that saved nothing: median {median(quiet):.1f} ms, at most {max(quiet):.1f} ms")
    print(f"after a cell that saved something: median {median(busy):.0f} ms, at most {max(busy):.0f} ms")
