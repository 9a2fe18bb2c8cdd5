"""How Sphinx makes the pages: ``make docs``."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path
from types import FunctionType
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "knotwork"
author = "the knotwork developers"
copyright = author
version = release = version_of("knotwork")

extensions = [
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
default_role = "autolink"
html_math_renderer = "mathml"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Reference: signatures without annotations, since docstrings tell types, shapes and units.
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
numpydoc_show_class_members = False
# Of functions; a class tells its fields as attributes, and a door of one line needs no more.
numpydoc_validation_checks = {"GL03", "GL06", "GL07", "PR01", "PR02", "RT01", "SS01", "SS03"}
numpydoc_validation_exclude = {r"\.[A-Z]"}

# Strict: whatever a page or a docstring names must be there.
nitpicky = True
nitpick_ignore = {("py:class", "collections.abc.Callable")}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "_generated/gallery",
    "filename_pattern": r"\.py$",
    "notebook_extensions": set(),
    "download_all_examples": False,
    "within_subsection_order": "ExampleTitleSortKey",
    "image_scrapers": ("example_pictures.scrape",),
    "reset_modules": ("example_pictures.prepare",),
    "capture_repr": (),
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "show_signature": False,
    "doc_module": ("knotwork",),
    "backreferences_dir": "_generated/backreferences",
    "inspect_global_variables": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "knotwork"
html_static_path = ["_static"]
html_css_files = ["knotwork.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "knotwork"},
    "navbar_align": "left",
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}
html_sidebars = {"index": [], "tutorial": []}
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True


def is_foreign(_: Sphinx, what: str, name: str, member: Any, skip: bool, __: Any) -> bool | None:
    """Leave out what classes have from torch and scikit-learn; fields are in docstrings."""
    if what != "class":
        return None
    if isinstance(member, property):
        member = member.fget
    member = getattr(member, "__func__", member)
    own = isinstance(member, FunctionType) and member.__module__.startswith("knotwork")
    return None if own else True


def leaks_path(_: Sphinx, page: str, __: str, context: dict[str, Any], ___: Any) -> None:
    """Warn of a page that tells where on a disk it was made; strict builds then fail."""
    if str(HERE.parent) in context.get("body", ""):
        logging.getLogger(__name__).warning("%s holds a path of this machine", page)


def forget_pages(_: Sphinx) -> None:
    """Delete the page of a name that is in no list of the reference any more."""
    lists = (page.read_text(encoding="utf-8") for page in (HERE / "reference").glob("*.md"))
    names = {line.strip() for text in lists for line in text.splitlines()}
    for page in (HERE / "_generated" / "reference").glob("*.rst"):
        if page.stem not in names:
            page.unlink()


def setup(app: Sphinx) -> None:
    """Connect the three rules above."""
    app.connect("builder-inited", forget_pages)
    app.connect("autodoc-skip-member", is_foreign)
    app.connect("html-page-context", leaks_path)
