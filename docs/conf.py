"""Sphinx builds the documentation with this: see CONTRIBUTING.md for the command."""

import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

import mug_sklearn

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "mug_sklearn"
author = "The mug_sklearn developers"
copyright = author
version = release = mug_sklearn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.towncrier.ext",
    "mathml",
]
# README.md is a page of the repository, which benchmarks/index.md takes in.
exclude_patterns = ["benchmarks/README.md", "**/conftest.py"]
templates_path = ["_templates"]
default_role = "literal"

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

toc_object_entries_show_parents = "hide"
autosummary_generate = True
# The docstrings state the types, in words that a reader of numpy's knows.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# scikit-learn makes it for metadata routing, which nothing here needs.
autodoc_default_options = {"exclude-members": "set_score_request"}
numpydoc_show_class_members = False

nitpicky = True
# No inventory of another project is downloaded, so their objects have no target here.
nitpick_ignore_regex = [("py:.*", r"(dask|numpy|sklearn|sktime|aeon|matplotlib)\..*")]

towncrier_draft_autoversion_mode = "draft"
towncrier_draft_include_empty = False
towncrier_draft_working_directory = Path(__file__).parents[1]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "api/backreferences",
    "doc_module": ("mug_sklearn",),
    "default_thumb_file": None,
    "abort_on_example_error": True,
    "parallel": 2,
    # The examples print what they show.
    "capture_repr": (),
    "show_memory": False,
    # Its tables would load scripts from elsewhere.
    "write_computation_times": False,
    "show_signature": False,
    "remove_config_comments": True,
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "mug_sklearn"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "mug_sklearn"},
    "header_links_before_dropdown": 8,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
}
html_sidebars = {"getting_started": [], "how_mug_works": []}


def _link_to_the_gallery(app: Sphinx, page: str, source: list[str]) -> None:
    # In the repository, links to examples lead to their code.
    text = re.sub(r"\.\./examples/(plot_\w+)\.py", r"auto_examples/\1", source[0])
    source[0] = text.replace("../examples/README.rst", "auto_examples/index")


def _end_blocks_with_their_text(app: Sphinx, doctree: nodes.document) -> None:
    # A doctest needs an empty line after its output; the page does not.
    for block in doctree.findall(nodes.literal_block):
        text = block.astext().rstrip("\n")
        block.rawsource, block.children = text, []
        block += nodes.Text(text)


def setup(app: Sphinx) -> None:
    """Register what the pages need beside the extensions."""
    app.connect("source-read", _link_to_the_gallery)
    app.connect("doctree-read", _end_blocks_with_their_text)
