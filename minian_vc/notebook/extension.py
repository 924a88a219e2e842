"""The IPython extension: what it hooks into, and how it is taken out again."""

from __future__ import annotations

from typing import Any

from minian_vc import provenance
from minian_vc.notebook.context import cell_of, chk_of, params_of
from minian_vc.notebook.events import listen
from minian_vc.notebook.magics import Magics
from minian_vc.notebook.recorder import Recorder
from minian_vc.verbs.record_saved import make_repositories_by

__all__ = ["Extension", "load_ipython_extension", "unload_ipython_extension"]

ATTRIBUTE = "minian_vc_extension"


class Extension:
    """Recording in one IPython shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._ended: Any = None  # the result of the cell that has just run
        self.recorder = Recorder()
        self._magics = Magics(shell, self.recorder)

    def start(self) -> None:
        """Hook into the shell."""
        self._shell.events.register("post_run_cell", self._after_cell)
        self._shell.register_magic_function(self._magics.mvc, "line", "mvc")
        provenance.ask_from_now_on(self._known)
        make_repositories_by(self.recorder.make_repository)
        listen(self.recorder.heard)

    def stop(self) -> None:
        """Leave the shell as it was."""
        listen(None)
        make_repositories_by(None)
        provenance.ask_from_now_on(None)
        self._shell.events.unregister("post_run_cell", self._after_cell)
        self._shell.magics_manager.magics["line"].pop("mvc", None)

    def _after_cell(self, result: Any) -> None:
        self._ended = result
        try:
            self.recorder.record_changes()
        finally:
            self._ended = None

    def _known(self) -> dict[str, Any]:
        """Return what the notebook knows of a checkpoint that is made now, by whomever."""
        namespace = self._shell.user_ns
        cell = cell_of(self._ended or self._shell.displayhook.exec_result)
        return provenance.gather(params_of(namespace), chk=chk_of(namespace), code=cell)


def load_ipython_extension(shell: Any) -> None:
    """Record from now on: ``%load_ext minian_vc``."""
    unload_ipython_extension(shell)
    extension = Extension(shell)
    extension.start()
    setattr(shell, ATTRIBUTE, extension)


def unload_ipython_extension(shell: Any) -> None:
    """Record no longer: ``%unload_ext minian_vc``."""
    extension = getattr(shell, ATTRIBUTE, None)
    if extension is not None:
        extension.stop()
        delattr(shell, ATTRIBUTE)
