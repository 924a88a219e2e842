"""One command for contributors: ``nox``. Every check that CI makes is a session here."""

import os
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False

RECORDING = ["minisim>=1.0.3,<2", "imageio-ffmpeg>=0.6"]  # makes a small one for MiniAn's own notebook, as a video
PAIRS = {  # xarray and zarr as three kinds of users have them
    "minian": ["minian==2.0.2", "xarray==2026.4.0", "zarr==2.18.7", *RECORDING],
    "zarr2": ["xarray>=2026.9", "zarr==2.18.7"],
    "zarr3": ["xarray", "zarr>=3.1"],
}
FAULTS = {  # how many of each: the ordinary suite has a few
    "MINIAN_VC_KILLS": "2600",  # some come too late: at least 2,000 kill
    "MINIAN_VC_CUTS": "200",
    "MINIAN_VC_FAULTS": "500",
    "MINIAN_VC_AGAIN": "200",
    "MINIAN_VC_COMMITS": "250",
    "MINIAN_VC_HOSTILE": "60",
    "MINIAN_VC_IMAGES": "6",
}
# patterns are below the folder that pytest is called in: one that begins with * finds nothing
ONCE = ["--ignore=tests/docs", "--ignore-glob=tests/faults/test_[!k]*"]  # of the faults, kills alone depend on zarr
LEFT_OUT = {  # by a pair, for another has it
    "minian": [*ONCE, "--ignore-glob=tests/export/test_[!mn]*"],
    "zarr2": [*ONCE, "--ignore=tests/cli"],
    "zarr3": [],
}
NEWER = ["tests/unit", "tests/real", "tests/saving", "tests/property", "tests/notebook"]
NEUROCONV = ["neuroconv>=0.10", "roiextractors>=0.10", "xarray==2026.4.0", "zarr==2.18.7"]  # they need zarr 2
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


def interpreter(version: str) -> str:
    """Return an interpreter's path: pyenv's shims answer for versions they do not run."""
    found = sorted(PYENV.glob(f"{version}.*/bin/python{version}"))
    return str(found[-1]) if found else version


@nox.session(python="3.11")
@nox.parametrize("pair", list(PAIRS), ids=list(PAIRS))
def tests(session: nox.Session, pair: str) -> None:
    """Run the tests with one of the three xarray and zarr pairs."""
    session.install("-e", ".[test]", *PAIRS[pair])
    _say_versions(session)
    # what does not depend on zarr runs with one pair, and in the session of faults
    session.run("pytest", "-n", "2", *(session.posargs or LEFT_OUT[pair]))


@nox.session(python=interpreter("3.13"), name="newer")
def newer_python(session: nox.Session) -> None:
    """Run the tests that are not about commands, pages or exports on the newest Python."""
    session.install("-e", ".[test]", *PAIRS["zarr3"])
    _say_versions(session)
    session.run("pytest", "-n", "2", *(session.posargs or NEWER))


@nox.session(python="3.11")
def faults(session: nox.Session) -> None:
    """Kill, cut the power, let the disk fail and let eight processes write at once, many times."""
    session.install("-e", ".[test]", *PAIRS["zarr3"])
    env = {name: os.environ.get(name, usual) for name, usual in FAULTS.items()}
    session.run("pytest", "-n", "2", "-m", "many or counted", *(session.posargs or ["tests/faults"]), env=env)


@nox.session(python=interpreter("3.12"))
def nwb(session: nox.Session) -> None:
    """Export to NWB, and let its validator, its inspector and pynapple read the files."""
    session.install("-e", ".[test,nwb]", *PAIRS["zarr3"], "nwbinspector>=0.7", "pynapple>=0.11")
    session.run("pytest", *(session.posargs or sorted(map(str, Path("tests/export").glob("test_nwb*.py")))))


@nox.session(python="3.11")
def neuroconv(session: nox.Session) -> None:
    """Read exported MiniAn folders with neuroconv; compare the NWB export with neuroconv's own."""
    session.install("-e", ".[test,nwb]", *NEUROCONV)
    session.run("pytest", *(session.posargs or sorted(map(str, Path("tests/export").glob("test_*neuroconv*.py")))))


@nox.session(python=interpreter("3.12"))
def icechunk(session: nox.Session) -> None:
    """Export a history to Icechunk, which needs Python 3.12 and zarr 3, in a folder and to S3 on this machine."""
    session.install("-e", ".[test,icechunk]", "moto[server]")
    _say_versions(session)
    tests = [str(path) for path in sorted(Path("tests/export").glob("test_icechunk*.py"))]
    session.run("pytest", "-n", "2", *(session.posargs or tests))
    if not session.posargs:
        session.run("pytest", "tests/docs/test_docs.py", "-k", "export.md")


def _say_versions(session: nox.Session) -> None:
    names = (
        "import importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in ('xarray', 'zarr', 'dask')), sep=', ')"
    )
    session.run("python", "-c", names)


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Check style, names, imports between layers and docstrings."""
    session.install("-e", ".", "ruff==0.17.6", "import-linter==2.16", "numpydoc==1.11.0")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-logo")
    session.run("python", "docs/check_docstrings.py")


@nox.session(python="3.11")
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    session.install("-e", ".", "mypy==2.4.1", "pandas-stubs", "zarr>=3.1")
    session.run("mypy")


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings as errors."""
    session.install("-e", ".", "sphinx==9.0.4", "myst-parser", "numpydoc==1.11.0")
    shutil.rmtree("docs/_build", ignore_errors=True)
    session.run("sphinx-build", "-W", "--keep-going", "-q", "docs", "docs/_build/html")
