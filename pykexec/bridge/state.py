# SPDX-License-Identifier: Apache-2.0
"""What bridges say of themselves: a file each in a directory, for other programs to read."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pykexec.bridge import Bridge
from pykexec.log import describe
from pykexec.steps import on_stderr

DIRECTORY = "/run/pykexec/bridges"


def publish(bridge: Bridge, directory: str = DIRECTORY, **facts: Any) -> None:
    """Say that this process serves bridge, and what Linux has of it (its node, for example).

    Facts are JSON values; the file is replaced as a whole. OSError leaves the old one as it is.
    """
    record = {
        "kind": bridge.kind,
        "handle": bridge.handle,
        "name": bridge.name,
        "pid": os.getpid(),
        **facts,
    }
    replace(_path(directory, bridge.name), json.dumps(record).encode())


def replace(path: str, data: bytes) -> None:
    """Have a file with data at path, all of it or, with OSError, what was there before."""
    new = f"{path}.new"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        with open(new, "wb") as file:
            file.write(data)
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise


@dataclass(slots=True)
class Publisher:
    """publish() for a bridge that is in use: where it cannot be said the device goes on.

    That is told once, and done when again() is called and there is room.
    """

    bridge: Bridge
    directory: str = DIRECTORY
    _owed: dict[str, Any] | None = None
    _told: bool = False

    def say(self, **facts: Any) -> None:
        """Publish facts, now or later."""
        self._owed = facts
        self.again()

    def again(self) -> None:
        """Publish what could not be published, if that is so."""
        if self._owed is None:
            return
        try:
            publish(self.bridge, self.directory, **self._owed)
        except OSError as error:
            if not self._told:
                on_stderr(f"bridge: {self.bridge.name}: cannot say what it is: {describe(error)}")
            self._told = True
            return
        self._owed, self._told = None, False


def withdraw(bridge: Bridge, directory: str = DIRECTORY) -> None:
    """The bridge has ended."""
    try:
        os.unlink(_path(directory, bridge.name))
    except FileNotFoundError:
        pass


def records(directory: str = DIRECTORY, kind: str = "") -> list[dict[str, Any]]:
    """What the bridges, or those of one kind, have published; sorted by name."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".json"))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        try:
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                record = json.load(file)
        except (FileNotFoundError, ValueError):
            continue  # It has just ended.
        if not kind or record.get("kind") == kind:
            found.append(record)
    return found


def _path(directory: str, name: str) -> str:
    return os.path.join(directory, f"{name}.json")
