# SPDX-License-Identifier: Apache-2.0
"""How interfaces were configured, for whoever comes next: a file each under /run."""

from __future__ import annotations

import ipaddress
import json
import os

from pykexec.net.lease import Lease, Route

DIRECTORY = "/run/pykexec/leases"


def write(interface: str, leases: tuple[Lease, ...], directory: str = DIRECTORY) -> None:
    """Note the leases of an interface instead of older ones."""
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, f"{interface}.json")
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump([to_plain(lease) for lease in leases], file)
    os.replace(f"{path}.new", path)


def read(interface: str, directory: str = DIRECTORY) -> tuple[Lease, ...]:
    """The leases of an interface; none if it is not configured."""
    try:
        with open(os.path.join(directory, f"{interface}.json"), encoding="utf-8") as file:
            return tuple(map(_lease, json.load(file)))
    except FileNotFoundError:
        return ()


def forget(interface: str, directory: str = DIRECTORY) -> None:
    """The interface is not configured any more."""
    try:
        os.unlink(os.path.join(directory, f"{interface}.json"))
    except FileNotFoundError:
        pass


def to_plain(lease: Lease) -> dict[str, object]:
    """A lease as JSON knows it."""
    return {
        "source": lease.source,
        "addresses": [str(address) for address in lease.addresses],
        "routes": [
            {
                "destination": str(route.destination),
                "gateway": str(route.gateway) if route.gateway else "",
            }
            for route in lease.routes
        ],
        "name_servers": list(lease.name_servers),
        "domains": list(lease.domains),
        "mtu": lease.mtu,
        "seconds": lease.seconds,
    }


def _lease(plain: dict[str, list[str]]) -> Lease:
    fields: dict[str, object] = {
        **plain,
        "addresses": tuple(map(ipaddress.ip_interface, plain["addresses"])),
        "routes": tuple(map(_route, plain["routes"])),
        "name_servers": tuple(plain["name_servers"]),
        "domains": tuple(plain["domains"]),
    }
    return Lease(**fields)  # type: ignore[arg-type]


def _route(plain: object) -> Route:
    assert isinstance(plain, dict)
    gateway = plain["gateway"]
    return Route(
        ipaddress.ip_network(plain["destination"]),
        ipaddress.ip_address(gateway) if gateway else None,
    )
