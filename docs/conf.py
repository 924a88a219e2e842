"""How Sphinx builds the documentation: sphinx-build -W --keep-going -q docs docs/_build/html."""

import sys
from pathlib import Path
from typing import Any

from pygments.lexers.python import PythonLexer

sys.path.insert(0, str(Path(__file__).parents[1]))

from minian_vc.version import __version__

project = "minian_vc"
author = "The minian_vc developers"
project_copyright = "2026, The minian_vc developers"
version = release = __version__

extensions = ["sphinx.ext.autodoc", "myst_parser", "numpydoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autosummary_generate = False
numpydoc_show_class_members = False

html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "sidebar_width": "240px"}
html_show_sourcelink = False


def setup(app: Any) -> None:
    """Color notebook cells as Python: the lexer of that name comes with IPython, which need not be there."""
    app.add_lexer("ipython", PythonLexer)
