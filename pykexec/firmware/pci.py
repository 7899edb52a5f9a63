# SPDX-License-Identifier: Apache-2.0
"""What the firmware found on PCI, whether it has a driver for it or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pykexec.abi import Limit, Op
from pykexec.firmware.devices import handle_request
from pykexec.firmware.handles import Handle, list_handles
from pykexec.firmware.mailbox import Mailbox
from pykexec.firmware.status import SUCCESS
from pykexec.firmware.wire import unpack

_NETWORK, _ETHERNET = 0x02, 0x0200


@dataclass(frozen=True, slots=True)
class Function:
    """A PCI function; class_code is base class, subclass and interface, 0x020000 being Ethernet."""

    handle: Handle
    vendor: int
    device: int
    class_code: int

    @property
    def is_nic(self) -> bool:
        """Is it of the class of network controllers?"""
        return self.class_code >> 16 == _NETWORK

    def __str__(self) -> str:
        kind = "Ethernet" if self.class_code >> 8 == _ETHERNET else f"class {self.class_code:06x}"
        return f"{self.vendor:04x}:{self.device:04x} ({kind}) at {self.handle.path or 'no path'}"


def functions(mailbox: Mailbox) -> list[Function]:
    """All of them, as the firmware lists them."""
    handles = list_handles(mailbox, "pci_io")
    found: list[Function] = []
    for start in range(0, len(handles), Limit.BATCH_MAX):
        found += _ask(mailbox, handles[start : start + Limit.BATCH_MAX])
    return found


def _ask(mailbox: Mailbox, handles: Sequence[Handle]) -> list[Function]:
    requests = [handle_request(Op.PCI_INFO, f"PCI {handle}", handle.number) for handle in handles]
    found = []
    for handle, reply in zip(handles, mailbox.call(requests), strict=True):
        if reply.status == SUCCESS:
            raw = unpack("pk_pci_info", reply.body, 0, f"PCI {handle}")
            found.append(Function(handle, raw.vendor, raw.device, raw.class_code))
    return found
