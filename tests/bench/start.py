# SPDX-License-Identifier: Apache-2.0
"""From the firmware to the agent, through our image and without it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

from pykexec.vm import packages
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.disk import Esp, make_disk
from pykexec.vm.machine import Machine
from pykexec.vm.vm import Vm
from tests.bench.inputs import CMDLINE, IMAGE_PATH, Inputs, on_disk
from tests.bench.sample import Moment, Span, at, middle, ratio
from tests.vm.uki import make_uki

LOADING = r"BdsDxe: loading Boot0001"
READY = "PK:agent:ready:0"
MARKS = re.compile(r"PK:agent:(time|uptime):(\d+)")
# Where our image's time goes, stage by stage.
STAGES = {
    "firmware loads and measures the image": "PK:stub:start:0",
    "stub logs what it is": "PK:stub:measure:0",
    "stub finds the TSC's rate, takes the arena": "PK:stub:arena:0",
    "stub lays out the kernel": "PK:stub:linux:0",
    "kernel's EFI stub": "PK:stub:exit_bs:0",
    "kernel and agent": READY,
}


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot: from "loading" to "ready"; stages of our image only."""

    total: Span
    stages: Mapping[str, Span]
    agent_cpu_ms: int
    uptime_ms: int


@dataclass(frozen=True, slots=True)
class Start:
    """Medians of all boots; ratios are ours in terms of the others'."""

    pykexec: Span
    uki: Span
    efi_stub: Span
    to_uki: Span
    to_efi_stub: Span
    stages: Mapping[str, Span]
    agent_cpu_ms: int
    uptime_ms: int
    uki_agent_cpu_ms: int
    uki_uptime_ms: int


def measure(inputs: Inputs, repetitions: int) -> Start:
    """Boot the three in turn, so often."""
    machines = {
        "pykexec": _pykexec(inputs),
        "uki": _uki(inputs),
        "efi-stub": _efi_stub(inputs),
    }
    boots: dict[str, list[Boot]] = {name: [] for name in machines}
    for number in range(repetitions):
        for name, machine in machines.items():
            directory = inputs.directory / f"{name}-{number}"
            boots[name].append(_boot(machine, directory, STAGES if name == "pykexec" else {}))
    spans = {name: middle(boot.total for boot in of) for name, of in boots.items()}
    ours, uki = boots["pykexec"], boots["uki"]
    return Start(
        pykexec=spans["pykexec"],
        uki=spans["uki"],
        efi_stub=spans["efi-stub"],
        to_uki=ratio(spans["pykexec"], spans["uki"]),
        to_efi_stub=ratio(spans["pykexec"], spans["efi-stub"]),
        stages={name: middle(boot.stages[name] for boot in ours) for name in STAGES},
        agent_cpu_ms=median_low(boot.agent_cpu_ms for boot in ours),
        uptime_ms=median_low(boot.uptime_ms for boot in ours),
        uki_agent_cpu_ms=median_low(boot.agent_cpu_ms for boot in uki),
        uki_uptime_ms=median_low(boot.uptime_ms for boot in uki),
    )


def measure_ours(inputs: Inputs, repetitions: int) -> Span:
    """Boot our image alone, so often."""
    machine = _pykexec(inputs)
    boots = [_boot(machine, inputs.directory / f"ours-{i}", {}) for i in range(repetitions)]
    return middle(boot.total for boot in boots)


def _boot(machine: Machine, directory: Path, stages: Mapping[str, str]) -> Boot:
    with Vm(machine, directory, limit_s=180) as vm:
        start = last = at(vm, LOADING)
        spans = {}
        for name, pattern in stages.items():
            moment = at(vm, f"{pattern}$") if pattern != READY else _ready(vm)
            spans[name] = moment.since(last)
            last = moment
        if not stages:
            last = _ready(vm)
        values = {name: int(value) for name, value in MARKS.findall(vm.console.text)}
        return Boot(last.since(start), spans, values["time"], values["uptime"])


def _ready(vm: Vm) -> Moment:
    return at(vm, f"{READY}$")


def _pykexec(inputs: Inputs) -> Machine:
    return _with_file(inputs, "pykexec", IMAGE_PATH, inputs.plain.data)


def _uki(inputs: Inputs) -> Machine:
    """The same kernel, initramfs and command line under systemd's stub."""
    stub = packages.fetch(packages.PAYLOADS["systemd-boot-257"])
    image = make_uki(
        stub / "usr/lib/systemd/boot/efi/linuxx64.efi.stub", inputs.kernel, _initrd(inputs), CMDLINE
    )
    return _with_file(inputs, "uki", r"\EFI\Linux\uki.efi", image)


def _efi_stub(inputs: Inputs) -> Machine:
    """The kernel itself, which reads its initramfs from the ESP."""
    files = {"vmlinuz": inputs.kernel.image, "initrd.img": _initrd(inputs)}
    disk = make_disk(inputs.directory / "efi-stub.img", [Esp(files)])
    entry = boot_entry(disk, r"\vmlinuz", rf"initrd=\initrd.img {CMDLINE}")
    return inputs.machine("efi-stub", disk, entry, False)


def _initrd(inputs: Inputs) -> Path:
    path = inputs.directory / "initrd.img"
    path.write_bytes(inputs.plain_initrd)
    return path


def _with_file(inputs: Inputs, name: str, path: str, content: bytes | Path) -> Machine:
    disk = make_disk(inputs.directory / f"{name}.img", [Esp({on_disk(path): content})])
    return inputs.machine(name, disk, boot_entry(disk, path, title=name), False)
