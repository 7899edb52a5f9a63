# SPDX-License-Identifier: Apache-2.0
"""The network that demos boot from: one of our own where we may make one, else QEMU's."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pykexec.errors import ToolError
from pykexec.netboot import Settings, serve
from pykexec.vm.lan import TAP, Lan
from pykexec.vm.machine import Nic

IMAGE = "pykexec.efi"
_SERVER = "10.77.0.1"
_PORT = 8080
_USER_SERVER = "10.0.2.2"  # this machine, as QEMU's user network shows it


@dataclass(frozen=True, slots=True)
class Network:
    """host is this machine for those in the network, listen the address at which it listens.

    within are words in front of what is to run in it. fault says why it is not one of our own.
    """

    host: str
    listen: str
    within: tuple[str, ...]
    lan: Lan | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """Who serves, in words; the card that boots from it; the address of what is served by HTTP."""

    title: str
    nic: Nic
    web: str


def network(stack: ExitStack) -> Network:
    """A network that lasts as long as stack."""
    lan = Lan([f"{_SERVER}/24"])
    try:
        stack.enter_context(lan)
    except ToolError as error:
        return Network(_USER_SERVER, "127.0.0.1", (), None, str(error))
    return Network(_SERVER, _SERVER, lan.within, lan)


def serve_images(stack: ExitStack, network: Network, directory: Path, served: Path) -> Served:
    """Have firmware in network boot IMAGE of served, as long as stack lasts."""
    if network.lan:
        stack.enter_context(network.lan.serve(served, directory / "serve.log"))
        title = "DHCP, TFTP and HTTP by `pykexec netboot serve`, in a network of their own"
        return Served(title, Nic(tap=TAP, bootindex=0), f"http://{network.host}:{_PORT}")
    server = stack.enter_context(serve(Settings(served, http_port=0), lambda line: None))
    title = f"DHCP and TFTP by QEMU, only HTTP by `pykexec netboot serve`: {network.fault}"
    nic = Nic(tftp=served, bootfile=IMAGE, bootindex=0)
    return Served(title, nic, f"http://{network.host}:{server.http_port}")
