# SPDX-License-Identifier: Apache-2.0
"""Disks with Windows on them, looked at: what the tests about that begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from pykexec.efi.authenticode import Certificate
from pykexec.windows.bitlocker import Protection as Flag
from pykexec.windows.check import check
from pykexec.windows.findings import Level, Report
from pykexec.windows.keys import StartupKey, startup_key
from pykexec.windows.machine import Machine
from tests.support.bitlocker import VOLUME, Way, bek_file, volume
from tests.support.windows_disk import (
    BCD,
    BOOTMGFW,
    PCA_2011,
    authority,
    bcd,
    certificates,
    disk,
    whole,
)
from tests.unit.image.inputs import pe_bytes

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
NTFS = b"\xeb\x52\x90NTFS    " + bytes(501)
STARTUP = "11111111-0000-4000-8000-111111111111"
RECOVERY = "22222222-0000-4000-8000-222222222222"
BY_TPM = "33333333-0000-4000-8000-333333333333"
STRANGER = "44444444-0000-4000-8000-444444444444"
WAYS = (Way(STARTUP, Flag.STARTUP_KEY, KEY), Way(RECOVERY, Flag.RECOVERY_PASSWORD))
WHAT = f"disk partition 2: BitLocker volume {{{str(VOLUME).upper()}}}"
WINDOWS_CA = Certificate("Microsoft Windows Production PCA 2011", b"")


@cache
def boot_manager(name: str = PCA_2011) -> bytes:
    return authority(name).sign(pe_bytes())


def machine(*names: str, authorities: Sequence[Certificate | str] | None = None) -> Machine:
    """With Secure Boot on, these authorities in db, and nothing in dbx."""
    found = None if authorities is None else tuple(authorities)
    return Machine(True, certificates(*(authority(name).der for name in names)), (), found)


def files(**changed: bytes | None) -> dict[str, bytes]:
    """An ESP's; None takes one away."""
    found = {BOOTMGFW: boot_manager(), BCD: bcd()}
    for name, data in changed.items():
        path = {"bootmgfw": BOOTMGFW, "bcd": BCD}[name]
        if data is None:
            del found[path]
        else:
            found[path] = data
    return found


def key(identifier: str = STARTUP, value: bytes = KEY, name: str = "key.BEK") -> StartupKey:
    return startup_key(memoryview(bytearray(bek_file(identifier, value))), name)


def looked_at(
    content: Mapping[str, bytes],
    ways: Sequence[Way] = WAYS,
    keys: Sequence[StartupKey] = (),
    of: Machine | None = None,
) -> Report:
    return look(disk(content, volume(ways)), keys, of)


def look(data: bytes, keys: Sequence[StartupKey] = (), of: Machine | None = None) -> Report:
    return check([whole("disk", data)], of or machine(PCA_2011), keys)


def texts(report: Report, level: Level) -> list[str]:
    return [str(each) for each in report.findings if each.level is level]
