# SPDX-License-Identifier: Apache-2.0
"""The step of the network: each NIC gets a lease, and its router answers."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Any

from pykexec.certify.plan import AbsentError, Bench, Facts, StepError
from pykexec.errors import NetworkError, PykexecError
from pykexec.log import describe
from pykexec.net.lease import Lease

_LEASE_S = 20.0
_PING_S = 2.0
_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_IP_HEADER_MIN = 20
_ECHO = struct.Struct(">BBHHH")


def nics(bench: Bench) -> Facts:
    """DHCP and ping on every network device; a NIC without a cable is no fault."""
    from pykexec.bridge.supervisor import ensure, stop
    from pykexec.firmware.devices import connect_all
    from pykexec.linux.interface import Interface

    connect_all(bench.mailbox)
    rows = [row for row in ensure("net") if row["kind"] == "net"]
    if not rows:
        raise AbsentError(
            "the firmware knows no network device; its network stack may be off in setup"
        )
    Interface("lo").set_up(True)
    found = []
    for row in rows:
        if mac := row.get("mac"):
            bench.disguise.learn_bytes(bytes.fromhex(mac))
        found.append(_nic(bench, row))
    stop("net")
    facts: Facts = {"count": len(found), "nics": found}
    faults = [f"{each['name']}: {each['fault']}" for each in found if each.get("fault")]
    if len(faults) == len(found):
        raise StepError("; ".join(faults), facts)
    return facts


def _nic(bench: Bench, row: dict[str, Any]) -> Facts:
    from pykexec.net.configure import bring_up, take_down

    facts: Facts = {"name": row["name"], "handle": row["handle"], "state": row["state"]}
    interface = row.get("interface")
    if not interface:
        return {**facts, "fault": str(row.get("fault") or row["state"])}
    begun = time.monotonic()
    try:
        online = bring_up(bench.mailbox, interface, dhcp=True, timeout_s=_LEASE_S)
        facts["lease_s"] = round(time.monotonic() - begun, 2)
        # No addresses: they are the network's, not the machine's.
        facts["leases"] = [lease.source.partition(" from ")[0] for lease in online.leases]
        facts["ping_ms"] = {
            f"router {number}": ping(gateway)
            for number, gateway in enumerate(gateways(online.leases), 1)
        }
    except (PykexecError, OSError) as error:
        facts["fault"] = describe(error)
    finally:
        try:
            take_down(interface)
        except (PykexecError, OSError) as error:
            facts["fault"] = describe(error)
    return facts


def gateways(leases: tuple[Lease, ...]) -> list[str]:
    """IPv4 routers of the leases, each once."""
    found = [
        str(route.gateway)
        for lease in leases
        for route in lease.routes
        if route.gateway and route.gateway.version == 4
    ]
    return list(dict.fromkeys(found))


def ping(address: str, timeout_s: float = _PING_S) -> float | str:
    """Milliseconds until a host echoes (RFC 792); words where it does not."""
    identifier = os.getpid() & 0xFFFF
    begun = time.monotonic()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
            raw.sendto(echo_request(identifier), (address, 0))
            while (left := begun + timeout_s - time.monotonic()) > 0:
                raw.settimeout(left)
                if is_echo_reply(raw.recv(2048), identifier):
                    return round((time.monotonic() - begun) * 1000, 2)
    except TimeoutError:
        pass
    except OSError as error:
        raise NetworkError(f"ping: {error.strerror}") from None
    return "no answer"


def echo_request(identifier: int) -> bytes:
    """An ICMP message with its checksum (RFC 1071)."""
    body = b"pykexec certify."
    head = _ECHO.pack(_ECHO_REQUEST, 0, 0, identifier, 1)
    data = head + body
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return _ECHO.pack(_ECHO_REQUEST, 0, checksum, identifier, 1) + body


def is_echo_reply(packet: bytes, identifier: int) -> bool:
    """Is it the answer, IP header included?"""
    if len(packet) < _IP_HEADER_MIN:
        return False
    start = (packet[0] & 0x0F) * 4
    if len(packet) < start + _ECHO.size:
        return False
    kind, _, _, found, _ = _ECHO.unpack_from(packet, start)
    return (kind, found) == (_ECHO_REPLY, identifier)
