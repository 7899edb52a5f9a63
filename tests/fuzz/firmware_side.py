# SPDX-License-Identifier: Apache-2.0
"""What the stub and the firmware behind it answer to what the agent asks."""

from __future__ import annotations

import errno
import struct
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from pykexec import abi
from pykexec._native import ffi, lib
from pykexec.abi import Op, StateFlag
from pykexec.efi.device_path import DevicePath
from pykexec.efi.guid import Guid, named_guids
from pykexec.efi.variables import boot_options, global_name, read_variable
from pykexec.errors import FirmwareError, FormatError
from pykexec.firmware import acpi, console, devices, handles, info, pci, ram, snapshot
from pykexec.firmware.handoff import read_handoff
from pykexec.firmware.mailbox import Mailbox, Request, decode_answer, encode_message
from pykexec.firmware.self_test import self_test
from pykexec.install.nvram import Nvram, boot_next, boot_order
from pykexec.install.slots import ARMED, InSlot, Slots
from pykexec.kexec import ramdisk
from pykexec.kexec.boot_next import gpt_partition
from pykexec.net import pxe, summary
from pykexec.tpm import transport
from tests.support.samples import END_NODE, device_node

_VOLUME, _SEQUENCE = 1, 7
_REQUESTS = (Request(Op.INFO, "x"), Request(Op.STATE, "y", b"123"))


class Answering(Mailbox):
    """A stub that answers the first request with these bytes, and no other one."""

    def __init__(self, body: bytes) -> None:
        self._sequence = 0
        self._body: bytes | None = body

    def _exchange(self, message: bytes | memoryview, what: str) -> bytes:
        if self._body is None:
            raise FirmwareError(errno.ENOENT, "asked once more", what)
        (op,) = struct.unpack_from("<H", message, 4 + abi.sizeof("struct pk_message"))
        answer = _answer([_reply(op, 0, self._body)], self._sequence)
        self._body = None
        return answer


def _reply(op: int, tag: int, body: bytes) -> bytes:
    size = abi.sizeof("struct pk_reply") + len(body)
    return abi.pack("struct pk_reply", op=op, size=size, tag=tag) + body + bytes(-len(body) % 8)


def _answer(records: Sequence[bytes], sequence: int) -> bytes:
    body = b"".join(records)
    return (
        abi.pack(
            "struct pk_message",
            magic=lib.PK_MESSAGE_MAGIC,
            version=lib.PK_MESSAGE_VERSION,
            nr_records=len(records),
            size=abi.sizeof("struct pk_message") + len(body),
            sequence=sequence,
        )
        + body
    )


def _file(stub: Mailbox) -> None:
    assert len(b"".join(devices.file_chunks(stub, _VOLUME, "a.efi", 1 << 20))) <= 1 << 20


def _log(stub: Mailbox) -> None:
    assert transport.read_event_log(stub).data is not None


def _state(stub: Mailbox) -> None:
    snapshot.compare(snapshot.decode_state(stub.ask(Request(Op.STATE, "state"))))


QUESTIONS: tuple[Callable[[Mailbox], object], ...] = (
    lambda stub: decode_answer(stub.ask(_REQUESTS[0]), _REQUESTS, _SEQUENCE),
    info.read_info,
    info.read_memory_map,
    info.read_tpm_info,
    handles.list_handles,
    lambda stub: devices.read_volume_info(stub, _VOLUME),
    lambda stub: devices.read_block_info(stub, _VOLUME),
    lambda stub: devices.read_net_info(stub, _VOLUME),
    lambda stub: devices.read_blocks(stub, _VOLUME, 0, 0, 512),
    lambda stub: devices.file_size(stub, _VOLUME, "a.efi"),
    _file,
    read_handoff,
    _state,
    self_test,
    lambda stub: pxe.read_pxe(stub, _VOLUME),
    lambda stub: summary._statistics(stub, _VOLUME),
    ramdisk.list_ramdisks,
    lambda stub: transport.firmware(stub)(b"command"),
    _log,
    lambda stub: handles.list_handles(stub, "block_io"),
    console.read_console,
    console.read_keys,
    acpi.read_acpi_tables,
    lambda stub: ram.read_changed_ram(stub, ram.SAFE),
    lambda stub: list(map(str, pci._ask(stub, [handles.Handle(_VOLUME, ("pci_io",), None)]))),
)


def answers(data: bytes) -> None:
    """To whatever was asked, which the first byte chooses."""
    kind, body = data[0] if data else 0, data[1:]
    QUESTIONS[kind % len(QUESTIONS)](Answering(body))


def _struct(kind: str, /, **members: object) -> bytes:
    return bytes(ffi.buffer(ffi.new(f"struct {kind} *", members)))


