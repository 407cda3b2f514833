"""The site of these pages: `make docs` writes it to build/docs. What is not written by hand comes from tools/docs_pages.py."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tools")]

import docs_pages  # noqa: E402

from idiff import __version__  # noqa: E402

docs_pages.write(HERE / "_generated")

project, author, release = "idiff", "The idiff authors", __version__
copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_design"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence", "attrs_inline"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"idiff {release}"
html_static_path = []
html_copy_source = False

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
default_role = "code"


def setup(app):
    """Links that leave docs/ lead to the copies in the site, and the graph of the imports is drawn."""
    app.connect(
        "source-read", lambda app, name, source: source.__setitem__(0, docs_pages.for_the_site(source[0], name))
    )
    app.connect("autodoc-process-docstring", docs_pages.markdown_code)
