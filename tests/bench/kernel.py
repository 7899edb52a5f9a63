# SPDX-License-Identifier: Apache-2.0
"""The patched kernel: its drivers, the bridges, and Linux' own drivers, on the same devices.

The first two take turns in one machine. For the third the same kernel and initramfs are booted
without our stub.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pykexec.errors import ToolError
from pykexec.firmware.native import OFF
from pykexec.vm.vm import Vm
from tests.bench import guest_side, start
from tests.bench.counterpart import Counterpart
from tests.bench.inputs import Inputs
from tests.bench.kernel_machines import KITS, Kit, with_stub, without_stub
from tests.bench.sample import Span
from tests.bench.worlds import World, parse
from tests.vm.guest import Guest

TURNS = 2
_LIMIT_S = 1500
_TOOL_S = 600
_EXPECTED = {
    "native": {"block": {"efiblk"}, "net": {"efisnp"}, "tpm": {"tpm_efi_tcg2"}},
    "bridge": {"block": {"nbd", "ublkb"}, "net": {"efi"}, "tpm": {"tpm"}},
}

Drivers = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Kernel:
    """All that was measured; worlds and drivers by kit ("virtio-net, TIS"), then by whose drivers.

    stock is firmware to agent with a distribution's kernel in our image, start with this one.
    """

    kernel: str
    stock_kernel: str
    ovmf: str
    cpu: str
    repetitions: int
    host_load: tuple[float, float]
    worlds: Mapping[str, Mapping[str, World]]
    drivers: Mapping[str, Mapping[str, Drivers]]
    hand_over: guest_side.Routes
    start: start.Start
    stock: Span


def measure(inputs: Inputs, stock: Inputs, ovmf: str, repetitions: int) -> Kernel:
    """Boot each machine, and the images with both kernels, one after the other."""
    load_before = os.getloadavg()[0]
    worlds: dict[str, Mapping[str, World]] = {}
    drivers: dict[str, Mapping[str, Drivers]] = {}
    with Counterpart() as host:
        for kit in KITS:
            worlds[kit.name], drivers[kit.name] = _kit(inputs, kit, host.port)
    hand_over = guest_side.measure_routes(inputs, repetitions)
    boots = start.measure(inputs, repetitions)
    return Kernel(
        kernel=inputs.kernel.release,
        stock_kernel=stock.kernel.release,
        ovmf=ovmf,
        cpu=inputs.cpu,
        repetitions=repetitions,
        host_load=(load_before, os.getloadavg()[0]),
        worlds=worlds,
        drivers=drivers,
        hand_over=hand_over,
        start=boots,
        stock=start.measure_ours(stock, repetitions),
    )


def _kit(inputs: Inputs, kit: Kit, port: int) -> tuple[Mapping[str, World], Mapping[str, Drivers]]:
    """Every world of these devices: what they did, and by which drivers."""
    directory = inputs.directory / f"kernel-{KITS.index(kit)}"
    printed: dict[str, list[str]] = {"native": [], "bridge": [], "driver": []}
    found: dict[str, dict[str, Any]] = {}
    with Vm(with_stub(inputs, kit), directory / "stub", limit_s=_LIMIT_S) as vm:
        guest = Guest(vm).ready()
        for _ in range(TURNS):
            for world, enter in _OURS.items():
                enter(guest)
                found[world] = checked(world, guest.script("drivers"))
                printed[world].append(_tools(guest, kit, port))
    with Vm(without_stub(inputs, kit), directory / "own", limit_s=_LIMIT_S) as vm:
        guest = Guest(vm).ready()
        guest.ok(_OWN_NETWORK)
        found["driver"] = guest.script("drivers")
        printed["driver"] = [_tools(guest, kit, port) for _ in range(TURNS)]
    tsc_khz = found["native"]["tsc_khz"]
    worlds = {world: parse("\n".join(texts), tsc_khz) for world, texts in printed.items()}
    return worlds, {world: facts["drivers"] for world, facts in found.items()}


def _enter_native(guest: Guest) -> None:
    _switch(guest, f"rm -f {OFF}")


def _enter_bridge(guest: Guest) -> None:
    _switch(guest, f"mkdir -p {os.path.dirname(OFF)} && touch {OFF}")


def _switch(guest: Guest, how: str) -> None:
    guest.ok("pykexec net down", within=120)
    guest.ok("pykexec bridge stop", within=120)
    guest.ok(how)
    guest.ok("pykexec bridge start", within=120)
    guest.ok("pykexec net up", within=120)


_OURS: Mapping[str, Callable[[Guest], None]] = {"native": _enter_native, "bridge": _enter_bridge}
_OWN_NETWORK = (
    "ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 && "
    'until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 0.1; done'
)


def checked(world: str, facts: dict[str, Any]) -> dict[str, Any]:
    """facts, once sure that they are of that world: to measure another would look just as well."""
    for kind, expected in _EXPECTED[world].items():
        found = set(facts["drivers"][kind])
        if not found or not found <= expected:
            words = ", ".join(found) or "nothing"
            raise ToolError(f"{world}: {kind} devices are those of {words}")
    return facts


def _tools(guest: Guest, kit: Kit, port: int) -> str:
    """What the tools print; a device that fails ends the benchmark."""
    arguments = {"net": str(port), "tpm": "/dev/tpm0"}
    return "\n".join(
        guest.ok(f"/inside/{tool}bench {arguments.get(tool, '')}", within=_TOOL_S)
        for tool in kit.tools
    )
