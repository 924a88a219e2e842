"""The recipe for R, run by R where it is installed: what it reads is the recorded array."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from one_stage import TAG, commit_one_stage

import minian_vc as mvc

PAGE = Path(__file__).parents[2] / "docs/export.md"
RECIPES = re.findall(r"^```r\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
SHOW = """
cat(names(C)[1:3], nrow(C), ncol(C), nrow(long), nrow(peaks), "\\n")
cat(sprintf("%.17g", C[["7"]]), "\\n")
cat(sprintf("%.17g", long$C), "\\n")
"""

needs_r = pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")


@pytest.fixture(scope="module")
def history(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    return commit_one_stage(stages, tmp_path_factory.mktemp("lab"))


def run_r(script: str, folder: Path) -> list[list[str]]:
    """Run a script; return the words of each line that it prints."""
    (folder / "script.R").write_text(script, encoding="utf-8")
    done = subprocess.run(
        ["Rscript", "--vanilla", "script.R"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_the_page_has_both_recipes():
    """What the tests below run is what the page shows."""
    assert ["read.csv" in text or "read_parquet" in text for text in RECIPES] == [True, True]


@needs_r
def test_r_reads_the_csv_files(history: mvc.Dataset, tmp_path: Path):
    """Wide and long, each value to a last digit."""
    history.export(f"C@{TAG}", format="csv", out=tmp_path / "C.csv")
    history.export(f"C@{TAG}", format="csv", out=tmp_path / "C_wide.csv", wide=True, rate=20)
    header, unit, long = run_r(RECIPES[0] + SHOW, tmp_path)
    C = history[f"C@{TAG}"]
    assert header == ["frame", "time", "0", "190", "12", "1900", "10"]
    np.testing.assert_allclose(np.array(unit, float), C.sel(unit_id=7).values, rtol=1e-15)
    np.testing.assert_allclose(np.array(long, float), C.values.ravel(), rtol=1e-15)


@needs_r
def test_r_reads_the_parquet_file(history: mvc.Dataset, tmp_path: Path):
    pytest.importorskip("pyarrow")
    asked = subprocess.run(["Rscript", "--vanilla", "-e", 'quit(status = !requireNamespace("arrow"))'], check=False)
    if asked.returncode:
        pytest.skip("R's package arrow is not installed")
    history.export(f"C@{TAG}", format="parquet", out=tmp_path / "C.parquet")
    (long,) = run_r(RECIPES[1] + 'cat(sprintf("%.17g", long$C), "\\n")\n', tmp_path)
    assert np.array(long, float).tolist() == history[f"C@{TAG}"].values.ravel().tolist()
