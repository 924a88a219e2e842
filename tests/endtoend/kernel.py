"""Run a notebook in a kernel of this interpreter, with nothing of the user's, and leave no process behind."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode

CELL_SECONDS = 300  # far above the slowest cell: a notebook that hangs must end
MARK = "MINIAN_VC_TEST_RUN"  # in the environment of the kernel, and so of whatever it starts
NAME = "under-test"


def run(notebook: NotebookNode, where: Path, tools: Path, environment: Mapping[str, str]) -> str:
    """Run the cells in a folder; raises what a cell raises. Returns what the kernel's processes wrote past it."""
    manager = _kernel_manager(tools, environment)
    client = NotebookClient(notebook, km=manager, timeout=CELL_SECONDS, resources={"metadata": {"path": str(where)}})
    log = tools / "kernel.log"
    with log.open("wb") as sink, _no_process_stays(str(tools)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client's own
        client.execute(cleanup_kc=True, stdout=sink, stderr=sink)
    return log.read_text(errors="replace")


def processes_of(tools: Path | str) -> list[psutil.Process]:
    """Return the processes of a run that are alive, wherever they hang in the process tree."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == str(tools) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _kernel_manager(tools: Path, environment: Mapping[str, str]) -> AsyncKernelManager:
    """Return a manager that knows one kernel and looks nowhere else for another."""
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": NAME,
        "language": "python",
        "env": {**environment, "IPYTHONDIR": str(tools / "ipython"), MARK: str(tools)},
    }
    folder = tools / "kernels" / NAME
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(json.dumps(spec))
    return AsyncKernelManager(
        kernel_name=NAME,
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(folder.parent)], ensure_native_kernel=False),
        connection_file=str(tools / f"connection-{os.getpid()}.json"),
    )


@contextlib.contextmanager
def _no_process_stays(tools: str) -> Iterator[None]:
    """End the kernel and whatever it started, also when a cell failed."""
    try:
        yield
    finally:
        _, alive = psutil.wait_procs(processes_of(tools), timeout=5)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, timeout=5)
