# SPDX-License-Identifier: Apache-2.0
"""import pykexec: every name is there, for mypy and at run time alike, and costs nothing unused."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pykexec


def declared() -> dict[str, str]:
    """What the type checker sees: API name -> module."""
    tree = ast.parse(Path(pykexec.__file__).read_text())
    return {
        alias.name: str(node.module).removeprefix("pykexec.")
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_type_checker_and_the_interpreter_see_the_same_names() -> None:
    assert declared() == pykexec._API


@pytest.mark.parametrize("name", sorted(pykexec._API))
def test_every_name_can_be_used(name: str) -> None:
    assert getattr(pykexec, name) is not None
    assert name in dir(pykexec)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pykexec.nonsense


def test_importing_the_package_imports_nothing_of_it() -> None:
    script = "import sys, pykexec; print([m for m in sys.modules if m.startswith('pykexec.')])"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert out.stdout == b"[]\n"
