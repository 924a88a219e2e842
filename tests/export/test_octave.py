"""The MATLAB lines of docs/export.md run, and give what the history has: in GNU Octave, where that is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from array_bundles import TAGS, everything, record

import minian_vc as mvc
from minian_vc.export import mat

PAGE = Path(__file__).parents[2] / "docs/export.md"
BLOCKS = re.findall(r"^```matlab\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
ASK = """
printf('%.17g ', trace); disp('');
printf('%.17g ', footprint'); disp('');
disp(size(footprint));
"""
ASK_WHO = "disp(id.checkpoint); disp(id.tags{1});"
NEEDS = {"mat": "scipy", "netcdf": "h5netcdf"}
octave = shutil.which("octave-cli")
needs_octave = pytest.mark.skipif(octave is None, reason="GNU Octave (octave-cli) is not installed")


def run(code: str, folder: Path) -> str:
    """Return what Octave prints."""
    (folder / "script.m").write_text(code, encoding="utf-8")
    command = [str(octave), "--quiet", "--no-init-file", "--no-gui", "script.m"]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def has_netcdf(folder: Path) -> bool:
    """Tell whether Octave can load its package for netCDF."""
    return "yes" in run("try, pkg load netcdf, disp('yes'), catch, disp('no'), end", folder)


@pytest.fixture(scope="module")
def history(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    """Two stages of a real recording; these tests only read it."""
    return record(stages, tmp_path_factory.mktemp("lab"))


def test_the_page_has_matlab_lines_for_both_formats():
    assert ["load('first.mat')" in BLOCKS[0], "ncread('first.nc'" in BLOCKS[1]] == [True, True]
    assert len(BLOCKS) == 2


@needs_octave
@pytest.mark.parametrize("form", ["mat", "netcdf"])
def test_the_pages_lines_give_what_the_history_has(form: str, history: mvc.Dataset, tmp_path: Path):
    """The trace and the footprint of unit 9, value by value; and who they are, where the page asks."""
    pytest.importorskip(NEEDS[form], reason=f"{form} needs it")
    if form == "netcdf" and not has_netcdf(tmp_path):
        pytest.skip("Octave's package netcdf (octave-netcdf) is not installed")
    out = tmp_path / ("first.mat" if form == "mat" else "first.nc")
    done = history.export(f"@{TAGS[0]}", format=form, out=out)
    code = BLOCKS[0] + ASK + ASK_WHO if form == "mat" else f"pkg load netcdf\n{BLOCKS[1]}{ASK}"
    printed = run(code, tmp_path).splitlines()
    wanted = history.open(TAGS[0], arrays=["A", "C"]).sel(unit_id=9)
    np.testing.assert_array_equal(np.array(printed[0].split(), float), wanted.C.values)
    np.testing.assert_array_equal(np.array(printed[1].split(), float), wanted.A.values.ravel())
    assert printed[2].split() == [str(size) for size in wanted.A.shape]
    assert printed[3:5] == ([done.checkpoint, TAGS[0]] if form == "mat" else [])


@needs_octave
def test_octave_has_each_kind(tmp_path: Path):
    """Classes and sizes, texts as a cell array, and the identity, whatever letters it has."""
    pytest.importorskip("scipy", reason="mat needs SciPy")
    bundle = everything()
    mat.write(bundle, tmp_path / "all.mat")
    code = "m = load('all.mat'); id = jsondecode(m.minian_vc);" + "".join(
        f"disp(class(m.{name})); disp(size(m.{name}));" for name in ("C", "S", "movie", "motion", "mask", "unit_id")
    )
    printed = run(code + "disp(m.height{2}); disp(id.tags{1}); disp(m.session)", tmp_path).split("\n")
    assert printed[:12:2] == ["double", "single", "uint8", "int64", "logical", "int64"]
    assert [line.split() for line in printed[1:12:2]] == [[*"35"], [*"35"], [*"54"], [*"35"], [*"34"], [*"31"]]
    assert printed[12:15] == ["mitte", json.loads(bundle.text)["tags"][0], "session1"]
