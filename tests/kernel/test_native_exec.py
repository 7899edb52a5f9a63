# SPDX-License-Identifier: Apache-2.0
"""The kernel takes EFI applications by itself: it loads what it may, and refuses what it must."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.image import SigningKey
from pykexec.image.recipe import DEFAULT_CMDLINE
from pykexec.image.sign import sign
from pykexec.vm import kernels, ovmf
from pykexec.vm.ovmf import Firmware, snakeoil_key
from tests.kernel.native import FORCED, KERNEL, MARKS, NATIVE
from tests.vm import images, test_round_trip
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.snapshots import AgentReady
from tests.vm.test_secure_boot import tampered
from tests.vm.through import agent_toml
from tests.vm.ways import Way

pytestmark = MARKS

UNSIGNED, TAMPERED = r"\EFI\bad\unsigned.efi", r"\EFI\bad\tampered.efi"
LOCKED_DOWN = f"{DEFAULT_CMDLINE} lockdown=integrity"
EXIT_KEXEC = 5


def on_disk(path: str) -> str:
    return path[1:].replace("\\", "/")


def signed(path: Path, firmware: Firmware) -> bytes:
    key, certificate = snakeoil_key(firmware.version)
    return sign(path.read_bytes(), SigningKey(key, certificate))


@pytest.mark.parametrize(("version", "way"), [("2022.11", NATIVE), ("2025.02", FORCED)], ids=str)
def test_payload_starts_by_every_route(version: str, way: Way, agent_ready: AgentReady) -> None:
    chosen = images.image(way.kernel, config=way.config)
    test_round_trip.check_routes(way, agent_ready(chosen, ovmf.firmware(version)))


def test_a_linux_kernel_is_a_payload_like_any_other(boot: Boot, tmp_path: Path) -> None:
    """What kexec_file_load() would boot as a kernel goes to the firmware by the resume image."""
    files: dict[str, bytes | Path] = {"vmlinuz": kernels.kernel(KERNEL).image}
    chosen = images.image(KERNEL)
    guest = Guest(boot(machine_with(tmp_path, ovmf.firmware(), chosen, files=files))).ready()
    guest.send(r"pykexec exec '\vmlinuz' --options 'console=ttyS0 panic=-1'")
    test_round_trip.leads_through_kexec(guest, FORCED)
    guest.vm.expect("VFS: Unable to mount root fs", within=60, fatal=None)


def test_locked_down_only_what_is_signed_is_taken(boot: Boot, tmp_path: Path) -> None:
    """Without Secure Boot the firmware would start anything: no other door may be open."""
    good = signed(images.hello(), ovmf.firmware("2025.02", "snakeoil"))
    files: dict[str, bytes | Path] = {
        on_disk(UNSIGNED): images.hello(),
        on_disk(TAMPERED): tampered(good),
    }
    chosen = images.image(KERNEL, cmdline=LOCKED_DOWN)
    guest = Guest(boot(machine_with(tmp_path, ovmf.firmware(), chosen, files=files))).ready()
    assert guest.json("pykexec status --json")["exec"] == "native"
    for path in (UNSIGNED, TAMPERED):
        for route in ("", "--via kexec"):
            refused = guest.run(f"pykexec exec '{path}' {route}")
            assert refused.status == EXIT_KEXEC
            assert "kexec_file_load: the kernel trusts no signature of it" in refused.output
    assert "PK:agent:leave" not in guest.vm.console.text
    assert guest.firmware_is_the_same()


def test_what_the_firmwares_own_key_has_signed_is_taken(boot: Boot, tmp_path: Path) -> None:
    firmware = ovmf.firmware("2025.02", "snakeoil")
    good = signed(images.hello(), firmware)
    files: dict[str, bytes | Path] = {
        on_disk(HELLO_PATH): good,
        on_disk(UNSIGNED): images.hello(),
        on_disk(TAMPERED): tampered(good),
    }
    chosen = tmp_path / "pykexec.efi"
    chosen.write_bytes(signed(images.image(KERNEL, cmdline=LOCKED_DOWN), firmware))
    guest = Guest(boot(machine_with(tmp_path, firmware, chosen, files=files))).ready()
    for path in (UNSIGNED, TAMPERED):
        refused = guest.run(f"pykexec exec '{path}'")
        assert refused.status == EXIT_KEXEC
        assert "the kernel trusts no signature of it" in refused.output
    guest.send(f"pykexec exec '{HELLO_PATH}' --options 'signed'")
    test_round_trip.leads_through_kexec(guest, NATIVE)
    guest.payload_ran("signed")


def test_an_unattended_payload_that_is_refused_ends_in_the_failure_action(
    boot: Boot, tmp_path: Path
) -> None:
    files: dict[str, bytes | Path] = {
        on_disk(UNSIGNED): images.hello(),
        "EFI/pykexec/agent.toml": agent_toml(UNSIGNED, failure="boot-next"),
    }
    chosen = images.image(KERNEL, cmdline=LOCKED_DOWN)
    machine = machine_with(tmp_path, ovmf.firmware(), chosen, files=files, next_options="next")
    guest = Guest(boot(machine))
    guest.vm.expect("the kernel trusts no signature of it", within=120)
    guest.vm.expect_stage("stub", "action", 2)
    guest.payload_ran("next")
