# SPDX-License-Identifier: Apache-2.0
"""A payload started by our agent through kexec, unattended: image, agent, kexec, payload."""

from __future__ import annotations

from pathlib import Path

from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import Firmware
from pykexec.vm.vm import Vm
from tests.vm.boot import Boot
from tests.vm.direct import expect_proof, payload_machine
from tests.vm.guest import IMAGE_PATH, Guest
from tests.vm.payloads import Payload


def agent_toml(
    path: str,
    options: str = "",
    *,
    failure: str = "boot-next",
    shell: bool = False,
    volume: str = "",
) -> bytes:
    """An agent.toml that starts path, with what is to be done when that comes to nothing."""
    return f"""\
[payload]
path = '{path}'
options = '{options}'
volume = '{volume}'
[failure]
action = "{failure}"
[agent]
shell = {str(shell).lower()}
""".encode()


def through_machine(payload: Payload, firmware: Firmware, image: Path, directory: Path) -> Machine:
    """The machine that starts payload directly, but it boots image, which is told to start it."""
    files = {
        IMAGE_PATH[1:].replace("\\", "/"): image,
        "EFI/pykexec/agent.toml": agent_toml(payload.path, payload.options),
        **payload.files(),
    }
    return payload_machine(payload, firmware, directory, files, IMAGE_PATH)


def expect_kexec(vm: Vm, within: float = 120) -> None:
    """The agent comes up, and its kexec leads through the resume image to a started payload."""
    vm.expect_stage("agent", "ready", within=within)
    expect_start(vm)


def expect_start(vm: Vm) -> None:
    """The agent's kexec leads through the resume image to a started payload."""
    vm.expect_stage("agent", "resume")
    vm.expect_stage("resume", "handoff")
    vm.expect_stage("stub", "firmware")
    vm.expect_stage("stub", "load")
    vm.expect_stage("stub", "started")


def check_through(
    payload: Payload, firmware: Firmware, image: Path, boot: Boot, directory: Path
) -> None:
    """Boot image and wait for the same proof and end of payload as check_direct() does."""
    vm = boot(through_machine(payload, firmware, image, directory))
    expect_kexec(vm)
    expect_proof(vm, payload)


def check_from_shell(payload: Payload, guest: Guest) -> None:
    """Have payload started, and wait for the same."""
    guest.send(f"pykexec exec '{payload.path}' --options '{payload.options}'")
    expect_start(guest.vm)
    expect_proof(guest.vm, payload)
