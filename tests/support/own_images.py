# SPDX-License-Identifier: Apache-2.0
"""Small images of ours, as whole as the builder's, that are read and compared and never run."""

from __future__ import annotations

from functools import cache

from pykexec.firmware.description import DESCRIPTION, describe
from tests.unit.image import inputs
from tests.unit.image.inputs import TEXT, SectionInput, pe_bytes

SBAT = b"sbat,1,SBAT Version,sbat,1,x\npykexec,1,pykexec,pykexec,1,x\n"


@cache
def own_image(
    version: str = "1.0",
    kernel: str = "6.12.1",
    *,
    sbat: bytes = SBAT,
    kernel_sbat: bytes = b"",
    initrd_size: int = 64,
    release: str = "ID=pykexec",
) -> bytes:
    """One of such a version, kernel and generations."""
    sections = {
        ".osrel": f"{release}\nVERSION_ID={version}\n".encode(),
        ".cmdline": b"quiet",
        ".uname": kernel.encode(),
        ".linux": kernel_of(kernel, kernel_sbat),
        ".initrd": b"initramfs".ljust(initrd_size, b"."),
    }
    sections[DESCRIPTION] = describe({".sbat": sbat, **sections})
    made = [TEXT, SectionInput(".sbat", 0x2000, sbat)]
    address = 0x3000
    for name, data in sections.items():
        made.append(SectionInput(name, address, data))
        address += -(-len(data) // 0x1000) * 0x1000
    return pe_bytes(made, image_size=address)


def kernel_of(version: str, sbat: bytes = b"") -> bytes:
    """A kernel, with .sbat of its own if so wished."""
    more = [SectionInput(".sbat", 0x2000, sbat)] if sbat else []
    return inputs.kernel_bytes(f"{version} (me) #1", more=more)


def own_images() -> list[bytes]:
    """With generations of the stub's, and of both."""
    return [own_image(), own_image(kernel_sbat=b"sbat,1\nlinux,2\n")]
