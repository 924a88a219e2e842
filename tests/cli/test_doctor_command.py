"""``minian-vc doctor`` through the real entry point: exit codes, JSON, and what people read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import running
from conftest import put_stage
from running import Runner, everything

import minian_vc as mvc
from minian_vc import doctor
from minian_vc.doctor import environment, filesystem

run_cli = running.run_cli

ROOT = Path(__file__).parents[2]
GOOD = {"minian_vc": "0.1.0", **environment.REQUIRED, "xarray": "2026.4.0", "zarr": "2.18.7", "minian": "2.0.2"}
BROKEN = GOOD | {"xarray": "2026.9.0"}
FINDINGS, USAGE, NOT_FOUND, UNFIT = 1, 2, 4, 7


@pytest.fixture
def lab(stages: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one checkpoint as the current folder, in good surroundings."""
    mvc.open(put_stage(stages, "stage-01-first-spatial", root)).commit("one", tag="one")
    (tmp_path / "mountinfo").write_text("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n")
    monkeypatch.setattr(filesystem, "MOUNT_TABLE", tmp_path / "mountinfo")
    usage = shutil.disk_usage(root)._replace(free=500 << 30, total=1000 << 30)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(environment, "installed", lambda: GOOD)
    monkeypatch.chdir(root)
    return root


def test_all_is_well(lab: Path, run_cli: Runner) -> None:
    """Four headings, each with what is so and ``ok``; exit code 0, and nothing is changed."""
    before = everything(lab)
    out = run_cli.ok("doctor").out
    assert everything(lab) == before
    headings = [line for line in out.splitlines() if not line.startswith(" ")]
    assert headings[0].startswith("environment: Python 3.")
    assert "xarray 2026.4.0, zarr 2.18.7" in headings[0]
    assert headings[1:] == [
        f"repository: {lab / '.minian_vc'}",
        "file system: ext4 at /, 536.9 GB free",
        "leftovers",
        "Nothing to mend.",
    ]
    assert out.count("  ok\n") == 4
    assert "  info     minian-installed: MiniAn 2.0.2 is installed.\n" in out


@pytest.mark.parametrize("json", [(), ("--json",)])
def test_the_exit_code_says_how_bad_it_is(
    lab: Path, run_cli: Runner, monkeypatch: pytest.MonkeyPatch, json: tuple[str, ...]
) -> None:
    """0 with information only, 1 with a warning or an error, 7 whenever the environment has an error."""
    assert run_cli("doctor", *json).code == 0
    (lab / "mouse1/session1/minian_intermediate/figures").mkdir()
    assert run_cli("doctor", *json).code == FINDINGS  # a warning
    (lab / ".minian_vc/config.json").unlink()
    assert run_cli("doctor", *json).code == FINDINGS  # an error elsewhere
    monkeypatch.setattr(environment, "installed", lambda: BROKEN)
    assert run_cli("doctor", *json).code == UNFIT


def test_findings_are_told_with_what_to_do(lab: Path, run_cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Severity, code and sentence in one line, the fix in the next; no ``ok`` where there is something."""
    monkeypatch.setattr(environment, "installed", lambda: BROKEN)
    (lab / ".minian_vc/catalog.sqlite").write_bytes(b"x" * 200)
    lines = run_cli("doctor").out.splitlines()
    first = next(line for line in lines if "xarray-zarr-pair" in line)
    assert first.startswith("  error    xarray-zarr-pair: xarray 2026.9.0 ")
    assert lines[lines.index(first) + 1] == "           → pip install 'xarray<2026.8'"
    assert any(line.startswith("  error    catalog-damaged: ") for line in lines)
    assert lines.count("  ok") == 2
    assert lines[-1] == "2 errors."


def test_no_argument_and_a_path_mean_the_same(lab: Path, run_cli: Runner) -> None:
    """PATH is relative to the current folder; a path that is no folder is an ordinary error."""
    here = run_cli.json("doctor")
    assert run_cli.json("doctor", "mouse1/session1") == here
    assert run_cli.json("doctor", lab) == here
    assert here["repository"] == str(lab / ".minian_vc")
    assert run_cli.json("doctor", "..")["repository"] is None
    missing = run_cli("doctor", "nowhere", "--json")
    assert (missing.code, missing.json["error"]["kind"]) == (NOT_FOUND, "NotFoundError")
    assert run_cli("doctor", lab / ".minian_vc/config.json").code == USAGE


def test_the_json_has_the_keys_that_are_documented(lab: Path, run_cli: Runner) -> None:
    """The page's list is what is printed, at each level."""
    document = run_cli.json("doctor")
    finding = document["findings"][0]
    assert (finding["code"], finding["severity"], finding["fix"]) == ("minian-installed", "info", "")
    assert document["environment"]["packages"]["zarr"] == "2.18.7"
    system = document["filesystem"]
    assert (system["type"], system["mount"], system["network"], system["writable"]) == ("ext4", "/", False, True)
    assert (system["free_bytes"], system["total_bytes"]) == (500 << 30, 1000 << 30)
    printed = {"repository", *(f"environment.{key}" for key in document["environment"])}
    printed |= {f"filesystem.{key}" for key in system} | {f"findings[].{key}" for key in finding}
    assert set(document) == {"schema_version", "environment", "repository", "filesystem", "findings"}
    listed = re.search(r"^JSON keys: (.*)$\n(?:`.*$\n)*", section(), re.M)
    assert listed
    keys = set()
    for key, inner in re.findall(r"`([^`]+)`(?: \(([^)]*)\))?", listed[0]):
        parts = re.findall(r"`([a-z_]+)`", inner) if key in ("environment", "filesystem") else []
        keys |= {f"{key}.{part}" for part in parts} or {key}
    assert keys == printed


def section() -> str:
    """What the command line page says of doctor."""
    text = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
    return text.partition("\n### doctor\n")[2].partition("\n## ")[0].partition("\n### ")[0] + "\n\n"


def test_every_code_is_documented_with_its_severity() -> None:
    """The table of the page is what the program can say: codes are stable, for scripts rely on them."""
    source = "".join(path.read_text() for path in Path(doctor.__file__).parent.glob("*.py"))
    made = set(re.findall(r'Finding\(\s*"([a-z0-9-]+)",\s*"(info|warning|error)"', source))
    assert source.count("Finding(") == len(re.findall(r'Finding\(\s*"[a-z0-9-]+",', source))
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([a-z ]+) \|", section(), re.M)
    listed = {(code, severity) for code, severities in rows for severity in severities.split(" or ")}
    assert made == listed


def test_nothing_heavy_is_imported(lab: Path) -> None:
    """doctor runs where xarray, zarr and dask are broken or not there."""
    script = """if True:
        import sys
        for name in ("xarray", "zarr", "dask", "pandas", "numcodecs"):
            sys.modules[name] = None  # importing it is an error
        from minian_vc.cli import main
        main(["doctor"])"""
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, encoding="utf-8", check=False
    )
    assert done.stderr == ""
    assert "environment: Python" in done.stdout
