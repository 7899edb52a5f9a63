# SPDX-License-Identifier: Apache-2.0
"""The names that bridges give, for devices of the kernel's own drivers: links, an interface."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from pykexec.bridge import Bridge

if TYPE_CHECKING:
    from pykexec.bridge.links import Links
    from pykexec.efi.device_path import DevicePath
    from pykexec.firmware.devices import BlockInfo
    from pykexec.firmware.mailbox import Mailbox
    from pykexec.firmware.native import Device

_POLL_MS = 2000  # udev's choice for media that can be taken out; here is no udev


class Names(Protocol):
    """What a device is known by, as long as it is there."""

    polls: bool  # is refresh() to be called every now and then, besides when an event says so?

    def refresh(self, told: bool) -> dict[str, Any]:
        """Make the names what they should be, as an event has told or it is time to look; what is
        to be published, as bridges do.
        """

    def remove(self) -> None:
        """Take the names away."""

    def leave(self) -> None:
        """The driver has let go of the device."""


def make_names(mailbox: Mailbox, bridge: Bridge, device: Device, index: int) -> Names:
    """The names of a device, which is number index of its kind."""
    if bridge.kind == "block":
        return _DiskNames(mailbox, bridge, device)
    return _NicNames(device, index) if bridge.kind == "net" else _TpmNames(mailbox, device)


class _DiskNames:
    """Links to the disk and its partitions."""

    def __init__(self, mailbox: Mailbox, bridge: Bridge, device: Device) -> None:
        from pykexec.bridge.block import USB

        self._mailbox, self._bridge, self._node = mailbox, bridge, device.names[0]
        self._links: Links | None = None
        self._info: BlockInfo | None = None
        self._facts: dict[str, Any] = {}
        self._path = self._device_path()
        # A stick that was pulled out holds all of Linux up whenever it is asked for a block.
        nodes = self._path.nodes if self._path else ()
        self._can_wait = not any(node.kind == USB for node in nodes)
        self.polls = self._can_wait
        # The kernel, too, has to see that there is another medium.
        with suppress(OSError):
            _write(f"/sys/class/block/{self._node}/events_poll_msecs", str(_POLL_MS))

    def _device_path(self) -> DevicePath | None:
        from pykexec.firmware.handles import list_handles

        handles = list_handles(self._mailbox, "block_io")
        return next((h.path for h in handles if h.number == self._bridge.handle), None)

    def refresh(self, told: bool) -> dict[str, Any]:
        """By what is in the drive now."""
        from pykexec.firmware.devices import read_block_info

        info = read_block_info(self._mailbox, self._bridge.handle)
        if told or info != self._info:
            self._info, self.polls = info, info.removable and self._can_wait
            self._facts = self._named(info)
        return self._facts

    def _named(self, info: BlockInfo) -> dict[str, Any]:
        from pykexec.bridge.links import Links

        if not info.present or not info.size:
            self.remove()
            return {"node": "", "medium": "none"}
        if not self._links:
            self._links = Links(self._bridge.name, self._node, self._path, info.block_size)
        self._links.refresh()
        return {
            "node": f"/dev/{self._node}",
            "medium": "present",
            "path": str(self._path or ""),
            "size": info.size,
            "block_size": info.block_size,
            "media_id": info.media_id,
            "read_only": info.read_only,
            "links": sorted(f"/dev/{link}" for link in self._links.made),
        }

    def remove(self) -> None:
        """There is no such disk, or no medium in it."""
        if self._links:
            self._links.remove()
        self._links = None

    def leave(self) -> None:
        """Nothing of it is the firmware's business."""


class _NicNames:
    """The interface itself is renamed: efi0 and so on, whichever driver was first."""

    polls = False

    def __init__(self, device: Device, index: int) -> None:
        from pykexec.bridge.net import INTERFACE
        from pykexec.errors import NetworkError
        from pykexec.linux.interface import Interface

        self._interface = Interface(device.names[0])
        wanted = f"{INTERFACE}{index}"
        if self._interface.name != wanted:
            with suppress(NetworkError):  # It stays what it is, and says so.
                self._interface = self._interface.rename(wanted)

    def refresh(self, told: bool) -> dict[str, Any]:
        """By what Linux knows of it."""
        interface = self._interface
        return {"interface": interface.name, "mac": interface.mac.hex(), "mtu": interface.mtu}

    def remove(self) -> None:
        """The name goes with the interface."""

    def leave(self) -> None:
        """The driver has shut the NIC down."""


class _TpmNames:
    """Links to the TPM and its resource manager, and the event log."""

    polls = True  # The log grows without a word.

    def __init__(self, mailbox: Mailbox, device: Device) -> None:
        from pykexec.bridge.tpm import flush, link
        from pykexec.tpm.transport import RAW_DEVICE, RESOURCE_MANAGER

        self._mailbox, self._log_size = mailbox, -1
        self._links = dict(zip((RAW_DEVICE, RESOURCE_MANAGER), device.nodes, strict=False))
        flush(mailbox)
        link(self._links)

    def refresh(self, told: bool) -> dict[str, Any]:
        """By what the firmware's log has now."""
        from pykexec.bridge.tpm import refresh_event_log
        from pykexec.tpm.transport import EVENT_LOG

        self._log_size = refresh_event_log(self._mailbox, self._log_size)
        node, *others = self._links.values()
        manager = others[0] if others else ""
        log = EVENT_LOG if self._log_size > 0 else ""
        return {"node": node, "resource_manager": manager, "event_log": log}

    def remove(self) -> None:
        """The links alone."""
        from pykexec.bridge.tpm import unlink

        unlink(self._links)

    def leave(self) -> None:
        """What programs left in the TPM would be in the way of the payload."""
        from pykexec.bridge.tpm import flush

        flush(self._mailbox)


def _write(path: str, text: str) -> None:
    if os.path.exists(path):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
