# SPDX-License-Identifier: Apache-2.0
"""The boot server: dnsmasq as a child, HTTP beside it, both until they are stopped."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pykexec.log import printable
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
        file = self.settings.boot_file
        for address in self.addresses.hosts if self.addresses else ("<this machine>",):
            host = f"[{address}]" if ":" in address else address
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

    def say(line: str) -> None:
        report(printable(line))  # Clients choose some of the words.

    with ExitStack() as stack:
        addresses = read_addresses(settings.interface) if settings.interface else None
        hosts = addresses.hosts if addresses else ("",)
        directory = os.open(settings.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, directory)
        http_port, https_port = settings.http_port, settings.tls.port if settings.tls else 0
        for host in hosts:
            http_port = _start_web(stack, Web(directory, host, http_port, say))
            if settings.tls:
                web = Web(directory, host, https_port, say, settings.tls)
                https_port = _start_web(stack, web)
        dnsmasq = None
        if addresses:
            told = configuration(settings, addresses, http_port)
            dnsmasq = Dnsmasq(told, settings.directory, say)
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
