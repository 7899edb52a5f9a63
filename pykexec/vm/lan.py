# SPDX-License-Identifier: Apache-2.0
"""A network of our own: a namespace with a TAP interface that servers and machines share.

The host's network is not touched. Root may make one, and so may anybody where user namespaces are
allowed, as Debian does.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pykexec.errors import ToolError
from pykexec.vm import child

TAP = "tap0"
_TUN = Path("/dev/net/tun")
_TUN_NUMBER = (10, 200)  # admin-guide/devices.rst
_READY = "ready"
_SERVE_WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class _Route:
    """A way to make a namespace, and to enter the one of a process."""

    make: tuple[str, ...]
    enter: tuple[str, ...]


_AS_ROOT = _Route(("unshare", "--net"), ("--net",))
_AS_USER = _Route(
    ("unshare", "--user", "--map-root-user", "--net"), ("--user", "--net", "--preserve-credentials")
)


class Lan:
    """Exists while the `with` block lasts; addresses ("10.77.0.1/24") are those of its TAP."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)

    def __enter__(self) -> Self:
        _make_tun()
        faults = []
        for route in (_AS_ROOT, _AS_USER) if os.geteuid() == 0 else (_AS_USER,):
            script = "; ".join(["set -e", *self._commands(), f"echo {_READY}", "exec cat"])
            self._holder = subprocess.Popen(
                [*route.make, "sh", "-c", script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert self._holder.stdout
            said = ""
            while line := self._holder.stdout.readline():
                if line.strip() == _READY:
                    self._route = route
                    return self
                said += line
            self._end()
            faults.append(f"{' '.join(route.make)}: {' '.join(said.split()) or 'failed'}")
        raise ToolError(f"no network of our own can be made: {'; '.join(faults)}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def within(self) -> tuple[str, ...]:
        """The words in front of a command that is to run in this network, and to end with us."""
        target = ("nsenter", f"--target={self._holder.pid}", *self._route.enter, "--")
        # Whoever enters a user namespace loses the signal that it was to get.
        return (*target, "setpriv", "--pdeathsig", "KILL", "--")

    @contextmanager
    def serve(self, directory: Path, log_file: Path, *options: str) -> Iterator[None]:
        """Run `pykexec netboot serve` here, on the TAP, while the `with` block lasts."""
        command = [sys.executable, "-m", "pykexec", "netboot", "serve", str(directory)]
        words = [*self.within, *command, "--interface", TAP, *options]
        process = child.start(words, log_file)
        try:
            deadline = time.monotonic() + _SERVE_WAIT_S
            while "\nHTTP " not in (said := log_file.read_text(errors="replace")):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise ToolError(f"{shlex.join(words)}: does not serve: {said.strip()}")
                time.sleep(0.05)
            yield
        finally:
            child.stop(process)

    def _commands(self) -> list[str]:
        commands = ["ip link set lo up", f"ip tuntap add dev {TAP} mode tap"]
        for address in self._addresses:
            # An address that is still being probed cannot be served from.
            commands.append(f"ip address add {address} dev {TAP}" + " nodad" * (":" in address))
        return [*commands, f"ip link set {TAP} up"]

    def _end(self) -> None:
        assert self._holder.stdin and self._holder.stdout
        self._holder.stdin.close()
        try:
            self._holder.wait(5)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        self._holder.stdout.close()


def _make_tun() -> None:
    """Containers often lack the node although they may use the device."""
    if _TUN.exists() or os.geteuid() != 0:
        return
    try:
        _TUN.parent.mkdir(exist_ok=True)
        os.mknod(_TUN, 0o020666, os.makedev(*_TUN_NUMBER))
    except OSError as error:
        raise ToolError(f"{_TUN}: {error.strerror}; TAP interfaces need it") from None
