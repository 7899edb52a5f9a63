# SPDX-License-Identifier: Apache-2.0
"""What the stand-in for Windows' boot manager computes by itself is what others compute."""

from __future__ import annotations

import ctypes
import hashlib
import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from pykexec import _freestanding
from pykexec.disk import fat
from pykexec.run import run
from pykexec.vm import hives
from pykexec.windows.hive import REG_SZ
from tests.support import windows_disk

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("ccm.c", "fat.c", "hive.c", "sha256.c")
WRONG = (0, 15, 16, 43)
GUIDS = (windows_disk.WINDOWS, windows_disk.DISK, windows_disk.ESP)
LOADER = r"\Windows\system32\winload.efi"
LOADER_PATH = rf"Objects\{{{hives.LOADER}}}\Elements\12000002"
NOT_FOUND, UNSUPPORTED = 1 << 63 | 14, 1 << 63 | 3
LONG = "EFI/Microsoft/Boot/a rather long name of a file.dat"
CONTENT = random.Random(1).randbytes(300_000)
# Of FAT, by its bits: how large the smallest is that mkfs.fat makes.
VOLUMES = {12: 2 << 20, 16: 16 << 20, 32: 40 << 20}


class Hive(ctypes.Structure):
    """struct wbm_hive."""

    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_uint64))


@pytest.fixture(scope="module", name="library")
def library_fixture(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    target = tmp_path_factory.mktemp("bootmgr") / "bootmgr.so"
    csrc = ROOT / "csrc"
    flags = [
        "-std=gnu11",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fshort-wchar",
        "-shared",
        "-fPIC",
    ]
    flags += [f"-I{csrc}", f"-I{csrc / 'include'}"]
    files = [csrc / "payload" / "bootmgr" / name for name in SOURCES]
    files.append(Path(__file__).parent / "volume.c")
    run([*_freestanding.compiler(), *flags, "-o", target, *files], timeout_s=60)
    return ctypes.CDLL(str(target))


def value(library: ctypes.CDLL, data: bytes, path: str, name: str) -> bytes | None:
    """A text of a hive, by the stand-in's reading; None where it finds none."""
    hive, size, type_ = Hive(), ctypes.c_uint32(), ctypes.c_uint32()
    found = ctypes.c_void_p()
    library.wbm_hive_key.restype = ctypes.c_uint32
    library.wbm_hive_value.restype = library.wbm_hive_open.restype = ctypes.c_bool
    if not library.wbm_hive_open(data, ctypes.c_uint64(len(data)), ctypes.byref(hive)):
        return None
    key = library.wbm_hive_key(ctypes.byref(hive), path.encode())
    refs = (ctypes.byref(type_), ctypes.byref(found), ctypes.byref(size))
    if not key or not library.wbm_hive_value(ctypes.byref(hive), key, name.encode(), *refs):
        return None
    assert type_.value == REG_SZ and found.value
    return ctypes.string_at(found.value, size.value)


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 119, 120, 1000])
def test_sha256(library: ctypes.CDLL, size: int) -> None:
    data, digest = random.Random(size).randbytes(size), ctypes.create_string_buffer(32)
    library.wbm_sha256(data, ctypes.c_uint64(size), digest)
    assert digest.raw == hashlib.sha256(data).digest()


@pytest.mark.parametrize("size", [1, 16, 44, 60, 64])
def test_aes_ccm_opens_what_cryptography_closed(library: ctypes.CDLL, size: int) -> None:
    generator = random.Random(size)
    key, nonce, data = (generator.randbytes(n) for n in (32, 12, size))
    closed = AESCCM(key, tag_length=16).encrypt(nonce, data, None)
    assert opened(library, key, nonce, closed) == data


@pytest.mark.parametrize("place", WRONG)
def test_aes_ccm_refuses_what_was_changed(library: ctypes.CDLL, place: int) -> None:
    key, nonce, data = bytes(range(32)), bytes(12), bytes(44)
    closed = bytearray(AESCCM(key, tag_length=16).encrypt(nonce, data, None))
    closed[place] ^= 1
    assert opened(library, key, nonce, bytes(closed)) is None


def opened(library: ctypes.CDLL, key: bytes, nonce: bytes, closed: bytes) -> bytes | None:
    """The plain text of data and tag; None when the tag is another's."""
    library.wbm_ccm_decrypt.restype = ctypes.c_bool
    data, tag = closed[:-16], closed[-16:]
    plain = ctypes.create_string_buffer(len(data))
    good = library.wbm_ccm_decrypt(key, nonce, tag, data, ctypes.c_uint32(len(data)), plain)
    return plain.raw if good else None


@pytest.mark.parametrize("lists", ["lf", "lh", "li"])
def test_a_bcd_is_read(library: ctypes.CDLL, lists: str) -> None:
    bcd = hives.hive(hives.bcd_tree(*map(str, GUIDS)), lists)
    path = rf"Objects\{{{hives.BOOT_MANAGER}}}\Elements\23000003"
    assert value(library, bcd, path, "Element") == hives.text(f"{{{hives.LOADER}}}")[1]
    path = rf"objects\{{{hives.LOADER.upper()}}}\ELEMENTS\12000002"
    assert value(library, bcd, path, "element") == hives.text(LOADER)[1]
    assert value(library, bcd, "Description", "KeyName") == hives.text("BCD00000000")[1]


