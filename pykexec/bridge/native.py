# SPDX-License-Identifier: Apache-2.0
"""Devices that need no bridge: the kernel's own drivers serve them, the supervisor names them.

They have the names and the records that bridges give; nobody has to know which of the two it is.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pykexec.bridge import NATIVE, Bridge, state
from pykexec.firmware import native
from pykexec.steps import attempt, words

if TYPE_CHECKING:
    from pykexec.bridge.native_names import Names
    from pykexec.firmware.mailbox import Mailbox

log = logging.getLogger(__name__)

MODULES = {"block": "efiblk", "net": "efisnp", "tpm": "tpm_efi_tcg2"}
"""The kernel's driver of each kind; a module, or built in."""


@dataclass(slots=True)
class _Served:
    """A device that a driver of the kernel serves; facts are what was published last."""

    bridge: Bridge
    device: native.Device
    names: Names
    publisher: state.Publisher
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Natives:
    """What the kernel serves by itself: the supervisor asks here before it starts bridges."""

    mailbox: Mailbox
    served: dict[str, _Served] = field(default_factory=dict)
    _uevents: socket.socket | None = None

    def fileno(self) -> int:
        """Readable when drain() has something to do; -1 when it never has."""
        return self._uevents.fileno() if self._uevents else -1

    def take(self, kind: str, bridges: Sequence[Bridge], bridged: Container[str]) -> set[str]:
        """The names of those of bridges, which are all of that kind, that need none.

        What no driver serves is offered to them, except what is bridged: it has a process. Where
        the configuration wants no such drivers, devices are taken from them.
        """
        taken: set[str] = set()
        found: dict[str, _Served] = {}
        if native.is_there():
            if allowed := native.is_allowed():
                _load(kind)
                native.rescan()
            for index, bridge in enumerate(bridges):
                handle = _handle(bridge)
                if not allowed:
                    native.unbind(handle)
                    continue
                if bridge.name not in bridged and not native.device(handle):
                    native.bind(handle)
                device = native.device(handle)
                if device and device.kind == kind:
                    taken.add(bridge.name)  # Whatever its names come to: it can have no bridge.
                    serve = partial(self._serve, bridge, device, index)
                    if served := attempt(f"bridge: {bridge.name}", serve, None):
                        found[bridge.name] = served
        for name, served in list(self.served.items()):
            if served.bridge.kind == kind and name not in found:
                self._forget(name)
        self.served |= found
        return taken

    def _serve(self, bridge: Bridge, device: native.Device, index: int) -> _Served:
        from pykexec.bridge.native_names import make_names
        from pykexec.linux.uevents import open_uevents

        known = self.served.get(bridge.name)
        if known and (known.bridge, known.device) == (bridge, device):
            return known
        if known:
            self._forget(bridge.name)
        self._uevents = self._uevents or open_uevents()
        names = make_names(self.mailbox, bridge, device, index)
        # Naming a network interface is renaming it.
        renamed = native.device(device.handle) or device
        served = _Served(bridge, renamed, names, state.Publisher(bridge))
        self._refresh(served)
        return served

    def drain(self) -> None:
        """Read an event, and see to the names of the disks if it is about one of them."""
        from pykexec.linux.uevents import next_concerns

        disks = [served for served in self.served.values() if served.bridge.kind == "block"]
        nodes = [name for served in disks for name in served.device.names]
        if self._uevents and next_concerns(self._uevents, *nodes):
            for served in disks:
                self._refresh(served, told=True)

    def look(self) -> bool:
        """See to what no event tells of; is a device no longer the one that it was?"""
        for served in self.served.values():
            served.publisher.again()
            if served.names.polls:
                self._refresh(served)
        return any(native.device(s.device.handle) != s.device for s in self.served.values())

    def _refresh(self, served: _Served, told: bool = False) -> None:
        try:
            facts = served.names.refresh(told)
        except Exception as error:  # What is on a disk may be anything; look() finds out.
            log.info("%s: %s", served.bridge.name, words(error))
            return
        facts = {**facts, "handle": served.device.handle, "pid": 0, "by": NATIVE}
        facts["driver"] = served.device.driver
        if facts != served.facts:
            served.facts = facts
            served.publisher.say(**facts)

    def end(self, kinds: Container[str]) -> None:
        """Take the devices of these kinds from the drivers: the firmware alone has them then."""
        for name, served in list(self.served.items()):
            if served.bridge.kind in kinds:
                self._forget(name)
                attempt(f"bridge: {name}", partial(_leave, served), None)

    def release(self, handle: int) -> None:
        """Take a device from its driver that is about to be taken away altogether."""
        for name, served in list(self.served.items()):
            if served.device.handle == handle:
                self._forget(name)
                native.unbind(handle)

    def records(self) -> list[dict[str, Any]]:
        """What is published of each, with its kind and name."""
        return [
            {"kind": served.bridge.kind, "name": name, "handle": served.device.handle}
            | served.facts
            for name, served in self.served.items()
        ]

    def _forget(self, name: str) -> None:
        served = self.served.pop(name)
        attempt(f"bridge: {name}", served.names.remove, None)
        attempt(f"bridge: {name}", partial(state.withdraw, served.bridge), None)


def _leave(served: _Served) -> None:
    native.unbind(served.device.handle)
    served.names.leave()


def _load(kind: str) -> None:
    """Loading a driver binds it to what there is; a kernel may have it built in, or not at all."""
    from pykexec.linux.modules import load

    for fault in load(MODULES[kind]):
        log.info("%s", fault)


def _handle(bridge: Bridge) -> int:
    """The bridge of the only TPM there is knows no handle."""
    if bridge.kind != "tpm":
        return bridge.handle
    from pykexec.efi.guid import named_guids

    return next(iter(native.with_protocol(str(named_guids()["tcg2"]))), 0)
