# SPDX-License-Identifier: Apache-2.0
"""PID 1 of dom0: mounts, modules, Debian's toolstack, then the launch. It says on the console what
it does, PK:dom0:<stage>:<status>; where it fails nothing more is started, and it stays.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pykexec._native import ffi, lib
from pykexec.disk import reader
from pykexec.errors import PykexecError
from pykexec.launch.dom0 import measure, settings
from pykexec.launch.dom0.command_lines import LaunchError
from pykexec.launch.dom0.partitions import find_partition
from pykexec.launch.dom0.pci import read_topology
from pykexec.launch.dom0.start import World, launch
from pykexec.linux.modules import load_at_boot
from pykexec.log import marker
from pykexec.run import run
from pykexec.steps import attempt, on_stderr, words
from pykexec.tpm.client import Tpm, open_tpm

if TYPE_CHECKING:
    from typing import NoReturn

    from pykexec.launch.dom0.domains import Domain

BIN = "/usr/lib/pykexec/bin"
STATE = "/run/launch"
ENVIRONMENT = {
    "PATH": f"{BIN}:/usr/bin:/bin",
    "HOME": "/root",
    "XENSTORED_ROOTDIR": "/run/xenstored",
}
_MOUNTS = (
    ("proc", "/proc", "proc"),
    ("sysfs", "/sys", "sysfs"),
    ("devtmpfs", "/dev", "devtmpfs"),
    ("devpts", "/dev/pts", "devpts"),
    ("tmpfs", "/run", "tmpfs"),
)
_FOLDERS = ("/run/xen", "/run/lock", "/run/xenstored", "/var/lock", STATE)
_TOOLS = (
    ("xenstored", f"--pid-file={STATE}/xenstored.pid"),
    ("xen-init-dom0",),
    ("xenconsoled", "--log=all", "--log-dir=/var/log/xen", f"--pid-file={STATE}/xenconsoled.pid"),
)
_TOOL_S, _CREATE_S = 60.0, 300.0
_WAIT_S, _PAUSE_S = 20.0, 0.1
"""Disks and daemons are there some time after they were asked for."""

T = TypeVar("T")


def main() -> NoReturn:
    """Never returns."""
    say("start")
    for step in (_mount_all, _load_modules, _toolstack):
        attempt(step.__name__, step, None)
    status = attempt("launch", _launch, 1, _refuse)
    say("done", status)
    while True:  # Domains and their consoles are children of nobody else.
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)
            continue
        time.sleep(60)


def say(stage: str, status: int | str = 0) -> None:
    """A stage on the console."""
    on_stderr(marker("dom0", stage, status))


def _refuse(line: str) -> None:
    on_stderr(f"dom0: {line}; no domain is started")


def _mount_all() -> None:
    for source, target, fstype in _MOUNTS:
        os.makedirs(target, exist_ok=True)
        lib.pk_mount(source.encode(), target.encode(), fstype.encode(), lib.MS_NOSUID, ffi.NULL)
    for folder in _FOLDERS:
        os.makedirs(folder, exist_ok=True)
    os.environ.update(ENVIRONMENT)


def _load_modules() -> None:
    for fault in load_at_boot():
        on_stderr(f"dom0: {fault}")
    lib.pk_mount(b"xenfs", b"/proc/xen", b"xenfs", 0, ffi.NULL)


def _toolstack() -> None:
    for name, *rest in _TOOLS:
        run([f"{BIN}/{name}", *rest], timeout_s=_TOOL_S)
        wait_for(lambda: run([f"{BIN}/xenstore-read", "/"], timeout_s=_TOOL_S))
    say("toolstack")


def wait_for(step: Callable[[], T]) -> T:
    """What step comes to, which may fail at first; its own error where it does to the end."""
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            return step()
        except PykexecError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE_S)


def _launch() -> int:
    held = settings.parse_settings(Path(settings.PATH).read_bytes())
    with ExitStack() as stack:
        tpm = wait_for(lambda: stack.enter_context(open_tpm()))
        # Read-only, and by nobody else: dom0 never gives it to a domain.
        hidden = wait_for(lambda: find_partition(held.hidden))
        fd = os.open(hidden, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        world = World(
            xl_info=lambda: run([f"{BIN}/xl", "info"], timeout_s=_TOOL_S).decode(errors="replace"),
            cmdline=Path("/proc/cmdline").read_text,
            read=reader(fd),
            extend=partial(_extend, tpm),
            keep=keep,
            disk=find_partition,
            topology=read_topology,
            create=create,
            say=partial(on_stderr),
        )
        started = launch(world, held)
    for name in started:
        say(f"domain-{name}")
    return 0


def _extend(tpm: Tpm, data: bytes) -> None:
    tpm.event(measure.PCR, data)


def keep(path: str, chunks: Iterator[bytes]) -> str:
    """A file in dom0's memory; none where chunks raises."""
    target = Path(STATE, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(target, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
    except BaseException:
        target.unlink()
        raise
    return str(target)


def create(domain: Domain, text: str) -> None:
    """Create it paused, give it its PCI functions, let it run; where that fails it goes again."""
    path = Path(STATE, domain.name, "xl.cfg")
    path.write_text(text, encoding="ascii")
    for device in domain.devices:
        run([f"{BIN}/xl", "pci-assignable-add", device], timeout_s=_TOOL_S)
    run([f"{BIN}/xl", "create", "-q", "-p", path], timeout_s=_CREATE_S)
    try:
        for device in domain.devices:
            run([f"{BIN}/xl", "pci-attach", domain.name, device], timeout_s=_TOOL_S)
        run([f"{BIN}/xl", "unpause", domain.name], timeout_s=_TOOL_S)
    except BaseException as error:
        with suppress(Exception):
            run([f"{BIN}/xl", "destroy", domain.name], timeout_s=_TOOL_S)
        raise LaunchError(words(error)) from None


if __name__ == "__main__":
    main()
