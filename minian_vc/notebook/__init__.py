"""``%load_ext minian_vc``: checkpoints without editing the notebook."""

from minian_vc.notebook.extension import load_ipython_extension, unload_ipython_extension

__all__ = ["load_ipython_extension", "unload_ipython_extension"]
