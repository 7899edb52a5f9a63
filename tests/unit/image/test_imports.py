# SPDX-License-Identifier: Apache-2.0
"""Which modules are shipped: lazily imported ones too, nothing of the build host's."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.errors import FormatError
from pykexec.image import imports

TREE = {
    "__init__.py": "",
    "guest/__init__.py": "",
    "guest/init.py": "import os.path\ndef main():\n    from pykexec.lazy import thing\n",
    "lazy.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pefile\n",
    "unused.py": "import ctypes\n",
    "image/__init__.py": "import zstandard\n",
    "cli/__init__.py": "from . import output\n",
    "cli/output.py": "import json\n",
    "cli/memmap.py": "from pykexec.cli.output import table\n",
    "cli/build.py": "def main():\n    from pykexec.image import build\n",
}


def write(package: Path, files: dict[str, str]) -> Path:
    """Make a package called pykexec of these files."""
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def test_closure_of_agent_and_verbs(tmp_path: Path) -> None:
    closure = imports.closure(write(tmp_path / "pykexec", TREE))
    assert list(closure.own) == [
        "pykexec", "pykexec.cli", "pykexec.cli.memmap", "pykexec.cli.output", "pykexec.guest",
        "pykexec.guest.init", "pykexec.lazy",
    ]  # fmt: skip
    assert closure.standard == {"os.path", "json", "typing", "typing.TYPE_CHECKING"}


def test_third_party_import_in_the_agent_is_refused(tmp_path: Path) -> None:
    package = write(tmp_path / "pykexec", {**TREE, "lazy.py": "import requests\n"})
    with pytest.raises(FormatError, match=r"lazy\.py: imports requests, which is not shipped"):
        imports.closure(package)


def test_missing_agent_is_refused(tmp_path: Path) -> None:
    files = {name: text for name, text in TREE.items() if name != "guest/init.py"}
    with pytest.raises(FormatError, match=r"no module pykexec\.guest\.init"):
        imports.closure(write(tmp_path / "pykexec", files))
