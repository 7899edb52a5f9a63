# SPDX-License-Identifier: Apache-2.0
"""Which of our modules the initramfs needs, and which of the standard library's they name.

Read from the sources, not from a run: our code imports lazily, inside functions, and a run would
see only what it happens to pass. The standard library is traced by a run (interpreter.py), because
reading it would lead to its test and debugging code.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import FormatError

PACKAGE = "pykexec"
ROOTS = ("pykexec.guest.init", "pykexec.cli", "pykexec.__main__", "pykexec.bridge.window")
"""What is run in the initramfs; to these come the verbs that need nothing of HOST_ONLY."""
HOST_ONLY = (
    "pykexec.image",
    "pykexec.launch",
    "pykexec.netboot",
    "pykexec.vm",
    "pykexec.demo",
    "pykexec.verify",
    "pykexec.policy",
    "pykexec.server",
)
"""Packages that stay on the build host; an import of one is not followed."""
_DOM0 = "pykexec.launch.dom0"
"""What of them runs in an initramfs all the same: dom0's."""
_EXTENSION_NEEDS = {"_cffi_backend"}


@dataclass(frozen=True, slots=True)
class Closure:
    """Our modules (name to source file) and the names of the standard library's that they
    import.
    """

    own: dict[str, Path]
    standard: frozenset[str]


def closure(package: Path, program: str = "") -> Closure:
    """Follow the imports of ROOTS and of the verbs in the package's directory, or of one program.

    FormatError if a root is missing, or if something is imported that is not shipped.
    """
    own: dict[str, Path] = {}
    standard: set[str] = set()
    roots = (program,) if program else ROOTS
    todo = [name for name in roots if find(package, name)]
    if missing := [name for name in roots[:2] if name not in todo]:
        raise FormatError(f"{package}: no module {missing[0]}")
    todo += [] if program else _verbs(package)
    while todo:
        name = todo.pop()
        if name in own or is_host_only(name):
            continue
        source = find(package, name)
        if source is None:
            continue
        own[name] = source
        if "." in name:
            todo.append(name.rpartition(".")[0])
        for imported in imports(source.read_bytes(), name, source.name == "__init__.py"):
            top = imported.partition(".")[0]
            if top == PACKAGE:
                todo.append(imported)
            elif top in sys.stdlib_module_names:
                standard.add(imported)
            elif top not in _EXTENSION_NEEDS:
                raise FormatError(f"{source}: imports {top}, which is not shipped")
    return Closure(dict(sorted(own.items())), frozenset(standard))


def imports(source: bytes, module: str, is_package: bool) -> Iterator[str]:
    """Every name that source imports, whether module or something in one; not those for type
    checkers only.
    """
    package = module if is_package else module.rpartition(".")[0]
    for node in _nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                above = parents[: len(parents) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def is_host_only(name: str) -> bool:
    """Whether a module belongs to what stays on the build host."""
    if f"{_DOM0}.".startswith(f"{name}.") or name.startswith(f"{_DOM0}."):
        return False
    return any(name == host or name.startswith(host + ".") for host in HOST_ONLY)


def find(package: Path, name: str) -> Path | None:
    """The source file of one of our modules, None if name is no module but something in one."""
    path = package.parent.joinpath(*name.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _verbs(package: Path) -> list[str]:
    names = [f"{PACKAGE}.cli.{file.stem}" for file in sorted((package / "cli").glob("[!_]*.py"))]
    return [
        name
        for name in names
        if (source := find(package, name))
        and not any(map(is_host_only, imports(source.read_bytes(), name, False)))
    ]


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for other in node.orelse:
                yield other
                yield from _nodes(other)
            continue
        yield node
        yield from _nodes(node)
