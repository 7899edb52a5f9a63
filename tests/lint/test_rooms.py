# SPDX-License-Identifier: Apache-2.0
"""Rooms use what stands below them, and none has a circle: the contracts in pyproject.toml."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pykexec.errors import ToolError
from pykexec.run import run
from tests.lint.tree import ROOT, tracked

# Behind an import of ours, what breaks a contract, and the words that tell it.
PLANTED = [
    ("efi/guid.py", "pykexec.guest.agent", "pykexec.efi is not allowed to import pykexec.guest"),
    ("server/keys/vault.py", "pykexec.server.store.store", "pykexec.server.keys is not allowed"),
    ("tpm/wire.py", "pykexec.tpm.client", "No cycles are allowed in pykexec.tpm"),
    ("unheard_of.py", "pykexec.errors", "pykexec.unheard_of"),
]


def check(root: Path) -> None:
    """Hold the package in root against the contracts; ToolError with what breaks them."""
    command = Path(sys.executable).with_name("lint-imports")
    run([command, "--no-logo", "--no-cache"], cwd=root, timeout_s=120)


def test_the_contracts_are_kept() -> None:
    check(ROOT)


@pytest.mark.parametrize(("where", "imported", "fault"), PLANTED)
def test_what_breaks_a_contract_is_named(
    where: str, imported: str, fault: str, tmp_path: Path
) -> None:
    for path in tracked(".py"):
        if path.is_relative_to(ROOT / "pykexec"):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    with open(tmp_path / "pykexec" / where, "a", encoding="utf-8") as file:
        file.write(f"\nimport {imported}\n")
    with pytest.raises(ToolError, match=fault):
        check(tmp_path)
