# SPDX-License-Identifier: Apache-2.0
"""Secrets that were released to this machine, opened, on their way to where they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from pykexec.attest.verdict import Verdict
from pykexec.secret import Secret


@dataclass(frozen=True, slots=True)
class OpenedSecret:
    """A ReleasedSecret whose JWE was opened; value has the bare secret."""

    name: str
    kind: str
    parameters: Mapping[str, str]
    value: Secret
    use: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """What an accepted attestation brought; a context manager that wipes the secrets at its end."""

    verdict: Verdict
    opened: tuple[OpenedSecret, ...] = ()

    @property
    def secrets(self) -> tuple[OpenedSecret, ...]:
        """Those that are to be delivered."""
        return tuple(secret for secret in self.opened if not secret.use)

    def wipe(self) -> None:
        """Overwrite all secrets."""
        for secret in self.opened:
            secret.value.wipe()

    def __enter__(self) -> Release:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wipe()
