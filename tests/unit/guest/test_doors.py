# SPDX-License-Identifier: Apache-2.0
"""PID 1 closes what would let root of a locked-down Linux reach the firmware's memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.guest import doors
from pykexec.kexec import native
from tests.support.faults import FAULTS, inject

SECURE_BOOT_AT, BOOT_PARAMS_SIZE = 0x1EC, 4096  # Documentation/arch/x86/zero-page.rst
UNSET, UNKNOWN, DISABLED, ENABLED = range(4)
LEVEL, SECURITY_MODULES = "sys/kernel/security/lockdown", "sys/kernel/security/lsm"
KEXEC, MODULES = "proc/sys/kernel/kexec_load_disabled", "proc/sys/kernel/modules_disabled"


def linux(root: Path, secure_boot: int, *switches: str) -> Path:
    """A Linux whose EFI stub found this of Secure Boot, with these switches, all off, and which is
    not locked down.
    """
    data = bytearray(BOOT_PARAMS_SIZE)
    data[SECURE_BOOT_AT] = secure_boot
    for name, content in {
        "sys/kernel/boot_params/data": bytes(data),
        SECURITY_MODULES: b"lockdown,yama,apparmor\n",
        LEVEL: b"[none] integrity confidentiality\n",
        **dict.fromkeys(switches, b"0"),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def switched(root: Path) -> list[str]:
    """What is switched on."""
    return [name for name in (KEXEC, MODULES) if (root / name).read_text() == "1"]


@pytest.mark.parametrize("found", [UNSET, UNKNOWN, ENABLED])
def test_both_are_closed_unless_secure_boot_is_known_to_be_off(found: int, tmp_path: Path) -> None:
    root = linux(tmp_path, found, KEXEC, MODULES)
    assert doors.close_doors(str(root)) == []
    assert switched(root) == [KEXEC, MODULES]


def test_without_secure_boot_they_stay_open(tmp_path: Path) -> None:
    root = linux(tmp_path, DISABLED, KEXEC, MODULES)
    assert doors.close_doors(str(root)) == []
    assert switched(root) == []


@pytest.mark.parametrize(
    ("found", "before", "after"),
    [
        (ENABLED, "[none] integrity confidentiality\n", "integrity"),
        (ENABLED, "none [integrity] confidentiality\n", "none [integrity] confidentiality\n"),
        (ENABLED, "none integrity [confidentiality]\n", "none integrity [confidentiality]\n"),
        (DISABLED, "[none] integrity confidentiality\n", "[none] integrity confidentiality\n"),
    ],
)
def test_a_kernel_that_does_not_lock_itself_down_is_asked_to(
    found: int, before: str, after: str, tmp_path: Path
) -> None:
    root = linux(tmp_path, found, KEXEC, MODULES)
    (root / LEVEL).write_text(before)
    doors.close_doors(str(root))
    assert (root / LEVEL).read_text() == after


def test_the_series_is_locked_down_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = linux(tmp_path, ENABLED)
    (root / "sys/bus/efi-bootsvc").mkdir(parents=True)
    monkeypatch.setattr(native, "takes_applications", lambda: True)
    doors.close_doors(str(root))
    assert (root / LEVEL).read_text() == "integrity"


@pytest.mark.parametrize("modules", [None, "", "yama,apparmor\n", "nolockdown\n"])
def test_nobody_is_let_in_where_a_kernel_cannot_be_locked_down(
    modules: str | None, tmp_path: Path
) -> None:
    root = linux(tmp_path, ENABLED, KEXEC, MODULES)
    (root / SECURITY_MODULES).unlink()
    if modules is not None:
        (root / SECURITY_MODULES).write_text(modules)
    with pytest.raises(OSError, match="cannot be locked down"):
        doors.close_doors(str(root))


def test_a_kernel_that_refuses_keeps_a_door_open(tmp_path: Path) -> None:
    root = linux(tmp_path, ENABLED, KEXEC, MODULES)
    (root / LEVEL).unlink()
    (root / LEVEL).mkdir()
    with pytest.raises(IsADirectoryError):
        doors.close_doors(str(root))


@pytest.mark.parametrize("data", [None, b"", bytes(BOOT_PARAMS_SIZE - 1)])
def test_a_kernel_that_does_not_tell_counts_as_one_under_secure_boot(
    data: bytes | None, tmp_path: Path
) -> None:
    root = linux(tmp_path, DISABLED)
    params = root / "sys/kernel/boot_params/data"
    params.unlink()
    if data is not None:
        params.write_bytes(data)
    assert not doors.is_secure_boot_off(str(root))


def test_a_door_that_the_kernel_lacks_is_no_fault_one_that_stays_open_is(tmp_path: Path) -> None:
    root = linux(tmp_path, ENABLED)
    (root / MODULES).mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=MODULES):
        doors.close_doors(str(root))


@pytest.mark.parametrize("fault", FAULTS)
def test_modules_that_cannot_be_loaded_keep_no_door_open(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = linux(tmp_path, ENABLED, KEXEC, MODULES)
    inject(monkeypatch, doors, "load_all", fault)
    (line,) = doors.close_doors(str(root))
    assert line.startswith("modules: ")
    assert switched(root) == [KEXEC, MODULES]


@pytest.mark.parametrize(("native_exec", "closed"), [(True, []), (False, [KEXEC])])
def test_a_kernel_with_the_series_keeps_what_it_does_natively(
    native_exec: bool, closed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = linux(tmp_path, ENABLED, KEXEC, MODULES)
    (root / "sys/bus/efi-bootsvc").mkdir(parents=True)
    monkeypatch.setattr(native, "takes_applications", lambda: native_exec)
    assert doors.close_doors(str(root)) == []
    assert switched(root) == closed
