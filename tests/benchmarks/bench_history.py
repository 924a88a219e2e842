"""Questions over a long history against opening SQLite and asking one query. See README.md."""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path

from bench_support import Side, interleave, ms, parser, table, timed, workspace

import minian_vc as mvc
from minian_vc.repository import FOLDER

DATA = Path(__file__).parents[1] / "data" / "minian-stages.tar.xz"
STAGE = "stage-02-first-temporal/mouse1/session1"


def make_history(work: Path, checkpoints: int) -> mvc.Dataset:
    """Record a real folder again and again, one small file changed each time."""
    with tarfile.open(DATA) as archive:
        archive.extractall(work, filter="data")
    dataset = mvc.open(work / STAGE / "minian_intermediate", create=True)
    attributes = next(dataset.path.glob("C.zarr/C/.zattrs"))
    original = attributes.read_text().rstrip()
    for number in range(checkpoints):
        attributes.write_text(original + "\n" * (number + 1))
        dataset.commit(f"step {number}", tag=f"step-{number}", only=["C"] if number else None)
    return dataset


def one_query(catalog: Path) -> None:
    """Open the database and ask it one thing."""
    connection = sqlite3.connect(catalog)
    try:
        connection.execute("SELECT digest FROM checkpoint ORDER BY id DESC LIMIT 1").fetchone()
    finally:
        connection.close()


def main() -> None:
    """Make the history and ask."""
    options = parser(__doc__, repeats=25)
    options.add_argument("--checkpoints", type=int, default=200)
    args = options.parse_args()
    with workspace(args.where, 1 << 28) as work:
        dataset = make_history(work, args.checkpoints)
        catalog = dataset.repository.root / FOLDER / "catalog.sqlite"
        middle = f"step-{args.checkpoints // 2}"
        questions: dict[str, Callable[[], object]] = {
            "sqlite3 + one query": lambda: one_query(catalog),
            "mvc.open": lambda: mvc.open(dataset.path),
            "status": dataset.status,
            "history (all)": dataset.history,
            "history (last 10)": lambda: dataset.history(10),
            "history of C": lambda: dataset.history(array="C"),
            "log (DataFrame)": dataset.log,
            "show a tag": lambda: dataset.show(middle),
            "show latest~50": lambda: dataset.show(f"latest~{min(50, args.checkpoints - 1)}"),
            "units": dataset.units,
            "arrays with unit 1": lambda: dataset.repository.arrays(unit_id=1),
            "commit, nothing changed": dataset.commit,
        }

        def side(name: str) -> Side:
            return lambda: {name: timed(questions[name])}

        all_sides = [side(name) for name in questions]
        interleave(all_sides, 1)
        found = interleave(all_sides, args.repeats)
    plain = found["sqlite3 + one query"]
    rows = [[name, ms(seconds), seconds / plain] for name, seconds in found.items()]
    rows.sort(key=lambda row: list(questions).index(str(row[0])))
    table(f"{args.checkpoints} checkpoints", ["", "takes", "this/sqlite"], rows)


if __name__ == "__main__":
    main()
