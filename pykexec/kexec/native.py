# SPDX-License-Identifier: Apache-2.0
"""kexec_file_load(2) of the EFI application itself: kernels with kernel-patches/ can."""

from __future__ import annotations

import errno
import logging
import os
import struct

from pykexec._native import lib
from pykexec.errors import KexecError, PayloadRefusedError
from pykexec.firmware import native
from pykexec.kexec.request import Payload

log = logging.getLogger(__name__)

# The boot protocol's magic (Documentation/arch/x86/boot.rst): a kernel is loaded as a kernel.
_MAGIC_OFFSET, _MAGIC = 0x202, b"HdrS"
# Neither do these say anything of the payload, nor is another way to start it a weaker one.
_SHORT_OF = (errno.ENOMEM, errno.EBUSY, errno.EADDRNOTAVAIL)


def load(payload: Payload, cmdline: str) -> bool:
    """Load the payload without the resume image; False where that is not this kernel's way.

    PayloadRefusedError when the kernel checked the payload and does not want it: what it would
    not have looked at in a resume image's initrd must not come in by that door.
    """
    if not native.is_allowed() or not native.is_there() or _is_kernel(payload):
        return False
    flags = lib.KEXEC_FILE_NO_INITRAMFS
    code = -lib.pk_kexec_file_load(payload.fd, -1, cmdline.encode(), flags)
    if code == errno.ENOEXEC:  # Said before any signature is looked at.
        log.info("kexec_file_load: this kernel takes no EFI applications, the resume image will do")
        return False
    if code:
        error = KexecError if code in _SHORT_OF else PayloadRefusedError
        raise error(code, f"kexec_file_load: {refusal(code)}", payload.source)
    return True


def refusal(code: int) -> str:
    """What the kernel means; with Secure Boot it passes on what its check of signatures said."""
    if code in _SHORT_OF or code in (errno.EINVAL, errno.EBADF, errno.EIO):
        return os.strerror(code)
    return f"the kernel trusts no signature of it ({errno.errorcode.get(code, code)})"


def takes_applications() -> bool:
    """Is an EFI application something that this kernel would load?

    Only trying tells. It is given the headers of one, and an initramfs that does not exist: it
    comes to that after it has recognised what it was given, and no further.
    """
    if not native.is_allowed() or not native.is_there():
        return False
    fd = os.memfd_create("headers", os.MFD_CLOEXEC)
    try:
        os.write(fd, _headers())
        return bool(lib.pk_kexec_file_load(fd, -1, b"", 0) != -errno.ENOEXEC)
    finally:
        os.close(fd)


def _headers() -> bytes:
    from pykexec.efi import pe

    size = 4096
    headers = bytearray(size)
    headers[:2] = b"MZ"
    at = 0x40
    struct.pack_into("<I", headers, 0x3C, at)
    sections, optional_size = 0, 240
    struct.pack_into("<4sHH12xH", headers, at, b"PE", pe.MACHINE_AMD64, sections, optional_size)
    struct.pack_into("<H", headers, at + 24, pe.MAGIC_PE32_PLUS)
    struct.pack_into("<H", headers, at + 24 + 68, pe.SUBSYSTEM_EFI_APPLICATION)
    return bytes(headers)


def _is_kernel(payload: Payload) -> bool:
    return os.pread(payload.fd, len(_MAGIC), _MAGIC_OFFSET) == _MAGIC