def _handles() -> bytes:
    path = bytes(DevicePath.from_text("PciRoot(0x0)/Pci(0x1,0x1)"))
    entry = _struct(
        "pk_handle_entry",
        size=abi.sizeof("struct pk_handle_entry") + 16 + len(path),
        handle=1,
        nr_protocols=1,
        device_path_size=len(path),
    )
    head = _struct("pk_handles_reply", nr_entries=1, nr_handles=1)
    return head + entry + named_guids()["block_io"].data + path


def handoff() -> bytes:
    """A sound one."""
    made = ffi.new("struct pk_handoff *", {"resume_entry": 0x11000})
    made.stub.start, made.stub.size = 0x10000, 0x10000
    lib.pk_handoff_seal(made)
    return bytes(ffi.buffer(made))


def answer_seeds() -> list[bytes]:
    """One answer to each question."""
    inner = _answer([_reply(r.op, tag, b"body") for tag, r in enumerate(_REQUESTS)], _SEQUENCE)
    assert encode_message(_REQUESTS, _SEQUENCE)
    size = abi.sizeof("struct efi_memory_descriptor")
    descriptor = _struct("efi_memory_descriptor", type=7, number_of_pages=5)
    memory = _struct("pk_memory_map_reply", nr_descriptors=1, descriptor_size=size) + descriptor
    bodies = [
        inner,
        _struct("pk_info", vendor=[ord("x")], image_path=[ord("\\")]),
        memory,
        _struct("pk_tpm_info", present=1, manufacturer=0x204D4249),
        _handles(),
        _struct("pk_volume_info", label=[ord("E"), ord("S"), ord("P")], size=1 << 20),
        _struct("pk_block_info", flags=1, last_lba=9, block_size=512),
        _struct("pk_net_info", address=bytes(32), address_size=6),
        bytes(512),
        _struct("pk_file_reply", file_size=5),
        _struct("pk_file_reply", file_size=5) + b"hello",
        handoff(),
        _struct("pk_state_entry", name=b"cr0", flags=StateFlag.GATE, during=1),
        _struct("pk_self_test_reply", nr_ticks=3),
        _struct("pk_net_pxe"),
        _struct("pk_net_statistics"),
        _struct("pk_ramdisk_entry", ramdisk=1, handle=2, size=4096),
        _struct("pk_descriptor", result=4) + b"data",
        _struct("pk_event_log_reply", size=5) + b"hello",
        _handles(),
        _struct("pk_console_info", flags=15, columns=80, rows=25),
        _struct("pk_key", character=ord("k"), modifiers=0x80000001),
        _struct("pk_acpi_reply"),
        _struct("pk_ram_reply", nr_changed=1) + _struct("pk_ram_range", type=5),
        _struct("pk_pci_info", vendor=0x8086, device=0x10C9, class_code=0x020000),
    ]
    assert len(bodies) == len(QUESTIONS)
    return [bytes([kind]) + body for kind, body in enumerate(bodies)]


@cache
def _directory() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    made = tempfile.TemporaryDirectory()
    return made, Path(made.name)


def variable(data: bytes) -> None:
    """A variable as efivarfs has it, and as one of those of the boot manager."""
    name, (_, root) = global_name("Boot0001"), _directory()
    for each in (name, global_name("BootOrder"), global_name("BootNext")):
        (root / str(each)).write_bytes(data)
    with suppress(FormatError):
        read_variable(name, root)
        order, once = boot_order(Nvram(root)), boot_next(Nvram(root))
        assert (once is None) == (not order) and once in (*order[:1], None)
    assert set(boot_options(root)) <= {1}


def variable_seeds() -> list[bytes]:
    """A boot option."""
    path = device_node(4, 4, "\\a".encode("utf-16-le") + bytes(2)) + END_NODE
    return [struct.pack("<IIH", 7, 1, len(path)) + "a\0".encode("utf-16-le") + path]


def last_ends() -> list[bytes]:
    """One with a reason, and one of a status alone."""
    head: dict[str, object] = {"version": abi.LastEndConstant.LAST_END_VERSION}
    said = _struct("pk_last_end", reason=b"no disk \x1b[2J", action=abi.Action.RESET, **head)
    return [said, _struct("pk_last_end", stage=abi.Stage.LINUX, status=1 << 63 | 9, **head)]


def slots() -> list[bytes]:
    """What `pykexec install` keeps, little and all of it."""
    partition = Guid.parse("eeeeeeee-0000-4000-8000-eeeeeeeeeeee")
    image = InSlot("a", "0" * 64, "pykexec 1 (Linux 6.12)")
    full = Slots(partition, image, image, image, ARMED, image, "it hangs", has_fallback=True)
    return [bytes(Slots(partition)), bytes(full)]


def partition(data: bytes) -> None:
    """The first partition of a disk, as a running system finds it."""
    _, root = _directory()
    disk = root / "disk"
    disk.write_bytes(data)
    assert gpt_partition(disk, 512, 1).number == 1
