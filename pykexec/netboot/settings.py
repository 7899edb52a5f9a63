# SPDX-License-Identifier: Apache-2.0
"""What is served to whom, and the addresses of this machine that it is served from."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import ToolError, UsageError
from pykexec.netboot.rights import check_readable, missing_capabilities
from pykexec.run import run

IPXE_SCRIPT = "boot.ipxe"


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate chain and its key, both PEM, and the port that they are for."""

    certificate: Path
    key: Path
    port: int = 8443


@dataclass(frozen=True, slots=True)
class Settings:
    """One boot server. Without an interface it speaks HTTP alone, at every address.

    boot_file, in directory, is what firmware is told to start. proxy leaves addresses to another
    DHCP server of that network and only adds where to boot from. A port of 0 takes a free one.
    """

    directory: Path
    interface: str = ""
    boot_file: str = "pykexec.efi"
    http_port: int = 8080
    tls: Tls | None = None
    proxy: bool = False

    def check(self) -> None:
        """Refuse with UsageError what cannot be served."""
        if not self.directory.is_dir():
            raise UsageError(f"{self.directory}: not a directory")
        if self.tls and _is_inside(self.tls.key, self.directory):
            raise UsageError(f"{self.tls.key}: lies in {self.directory}, it would be served")
        if self.proxy and not self.interface:
            raise UsageError("--proxy: needs --interface, the network to answer in")
        if not self.interface:
            return
        if any(not "!" <= char <= "~" or char in ",#\\\"'" for char in self.boot_file):
            raise UsageError(f"{self.boot_file!r}: DHCP carries plain file names only")
        if not (self.directory / self.boot_file).is_file():
            raise UsageError(f"{self.directory / self.boot_file}: there is no such file to boot")
        check_for_tftp(self.directory)
        check_readable(self.directory, self.boot_file)
        if missing := missing_capabilities(Path("/proc/self/status").read_text()):
            fault = f"DHCP and TFTP need root ({', '.join(missing)} missing)"
            raise UsageError(
                f"--interface {self.interface}: {fault}; without it HTTP alone is served"
            )


def _is_inside(file: Path, directory: Path) -> bool:
    # Path.resolve() raises where links lead in a circle.
    return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(directory))


def check_for_tftp(directory: Path) -> None:
    """Refuse with UsageError a directory in which there is what HTTP does not give: dnsmasq follows
    every link, and waits for whoever writes into a pipe.
    """

    def fail(error: OSError) -> None:
        raise UsageError(f"{error.filename}: {error.strerror}")

    for above, directories, files in os.walk(directory, onerror=fail):
        for path in (Path(above, name) for name in (*directories, *files)):
            if not _is_inside(path, directory):
                fault = f"a link that leads out of {directory}: TFTP would follow it"
                raise UsageError(f"{path}: {fault}; take it away, or serve without --interface")
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
                raise UsageError(f"{path}: neither a file nor a directory: TFTP would wait for it")


@dataclass(frozen=True, slots=True)
class Addresses:
    """An interface's addresses with their networks; link-local ones do not count."""

    ipv4: ipaddress.IPv4Interface | None
    ipv6: ipaddress.IPv6Interface | None

    @property
    def hosts(self) -> tuple[str, ...]:
        """Both, those that there are, without their networks."""
        return tuple(str(address.ip) for address in (self.ipv4, self.ipv6) if address)


def read_addresses(interface: str) -> Addresses:
    """What `ip address` says of interface; UsageError if there is none, or none to serve from."""
    try:
        socket.if_nametoindex(interface)
    except OSError:
        raise UsageError(f"--interface {interface}: there is no such interface") from None
    listing = run(["ip", "-json", "address", "show", "dev", interface], timeout_s=10)
    return parse_addresses(listing, interface)


def parse_addresses(listing: bytes, interface: str) -> Addresses:
    """Decode the JSON of ip-address(8)."""
    ipv4: ipaddress.IPv4Interface | None = None
    ipv6: ipaddress.IPv6Interface | None = None
    try:
        for row in json.loads(listing)[0].get("addr_info", []):
            text = f"{row['local']}/{row['prefixlen']}"
            if row["scope"] == "global" and row["family"] == "inet":
                ipv4 = ipv4 or ipaddress.IPv4Interface(text)
            elif row["scope"] == "global" and row["family"] == "inet6":
                ipv6 = ipv6 or ipaddress.IPv6Interface(text)
    except (ValueError, KeyError, IndexError) as error:
        raise ToolError(f"ip address show dev {interface}: cannot be read: {error!r}") from None
    if not ipv4 and not ipv6:
        raise UsageError(f"--interface {interface}: has no address; give it one first")
    return Addresses(ipv4, ipv6)
