# SPDX-License-Identifier: Apache-2.0
"""Which file system is on a volume, with label and UUID, spelled as blkid spells them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from pykexec.disk import Reader

_FAT_ROOT_MAX = 1 << 16
_ATTRIBUTE_LABEL, _ATTRIBUTE_MASK = 0x08, 0x3F
_LONG_NAME = 0x0F
_CLUSTERS_FAT32 = 65525
_NTFS_VOLUME_RECORD = 3
_NTFS_NAME, _NTFS_END = 0x60, 0xFFFFFFFF
_EXFAT_LABEL, _EXFAT_LABEL_MAX = 0x83, 11
_ISO_SECTOR = 2048
_ISO_DESCRIPTOR = 16
_BIG_ENDIAN = b"\xfe\xff"


@dataclass(frozen=True, slots=True)
class FileSystem:
    """type is blkid's word; label and uuid are "" where there is none."""

    type: str
    label: str = ""
    uuid: str = ""


def probe(read: Reader) -> FileSystem | None:
    """What is on the volume; None when it is nothing that we know."""
    for look in _PROBES:
        try:
            if found := look(read):
                return found
        except (struct.error, ValueError):
            continue  # Cut off, or not what its signature says.
    return None


def _text(data: bytes, encoding: str = "utf-8") -> str:
    return data.partition(b"\0")[0].decode(encoding, "replace").strip()


def _uuid(data: bytes) -> str:
    if not any(data):
        return ""
    return "-".join(data[a:b].hex() for a, b in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 16)))


def _luks(read: Reader) -> FileSystem | None:
    """LUKS1 and LUKS2 have version, label (LUKS2 alone) and UUID at the same places."""
    head = read(0, 512)
    if head[:6] != b"LUKS\xba\xbe":
        return None
    (version,) = struct.unpack_from(">H", head, 6)
    label = _text(head[24:72]) if version == 2 else ""
    return FileSystem("crypto_LUKS", label, _text(head[168:208], "ascii"))


def _ext(read: Reader) -> FileSystem | None:
    """The superblock (fs/ext4/ext4.h); what makes it ext2, 3 or 4 are its features."""
    block = read(1024, 1024)
    if len(block) < 1024 or block[56:58] != b"\x53\xef":
        return None
    compatible, incompatible, read_only = struct.unpack_from("<III", block, 92)
    has_journal = compatible & 0x4
    newer = incompatible & ~0x16 or read_only & ~0x7
    kind = "ext4" if newer else "ext3" if has_journal else "ext2"
    return FileSystem(kind, _text(block[120:136]), _uuid(block[104:120]))


def _ntfs(read: Reader) -> FileSystem | None:
    boot = read(0, 512)
    if boot[3:11] != b"NTFS    ":
        return None
    sector_size, sectors = struct.unpack_from("<HB", boot, 11)
    if sectors > 128:
        sectors = 1 << (256 - sectors)
    cluster = sector_size * sectors
    (table_cluster,) = struct.unpack_from("<Q", boot, 48)
    (clusters,) = struct.unpack_from("<b", boot, 64)
    record_size = clusters * cluster if clusters > 0 else 1 << -clusters
    (serial,) = struct.unpack_from("<Q", boot, 72)
    label = ""
    if cluster and 512 <= record_size <= 1 << 16:
        offset = table_cluster * cluster + _NTFS_VOLUME_RECORD * record_size
        label = _ntfs_label(read(offset, record_size))
    return FileSystem("ntfs", label, f"{serial:016X}")


def _ntfs_label(record: bytes) -> str:
    """The resident $VOLUME_NAME attribute of the file $Volume."""
    if record[:4] != b"FILE":
        return ""
    (offset,) = struct.unpack_from("<H", record, 20)
    while offset + 24 <= len(record):
        kind, size = struct.unpack_from("<II", record, offset)
        if kind == _NTFS_NAME:
            length, start = struct.unpack_from("<IH", record, offset + 16)
            return record[offset + start :][:length].decode("utf-16-le", "replace")
        if kind == _NTFS_END or size < 24:
            break
        offset += size
    return ""


