# SPDX-License-Identifier: Apache-2.0
"""agent.toml: unattended start, override on the volume, faults, and the person at the console."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pykexec.vm import ovmf
from pykexec.vm.bootvars import boot_entry
from pykexec.vm.machine import Machine
from pykexec.vm.ovmf import Firmware
from tests.vm.boot import Boot
from tests.vm.guest import HELLO_PATH, IMAGE_PATH, Guest, disk_with, machine_with, with_entries
from tests.vm.images import image

OVERRIDE = "EFI/pykexec/agent.toml"


def payload(options: str, path: str = HELLO_PATH) -> str:
    """A configuration that starts path, hello.efi by default."""
    return f"[payload]\npath = '{path}'\noptions = '{options}'\n"


def test_unattended_image_starts_its_payload_and_then_the_next_entry(
    boot: Boot, tmp_path: Path
) -> None:
    """Also where no console takes a word: this machine has no fourth serial port."""
    config = payload("unattended") + "[agent]\ntimeout_s = 1\n"
    embedded = image(config=config, cmdline="console=ttyS3 quiet")
    vm = boot(machine_with(tmp_path, ovmf.firmware("2025.02"), embedded, next_options="next"))
    Guest(vm).payload_ran("unattended")
    vm.expect("PK:stub:action:0x2$")
    Guest(vm).payload_ran("next")
    assert "rescue shell" not in vm.console.text


def test_failure_action_agent_stops_at_the_shell_and_does_not_loop(
    boot: Boot, tmp_path: Path, firmware: Firmware
) -> None:
    config = payload("once") + "[failure]\naction = 'agent'\n[agent]\nshell = true\n"
    guest = Guest(boot(machine_with(tmp_path, firmware, image(config=config))))
    guest.payload_ran("once")
    guest.ready()
    assert guest.json("pykexec status --json")["firmware"]["outcome"]["stage"] == "returned"


def test_override_on_the_volume_counts_unless_the_embedded_one_is_locked(
    boot: Boot, tmp_path: Path
) -> None:
    files: dict[str, bytes | Path] = {
        "EFI/locked.efi": image(config="locked = true\n" + payload("embedded and locked")),
        OVERRIDE: payload("from the volume").encode(),
    }
    disk = disk_with(tmp_path, image(config=payload("embedded")), files)
    entries = [boot_entry(disk, IMAGE_PATH), boot_entry(disk, r"\EFI\locked.efi")]
    vm = boot(with_entries(Machine(ovmf.firmware("2025.02")), tmp_path, disk, entries))
    Guest(vm).payload_ran("from the volume")
    Guest(vm).payload_ran("embedded and locked")


# Each fails and leads to the next boot entry, as an image does that says nothing else.
FAULTS = {
    "unknown": ("[agent]\ncolour = 1\n", "/etc/pykexec/agent.toml: agent.colour: unknown key"),
    "type": (
        "[agent]\ntimeout_s = 'long'\n",
        "/etc/pykexec/agent.toml: agent.timeout_s: must be a number from 0 to 604800",
    ),
    "syntax": ("[payload\n", "/etc/pykexec/agent.toml: not TOML: .*"),
    "missing": (payload("", r"\EFI\none.efi"), r"\\EFI\\none.efi: No such file or directory.*"),
    "volume": (payload("") + "volume = 'NOPE'\n", ".*NOPE.*"),
}


@pytest.mark.parametrize(
    "names",
    [
        ("unknown", "missing"),
        pytest.param(("type", "syntax", "volume"), marks=pytest.mark.matrix),
    ],
    ids="-".join,
)
def test_faulty_configuration_is_one_line_and_the_failure_action(
    names: Sequence[str], boot: Boot, tmp_path: Path, firmware: Firmware
) -> None:
    files: dict[str, bytes | Path] = {
        f"EFI/{name}.efi": image(config=FAULTS[name][0]) for name in names
    }
    disk = disk_with(tmp_path, image(), files)
    entries = [boot_entry(disk, rf"\EFI\{name}.efi") for name in names]
    entries.append(boot_entry(disk, HELLO_PATH, "after all faults"))
    vm = boot(with_entries(Machine(firmware), tmp_path, disk, entries))
    for _, line in map(FAULTS.__getitem__, names):
        vm.expect_stage("agent", "ready", within=120)
        vm.expect(f"^pykexec: {line}$")
        vm.expect("PK:stub:action:0x2$")
    Guest(vm).payload_ran("after all faults")


def test_faulty_override_is_reported_and_the_embedded_one_stays_in_force(
    boot: Boot, tmp_path: Path
) -> None:
    files = {OVERRIDE: b"[payload]\npath = 7\n"}
    embedded = image(config=payload("still embedded"))
    vm = boot(machine_with(tmp_path, ovmf.firmware("2025.02"), embedded, files=files))
    vm.expect(r"^pykexec: \\EFI\\pykexec\\agent.toml: payload.path: must be a string$", within=120)
    Guest(vm).payload_ran("still embedded")


def test_a_key_stops_the_countdown_and_leads_to_the_menu(boot: Boot, tmp_path: Path) -> None:
    config = payload("chosen") + "[agent]\ntimeout_s = 60\nshell = true\n"
    guest = Guest(boot(machine_with(tmp_path, ovmf.firmware("2025.02"), image(config=config))))
    guest.vm.expect("starting in 59 s, press a key", within=120)
    guest.vm.send("x")
    guest.vm.expect("choose 1-5: ")
    guest.vm.send("2\r")
    guest.prompt().send("exit")
    guest.vm.expect("choose 1-5: ")
    guest.vm.send("1\r")
    guest.payload_ran("chosen")


def test_the_countdown_ends_in_the_payload(boot: Boot, tmp_path: Path, firmware: Firmware) -> None:
    config = payload("patience") + "[agent]\ntimeout_s = 2\nshell = true\n"
    guest = Guest(boot(machine_with(tmp_path, firmware, image(config=config))))
    guest.vm.expect("starting in 2 s, press a key", within=120)
    guest.vm.expect("starting in 1 s, press a key")
    guest.payload_ran("patience")
