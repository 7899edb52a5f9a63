# SPDX-License-Identifier: Apache-2.0
"""The type of the boot fixture."""

from __future__ import annotations

from typing import Protocol

from pykexec.vm.machine import Machine
from pykexec.vm.snapshot import Snapshot
from pykexec.vm.vm import Vm


class Boot(Protocol):
    """Starts machine; it ends with the test at the latest. Each call is another machine.

    With a snapshot it goes on from there.
    """

    def __call__(
        self, machine: Machine, *, limit_s: float = 300.0, snapshot: Snapshot | None = None
    ) -> Vm: ...