def _fat(read: Reader) -> FileSystem | None:
    """FAT12, FAT16, FAT32 (Microsoft's fatgen103); the label of the root directory counts."""
    boot = read(0, 512)
    if len(boot) < 512 or boot[510:] != b"\x55\xaa" or boot[0] not in (0xEB, 0xE9):
        return None
    (sector, per_cluster, reserved, nr_tables, nr_root, small, _, table) = struct.unpack_from(
        "<HBHBHHBH", boot, 11
    )
    (large,) = struct.unpack_from("<I", boot, 32)
    if sector not in (512, 1024, 2048, 4096) or not per_cluster or per_cluster & (per_cluster - 1):
        return None
    if not reserved or nr_tables not in (1, 2):
        return None
    table = table or struct.unpack_from("<I", boot, 36)[0]
    root_size = (nr_root * 32 + sector - 1) // sector * sector
    data = (reserved + nr_tables * table) * sector
    nr_clusters = (((small or large) * sector) - data - root_size) // (per_cluster * sector)
    if nr_root == 0 or nr_clusters >= _CLUSTERS_FAT32:
        (cluster,) = struct.unpack_from("<I", boot, 44)
        # The root's first cluster is enough: mkfs puts the label first.
        data += (cluster - 2) * per_cluster * sector
        root_size, extended = per_cluster * sector, 64
    else:
        extended = 36
    if boot[extended + 2] not in (0x28, 0x29):
        return FileSystem("vfat", _fat_label(read(data, min(root_size, _FAT_ROOT_MAX))))
    (serial,) = struct.unpack_from("<I", boot, extended + 3)
    label = _fat_label(read(data, min(root_size, _FAT_ROOT_MAX)))
    if not label:
        stated = boot[extended + 7 : extended + 18].rstrip()
        label = "" if stated == b"NO NAME" else _text(stated)
    return FileSystem("vfat", label, f"{serial >> 16:04X}-{serial & 0xFFFF:04X}")


def _exfat(read: Reader) -> FileSystem | None:
    """Microsoft's exFAT specification 1.00, 3.1 and 7.3; the label is in the root directory."""
    boot = read(0, 512)
    if boot[3:11] != b"EXFAT   " or boot[510:] != b"\x55\xaa":
        return None
    heap, _, cluster, serial = struct.unpack_from("<IIII", boot, 88)
    sector_shift, cluster_shift = boot[108], boot[109]
    if not 9 <= sector_shift <= 12 or sector_shift + cluster_shift > 25 or cluster < 2:
        return None
    size = 1 << sector_shift + cluster_shift
    # The root's first cluster is enough: mkfs puts the label first.
    root = read((heap << sector_shift) + (cluster - 2) * size, min(size, _FAT_ROOT_MAX))
    return FileSystem("exfat", _exfat_label(root), f"{serial >> 16:04X}-{serial & 0xFFFF:04X}")


def _exfat_label(root: bytes) -> str:
    for offset in range(0, len(root) - 31, 32):
        kind, length = root[offset], root[offset + 1]
        if kind == 0:
            break
        if kind == _EXFAT_LABEL and length <= _EXFAT_LABEL_MAX:
            name = root[offset + 2 : offset + 2 + 2 * length]
            return name.decode("utf-16-le", "replace")
    return ""


def _fat_label(root: bytes) -> str:
    for offset in range(0, len(root) - 31, 32):
        name, attributes = root[offset : offset + 11], root[offset + 11]
        if name[0] == 0:
            break
        is_label = attributes & _ATTRIBUTE_MASK != _LONG_NAME and attributes & _ATTRIBUTE_LABEL
        if name[0] != 0xE5 and is_label:
            return name.decode(errors="replace").rstrip()
    return ""


def _iso9660(read: Reader) -> FileSystem | None:
    """The primary volume descriptor (ECMA-119, 8.4); the UUID is the time it was made, as blkid's.

    blkid takes the label from Joliet's descriptor where there is one, which has lower case.
    """
    primary = read(_ISO_DESCRIPTOR * _ISO_SECTOR, _ISO_SECTOR)
    if primary[:6] != b"\x01CD001":
        return None
    label = _text(primary[40:72], "latin-1")
    created, modified = primary[813:830], primary[830:847]
    date = modified if modified[:16].strip(b"0\0") else created
    digits = date[:16].decode("ascii")
    parts = [digits[:4], *(digits[i : i + 2] for i in range(4, 16, 2))]
    uuid = "-".join(parts) if digits.isdigit() and digits.strip("0") else ""
    for number in range(1, 8):
        block = read((_ISO_DESCRIPTOR + number) * _ISO_SECTOR, _ISO_SECTOR)
        if block[1:6] != b"CD001" or block[0] == 255:
            break
        if block[0] == 2 and block[88:91] in (b"%/@", b"%/C", b"%/E"):
            joliet = (_BIG_ENDIAN + block[40:72]).decode("utf-16", "replace").rstrip("\0 ")
            label = joliet if label.casefold().startswith(joliet.casefold()) else label
    return FileSystem("iso9660", label, uuid)


_PROBES: tuple[Callable[[Reader], FileSystem | None], ...] = (
    _luks,
    _ext,
    _ntfs,
    _exfat,
    _iso9660,
    _fat,
)
