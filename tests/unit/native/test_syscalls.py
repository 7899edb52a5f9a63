# SPDX-License-Identifier: Apache-2.0
"""The system calls reach the kernel and bring its errno back; what they do is for the VM tests."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from pykexec._native import ffi, lib

NOBODY = -errno.EPERM
SEGMENTS = ffi.new("struct pk_segment[]", 17)


@pytest.mark.parametrize(
    ("call", "as_root"),
    [
        (lambda: lib.pk_kexec_file_load(-1, -1, b"", 0), -errno.EBADF),
        (lambda: lib.pk_kexec_file_load(-1, -1, b"", 1 << 40), -errno.EINVAL),
        (lambda: lib.pk_kexec_load(0, 1, SEGMENTS, 1 << 15), -errno.EINVAL),
        (lambda: lib.pk_finit_module(-1, b"", 0), -errno.EBADF),
        (lambda: lib.pk_finit_module(-1, b"", 1 << 20), -errno.EINVAL),
        (lambda: lib.pk_reboot(0x12345), -errno.EINVAL),
    ],
)
def test_an_error_is_the_kernels_errno(call: Callable[[], int], as_root: int) -> None:
    # Containers filter these calls, or compile them out, in ways of their own.
    assert call() in (
        {as_root, NOBODY, -errno.ENOSYS} if os.geteuid() == 0 else {NOBODY, -errno.ENOSYS}
    )


def test_too_many_segments_never_reach_the_kernel() -> None:
    assert lib.pk_kexec_load(0, lib.KEXEC_SEGMENT_MAX + 1, SEGMENTS, 0) == -errno.EINVAL


def test_mount_reports_what_is_missing() -> None:
    missing = b"/does/not/exist"
    assert lib.pk_mount(b"none", missing, b"tmpfs", lib.MS_RDONLY, ffi.NULL) in (
        -errno.ENOENT,
        NOBODY,
    )
    assert lib.pk_umount2(missing, 0) in (-errno.ENOENT, NOBODY)
