# SPDX-License-Identifier: Apache-2.0
"""Looking for a key wherever it must not be: files, arguments and environments of processes."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pykexec.server.keys.masterkey import open_master_key
from pykexec.server.store.store import Store

_EVERY_S = 0.1
_TOLD = ("cmdline", "environ")


def open_store(directory: Path) -> Store:
    """The store of a server whose files are in directory."""
    master = open_master_key(f"file:{directory / 'master.key'}")
    return Store.open(f"sqlite:///{directory / 'server.sqlite'}", master)


def forms_of(key: bytes) -> dict[str, bytes]:
    """How a key may be written: as it is, in hex, in base64 wherever in a longer text it begins."""
    forms = {"raw": key, "hex": key.hex().encode(), "HEX": key.hex().upper().encode()}
    forms["escaped"] = repr(key)[2:-1].encode()
    for shift in range(3):
        # The characters at both ends hold bits of the neighbours, too.
        text = base64.b64encode(bytes(shift) + key)[(0, 2, 3)[shift] : -4]
        forms[f"base64 +{shift}"] = text
        forms[f"base64url +{shift}"] = text.replace(b"+", b"-").replace(b"/", b"_")
    return forms


def holders(forms: Mapping[str, bytes], things: Mapping[str, bytes] | Iterable[bytes]) -> list[str]:
    """What holds the key, and in which form."""
    named = things if isinstance(things, Mapping) else {repr(thing): thing for thing in things}
    return [
        f"{name} ({form})"
        for name, content in named.items()
        for form, text in forms.items()
        if text in content
    ]


def files_of(directory: Path) -> list[Path]:
    """All regular files below directory."""
    return [path for path in sorted(directory.rglob("*")) if path.is_file()]


class Processes:
    """Keeps what all processes of this machine were told while the `with` block lasts."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        # Each time all of them: between fork and exec a process has the words of its parent.
        while not self._end.wait(_EVERY_S):
            for directory in Path("/proc").glob("[0-9]*"):
                for file in _TOLD:
                    try:
                        self.seen.add((directory / file).read_bytes())
                    except OSError:  # It has ended already.
                        continue
