# SPDX-License-Identifier: Apache-2.0
"""Under Secure Boot Linux is locked down, kexec is off, and the firmware checks payloads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pykexec.efi import pe
from pykexec.vm import ovmf
from pykexec.vm.ovmf import Firmware
from tests.vm import images
from tests.vm.boot import Boot
from tests.vm.equipment import LINUX, SIGNED_KERNEL
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.signed import SIGNED_HELLO, signed, signed_image
from tests.vm.snapshots import AgentReady
from tests.vm.through import agent_toml

REFUSAL = re.escape(
    "kexec_file_load: kexec is switched off in this boot (kernel.kexec_load_disabled)"
)
ACCESS_DENIED = 0x800000000000000F
SWITCHES = ("SecureBootEnable", "CustomMode")
BAD_PATH = r"\EFI\bad\bad.efi"


@pytest.fixture
def enforcing(request: pytest.FixtureRequest) -> Firmware:
    """Firmware that starts only what the package's test key has signed."""
    return ovmf.firmware(request.param, "snakeoil")


def tampered(signed: bytes) -> bytes:
    """One bit of the code is another."""
    section = pe.parse(signed, "signed").section(".text")
    assert section
    at = section.file_offset + section.file_size - 1
    return signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]


def _expect_fallback(guest: Guest) -> None:
    vm = guest.vm
    vm.expect(rf"{REFUSAL}; leaving through the mailbox instead$")
    vm.expect_stage("agent", "leave")
    vm.expect_stage("stub", "firmware")


@pytest.mark.parametrize(
    "kernel", ["6.12-cloud", pytest.param("6.1-cloud", marks=pytest.mark.matrix)]
)
def test_refused_kexec_falls_back_to_leaving(
    kernel: str, enforcing: Firmware, boot: Boot, tmp_path: Path
) -> None:
    files: dict[str, bytes | Path] = {
        "EFI/hello/hello.efi": signed(images.hello(), enforcing),
        "EFI/pykexec/agent.toml": agent_toml(HELLO_PATH, "by mailbox"),
    }
    image = signed_image(enforcing, kernel)
    # Boot entries are root's, too: with these Linux would have the firmware's memory, and no agent.
    options = "memmap=512M@1M rdinit=/bin/sh"
    guest = Guest(boot(machine_with(tmp_path, enforcing, image, files=files, options=options)))
    guest.vm.expect_stage("agent", "ready", within=120)
    _expect_fallback(guest)
    guest.vm.expect_stage("stub", "started")
    guest.payload_ran("by mailbox")


def test_signed_linux_is_started_and_sees_secure_boot(
    enforcing: Firmware, agent_ready: AgentReady
) -> None:
    guest = agent_ready(signed_image(enforcing), enforcing)
    options = LINUX.options.replace("os.checks=disk,efivar", "os.checks=efivar")
    guest.send(f"pykexec exec '{SIGNED_KERNEL}' --options '{options}'")
    _expect_fallback(guest)
    guest.vm.expect("UEFI Secure Boot is enabled")
    guest.vm.expect("^OS:DONE$", within=120)
    assert guest.vm.wait_exit(60) == "guest-shutdown"


@pytest.mark.parametrize("fault", ["tampered", pytest.param("unsigned", marks=pytest.mark.matrix)])
def test_payload_without_a_good_signature_is_refused_by_the_firmware(
    fault: str, enforcing: Firmware, boot: Boot, tmp_path: Path
) -> None:
    hello = signed(images.hello(), enforcing)
    files: dict[str, bytes | Path] = {
        "EFI/hello/hello.efi": hello,
        "EFI/bad/bad.efi": images.hello() if fault == "unsigned" else tampered(hello.read_bytes()),
        "EFI/pykexec/agent.toml": agent_toml(BAD_PATH, failure="boot-next"),
    }
    image = signed_image(enforcing)
    machine = machine_with(tmp_path, enforcing, image, files=files, next_options="next entry")
    guest = Guest(boot(machine))
    guest.vm.expect_stage("agent", "ready", within=120)
    _expect_fallback(guest)
    guest.vm.expect_stage("stub", "load", ACCESS_DENIED)
    guest.vm.expect_stage("stub", "action", 2)
    guest.payload_ran("next entry")


def test_refused_payload_comes_back_to_the_agent(
    enforcing: Firmware, agent_ready: AgentReady
) -> None:
    guest = agent_ready(signed_image(enforcing), enforcing)
    guest.send(f"pykexec exec '{HELLO_PATH}' --on-failure agent")
    guest.vm.expect(
        "hello.efi: the firmware is going to refuse it: has no signature, .* not in db$"
    )
    _expect_fallback(guest)
    guest.vm.expect_stage("stub", "load", ACCESS_DENIED)
    guest.vm.expect_stage("agent", "ready", within=120)
    guest.vm.expect("last end: load: .*ACCESS_DENIED, action agent$")
    guest.prompt()


def test_image_without_a_good_signature_is_refused(
    enforcing: Firmware, boot: Boot, tmp_path: Path
) -> None:
    image = tmp_path / "tampered.efi"
    image.write_bytes(tampered(signed_image(enforcing).read_bytes()))
    files = {"EFI/hello/hello.efi": signed(images.hello(), enforcing)}
    machine = machine_with(tmp_path, enforcing, image, files=files, next_options="next entry")
    guest = Guest(boot(machine))
    guest.vm.expect("failed to load Boot0001.*Access Denied", within=120)
    guest.payload_ran("next entry")
    assert "PK:stub:start" not in guest.vm.console.text


def test_root_gains_nothing(enforcing: Firmware, agent_ready: AgentReady) -> None:
    guest = agent_ready(signed_image(enforcing), enforcing)
    results = guest.script("secure_boot_attacks")
    assert results == {
        "lockdown": "integrity",
        "own variable": "written",
        **{f"{key} unsigned": "EACCES" for key in ("PK", "KEK", "db")},
        **{f"{key} plain": "EINVAL" for key in ("PK", "KEK", "db")},
        **{f"{key} deleted": "EINVAL" for key in ("PK", "KEK", "db", "SecureBoot")},
        **{f"SecureBoot {way}": "EROFS" for way in ("unsigned", "plain")},
        **{f"{switch} read": "ENOENT" for switch in SWITCHES},
        **{f"{switch} {way}": "EINVAL" for switch in SWITCHES for way in ("written", "made ours")},
        "hidden variables shown": 0,
        "unchanged": True,
    }


def test_reset_starts_what_was_staged(enforcing: Firmware, agent_ready: AgentReady) -> None:
    guest = agent_ready(signed_image(enforcing), enforcing)
    refused = guest.run(f"pykexec exec --via kexec '{SIGNED_HELLO}'")
    assert refused.status == 5
    assert re.search(REFUSAL, refused.output)
    guest.send(f"/inside/stage_and_reset '{SIGNED_HELLO}'")
    guest.vm.expect_stage("stub", "started")
    guest.payload_ran()
