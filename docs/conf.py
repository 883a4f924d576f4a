"""Sphinx configuration."""

from skmtl import __version__

project = "skmtl"
copyright = "2026, the skmtl developers"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "README.md"]
html_theme = "pydata_sphinx_theme"
html_theme_options = {"show_toc_level": 2, "show_nav_level": 2}

templates_path = ["_templates"]
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_typehints = "none"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "show_memory": False,
    "copyfile_regex": r".*\.rst",
}
