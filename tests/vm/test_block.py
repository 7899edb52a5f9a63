# SPDX-License-Identifier: Apache-2.0
"""The firmware's disks as block devices: ublk on Linux 6.12, NBD on 6.1."""

from __future__ import annotations

import atexit
import hashlib
import random
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pykexec.image import elf
from pykexec.run import run
from pykexec.vm.disk import Ext4, make_disk
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import firmware
from pykexec.vm.vm import Vm
from tests.vm.boot import Boot
from tests.vm.guest import Guest, machine_with
from tests.vm.images import image
from tests.vm.ways import NBD, NEWEST, UBLK, Way

MODULES = ("nls_cp437", "nls_ascii", "vfat", "isofs", "ecb", "xts", "dm_crypt", "ntfs3")
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
MIB = 1 << 20
CRYPT_UUID = "3e6be9de-8139-4123-9106-a43f08d823a6"


@dataclass(frozen=True, slots=True)
class Extra:
    """One more disk of the machine: QEMU's words for it, and its device path for us."""

    words: tuple[str, ...]
    path: str


def virtio(name: str, path: Path, slot: int, drive: str = "", device: str = "") -> Extra:
    """A disk of its own PCI slot, so that its device path is known."""
    words = ["-drive", f"if=none,id={name},format=raw,file={path}{drive}"]
    words += ["-device", f"virtio-blk-pci,drive={name},addr={slot:#x}{device}"]
    return Extra((*words,), f"PciRoot(0x0)/Pci({slot:#x},0x0)")


def blocks_of(size: int) -> str:
    return f",logical_block_size={size},physical_block_size={size}"


def machine(
    directory: Path, way: Way, extras: list[Extra], additions: tuple[Path, ...] = ()
) -> Machine:
    chosen = image(way.kernel, config=way.config, modules=modules(way), additions=additions)
    words = tuple(word for extra in extras for word in extra.words)
    return replace(machine_with(directory, firmware("2025.02"), chosen), extra=words)


def modules(way: Way) -> tuple[str, ...]:
    return tuple(name for name in MODULES if name not in way.lacks)


def up(guest: Guest, *load: str) -> dict[str, Any]:
    """What the bridges say, by device path; "" is one without a medium."""
    rows = guest.script("block_up", *load, within=90)
    assert {row["state"] for row in rows} == {"up"}, rows
    return {row.get("path", ""): row for row in rows}


@cache
def cryptsetup() -> Path:
    """A directory with the program and its libraries, to be added to the initramfs."""
    directory = Path(tempfile.mkdtemp(prefix="pykexec-cryptsetup-"))
    atexit.register(shutil.rmtree, directory)
    program = Path("/usr/sbin/cryptsetup")
    for target, source in elf.closure([elf.Object(program, str(program))]).items():
        copy = directory / target.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    return directory


def filled(path: Path, size: int, seed: int) -> bytes:
    data = random.Random(seed).randbytes(size)
    path.write_bytes(data)
    return data


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make_volumes(directory: Path) -> dict[str, Path]:
    """Volumes with file systems and a file on each that says which it is."""
    paths = {name: directory / f"{name}.img" for name in ("ext4", "ntfs", "crypt", "iso", "other")}
    (directory / "files").mkdir()
    (directory / "files/marker").write_text("on the disk")
    (directory / "others").mkdir()
    (directory / "others/marker").write_text("on the other one")
    make_disk(paths["ext4"], [Ext4({"marker": b"on the disk"}, label="my data")])
    for name, files in (("iso", "files"), ("other", "others")):
        words = ["xorriso", "-as", "mkisofs", "-quiet", "-J", "-V", name.upper()]
        run([*words, "-o", paths[name], directory / files], timeout_s=60)
    for name in ("ntfs", "crypt"):
        paths[name].write_bytes(bytes(24 * MIB))
    run(["mkntfs", "-QFq", "-L", "Windows", paths["ntfs"]], env=ENV, timeout_s=60)
    options = ["--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", f"--uuid={CRYPT_UUID}"]
    format_ = ["cryptsetup", "luksFormat", "-q", "--type=luks2", *options, "--key-file=-"]
    run([*format_, paths["crypt"]], env=ENV, stdin=b"secret", timeout_s=60)
    return paths


@pytest.mark.parametrize("way", [pytest.param(NBD, marks=pytest.mark.matrix), UBLK], ids=str)
def test_file_systems_work_and_what_was_synced_survives_a_power_cut(
    way: Way, boot: Boot, tmp_path: Path
) -> None:
    check_file_systems(way, boot, tmp_path)


