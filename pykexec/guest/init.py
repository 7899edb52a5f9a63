# SPDX-License-Identifier: Apache-2.0
"""PID 1 of the initramfs: mounts, modules, doors, console; then the agent, again and again.

The kernel ends with it, so it does not end: a step that fails is a line, a process that cannot be
had is tried again after a pause, and when nothing helps the firmware has the machine again.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from pykexec._native import ffi, lib
from pykexec.guest.doors import close_doors
from pykexec.linux.lockdown import SECURITYFS
from pykexec.linux.modules import load_at_boot
from pykexec.steps import attempt, on_stderr

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

# PID 1 was a thread of the kernel that unpacked the initramfs, in system time. That is not ours.
_KERNEL_BOOT_S = os.times().system
HOSTNAME = "pykexec"
PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""After a crash of the agent and of what is to rescue it, one more each time; then it is enough."""
_STEADY_S = 60.0
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "TERM": "vt100"}

# Source, target, type, flags; devtmpfs is what /dev/console and the modules need.
_MOUNTS = (
    ("proc", "/proc", "proc", lib.MS_NOSUID | lib.MS_NODEV | lib.MS_NOEXEC),
    ("sysfs", "/sys", "sysfs", lib.MS_NOSUID | lib.MS_NODEV | lib.MS_NOEXEC),
    ("devtmpfs", "/dev", "devtmpfs", lib.MS_NOSUID),
    ("devpts", "/dev/pts", "devpts", lib.MS_NOSUID | lib.MS_NOEXEC),
    ("tmpfs", "/run", "tmpfs", lib.MS_NOSUID | lib.MS_NODEV),
    ("tmpfs", "/tmp", "tmpfs", lib.MS_NOSUID | lib.MS_NODEV),
)
_SECURITYFS = (
    "securityfs",
    f"/{SECURITYFS}",
    "securityfs",
    lib.MS_NOSUID | lib.MS_NODEV | lib.MS_NOEXEC,
)
_EFIVARFS = (
    "efivarfs",
    "/sys/firmware/efi/efivars",
    "efivarfs",
    lib.MS_NOSUID | lib.MS_NODEV | lib.MS_NOEXEC,
)


def main() -> NoReturn:
    """Never returns: PID 1 that ends takes the kernel with it."""
    is_closed = set_up()
    while not is_closed:  # Nobody may come in.
        attempt("init", _give_up, None)
        time.sleep(PAUSES_S[-1])
    nr_crashes = 0
    while True:
        begun = time.monotonic()
        attempt("init", partial(_attempt, partial(_agent, _cpu_time_s())), False)
        # The agent comes back only when it crashed: nobody may be at the console.
        rescued = attempt("init", partial(_attempt, _rescue), False)
        lived = time.monotonic() - begun > _STEADY_S
        nr_crashes = 0 if rescued or lived else nr_crashes + 1
        if nr_crashes > len(PAUSES_S):
            attempt("init", _give_up, None)
        time.sleep(PAUSES_S[min(nr_crashes, len(PAUSES_S)) - 1] if nr_crashes else 0)


def set_up() -> bool:
    """Everything up to a console that can be written to; faults are said on it afterwards.

    False if a door stays open that must be closed, the window's or one of Linux.
    """
    faults: list[str] = []
    for source, target, fstype, flags in _MOUNTS:
        mount = partial(_mount, source, target, fstype, flags)
        faults.append(attempt(f"mount {target}", mount, "", faults.append))
    faults += attempt("modules", load_at_boot, [], faults.append)
    if os.path.isdir(os.path.dirname(_EFIVARFS[1])):
        faults.append(attempt("efivarfs", partial(_mount, *_EFIVARFS), "", faults.append))
    if os.path.isdir(_SECURITYFS[1]):
        faults.append(attempt("securityfs", partial(_mount, *_SECURITYFS), "", faults.append))
    window = attempt("window", _settle_window, None, faults.append)
    faults.append(window or "")
    missing = attempt("doors", close_doors, None, faults.append)
    faults += missing or []
    os.environ.update(ENVIRONMENT)
    attempt("console", _open_console, None, faults.append)
    attempt("host name", _set_hostname, None, faults.append)
    for fault in filter(None, faults):
        on_stderr(f"init: {fault}")
    return window is not None and missing is not None


def _open_console() -> None:
    from pykexec.guest.console import open_console

    open_console("linux")


def _set_hostname() -> None:
    with open("/proc/sys/kernel/hostname", "w", encoding="ascii") as file:
        file.write(HOSTNAME)


def _settle_window() -> str:
    """Before any other process runs; what is amiss with it, "" if nothing."""
    from pykexec.linux.iomem import SET_ASIDE, read_iomem

    iomem = read_iomem()
    if SET_ASIDE in iomem:
        return ""
    # Since Linux 7.0 what is set aside is not listed, either: its address has to be asked for.
    from pykexec.bridge.window import settle

    return settle(iomem)


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


def _give_up() -> None:
    from pykexec.guest.agent import give_up

    give_up()


def _attempt(step: Callable[[], None]) -> bool:
    """Run step in a child, whose crash costs nothing, and reap whatever dies meanwhile.

    Did it come to its end?
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            from pykexec.guest.console import open_console, take_terminal
            from pykexec.linux.oom import spare_this_process

            spare_this_process()
            # Anew each time: the end of the last session's leader hung the old descriptors up.
            open_console()
            take_terminal()
            step()
            code = 0
        except BaseException:
            _report()
        finally:
            os._exit(code)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return status == 0


def _report() -> None:
    import sys
    import traceback

    with suppress(Exception):
        traceback.print_exc()
        sys.stderr.flush()


if __name__ == "__main__":
    main()
