"""How the documentation is built: ``make docs``."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import external_names
import public_api
import used_in

import qsvr

ROOT = Path(__file__).parents[1]

_project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _project["name"]
author = _project["authors"][0]["name"]
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name for it
version = release = qsvr.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "public_api",
    "external_names",
    "mathml",
    "source_links",
    "notebook_pages",
]
exclude_patterns = ["_build", "_ext", "_inventories", "_templates"]
templates_path = ["_templates"]
master_doc = "index"

# Every reference into our own packages has to resolve; `name` in a docstring is a reference where
# there is such an object, and plain code where it is a parameter or belongs to another library.
nitpicky = True
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:.*", r"(?!qsvr\.|hpo\.).*"),
    ("py:.*", r"(qsvr|hpo)\.(.*\.)?_.*"),
]

autosummary_generate = True
autosummary_context = {"used_in": used_in.usage()}
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # numpydoc's sections name the types
autodoc_inherit_docstrings = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_attributes_as_param_list = True
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # what has no alias stays text
numpydoc_xref_aliases = external_names.ALIASES | public_api.aliases()

intersphinx_mapping = external_names.mapping()
linkcheck_timeout = 20
linkcheck_anchors = False  # many sites make theirs by scripts
extlinks_detect_hardcoded_links = False
extlinks = {
    "doi": ("https://doi.org/%s", "doi:%s"),
    "arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s"),
}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_dmath_allow_space = False  # so that a price in dollars is no formula
myst_dmath_allow_digits = False
html_math_renderer = "mathml"
smartquotes = False  # quotes stand for strings
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are committed with their output; tests execute them
nb_merge_streams = True

html_theme = "pydata_sphinx_theme"
html_title = "qsvr"
html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "navbar_align": "left",
    "navbar_start": ["navbar-logo", "version"],
    "logo": {
        "text": "qsvr",
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo-dark.svg",
    },
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True