def check_file_systems(way: Way, boot: Boot, tmp_path: Path) -> None:
    volumes = make_volumes(tmp_path)
    large, odd, raw = (tmp_path / f"{name}.img" for name in ("large", "odd", "raw"))
    filled(large, 8 * MIB, 1)
    run(["sgdisk", "--clear", "--new=1:0:0", large], env=ENV)  # of 512-byte blocks: no GPT at 4 KiB
    before = filled(odd, 2 * MIB, 2)
    raw.write_bytes(bytes(16 * MIB))
    extras = [
        virtio("ext4", volumes["ext4"], 0x10),
        virtio("ntfs", volumes["ntfs"], 0x11),
        virtio("crypt", volumes["crypt"], 0x12),
        virtio("large", large, 0x13, device=blocks_of(4096)),
        virtio("odd", odd, 0x14, device=blocks_of(8192)),
        virtio("raw", raw, 0x15),
    ]
    vm = boot(machine(tmp_path, way, extras, (cryptsetup(),)))
    guest = Guest(vm).ready()
    # The kernel's own ublk is as good as any as long as nobody is killed.
    rows = up(guest, *(["ublk"] if way is UBLK else []), *modules(way))
    nodes = {extra.words[1].split("id=")[1].split(",")[0]: rows[extra.path] for extra in extras}
    assert nodes["odd"]["node"].startswith(way.odd_disk)
    others = [row for row in rows.values() if row is not nodes["odd"]]
    assert all(row["node"].startswith(way.disk) for row in others)
    assert {row["by"] for row in others} == {way.by}
    assert nodes["odd"]["by"] == "window"

    # The last block, where a backup GPT is, is there.
    data = large.read_bytes()
    node = nodes["large"]["node"]
    assert guest.script("block_io", node, 9, f"r:{8 * MIB - 4096:#x}:4096", "r:0:0x200000") == [
        digest(data[-4096:]),
        digest(data[: 2 * MIB]),
    ]
    assert guest.ok(f"cat /sys/class/block/{node[5:]}/queue/logical_block_size") == "4096"
    assert guest.script("block_io", node, 9, "r:512:512") == ["EINVAL"]

    # File systems, found by the names that udev would give them.
    guest.ok("mkdir -p /m && mount -t ext4 '/dev/disk/by-label/my\\x20data' /m")
    assert guest.ok("cat /m/marker") == "on the disk"
    guest.ok("dd if=/dev/urandom of=/m/new bs=1M count=12 && md5sum /m/new > /m/sum && umount /m")
    guest.ok("mount -t vfat -o ro /dev/disk/by-label/ESP /m && ls /m/EFI/pykexec && umount /m")
    if "ntfs3" not in way.lacks:
        guest.ok("mount -t ntfs3 /dev/disk/by-label/Windows /m && echo on NTFS > /m/new")
        guest.ok("umount /m && mount -t ntfs3 -o ro /dev/disk/by-label/Windows /m")
        assert guest.ok("cat /m/new && umount /m") == "on NTFS"
    crypt = f"/dev/disk/by-uuid/{CRYPT_UUID}"
    options = "--disable-locks --disable-keyring --key-file=-"
    guest.ok("export DM_DISABLE_UDEV=1")
    guest.ok(f"printf secret | /usr/sbin/cryptsetup open {options} {crypt} vault", within=120)
    guest.ok(
        "mke2fs -b 4096 /dev/mapper/vault && mount -t ext2 /dev/mapper/vault /m && echo x > /m/x"
    )
    guest.ok("umount /m && /usr/sbin/cryptsetup close --disable-locks vault")

    # Blocks of 8 KiB, more than Linux can do: pieces of them are read, changed and written.
    expected = bytearray(before)
    writes = [(0x1000, 0x1000, 0x11), (0x7000, 0x5000, 0x22), (0x100000, 0x80000, 0x33)]
    writes += [(0x1FF000, 0x1000, 0x44)]
    for offset, size, byte in writes:
        expected[offset : offset + size] = bytes([byte]) * size
    results = guest.script(
        "block_io", nodes["odd"]["node"], 9, *(f"w:{o}:{s}:{b}" for o, s, b in writes), "s"
    )
    assert results == [""] * 5
    assert odd.read_bytes() == bytes(expected)

    # Flushes reach the disk, and what was synced is there when the power is cut.
    flushes = guest_flushes(vm, "raw")
    guest.send(f"/inside/block_write {nodes['raw']['node']} 2048 64")
    while True:
        match = vm.expect(r"wrong:(\d+) synced:(\d+)\n", within=60)
        assert match[1] == "0"
        if (synced := int(match[2])) >= 64 * 20:
            break
    assert guest_flushes(vm, "raw") >= flushes + 20
    vm.kill()
    assert lost_blocks(raw.read_bytes(), synced) == []
    check = run(["debugfs", "-R", "dump /new /dev/stdout", extract(volumes["ext4"])], env=ENV)
    assert len(check) == 12 * MIB


