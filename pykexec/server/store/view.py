# SPDX-License-Identifier: Apache-2.0
"""What every function that reads rows needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from pykexec.server.keys.keys import Keys


class View(Protocol):
    """A connection, and the keys that tell whether a row is ours."""

    @property
    def connection(self) -> Connection:
        """Within a transaction, or for one statement."""

    @property
    def keys(self) -> Keys:
        """Of the store."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A view that only reads."""

    connection: Connection
    keys: Keys
