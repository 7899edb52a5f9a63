# SPDX-License-Identifier: Apache-2.0
"""What the stand-in for Windows' boot manager does with answers that no test machine gives."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

import pytest

from pykexec import _freestanding
from pykexec.run import run
from pykexec.vm import hives
from tests.support.windows_disk import load_options

CSRC = Path(__file__).resolve().parents[3] / "csrc"
SOURCES = (
    *("payload/bootmgr/disks.c", "payload/bootmgr/options.c", "payload/bootmgr/sha256.c"),
    *("common/device_path.c", "common/guids.c"),
)
MEDIA_CHANGED, ABORTED = 1 << 63 | 13, 1 << 63 | 21
OBJECT = f"{{{hives.BOOT_MANAGER}}}"
TEXT = f"BCDOBJECT={OBJECT}"
BLOB = load_options(TEXT)
HEAD = 20  # bytes in front of the text


@pytest.fixture(scope="module", name="library")
def library_fixture(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    target = tmp_path_factory.mktemp("bootmgr") / "calls.so"
    flags = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-fshort-wchar", "-shared"]
    flags += ["-fPIC", f"-I{CSRC}", f"-I{CSRC / 'include'}"]
    files = [*(CSRC / name for name in SOURCES), Path(__file__).parent / "firmware.c"]
    run([*_freestanding.compiler(), *flags, "-o", target, *files], timeout_s=60)
    library = ctypes.CDLL(str(target))
    library.pk_test_media.restype = library.pk_test_options.restype = ctypes.c_uint64
    return library


@pytest.mark.parametrize(
    ("changes", "status", "counts"),
    [
        (0, 0, [2, 0, 0]),
        (1, 0, [3, 1, 1]),
        (2, 0, [4, 2, 2]),
        (3, MEDIA_CHANGED, [3, 3, 3]),
    ],
)
def test_a_medium_that_has_changed_is_opened_anew_and_read_again_twice(
    library: ctypes.CDLL, changes: int, status: int, counts: list[int]
) -> None:
    found = (ctypes.c_uint32 * 3)()
    assert library.pk_test_media(changes, found) == status
    assert list(found) == counts


def options(library: ctypes.CDLL, data: bytes) -> tuple[int, bool]:
    """Status, and whether Windows' own object is named."""
    named = ctypes.c_bool()
    status = library.pk_test_options(data, len(data), OBJECT.encode(), ctypes.byref(named))
    return status, named.value


def test_load_options_are_text_or_what_windows_has_in_its_entry(library: ctypes.CDLL) -> None:
    assert options(library, TEXT.encode("utf-16-le") + b"\0\0") == (0, True)
    assert options(library, BLOB) == (0, True)
    assert options(library, load_options("BCDOBJECT={0}")) == (0, False)


@pytest.mark.parametrize(
    "data",
    [
        BLOB[:-2],
        BLOB + b"\0\0",
        BLOB[:8] + struct.pack("<I", 2) + BLOB[12:],
        BLOB[:16] + struct.pack("<I", len(BLOB) + 2) + BLOB[HEAD:],
        BLOB[:16] + struct.pack("<I", HEAD - 2) + BLOB[HEAD:],
        TEXT.encode("utf-16-le")[:-1],
    ],
)
def test_what_is_neither_is_refused(library: ctypes.CDLL, data: bytes) -> None:
    assert options(library, data) == (ABORTED, False)
