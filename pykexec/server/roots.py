# SPDX-License-Identifier: Apache-2.0
"""EK authorities from files: PEM (one or many) or DER."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pykexec.errors import FormatError, UsageError
from pykexec.server.store.store import Store
from pykexec.verify.certificates import parse_bundle

SUFFIXES = (".pem", ".crt", ".cer", ".der")
_FILE_MAX = 1 << 20


def _read(path: Path) -> tuple[bytes, ...]:
    """DER of each certificate of a file."""
    with path.open("rb") as file:
        data = file.read(_FILE_MAX + 1)
    if len(data) > _FILE_MAX:
        raise FormatError(f"{path}: more than {_FILE_MAX} bytes")
    return parse_bundle(data, str(path))


def add_roots(store: Store, directory: Path) -> int:
    """Trust every certificate of the directory's files, too; how many were new."""
    files = sorted(path for path in directory.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise UsageError(f"{directory}: no file ends in {', '.join(SUFFIXES)}")
    known = {root.sha256 for root in store.ek_roots()}
    added = 0
    for path in files:
        for der in _read(path):
            digest = hashlib.sha256(der).hexdigest()
            if digest not in known:
                known.add(digest)
                store.add_ek_root(der, "server")
                added += 1
    return added
