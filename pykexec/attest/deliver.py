# SPDX-License-Identifier: Apache-2.0
"""Released secrets as files on a RAM disk of the firmware, where the payload looks for them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from pykexec.attest.opened import OpenedSecret
from pykexec.disk import bek
from pykexec.disk.key_disk import make_key_disk
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.firmware.mailbox import Mailbox
from pykexec.kexec import ramdisk
from pykexec.kexec.ramdisk import Image, Ramdisk
from pykexec.secret import Secret

_PIECE = 64 << 10
_FILES = {"luks-key": ".key", "luks-passphrase": ".pass"}


def deliver(
    mailbox: Mailbox, secrets: Sequence[OpenedSecret], *, persist: bool = False
) -> list[Ramdisk]:
    """Put all secrets on one new RAM disk; none is made where there are no secrets.

    It lies in boot-services memory and is wiped when the payload's operating system ends boot
    services; with persist that finds it (NFIT) and has to wipe it itself. The secrets stay the
    caller's to wipe. FormatError names a secret that is not what its kind has to be.
    """
    if not secrets:
        return []
    with key_disk(secrets) as disk:
        image = Image("released secrets", len(disk), lambda: _pieces(disk.view))
        return [ramdisk.add(mailbox, image, persist=persist)]


@contextmanager
def key_disk(secrets: Sequence[OpenedSecret]) -> Iterator[Secret]:
    """The disk's bytes, wiped at the end of the with statement."""
    with ExitStack() as stack:
        files: dict[str, memoryview] = {}
        for secret in secrets:
            path, data = _file(stack, secret)
            if path in files:
                raise FormatError(f"secret {secret.name}: there are two for the file {path}")
            files[path] = data
        yield stack.enter_context(make_key_disk(files))


def _pieces(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(view), _PIECE):
        yield view[start : start + _PIECE]


def _file(stack: ExitStack, secret: OpenedSecret) -> tuple[str, memoryview]:
    """Path and contents of the file that a secret becomes."""
    view, parameters, what = secret.value.view, secret.parameters, f"secret {secret.name}"
    if secret.kind == "bitlocker-external-key":
        return startup_key_file(stack, secret)
    if secret.kind == "bitlocker-recovery-password":
        bek.check_recovery_password(view, what)
        suffix = f" {parameters['volume'].upper()}" if "volume" in parameters else ""
        return f"BitLocker Recovery Key{suffix}.txt", view
    if "file" in parameters:
        return parameters["file"], view
    if secret.kind in _FILES:
        return f"{parameters.get('volume', 'luks')}{_FILES[secret.kind]}", view
    raise FormatError(f"{what}: a file needs a name")


def startup_key_file(stack: ExitStack, secret: OpenedSecret) -> tuple[str, memoryview]:
    """Name and contents of a .BEK file: the one that Windows wrote, or one made for a bare key,
    which the stack wipes. FormatError names a secret that is none.
    """
    view, what = secret.value.view, f"secret {secret.name}"
    if len(view) != bek.KEY_SIZE:
        return bek.file_name(bek.read(view, what).identifier), view
    if "identifier" not in secret.parameters:
        raise FormatError(f"{what}: a bare external key needs the identifier of its protector")
    identifier = Guid.parse(secret.parameters["identifier"])
    volume = secret.parameters.get("volume")
    guid = None if volume is None else Guid.parse(volume)
    file = stack.enter_context(Secret(bek.size(guid)))
    bek.write(file.view, view, identifier, guid, int(time.time()))
    return bek.file_name(identifier), file.view
