"""Sphinx configuration of the site: `make docs`. Nothing is fetched while it is built."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "extensions")]

import inventories  # noqa: E402

import stn_jax  # noqa: E402

project = "stn_jax"
author = "the stn_jax authors"
copyright = "the stn_jax authors, Apache-2.0"
version = release = stn_jax.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    # Of this folder.
    "reference",
    "examples",
    "tutorials",
    "mathml",
    "pages",
]
exclude_patterns = ["pictures", "recipes", "extensions", "tutorials"]
templates_path = ["templates"]

# Pages. A picture's text in Markdown is not a heading, so levels may be left out.
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4

# The reference: a page for each public name, from its docstring.
default_role = "py:obj"
autosummary_generate = True
autosummary_imported_members = True
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"show-inheritance": False}
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Convention"]
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

# Strict: a name in a docstring or an annotation that leads nowhere is an error, but for these.
nitpicky = True
nitpick_ignore_regex = [
    # Modules inside the library: said to those who read its code, and no public names.
    (r"py:.*", r"stn_jax\.(sampling|coordinates)(\..*)?"),
]
# A shell's quotation over several lines is coloured as far as it is understood.
suppress_warnings = ["misc.highlighting_failure"]
intersphinx_mapping = inventories.write(DOCS / "_build" / "inventories")

html_theme = "furo"
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_title = "stn_jax"
html_favicon = "static/favicon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#9a6700",
        "color-brand-content": "#8a5c00",
    },
    "dark_css_variables": {
        "color-brand-primary": "#ffb000",
        "color-brand-content": "#ffc23d",
    },
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
