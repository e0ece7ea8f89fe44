"""The documentation site: ``make docs``.  Pages are Markdown that also reads well in a checkout."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

project = "cimc"
author = "The cimc maintainers"
copyright = "The cimc maintainers, MIT licence"
release = version = re.findall(r'__version__ = "(.+)"', (ROOT / "cimc" / "__init__.py").read_text())[0]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_click",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
exclude_patterns = ["figures/*.md"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 80
add_module_names = False

highlight_language = "text"
html_theme = "furo"
html_title = f"cimc {release}"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
nitpicky = False


def _leaves_the_site(_app: Any, name: str, source: list[str]) -> None:
    """Links to files beside the pages become their paths: the site holds pages alone."""
    up = "../" * (name.count("/") + 1)
    link = re.compile(rf"\[([^\]\[]+)\]\({re.escape(up)}([^)#]+)(?:#[^)]*)?\)")
    source[0] = link.sub(lambda found: f"{found[1]} (`{found[2]}`)", source[0])


def _stars_are_stars(_app: Any, _context: Any, lines: list[str]) -> None:
    """Help texts are plain: a pattern such as ``*`` emphasises nothing."""
    lines[:] = [line if line.lstrip().startswith(("..", ":")) else line.replace("*", r"\*") for line in lines]


def setup(app: Any) -> None:
    """Read by Sphinx."""
    app.connect("source-read", _leaves_the_site)
    for part in ("description", "options", "epilog"):
        app.connect(f"sphinx-click-process-{part}", _stars_are_stars)
    app.add_lexer("mlir", TextLexer)
