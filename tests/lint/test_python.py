# SPDX-License-Identifier: Apache-2.0
"""Ruff and mypy find nothing; what runs in the initramfs imports only what is there."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.image.imports import is_host_only
from pykexec.run import run
from tests.lint.tree import ROOT, relative, tracked

PACKAGE = ROOT / "pykexec"
# Verbs that are used on the build host; cli/ loads a verb when it is called.
HOST_VERBS = (
    "pykexec.cli.build",
    "pykexec.cli.demo",
    "pykexec.cli.inspect",
    "pykexec.cli.launch",
    "pykexec.cli.netboot",
    "pykexec.cli.policy",
    "pykexec.cli.policy_recovery",
    "pykexec.cli.serve",
    "pykexec.cli.server",
    "pykexec.cli.server_access",
    "pykexec.cli.server_audit",
    "pykexec.cli.server_break_glass",
    "pykexec.cli.server_bulk",
    "pykexec.cli.server_keys",
    "pykexec.cli.server_local",
    "pykexec.cli.server_machines",
    "pykexec.cli.server_expiry",
    "pykexec.cli.server_quarantine",
    "pykexec.cli.server_rollout",
    "pykexec.cli.server_settings",
    "pykexec.cli.server_webhooks",
    "pykexec.cli._server",
)
# Where a person is talked to.
SPEAKS = ("pykexec.cli", "pykexec.guest", "pykexec.__main__")
# These run while the package is built.
BUILD_ONLY = ("pykexec._build", "pykexec._freestanding", "pykexec._elf2pe")


@pytest.mark.parametrize("arguments", [["check", "--quiet"], ["format", "--check", "--quiet"]])
def test_ruff_finds_nothing(arguments: list[str]) -> None:
    run([sys.executable, "-m", "ruff", *arguments, "."], cwd=ROOT, timeout_s=120)


def test_mypy_strict_finds_nothing() -> None:
    run([sys.executable, "-m", "mypy"], cwd=ROOT, timeout_s=280)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def belongs_to(name: str, packages: tuple[str, ...]) -> bool:
    return name.startswith(tuple(f"{package}." for package in packages)) or name in packages


def stays(name: str) -> bool:
    """Is it no part of an initramfs?"""
    return is_host_only(name) or belongs_to(name, BUILD_ONLY)


INITRAMFS = [
    path for path in tracked(".py") if path.is_relative_to(PACKAGE) and not stays(module_name(path))
]


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Absolute names of modules; "from a import b" may mean the module a.b."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level and node.module, "relative imports are not used here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_import_time(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but the bodies of functions, which run later."""
    yield node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from at_import_time(child)


@pytest.mark.parametrize("path", INITRAMFS, ids=relative)
def test_the_initramfs_needs_the_standard_library_alone(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imported(ast.walk(ast.parse(path.read_text())))}
    assert roots <= sys.stdlib_module_names | {"pykexec"}


@pytest.mark.parametrize("path", INITRAMFS, ids=relative)
def test_the_initramfs_loads_nothing_of_the_build_host(path: Path) -> None:
    if belongs_to(module_name(path), HOST_VERBS):
        return
    names = set(imported(at_import_time(ast.parse(path.read_text()))))
    assert not {name for name in names if stays(name)}


@pytest.mark.parametrize("path", INITRAMFS, ids=relative)
def test_only_the_user_interfaces_print_and_exit(path: Path) -> None:
    if belongs_to(module_name(path), SPEAKS):
        return
    calls = [
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    ]
    assert not [call for call in calls if ast.unparse(call) in ("print", "sys.exit")]
