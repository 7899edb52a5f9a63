# SPDX-License-Identifier: Apache-2.0
"""Released secrets as files on disks in the firmware's memory, where the payload looks for them."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from pykexec.attest.file_names import file_name
from pykexec.attest.opened import OpenedSecret
from pykexec.disk import bek
from pykexec.disk.key_disk import BITLOCKER, PLAIN, Form, make_key_disk
from pykexec.efi.guid import Guid
from pykexec.errors import FirmwareError, FormatError
from pykexec.firmware.mailbox import Mailbox
from pykexec.kexec import ramdisk
from pykexec.kexec.ramdisk import Image, Ramdisk
from pykexec.secret import Secret

_PIECE = 64 << 10
_STARTUP_KEY = "bitlocker-external-key"


def deliver(
    mailbox: Mailbox,
    secrets: Sequence[OpenedSecret],
    *,
    persist: bool = False,
    key_disks: str = "both",
) -> list[Ramdisk]:
    """Put all secrets on new disks of the firmware; none is made where there are no secrets.

    They lie in boot-services memory and are wiped when the payload's operating system ends boot
    services. BitLocker's startup keys have disks of their own, as key_disks of agent.toml says;
    all else shares a RAM disk, which with persist that system finds (NFIT), and has to wipe itself.
    The secrets stay the caller's to wipe. FormatError names a secret that is not what its kind has
    to be. Whatever goes wrong leaves no disk behind.
    """
    made: list[Ramdisk] = []
    with ExitStack() as undo:
        for plan in _plans(secrets, persist=persist, key_disks=key_disks):
            with key_disk(plan) as disk:
                image = Image(plan.what, len(disk), partial(_pieces, disk.view))
                for shape in plan.shapes:
                    added = _add(mailbox, image, plan, shape)
                    if added is None:
                        continue
                    made.append(added)
                    undo.callback(ramdisk.remove, mailbox, added.number)
        undo.pop_all()
    return made


@dataclass(frozen=True, slots=True)
class KeyDisk:
    """One disk's bytes to be made, and the shapes in which the firmware gets them. which tells
    disks of the same files apart. dispensable: there is a disk of another shape with these files.
    """

    secrets: tuple[OpenedSecret, ...]
    form: Form
    shapes: tuple[str, ...]
    which: str = ""
    persist: bool = False
    dispensable: bool = False

    @property
    def what(self) -> str:
        """What errors call it."""
        return "released startup keys" if self.form is BITLOCKER else "released secrets"


def _plans(
    secrets: Sequence[OpenedSecret], *, persist: bool, key_disks: str
) -> tuple[KeyDisk, ...]:
    """In the order in which they are made; arguments as of deliver()."""
    startup = tuple(each for each in secrets if each.kind == _STARTUP_KEY)
    others = tuple(each for each in secrets if each.kind != _STARTUP_KEY)
    found = [KeyDisk(others, PLAIN, ("ram-disk",), persist=persist)] if others else []
    if startup and key_disks == "same":
        found.append(KeyDisk(startup, BITLOCKER, ramdisk.SHAPES, dispensable=True))
    elif startup:
        both = key_disks == "both"
        shapes = ramdisk.SHAPES if both else (key_disks,)
        found += [KeyDisk(startup, BITLOCKER, (each,), each, dispensable=both) for each in shapes]
    return tuple(found)


def _add(mailbox: Mailbox, image: Image, plan: KeyDisk, shape: str) -> Ramdisk | None:
    """None for a RAM disk that is dispensable, where the firmware makes none by itself.

    Our driver would be measured into PCR 2, to which BitLocker's TPM protectors are sealed: they
    would not open in the boots in which a key is delivered, or in those in which none is.
    """
    try:
        return ramdisk.add(
            mailbox, image, persist=plan.persist, shape=shape, driver=not plan.dispensable
        )
    except FirmwareError as error:
        if not plan.dispensable or shape != "ram-disk" or error.errno != errno.EOPNOTSUPP:
            raise
    return None


@contextmanager
def key_disk(plan: KeyDisk) -> Iterator[Secret]:
    """The disk's bytes, wiped at the end of the with statement."""
    with ExitStack() as stack:
        files: dict[str, memoryview] = {}
        for secret in plan.secrets:
            path, data = _file(stack, secret)
            if path in files:
                raise FormatError(f"secret {secret.name}: there are two for the file {path}")
            files[path] = data
        yield stack.enter_context(make_key_disk(files, plan.form, plan.which))


def _pieces(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(view), _PIECE):
        yield view[start : start + _PIECE]


def _file(stack: ExitStack, secret: OpenedSecret) -> tuple[str, memoryview]:
    """Path and contents of the file that a secret becomes."""
    view, what = secret.value.view, f"secret {secret.name}"
    if secret.kind == _STARTUP_KEY:
        return startup_key_file(stack, secret)
    if secret.kind == "bitlocker-recovery-password":
        bek.check_recovery_password(view, what)
    if name := file_name(secret.kind, secret.parameters):
        return name, view
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
