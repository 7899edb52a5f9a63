# SPDX-License-Identifier: Apache-2.0
"""The boot server: dnsmasq as a child, HTTP beside it, both until they are stopped."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pykexec.netboot.dnsmasq import Dnsmasq, configuration
from pykexec.netboot.settings import Addresses, Settings, read_addresses
from pykexec.netboot.web import Web


@dataclass(frozen=True, slots=True)
class Server:
    """A boot server that runs; ports are those that it really has (0: no HTTPS)."""

    settings: Settings
    addresses: Addresses | None
    http_port: int
    https_port: int
    dnsmasq: Dnsmasq | None

    def describe(self) -> Iterator[str]:
        """What can be had where, a line each."""
        hosts = ["<this machine>"]
        if self.addresses:
            found = (self.addresses.ipv4, self.addresses.ipv6)
            hosts = [f"[{a.ip}]" if a.version == 6 else str(a.ip) for a in found if a]
        file = self.settings.boot_file
        for host in hosts:
            if self.dnsmasq:
                yield f"PXE   tftp://{host}/{file}"
            yield f"HTTP  http://{host}:{self.http_port}/{file}"
            if self.https_port:
                yield f"HTTPS https://{host}:{self.https_port}/{file}"

    def wait(self) -> None:
        """Serve until interrupted; ToolError if dnsmasq ends by itself."""
        if self.dnsmasq:
            self.dnsmasq.wait()
        else:
            threading.Event().wait()


@contextmanager
def serve(settings: Settings, report: Callable[[str], None]) -> Iterator[Server]:
    """Serve as settings say while the `with` block lasts; report gets every line of the log.

    UsageError or ToolError say what is missing: rights, an address, the program, a free port.
    """
    settings.check()
    with ExitStack() as stack:
        addresses = read_addresses(settings.interface) if settings.interface else None
        http_port = _start_web(stack, Web(settings.directory, settings.http_port, report))
        https_port = 0
        if tls := settings.tls:
            https_port = _start_web(stack, Web(settings.directory, tls.port, report, tls))
        dnsmasq = None
        if addresses:
            state = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="pykexec-netboot-"))
            )
            file = state / "dnsmasq.conf"
            file.write_text(configuration(settings, addresses, http_port, state))
            _give_to_owner(state, settings.directory)
            dnsmasq = Dnsmasq(file, settings.directory, report)
            stack.callback(dnsmasq.stop)
            dnsmasq.await_start()
        yield Server(settings, addresses, http_port, https_port, dnsmasq)


def _start_web(stack: ExitStack, web: Web) -> int:
    thread = threading.Thread(target=web.serve_forever, name="http", daemon=True)
    thread.start()
    stack.callback(thread.join)
    stack.callback(web.server_close)
    stack.callback(web.shutdown)
    return int(web.server_address[1])


def _give_to_owner(state: Path, directory: Path) -> None:
    """dnsmasq writes its leases with the rights of whom the files belong to."""
    import os

    if os.geteuid() == 0:
        os.chown(state, directory.stat().st_uid, -1)
