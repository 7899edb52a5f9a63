# SPDX-License-Identifier: Apache-2.0
"""A stick that finds out what a machine is like: an image that certifies, on a disk to boot from.

All that is written there has its clusters from the beginning: see pykexec/certify/stick.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pykexec.about import REPORTS_TO
from pykexec.certify.journal import FILL
from pykexec.certify.settings import (
    APPLICATION_FILE,
    APPLICATION_PATH,
    JOURNAL_SIZE,
    PAGE_SIZE,
    REPORT_SIZE,
    SCRATCH_PATH,
    SCRATCH_SIZE,
    SLOTS,
    Settings,
    encode_settings,
    slot_paths,
)
from pykexec.config.agent import CERTIFY_PATH
from pykexec.disk import boot_disk
from pykexec.errors import UsageError
from pykexec.image import files
from pykexec.image.builder import Built, build
from pykexec.image.recipe import DATA, Recipe
from pykexec.image.sign import sign

LABEL = "PKCERTIFY"
IMAGE_PATH = "EFI/BOOT/BOOTX64.EFI"
_FILL_PIECE = FILL * (1 << 20)
README = f"""\
This stick finds out how well pykexec works on a machine.\r
\r
Boot it (UEFI, x86-64). It needs no answer: watch it, and where nothing moves for\r
ten minutes switch the machine off and boot the stick again: it goes on behind the\r
step that hung. Then look at certify\\1\\report.html; what was found out at any time\r
is in certify\\1\\journal.txt.\r
\r
Disks are only read. Serial numbers, MAC addresses and UUIDs are not in the report\r
unless the stick was made with --identifiers. Send report.json to:\r
{REPORTS_TO}\r
"""


def certify_image(
    recipe: Recipe, settings: Settings, application: Path = DATA / "hello.efi"
) -> tuple[Built, bytes]:
    """The image, and the application that it starts and that comes back, signed if it is."""
    if recipe.config:
        raise UsageError("an image that certifies has no agent.toml")
    code = files.read(application)
    if recipe.signing:
        code = sign(code, recipe.signing)
    with tempfile.TemporaryDirectory(prefix="pykexec-certify-") as directory:
        # Of one name whoever builds it, as it is in the bill of materials.
        tree = Path(directory) / "certify"
        for name, data in ((CERTIFY_PATH, encode_settings(settings)), (APPLICATION_FILE, code)):
            target = tree / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        additions = (*recipe.initrd_add, tree)
        return build(replace(recipe, initrd_add=additions, certify=True)), code


def stick_pieces(image: bytes, application: bytes) -> Iterator[tuple[int, bytes]]:
    """The stick: offsets and bytes in order; what is not among them is zeros, the last byte is."""
    contents = {
        IMAGE_PATH: image,
        _slashed(APPLICATION_PATH): application,
        "certify/README.TXT": README.encode("ascii"),
    }
    sizes = {name: len(data) for name, data in contents.items()}
    for number in range(1, SLOTS + 1):
        for path, size in zip(
            slot_paths(number), (JOURNAL_SIZE, REPORT_SIZE, PAGE_SIZE), strict=True
        ):
            sizes[_slashed(path)] = size
    sizes[_slashed(SCRATCH_PATH)] = SCRATCH_SIZE
    layout = boot_disk.plan(sizes, LABEL)
    yield 0, layout.metadata
    for place in layout.files:
        if place.path in contents:
            yield place.offset, contents[place.path]
        else:
            for start in range(0, place.size, len(_FILL_PIECE)):
                yield place.offset + start, _FILL_PIECE[: place.size - start]
    yield layout.size - 1, b"\0"


def write_stick(path: Path, image: bytes, application: bytes) -> int:
    """Make path hold the stick, whole or not at all; its size. UsageError if it cannot be."""
    partial = path.with_name(f"{path.name}.new")
    try:
        with open(partial, "wb") as file:
            for offset, data in stick_pieces(image, application):
                file.seek(offset)
                file.write(data)
            size = file.seek(0, 2)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
    return size


def _slashed(path: str) -> str:
    return path.lstrip("\\").replace("\\", "/")
