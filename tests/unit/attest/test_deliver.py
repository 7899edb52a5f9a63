# SPDX-License-Identifier: Apache-2.0
"""What released secrets become on the key disk."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pykexec import abi
from pykexec._native import lib
from pykexec.abi import Op
from pykexec.abi_devices import RamdiskFlag
from pykexec.attest.deliver import KeyDisk, deliver, key_disk
from pykexec.attest.opened import OpenedSecret
from pykexec.disk import bek, gpt
from pykexec.disk.key_disk import PLAIN
from pykexec.efi.guid import Guid, named_guids
from pykexec.errors import FirmwareError, FormatError
from pykexec.firmware.mailbox import Mailbox, Reply, Request
from pykexec.firmware.wire import pack, unpack
from pykexec.run import run
from pykexec.secret import Secret

IDENTIFIER = "4381f759-c4f8-4de0-bb61-fc33a831bda5"
VOLUME = "5a95db04-6ebc-4ba9-99a3-15a87a3d07b2"
BEK_NAME = f"{IDENTIFIER.upper()}.BEK"
PASSWORD = b"363770-230505-096371-652674-567006-579150-291038-408111"
UUID = "0f7d5cbb-7b5a-4c53-9f8a-1e0f4d2f3a11"


def secret(kind: str, value: bytes, parameters: Mapping[str, str], name: str = "s") -> OpenedSecret:
    held = Secret(len(value))
    held.view[:] = value
    return OpenedSecret(name, kind, parameters, held)


def plain(*secrets: OpenedSecret) -> KeyDisk:
    return KeyDisk(secrets, PLAIN, ("ram-disk",))


def files(directory: Path, *secrets: OpenedSecret) -> dict[str, bytes]:
    with key_disk(plain(*secrets)) as disk:
        return files_of(directory, bytes(disk.view))


def files_of(directory: Path, disk: bytes) -> dict[str, bytes]:
    image = directory / "disk.img"
    image.write_bytes(disk)
    volume = f"{image}@@{64 * 512}"
    names = run(["mdir", "-/", "-b", "-i", volume, "::/"]).decode().splitlines()
    found = [name for name in names if not name.endswith("/")]
    return {name[3:]: run(["mtype", "-i", volume, name]) for name in found}


def written_bek(volume: str | None) -> bytes:
    guid = None if volume is None else Guid.parse(volume)
    out = bytearray(bek.size(guid))
    bek.write(memoryview(out), memoryview(b"k" * 32), Guid.parse(IDENTIFIER), guid, 0)
    return bytes(out)


@pytest.mark.parametrize(
    ("kind", "parameters", "value", "name"),
    [
        ("luks-key", {"file": "EFI/keys/root.key"}, b"\0\xff" * 16, "EFI/keys/root.key"),
        ("luks-key", {"volume": UUID}, b"k" * 64, f"{UUID}.key"),
        ("luks-key", {}, b"k" * 64, "luks.key"),
        ("luks-passphrase", {}, b"correct horse", "luks.pass"),
        ("file", {"file": "token.json"}, b"{}", "token.json"),
        ("bitlocker-recovery-password", {}, PASSWORD, "BitLocker Recovery Key.txt"),
        ("bitlocker-external-key", {}, written_bek(None), BEK_NAME),
        ("bitlocker-external-key", {}, written_bek(VOLUME), BEK_NAME),
    ],
)
def test_a_secret_becomes_its_file(
    tmp_path: Path, kind: str, parameters: Mapping[str, str], value: bytes, name: str
) -> None:
    assert files(tmp_path, secret(kind, value, parameters)) == {name: value}


@pytest.mark.parametrize("volume", [None, VOLUME])
def test_a_bare_external_key_becomes_a_bek_file(tmp_path: Path, volume: str | None) -> None:
    parameters = {"identifier": IDENTIFIER, **({"volume": volume} if volume else {})}
    found = files(tmp_path, secret("bitlocker-external-key", b"k" * 32, parameters))
    data = found[BEK_NAME]
    read = bek.read(memoryview(data), "x")
    assert (str(read.identifier), read.volume and str(read.volume)) == (IDENTIFIER, volume)
    assert data[read.key_offset :][:32] == b"k" * 32


def test_all_secrets_share_one_disk(tmp_path: Path) -> None:
    both = [secret("luks-key", b"a", {"file": "a"}), secret("file", b"b", {"file": "b"})]
    assert files(tmp_path, *both) == {"a": b"a", "b": b"b"}


@pytest.mark.parametrize(
    ("kind", "parameters", "value", "fault"),
    [
        ("file", {}, b"x", "a file needs a name"),
        ("file", {"file": "../x"}, b"x", "is no name"),
        ("bitlocker-external-key", {}, b"k" * 32, "needs the identifier"),
        ("bitlocker-external-key", {"identifier": "x"}, b"k" * 32, "is not a GUID"),
        ("bitlocker-external-key", {}, b"k" * 31, "too few"),
        ("bitlocker-recovery-password", {}, b"363770", "8 groups"),
    ],
)
def test_what_is_no_such_secret_is_refused(
    kind: str, parameters: Mapping[str, str], value: bytes, fault: str
) -> None:
    with pytest.raises(FormatError, match=fault), key_disk(plain(secret(kind, value, parameters))):
        pass


def test_two_secrets_for_one_file_are_refused() -> None:
    both = [secret("file", b"1", {"file": "a"}), secret("file", b"2", {"file": "a"})]
    with pytest.raises(FormatError, match="two for the file a"), key_disk(plain(*both)):
        pass


def test_the_disk_is_wiped_in_the_end() -> None:
    with key_disk(plain(secret("file", b"needle in it", {"file": "a"}))) as disk:
        view = disk.view
        assert b"needle in it" in bytes(view)
    assert bytes(view) == bytes(len(view))


class Firmware(Mailbox):
    """A firmware that has memory for so many disks, and EFI_RAM_DISK_PROTOCOL or not."""

    def __init__(self, root: Path, room: int = 9, ram_disks: bool = True) -> None:
        (root / f"PykexecMailbox-{named_guids()['pykexec_mailbox']}").touch()
        super().__init__(root)
        self.room, self.last, self.ram_disks = room, 0, ram_disks
        self.disks: dict[int, tuple[RamdiskFlag, bytearray]] = {}
        self.asked: set[int] = set()

    def call(self, requests: Sequence[Request]) -> list[Reply]:
        return [self.answer(request.op, request.body) for request in requests]

    def ask_secret(self, request: Request, data: memoryview) -> bytes:
        return self.answer(request.op, request.body + bytes(data)).body

    def answer(self, op: int, body: bytes) -> Reply:
        self.asked.add(op)
        if op == Op.RAMDISK_LIST:
            return Reply(op, 0, b"".join(self.entry(number) for number in self.disks))
        if op == Op.RAMDISK_CREATE:
            asked = unpack("pk_ramdisk_request", body, 0, "x")
            if len(self.disks) == self.room:
                return Reply(op, lib.EFI_OUT_OF_RESOURCES, b"")
            self.last += 1
            self.disks[self.last] = (RamdiskFlag(asked.flags), bytearray(asked.size))
            return Reply(op, 0, self.entry(self.last))
        number = int.from_bytes(body[:4], "little")
        if op == Op.RAMDISK_DATA:
            asked, head = unpack("pk_ramdisk_data", body, 0, "x"), len(pack("pk_ramdisk_data"))
            self.disks[number][1][asked.offset : asked.offset + len(body) - head] = body[head:]
        if op == Op.RAMDISK_REMOVE:
            del self.disks[number]
            return Reply(op, 0, b"")
        if op == Op.RAMDISK_REGISTER and not self.ram_disks and not self.disks[number][0] & BLOCK:
            return Reply(op, lib.EFI_UNSUPPORTED, b"")
        if op not in (Op.RAMDISK_DATA, Op.RAMDISK_REGISTER):
            return Reply(op, lib.EFI_NOT_READY, b"")
        return Reply(op, 0, self.entry(number))

    def entry(self, number: int) -> bytes:
        flags, data = self.disks[number]
        guid = named_guids()["virtual_disk"].data
        fields = {"ramdisk": number, "size": len(data), "type": guid, "flags": int(flags)}
        return abi.pack("struct pk_ramdisk_entry", **fields)


def startup_key(number: int) -> OpenedSecret:
    """That of another protector for each number."""
    identifier = f"{number:08x}-c4f8-4de0-bb61-fc33a831bda5"
    parameters = {"identifier": identifier}
    return secret("bitlocker-external-key", bytes([number]) * 32, parameters, f"key {number}")


LUKS = secret("luks-key", b"k" * 64, {})
RAM_DISK, BLOCK, PERSIST = RamdiskFlag(0), RamdiskFlag.BLOCK, RamdiskFlag.PERSIST


@pytest.mark.parametrize(
    ("secrets", "options", "flags"),
    [
        ([], {}, []),
        ([LUKS], {}, [RAM_DISK]),
        ([LUKS], {"persist": True}, [PERSIST]),
        ([startup_key(1)], {}, [RAM_DISK, BLOCK]),
        ([startup_key(1)], {"persist": True}, [RAM_DISK, BLOCK]),
        ([startup_key(1)], {"key_disks": "same"}, [RAM_DISK, BLOCK]),
        ([startup_key(1)], {"key_disks": "ram-disk"}, [RAM_DISK]),
        ([startup_key(1)], {"key_disks": "block"}, [BLOCK]),
        ([startup_key(1), LUKS], {"persist": True}, [PERSIST, RAM_DISK, BLOCK]),
    ],
)
def test_startup_keys_are_on_disks_of_both_shapes_that_never_persist(
    tmp_path: Path, secrets: list[OpenedSecret], options: dict[str, Any], flags: list[RamdiskFlag]
) -> None:
    firmware = Firmware(tmp_path)
    made = deliver(firmware, secrets, **options)
    assert [firmware.disks[disk.number][0] for disk in made] == flags


def identities(data: bytes) -> list[bytes]:
    """GUIDs of a disk and its partition, serial number of its volume; the rest is as it must be."""
    table = gpt.read_gpt(lambda at, size: data[at : at + size], 512, len(data) // 512)
    assert table
    (partition,) = table.partitions
    assert (partition.type, partition.attributes) == (gpt.ESP_TYPE, 0)
    assert partition.name == "BEK VOLUME"
    volume = data[partition.first_lba * 512 :]
    assert volume[43:54] == b"BEK VOLUME "
    return [table.guid.data, partition.guid.data, volume[39:43]]


def test_the_two_disks_of_startup_keys_are_not_one_disk_twice(tmp_path: Path) -> None:
    firmware = Firmware(tmp_path)
    first, second = deliver(firmware, [startup_key(1)])
    one, other = (identities(bytes(firmware.disks[disk.number][1])) for disk in (first, second))
    assert not set(one) & set(other)


def test_unless_the_configuration_wants_the_same_bytes(tmp_path: Path) -> None:
    firmware = Firmware(tmp_path)
    deliver(firmware, [startup_key(1)], key_disks="same")
    assert firmware.disks[1][1] == firmware.disks[2][1] != bytes(len(firmware.disks[1][1]))


def test_all_startup_keys_are_on_each_of_their_disks_and_nothing_else_is(tmp_path: Path) -> None:
    firmware = Firmware(tmp_path)
    deliver(firmware, [startup_key(1), LUKS, startup_key(2), startup_key(3)])
    names = [set(files_of(tmp_path, bytes(data))) for _, data in firmware.disks.values()]
    keys = {f"{number:08X}-C4F8-4DE0-BB61-FC33A831BDA5.BEK" for number in (1, 2, 3)}
    assert names == [{"luks.key"}, keys, keys]


@pytest.mark.parametrize("key_disks", ["both", "same"])
def test_no_driver_is_measured_for_a_second_disk_of_startup_keys(
    tmp_path: Path, key_disks: str
) -> None:
    firmware = Firmware(tmp_path, ram_disks=False)
    (made,) = deliver(firmware, [startup_key(1)], key_disks=key_disks)
    assert {number: flags for number, (flags, _) in firmware.disks.items()} == {made.number: BLOCK}
    assert Op.HANDOFF not in firmware.asked


@pytest.mark.parametrize("secrets", [[LUKS], [startup_key(1)]])
def test_a_driver_is_loaded_where_nothing_else_was_asked_for(
    tmp_path: Path, secrets: list[OpenedSecret]
) -> None:
    firmware = Firmware(tmp_path, ram_disks=False)
    # Which begins with a question that this firmware does not answer.
    with pytest.raises(FirmwareError, match="handoff"):
        deliver(firmware, secrets, key_disks="ram-disk")
    assert firmware.disks == {}


@pytest.mark.parametrize("room", [0, 1, 2])
def test_where_not_all_disks_fit_none_is_left(tmp_path: Path, room: int) -> None:
    firmware = Firmware(tmp_path, room)
    with pytest.raises(FirmwareError, match="do not fit") as raised:
        deliver(firmware, [startup_key(1), LUKS])
    assert (raised.value.errno, firmware.disks) == (errno.ENOMEM, {})
