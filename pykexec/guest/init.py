# SPDX-License-Identifier: Apache-2.0
"""PID 1 of the initramfs: mounts, modules, console; then the agent, again and again."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from pykexec._native import ffi, lib
from pykexec.linux.modules import load_at_boot

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

# PID 1 was a thread of the kernel that unpacked the initramfs, in system time. That is not ours.
_KERNEL_BOOT_S = os.times().system
HOSTNAME = "pykexec"
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "TERM": "vt100"}

# Source, target, type, flags; devtmpfs is what /dev/console and the modules need.
_MOUNTS = (
    ("proc", "/proc", "proc", lib.MS_NOSUID | lib.MS_NODEV | lib.MS_NOEXEC),
    ("sysfs", "/sys", "sysfs", lib.MS_NOSUID | lib.MS_NODEV | lib.MS_NOEXEC),
    ("devtmpfs", "/dev", "devtmpfs", lib.MS_NOSUID),
    ("tmpfs", "/run", "tmpfs", lib.MS_NOSUID | lib.MS_NODEV),
    ("tmpfs", "/tmp", "tmpfs", lib.MS_NOSUID | lib.MS_NODEV),
)
_EFIVARFS = (
    "efivarfs",
    "/sys/firmware/efi/efivars",
    "efivarfs",
    lib.MS_NOSUID | lib.MS_NODEV | lib.MS_NOEXEC,
)


def main() -> NoReturn:
    """Never returns: PID 1 that ends takes the kernel with it."""
    try:
        set_up()
    except BaseException:
        _report()
    while True:
        _attempt(partial(_agent, _cpu_time_s()))
        # The agent comes back only when it crashed: nobody may be at the console.
        _attempt(_rescue)


def set_up() -> None:
    """Everything up to a console that can be written to; faults are said on it afterwards."""
    faults = [fault for mount in _MOUNTS if (fault := _mount(*mount))]
    faults += load_at_boot()
    if os.path.isdir(os.path.dirname(_EFIVARFS[1])) and (fault := _mount(*_EFIVARFS)):
        faults.append(fault)
    os.environ.update(ENVIRONMENT)
    from pykexec.guest.console import open_console

    open_console()
    with open("/proc/sys/kernel/hostname", "w", encoding="ascii") as file:
        file.write(HOSTNAME)
    for fault in faults:
        print(f"init: {fault}")


def _mount(source: str, target: str, fstype: str, flags: int) -> str:
    """What went wrong, "" if nothing did."""
    import errno

    try:
        os.makedirs(target, exist_ok=True)
    except OSError as error:
        return f"{target}: {error.strerror}"
    result = lib.pk_mount(source.encode(), target.encode(), fstype.encode(), flags, ffi.NULL)
    if result in (0, -errno.EBUSY):  # EBUSY: the kernel has mounted it already.
        return ""
    return f"mount {fstype} on {target}: {os.strerror(-result)}"


def _cpu_time_s() -> float:
    times = os.times()
    return times.user + times.system - _KERNEL_BOOT_S


def _agent(spent_s: float) -> None:
    from pykexec.guest.agent import run

    run(spent_s)


def _rescue() -> None:
    from pykexec.guest.agent import rescue

    rescue()


def _attempt(step: Callable[[], None]) -> None:
    """Run step in a child, whose crash costs nothing, and reap whatever dies meanwhile."""
    from pykexec.guest.console import open_console, take_terminal

    child = os.fork()
    if child == 0:
        code = 1
        try:
            # Anew each time: the end of the last session's leader hung the old descriptors up.
            open_console()
            take_terminal()
            step()
            code = 0
        except BaseException:
            _report()
        finally:
            os._exit(code)
    while os.waitpid(-1, 0)[0] != child:
        pass


def _report() -> None:
    import sys
    import traceback

    try:
        traceback.print_exc()
        sys.stderr.flush()
    except OSError:
        pass


if __name__ == "__main__":
    main()