def guest_flushes(vm: Vm, drive: str) -> int:
    stats = vm.qmp("query-blockstats")
    assert isinstance(stats, list)
    return int(next(s["stats"]["flush_operations"] for s in stats if s["device"] == drive))


def lost_blocks(data: bytes, synced: int) -> list[int]:
    """Blocks that hold something older than what was written to them before the last sync."""
    chance = random.Random(7)
    last = {chance.randrange(2048): index for index in range(1, synced + 1)}
    found = {b: int.from_bytes(data[b * 4096 : b * 4096 + 8], "little") for b in last}
    return [block for block, index in last.items() if found[block] < index]


def extract(disk: Path) -> Path:
    """The first partition of a disk that make_disk() made, as a file."""
    path = disk.with_suffix(".ext4")
    path.write_bytes(disk.read_bytes()[MIB:-MIB])
    return path


def check_killed(guest: Guest, row: dict[str, Any], contents: bytes) -> None:
    """A bridge that is killed is followed by another one, which serves what was under way."""
    node, name, pid = (row[key] for key in ("node", "name", "pid"))
    reads = " ".join([f"r:{offset * MIB:#x}:0x100000" for offset in range(8)] * 4)
    guest.send(f"/inside/block_io {node} 60 {reads} > /tmp/reads & sleep 0.3; kill -9 {pid}; wait")
    guest.prompt(within=120)
    wanted = [digest(contents[i * MIB : (i + 1) * MIB]) for i in range(8)] * 4
    assert guest.json("cat /tmp/reads") == wanted
    wait_for(guest, f"[ -e /run/pykexec/bridges/{name}.json ]")
    again = next(found for path, found in up(guest).items() if path == row["path"])
    assert again["node"] == node and again["pid"] != pid


FAULTY_SECTOR = 2048


def faulty(path: Path, slot: int) -> Extra:
    """A disk that QEMU refuses to write to at one place."""
    drive = f"if=none,id=faulty,driver=raw,file.driver=blkdebug,file.image.filename={path}"
    rule = "file.inject-error.0"
    drive += f",{rule}.event=write_aio,{rule}.sector={FAULTY_SECTOR},{rule}.errno=5,{rule}.once=off"
    words = ("-drive", drive, "-device", f"virtio-blk-pci,drive=faulty,addr={slot:#x}")
    return Extra(words, f"PciRoot(0x0)/Pci({slot:#x},0x0)")


def wait_for(guest: Guest, condition: str, within: int = 30) -> None:
    """Until a shell condition holds."""
    tries = (
        f"n=0; until {condition}; do n=$((n+1)); [ $n -lt {within * 5} ] || exit 1; sleep 0.2; done"
    )
    guest.ok(f"( {tries} )", within=within + 30)


@pytest.mark.parametrize("way", [NBD, pytest.param(NEWEST, marks=pytest.mark.matrix)], ids=str)
def test_errors_and_changes_of_media_are_errors_to_linux_and_nothing_hangs(
    way: Way, boot: Boot, tmp_path: Path
) -> None:
    check_errors(way, boot, tmp_path)