@pytest.mark.parametrize("path", ["", "Object", r"Objects\{none}", r"Description\Elements"])
def test_what_a_bcd_does_not_have_is_not_found(library: ctypes.CDLL, bcd: bytes, path: str) -> None:
    assert value(library, bcd, path, "Element") is None


@pytest.mark.parametrize("size", [0, 4095, 4096, 4200, 5000])
def test_a_bcd_that_is_cut_off_is_refused(library: ctypes.CDLL, bcd: bytes, size: int) -> None:
    assert value(library, bcd[:size], LOADER_PATH, "Element") is None


def test_a_hive_of_another_checksum_is_refused(library: ctypes.CDLL, bcd: bytes) -> None:
    assert value(library, bcd[:4] + b"\2" + bcd[5:], "Description", "KeyName") is None


@pytest.fixture(scope="module", name="bcd")
def bcd_fixture() -> bytes:
    return windows_disk.bcd()


def test_a_value_of_four_bytes_is_in_its_own_cell(library: ctypes.CDLL) -> None:
    hive = hives.hive(hives.Node(values={"short": (REG_SZ, b"a\0\0\0")}))
    assert value(library, hive, "", "short") == b"a\0\0\0"


def loaded(library: ctypes.CDLL, data: bytes, path: str) -> tuple[int, int, bytes]:
    """Status, bits of the FAT and contents of a file that the stand-in has read."""
    bits, size, found = ctypes.c_uint32(), ctypes.c_uint64(), ctypes.c_void_p()
    name = ("\\" + path.replace("/", "\\") + "\0").encode("utf-16-le")
    library.pk_test_load.restype = ctypes.c_uint64
    refs = (ctypes.byref(bits), ctypes.byref(found), ctypes.byref(size))
    status = library.pk_test_load(data, ctypes.c_uint64(len(data)), name, *refs)
    content = ctypes.string_at(found.value, size.value) if found.value else b""
    library.pk_test_free(found)
    return status, bits.value, content


@pytest.fixture(scope="module", name="volumes")
def volumes_fixture(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    """A volume of each kind by dosfstools and mtools, with one file in several pieces."""
    directory = tmp_path_factory.mktemp("volumes")
    (directory / "hole").write_bytes(bytes(9000))
    (directory / "content").write_bytes(CONTENT)
    volumes = {}
    for bits, size in VOLUMES.items():
        image = directory / f"{bits}.img"
        image.write_bytes(bytes(size))
        run(["mkfs.fat", "-F", str(bits), "-s", "1" if bits == 32 else "4", "--invariant", image])
        for number in range(8):
            run(["mcopy", "-i", image, directory / "hole", f"::/HOLE{number}"])
        run(["mdel", "-i", image, "::/HOLE1", "::/HOLE3", "::/HOLE5"])
        for name in ("EFI", "EFI/Microsoft", "EFI/Microsoft/Boot"):
            run(["mmd", "-i", image, f"::/{name}"])
        run(["mcopy", "-i", image, directory / "content", f"::/{LONG}"])
        volumes[bits] = image.read_bytes()
    return volumes


@pytest.mark.parametrize("bits", VOLUMES)
def test_a_file_is_read_whatever_its_volume(
    library: ctypes.CDLL, volumes: dict[int, bytes], bits: int
) -> None:
    assert loaded(library, volumes[bits], LONG) == (0, bits, CONTENT)
    assert loaded(library, volumes[bits], LONG.upper()) == (0, bits, CONTENT)
    assert loaded(library, volumes[bits], "hole0") == (0, bits, bytes(9000))
    assert loaded(library, volumes[bits], "HOLE1") == (NOT_FOUND, bits, b"")
    assert loaded(library, volumes[bits], f"{LONG}x") == (NOT_FOUND, bits, b"")


@pytest.mark.parametrize("bits", VOLUMES)
@pytest.mark.parametrize("room", [2048, 5000, 1 << 20])
def test_a_file_is_digested_piece_by_piece(
    library: ctypes.CDLL, volumes: dict[int, bytes], bits: int, room: int
) -> None:
    name = ("\\" + LONG.replace("/", "\\") + "\0").encode("utf-16-le")
    digest, data = ctypes.create_string_buffer(32), volumes[bits]
    library.pk_test_digest.restype = ctypes.c_uint64
    sizes = (ctypes.c_uint64(len(data)), ctypes.c_uint64(room))
    assert library.pk_test_digest(data, sizes[0], name, sizes[1], digest) == 0
    assert digest.raw == hashlib.sha256(CONTENT).digest()


def test_a_key_disk_of_ours_is_read(library: ctypes.CDLL) -> None:
    name = "AA80A52B-9B66-47AE-B097-33F536FFBB07.BEK"
    volume = fat.plan({name: memoryview(CONTENT)}, "KEYS")
    data = bytearray(volume.size)
    volume.write(memoryview(data))
    assert loaded(library, bytes(data), name.lower()) == (0, 12, CONTENT)


def test_what_is_no_fat_is_refused(library: ctypes.CDLL, volumes: dict[int, bytes]) -> None:
    assert loaded(library, bytes(1 << 20), "hole0")[0] == UNSUPPORTED
    assert loaded(library, volumes[32][: 20 << 20], "hole0")[0] == UNSUPPORTED
