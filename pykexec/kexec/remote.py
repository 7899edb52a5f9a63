# SPDX-License-Identifier: Apache-2.0
"""Payloads that lie on a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pykexec.config.agent import NetworkConfig
from pykexec.config.url import Url, parse_url
from pykexec.errors import NetworkError
from pykexec.firmware.mailbox import Mailbox
from pykexec.net.transfer import Limits

if TYPE_CHECKING:
    from pykexec.efi.device_path import DevicePath
    from pykexec.net.lease import Lease


def fetch_payload(
    mailbox: Mailbox, address: str, network: NetworkConfig, limit: int, sha256: str = ""
) -> tuple[int, int]:
    """Download what address names over the firmware's NICs; a memory file and its size."""
    from pykexec.net.fetch import fetch

    url = parse_url(address)
    check_trust(url, network, sha256)
    go_online(mailbox, network)
    fd = os.memfd_create("payload", os.MFD_CLOEXEC)
    try:
        return fd, fetch(url, fd, limits(network, limit), sha256).size
    except BaseException:
        os.close(fd)
        raise


def pxe_path(mailbox: Mailbox) -> DevicePath | None:
    """The device path that PXE gives to what it starts, where it started our image; else None.

    Its handle has the firmware's PXE base code: network boot programs (GRUB's, Windows'
    wdsmgfw.efi) look there for the packets that name their server.
    """
    from pykexec.net.boot_server import boot_path, is_pxe

    path = boot_path(mailbox)
    return path if path and is_pxe(path) else None


def go_online(mailbox: Mailbox, network: NetworkConfig, timeout_s: float = 30.0) -> None:
    """Have a NIC configured as network says; NetworkError if none can be."""
    from pykexec.net.configure import bring_up

    bring_up(mailbox, network.interface, static=_static(network), timeout_s=timeout_s)


def _static(network: NetworkConfig) -> Lease | None:
    import ipaddress

    from pykexec.net.lease import Lease, default_route

    if not network.address:
        return None
    address = ipaddress.ip_interface(network.address)
    routes = (default_route(ipaddress.ip_address(network.gateway)),) if network.gateway else ()
    return Lease("configuration", (address,), routes, network.dns)


def check_trust(url: Url, network: NetworkConfig, sha256: str = "") -> None:
    """Refuse with NetworkError what a pinned authority does not vouch for.

    Who pins one wants nothing from the wire that anybody could have put there.
    """
    if network.authorities and url.scheme != "https" and not sha256:
        fault = "a certificate authority is pinned: this needs HTTPS, or a sha256"
        raise NetworkError(f"{url}: {fault}")


def limits(network: NetworkConfig, size: int) -> Limits:
    """What the configuration allows a download of at most size bytes."""
    return Limits(size, network.timeout_s, network.total_s, authorities=network.authorities)