def check_errors(way: Way, boot: Boot, tmp_path: Path) -> None:
    volumes = make_volumes(tmp_path)
    fixed, broken, stick = (tmp_path / f"{name}.img" for name in ("fixed", "broken", "stick"))
    data = filled(fixed, 4 * MIB, 3)
    filled(broken, 4 * MIB, 4)
    contents = filled(stick, 8 * MIB, 5)
    cd = ("-drive", f"if=none,id=cd,media=cdrom,format=raw,file={volumes['iso']}")
    usb = ("-drive", f"if=none,id=stick,format=raw,file={stick}")
    extras = [
        virtio("fixed", fixed, 0x10, drive=",readonly=on"),
        faulty(broken, 0x11),
        Extra((*cd, "-device", "ide-cd,drive=cd,id=cd0,bus=ide.1"), ""),
        Extra((*usb, "-device", "qemu-xhci,addr=0x16"), ""),
        Extra(("-device", "usb-storage,drive=stick,id=usb0"), "USB"),
    ]
    vm = boot(machine(tmp_path, way, extras))
    guest = Guest(vm).ready()
    rows = up(guest, *modules(way))
    cd_row = next(row for path, row in rows.items() if "/Sata(" in path)
    usb_row = next(row for path, row in rows.items() if "/USB(" in path)

    # Firmware and Linux, both ways.
    handles = guest.json("pykexec devices --json")
    by_name = {name: handle for handle in handles for name in handle["linux"]}
    for row in rows.values():
        assert by_name[row["node"]]["handle"] == row["handle"]
        assert by_name[row["node"]]["path"] == row["path"]
    volume = next(handle for handle in handles if handle["kind"] == "volume")
    assert volume["path"].startswith(by_name[volume["linux"][0].removesuffix("p1")]["path"])
    shown = guest.ok("pykexec devices --linux").splitlines()
    assert sorted(by_name) == [line.split()[0] for line in shown]

    # A read-only disk.
    node = rows[extras[0].path]["node"]
    assert guest.ok(f"cat /sys/class/block/{node[5:]}/ro") == "1"
    results = guest.script("block_io", node, 9, "r:0:0x100000", "w:0:4096:1", "b:0:4096:1")
    assert results[0] == digest(data[:MIB]) and set(results[1:]) <= {"EPERM", "EBADF", "EROFS"}

    # A write error is the writer's, at once or when it syncs, and nobody else's.
    node = rows[extras[1].path]["node"]
    bad, good = FAULTY_SECTOR * 512, FAULTY_SECTOR * 512 + 4096
    writes = [f"w:{bad}:4096:1", f"w:{good}:4096:2", f"w:{bad - 8192}:0x10000:3", "w:0:4096:4", "s"]
    assert guest.script("block_io", node, 9, *writes) == ["EIO", "", "EIO", "", ""]
    late = guest.script("block_io", node, 9, f"b:{bad - 65536}:0x20000:5", "s", "w:0:4096:6")
    assert late == ["", "EIO", ""]
    assert broken.read_bytes()[:4096] == b"\6" * 4096

    if way.native:
        wanted = [digest(contents[i * MIB : (i + 1) * MIB]) for i in range(8)]
        reads = [f"r:{offset * MIB:#x}:0x100000" for offset in range(8)]
        assert guest.script("block_io", usb_row["node"], 60, *reads) == wanted
    else:
        check_killed(guest, usb_row, contents)

    # A CD is read, taken out and followed by another one, under the same name.
    record = f"/run/pykexec/bridges/{cd_row['name']}.json"
    link = f"/dev/pykexec/{cd_row['name']}"
    assert cd_row["block_size"] == 2048
    guest.ok(f"mkdir -p /m && mount -t iso9660 -o ro {link} /m && cat /m/marker && umount /m")
    vm.qmp("eject", id="cd0", force=True)
    wait_for(guest, f'grep -q \'"medium": "none"\' {record}')
    assert guest.run(f"ls {link} /dev/disk/by-label/ISO").status != 0
    vm.qmp("blockdev-change-medium", id="cd0", filename=str(volumes["other"]), format="raw")
    wait_for(guest, f'grep -q \'"medium": "present"\' {record}')
    guest.ok(f"mount -t iso9660 -o ro {link} /m")
    assert guest.ok("cat /m/marker") == "on the other one"
    # Taken out while it is mounted: errors, and no end of everything.
    vm.qmp("eject", id="cd0", force=True)
    wait_for(guest, f'grep -q \'"medium": "none"\' {record}')
    assert guest.run("echo 3 > /proc/sys/vm/drop_caches; cat /m/marker").status != 0
    guest.ok("umount /m")

    # A stick that is pulled out: the firmware takes half a minute to say so.
    node = usb_row["node"]
    vm.qmp("device_del", id="usb0")
    results = guest.script("block_io", node, 90, "r:0:4096", within=150)
    assert set(results) <= {"EIO", "ENXIO", "ENOENT"}
    if not way.native:  # A driver of the kernel keeps the node as long as the firmware its handle.
        wait_for(guest, f"[ ! -e {node} ]", within=120)
        assert not any(row.get("node") == node for row in up(guest).values())

    # All of them end at once, and nothing is left.
    guest.script("block_down")
    assert guest.ok("ls /dev/pykexec /dev/disk/* | grep -v :$ || true") == ""
    assert guest.firmware_is_the_same()
