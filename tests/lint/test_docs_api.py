# SPDX-License-Identifier: Apache-2.0
"""Every public name has a docstring, and what `import pykexec` has stands on the API's pages."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import pykexec
from docs.ext import api
from tests.lint.tree import ROOT, relative, tracked

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
# setuptools calls it.
HOOKS = {"build_ext.run", "sdist.make_release_tree"}
ROOMS = re.findall(
    r"^<!-- generated: room (.+) -->$",
    "\n".join(path.read_text() for path in sorted((ROOT / "docs/api").glob("*.md"))),
    re.MULTILINE,
)


def undocumented(tree: ast.Module | ast.ClassDef, prefix: str = "") -> list[str]:
    """Public classes, functions, methods and properties that say nothing of themselves."""
    found = []
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                found.append(f"{prefix}{node.name}")
            if isinstance(node, ast.ClassDef):
                found += undocumented(node, f"{node.name}.")
    return found


@pytest.mark.parametrize(
    "path", [path for path in tracked(".py") if path.is_relative_to(ROOT / "pykexec")], ids=relative
)
def test_every_public_name_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    assert [name for name in undocumented(tree) if name not in HOOKS] == []


def test_a_public_name_without_a_docstring_is_named() -> None:
    source = """
def good(): "says it"
def bad(): pass
def _private(): pass
class Kind:
    "says it"
    def method(self): pass
"""
    assert undocumented(ast.parse(source)) == ["bad", "Kind.method"]


@pytest.mark.parametrize("module", sorted(set(pykexec._API.values())))
def test_a_module_of_the_api_has_a_page(module: str) -> None:
    described = {found for words in ROOMS for word in words.split() for found in api.modules(word)}
    assert f"pykexec.{module}" in described


@pytest.mark.parametrize("name", sorted(pykexec._API))
def test_a_name_of_the_api_is_listed(name: str) -> None:
    assert f"`{name} <pykexec." in api.names("")
