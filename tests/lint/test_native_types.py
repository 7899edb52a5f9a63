# SPDX-License-Identifier: Apache-2.0
"""What mypy believes of pykexec._native and pykexec._crypto is what the extensions have."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

from pykexec import _crypto, _native
from pykexec._native import ffi, lib
from tests.lint.tree import ROOT, relative, tracked

STUB = ROOT / "pykexec/_native.pyi"
CRYPTO_STUB = ROOT / "pykexec/_crypto.pyi"


def declared(class_name: str, stub: Path = STUB) -> dict[str, int]:
    """Methods of the class in the stub, with the number of their arguments."""
    (found,) = (
        node
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == class_name
    )
    methods = [node for node in found.body if isinstance(node, ast.FunctionDef)]
    return {
        node.name: len(node.args.args) - 1 for node in methods if not node.name.startswith("__")
    }


def compiled(module: ModuleType = _native) -> dict[str, int]:
    """Functions of the extension, with the number of their arguments."""
    values = {name: getattr(module.lib, name) for name in dir(module.lib)}
    types = {
        name: module.ffi.typeof(value)
        for name, value in values.items()
        if name.startswith("pk_") and not isinstance(value, int)  # a variable, read already
    }
    return {name: len(ctype.args) for name, ctype in types.items() if ctype.kind == "function"}


def test_every_function_is_declared_with_its_arguments() -> None:
    assert declared("_Lib") == compiled()
    assert declared("_Lib", CRYPTO_STUB) == compiled(_crypto)


def test_every_method_of_ffi_exists() -> None:
    assert [name for name in declared("_FFI") if not hasattr(ffi, name)] == []


def test_every_constant_is_an_integer_or_declared() -> None:
    constants = {name for name in dir(lib) if not name.startswith(("pk_", "efi_guid_"))}
    others = {name for name in constants if not isinstance(getattr(lib, name), int)}
    assert others == {"PK_BELL_NAME", "PK_LAST_END_NAME", "PK_MAILBOX_NAME"}


@pytest.mark.parametrize("path", tracked(".py"), ids=relative)
def test_every_name_that_is_used_exists(path: Path) -> None:
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "lib"
    }
    assert used <= {*dir(lib), *dir(_crypto.lib)}
