# SPDX-License-Identifier: Apache-2.0
"""dnsmasq's configuration for DHCP, PXE, TFTP and the addresses of UEFI HTTP boot; its process."""

from __future__ import annotations

import ipaddress
import logging
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from pykexec.errors import ToolError, UsageError
from pykexec.netboot.rights import without_root
from pykexec.netboot.settings import IPXE_SCRIPT, Addresses, Settings

log = logging.getLogger(__name__)

PROGRAM = "dnsmasq"
LEASE_TIME = "1h"
# Its own directory: a name that has a line's end in it writes no configuration, and whoever may not
# look into the directories above can serve what is in this one.
_ROOT = "/proc/self/cwd"
# What it keeps is memory, for which no name is left when somebody is killed. It closes what it
# inherits but for these three; with --no-daemon it says all that it says by the third.
_LEASES = "/proc/self/fd/1"
_FROM_STDIN = "-"
# Processor architectures of RFC 4578, as IANA lists them: x86-64 firmware, by PXE and by HTTP.
_PXE_X64 = (7, 9)
_HTTP_X64 = 16
_SMALLEST_NETWORK = 8  # addresses; with fewer there is nothing to give away
# Who asks by PXE over IPv6 says so with Intel's enterprise number (UEFI 2.10, 24.3.3.1). HTTP boot
# over IPv6 needs an answer of the same kind, which dnsmasq cannot give.
_INTEL = 343


def configuration(settings: Settings, addresses: Addresses, http_port: int) -> str:
    """The configuration file."""
    lines = [
        "# written by pykexec netboot serve",
        "port=0",
        f"interface={settings.interface}",
        "except-interface=lo",
        "bind-interfaces",
        "log-dhcp",
        f"dhcp-leasefile={_LEASES}",
        "enable-tftp",
        f"tftp-root={_ROOT}",
        *_classes(),
    ]
    if addresses.ipv4:
        lines += _ipv4(settings, addresses.ipv4, http_port)
    if addresses.ipv6 and not settings.proxy:  # DHCPv6 knows no proxies.
        lines += _ipv6(settings, addresses.ipv6, http_port)
    return "\n".join(lines) + "\n"


def _classes() -> Iterator[str]:
    """Who asks: firmware by PXE or HTTP, or iPXE."""
    for architecture in _PXE_X64:
        yield f"dhcp-match=set:pxe,option:client-arch,{architecture}"
    yield f"dhcp-match=set:http,option:client-arch,{_HTTP_X64}"
    yield "dhcp-userclass=set:ipxe,iPXE"
    yield f"dhcp-vendorclass=set:pxe6,enterprise:{_INTEL},PXEClient"


def _ipv4(settings: Settings, address: ipaddress.IPv4Interface, http_port: int) -> Iterator[str]:
    web = f"http://{address.ip}:{http_port}"
    network, server = address.network, address.ip
    if settings.proxy:
        yield f"dhcp-range={network.network_address},proxy,{network.netmask}"
        for architecture in _PXE_X64:
            yield f'pxe-service=tag:!ipxe,{architecture},"pykexec",{settings.boot_file},{server}'
    else:
        if network.num_addresses < _SMALLEST_NETWORK:
            raise UsageError(f"{network}: too small a network to give addresses away in")
        first, last = network[network.num_addresses // 2], network[-2]
        yield f"dhcp-range={first},{last},{network.netmask},{LEASE_TIME}"
        yield "dhcp-authoritative"
        yield f"dhcp-boot=tag:pxe,tag:!ipxe,{settings.boot_file},,{server}"
        yield f"dhcp-boot=tag:http,{web}/{settings.boot_file},,{server}"
        yield "dhcp-option-force=tag:http,60,HTTPClient"
    yield f"dhcp-boot=tag:ipxe,{web}/{_for_ipxe(settings)},,{server}"


def _ipv6(settings: Settings, address: ipaddress.IPv6Interface, http_port: int) -> Iterator[str]:
    web = f"http://[{address.ip}]:{http_port}"
    network = address.network
    if network.prefixlen > 120:
        raise UsageError(f"{network}: too small a network to give addresses away in")
    first = network[network.num_addresses // 2]
    yield "enable-ra"
    yield f"dhcp-range={first},{first + 126},{max(network.prefixlen, 64)},{LEASE_TIME}"
    yield f"dhcp-option=tag:pxe6,tag:!ipxe,option6:59,tftp://[{address.ip}]/{settings.boot_file}"
    yield f"dhcp-option=tag:ipxe,option6:59,{web}/{_for_ipxe(settings)}"


def _for_ipxe(settings: Settings) -> str:
    """Its script, if there is one: iPXE may itself be what the firmware is told to start."""
    has_script = (settings.directory / IPXE_SCRIPT).is_file()
    return IPXE_SCRIPT if has_script else settings.boot_file


class Dnsmasq:
    """The running program, which serves directory; report gets each line that it says."""

    def __init__(self, told: str, directory: Path, report: Callable[[str], None]) -> None:
        """told is its configuration file's text."""
        # It stays who it is: it could not find out who a user without a name is.
        words = [
            *without_root(directory),
            PROGRAM,
            f"--conf-file={_FROM_STDIN}",
            "--log-facility=-",
            "--no-daemon",
        ]
        if not shutil.which(PROGRAM):
            fault = f"{PROGRAM}: not installed (on Debian it is in the package dnsmasq-base)"
            raise ToolError(fault)
        log.debug("start: %s", shlex.join(words))
        self._words = words
        self._said: list[str] = []
        leases = os.memfd_create("leases", os.MFD_CLOEXEC)
        try:
            with tempfile.TemporaryFile() as file:
                file.write(told.encode())
                file.seek(0)
                self._process = subprocess.Popen(
                    words,
                    cwd=directory,
                    stdin=file,
                    stdout=leases,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                )
        except FileNotFoundError as error:
            raise ToolError(f"{error.filename}: not installed") from None
        finally:
            os.close(leases)
        self._started = threading.Event()
        self._listens = False
        self._thread = threading.Thread(target=self._read, args=(report,), daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def await_start(self, within_s: float = 10.0) -> None:
        """Return once it listens; ToolError with its last words if it does not."""
        self._started.wait(within_s)
        if not self._listens:
            self.stop()
            raise ToolError(f"{shlex.join(self._words)}: did not start: {self._last_words()}")

    def wait(self) -> None:
        """Return when it is stopped; ToolError if it ends by itself."""
        code = self._process.wait()
        self._thread.join()
        if code:
            raise ToolError(f"{PROGRAM}: ended with {code}: {self._last_words()}")

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._thread.join(5)

    def _read(self, report: Callable[[str], None]) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self._said = [*self._said[-9:], line.strip()]
            if "TFTP root" in line:  # The last that it says of its start.
                self._listens = True
                self._started.set()
            report(line.strip())
        self._started.set()  # Or it has ended: nobody need wait.

    def _last_words(self) -> str:
        return "; ".join(self._said[-3:]) or "not a word"
