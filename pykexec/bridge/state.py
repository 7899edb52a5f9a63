# SPDX-License-Identifier: Apache-2.0
"""What bridges say of themselves: a file each in a directory, for other programs to read."""

from __future__ import annotations

import json
import os
from typing import Any

from pykexec.bridge import Bridge

DIRECTORY = "/run/pykexec/bridges"


def publish(bridge: Bridge, directory: str = DIRECTORY, **facts: Any) -> None:
    """Say that this process serves bridge, and what Linux has of it (its node, for example).

    Facts are JSON values; the file is replaced as a whole.
    """
    record = {
        "kind": bridge.kind,
        "handle": bridge.handle,
        "name": bridge.name,
        "pid": os.getpid(),
        **facts,
    }
    os.makedirs(directory, exist_ok=True)
    path = _path(directory, bridge.name)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(record, file)
    os.replace(f"{path}.new", path)


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
