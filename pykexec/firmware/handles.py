# SPDX-License-Identifier: Apache-2.0
"""The firmware's handles: what they are, and which of them a configuration means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pykexec.abi import Limit, Op
from pykexec.efi.device_path import DevicePath, parse
from pykexec.efi.device_path_node import DevicePathError
from pykexec.efi.guid import GUID_SIZE, Guid, guid_name, named_guids
from pykexec.errors import FormatError, UsageError
from pykexec.firmware.devices import decode_volume_info, volume_info_request
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.status import SUCCESS
from pykexec.firmware.wire import answer_error, pack, struct_size, unpack

_WHAT = "handles"
_HARD_DRIVE_OR_CDROM = ((4, 1), (4, 2))


@dataclass(frozen=True, slots=True)
class Handle:
    """One handle: its number, its protocols by name or GUID text, its device path if it has one."""

    number: int
    protocols: tuple[str, ...]
    path: DevicePath | None

    def has(self, protocol: str) -> bool:
        """Is the protocol, named as in guids.h, installed?"""
        return protocol in self.protocols

    @property
    def is_partition(self) -> bool:
        """A block device within another one."""
        nodes = self.path.nodes if self.path else ()
        return self.has("block_io") and any(node.kind in _HARD_DRIVE_OR_CDROM for node in nodes)

    @property
    def kind(self) -> str:
        """What it is to a user: disk, partition, volume, nic, tpm, console, or ""."""
        if self.has("simple_file_system"):
            return "volume"
        if self.has("block_io"):
            return "partition" if self.is_partition else "disk"
        if self.has("simple_network"):
            return "nic"
        if self.has("tcg2"):
            return "tpm"
        if self.has("simple_text_output") or self.has("simple_text_input"):
            return "console"
        return ""

    def __str__(self) -> str:
        return f"{self.number}: {self.path}" if self.path else str(self.number)


def decode_handles(body: bytes, protocol: str = "") -> tuple[list[Handle], int, int]:
    """The entries of one reply, how many it has, and how many handles there are in all.

    With protocol only handles that have it are decoded: most callers want few of hundreds.
    """
    head = unpack("pk_handles_reply", body, 0, _WHAT)
    wanted = named_guids()[protocol].data if protocol else b""
    handles = []
    offset = struct_size("pk_handles_reply")
    entry_size = struct_size("pk_handle_entry")
    for _ in range(head.nr_entries):
        entry = unpack("pk_handle_entry", body, offset, _WHAT)
        start = offset + entry_size
        path_start = start + entry.nr_protocols * GUID_SIZE
        path_end = path_start + entry.device_path_size
        if not path_end <= offset + entry.size <= len(body):
            raise answer_error(_WHAT, offset, f"entry of {entry.size} bytes")
        offset += entry.size
        if wanted not in body[start:path_start]:
            continue
        guids = (Guid(body[i : i + GUID_SIZE]) for i in range(start, path_start, GUID_SIZE))
        path = _path(body[path_start:path_end])
        handle = Handle(entry.handle, tuple(map(guid_name, guids)), path)
        if not protocol or handle.has(protocol):
            handles.append(handle)
    return handles, head.nr_entries, head.nr_handles


def _path(data: bytes) -> DevicePath | None:
    try:
        return parse(data) if data else None
    except DevicePathError:
        return None  # A driver's broken path must not hide all other handles.


def list_handles(mailbox: Mailbox, protocol: str = "") -> list[Handle]:
    """The firmware's handles in its order: all, or those with the protocol of that name."""
    handles: list[Handle] = []
    first = 0
    while True:
        body = pack("pk_handles_request", first=first)
        answer = mailbox.ask(Request(Op.HANDLES, _WHAT, body))
        more, nr_entries, total = decode_handles(answer, protocol)
        handles += more
        first += nr_entries
        if first >= total or not nr_entries:
            return handles


def volume_labels(mailbox: Mailbox, volumes: Iterable[Handle]) -> dict[int, str]:
    """Label by handle number, in one message; volumes that cannot be read are left out."""
    numbers = [volume.number for volume in volumes][: Limit.BATCH_MAX]
    replies = mailbox.call([volume_info_request(number) for number in numbers]) if numbers else []
    return {
        number: decode_volume_info(reply.body).label
        for number, reply in zip(numbers, replies, strict=True)
        if reply.status == SUCCESS
    }


def find_volume(handles: Iterable[Handle], labels: Mapping[int, str], name: str) -> Handle:
    """The volume that name means: GPT partition GUID, file system label, or device path text.

    UsageError lists the volumes there are, or those among which name does not decide.
    """
    volumes = [handle for handle in handles if handle.has("simple_file_system")]
    found = [volume for volume in volumes if _matches(volume, labels.get(volume.number), name)]
    if len(found) == 1:
        return found[0]
    fault = "is ambiguous among" if found else "not found among"
    listed = ", ".join(describe_volume(volume, labels) for volume in found or volumes)
    raise UsageError(f"volume {name!r}: {fault}: {listed or 'no volumes at all'}")


def _matches(volume: Handle, label: str | None, name: str) -> bool:
    if label and label.casefold() == name.casefold():
        return True
    if not volume.path:
        return False
    partition = volume.path.partition_guid
    return name.lower() == str(partition) or _is_path(volume.path, name)


def _is_path(path: DevicePath, text: str) -> bool:
    from pykexec.efi.device_path import DevicePath

    try:
        return DevicePath.from_text(text) == path
    except FormatError:
        return False


def describe_volume(volume: Handle, labels: Mapping[int, str]) -> str:
    """Label and device path, as errors and menus show them."""
    label = labels.get(volume.number)
    text = str(volume.path) if volume.path else f"handle {volume.number}"
    return f"{label} ({text})" if label else text
