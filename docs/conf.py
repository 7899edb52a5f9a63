# SPDX-License-Identifier: Apache-2.0
"""How Sphinx makes the site: `make docs`. Nothing in it comes from elsewhere at run time."""

import sys
from pathlib import Path

# The extensions here and the package whose tables and docstrings they read.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pykexec.about import AUTHORS, NUMBER

project = "pykexec"
author = project_copyright = AUTHORS
version = release = NUMBER

extensions = ["myst_parser", "sphinx.ext.autodoc", "docs.ext.pages"]
exclude_patterns = ["ext"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

# Docstrings are prose, not markup: docs.ext.docstrings makes markup of them.
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_display_short_literal_types = True
maximum_signature_line_length = 88

# Every reference within the site is checked. Types of others have no place here, nor have private
# ones and those that are variables.
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!pykexec\.).*"),
    ("py:.*", r".*\b_\w+.*"),
    ("py:class", r"pykexec\..+\.[A-Z](_co)?"),
]

html_theme = "furo"
html_title = f"pykexec {release}"
html_static_path = ["static"]
html_css_files = ["pykexec.css"]
# "--option" and "" are what they are.
smartquotes = False
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": False, "top_of_page_buttons": []}
