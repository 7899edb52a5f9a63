# SPDX-License-Identifier: Apache-2.0
"""The kexec route: the payload by itself, or the resume image as kernel and it as the initrd."""

from __future__ import annotations

import errno
import os
from typing import NoReturn

from pykexec._native import lib
from pykexec.efi.efivarfs import StrPath
from pykexec.errors import KexecError
from pykexec.firmware.mailbox import Mailbox
from pykexec.kexec import native
from pykexec.kexec.leave import new_token, stage
from pykexec.kexec.mounts import settle
from pykexec.kexec.request import ExecRequest, Payload
from pykexec.log import print_marker

RESUME_IMAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "data", "resume.bin")
TOKEN_PARAMETER = "pykexec.payload"


def load(mailbox: Mailbox, request: ExecRequest) -> None:
    """Stage the payload and load it: by itself if that is the kernel's way, else behind the
    resume image. KexecError if the kernel refuses.
    """
    token = new_token()
    stage(mailbox, request, token, 0)
    cmdline = f"{TOKEN_PARAMETER}={token}"
    if native.load(request.payload, cmdline):
        return
    kexec_file_load(request.payload, cmdline)


def kexec_file_load(payload: Payload, cmdline: str, resume: StrPath = RESUME_IMAGE) -> None:
    """kexec_file_load(2); KexecError carries errno and names the payload."""
    try:
        fd = os.open(resume, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KexecError(error.errno, error.strerror, os.fspath(resume)) from None
    try:
        result = lib.pk_kexec_file_load(fd, payload.fd, cmdline.encode(), 0)
    finally:
        os.close(fd)
    if result:
        raise KexecError(-result, f"kexec_file_load: {_fault(-result)}", payload.source)


def _fault(code: int) -> str:
    """What the kernel means; with Secure Boot it passes on what its check of signatures said."""
    if code in (errno.ELIBBAD, errno.ENODATA, errno.EKEYREJECTED, errno.ENOKEY, errno.EBADMSG):
        return f"the kernel is locked down and takes signed images only ({errno.errorcode[code]})"
    if code == errno.EPERM and os.geteuid() == 0:
        return "kexec is switched off in this boot (kernel.kexec_load_disabled)"
    return os.strerror(code)


def execute(source: str) -> NoReturn:
    """Jump into what was loaded; KexecError if the kernel will not."""
    settle()
    print_marker("agent", "resume")
    result = lib.pk_reboot(lib.LINUX_REBOOT_CMD_KEXEC)
    raise KexecError(-result, f"reboot: {os.strerror(-result)}", source)
