# SPDX-License-Identifier: Apache-2.0
"""What happens after a payload: refused by us, refused by LoadImage, returned; and all actions."""

from __future__ import annotations

from pathlib import Path

from pykexec.vm import ovmf
from pykexec.vm.ovmf import Firmware
from tests.vm.boot import Boot
from tests.vm.equipment import BARE, NEXT_OPTIONS, bad_files
from tests.vm.guest import HELLO_PATH, Guest, machine_with
from tests.vm.images import ARENA_MIB, RESUME_IN_GUEST, image
from tests.vm.snapshots import AgentReady

UNSUPPORTED = 0x8000000000000003
NOT_FOUND = 0x800000000000000E
BOOT_MANAGER = "Select Language|Boot Manager|Device Manager"


def test_bad_payloads_are_refused_before_anything_is_changed(boot: Boot, tmp_path: Path) -> None:
    # A machine of its own: the first time that a volume is read the firmware takes memory for it.
    machine = machine_with(tmp_path, ovmf.firmware("2025.02"), image(), files=bad_files())
    guest = Guest(boot(machine)).ready().quick()
    for name in ("text", "none"):
        assert guest.run(rf"pykexec exec '\EFI\{name}.efi'").status
    before = guest.ok("pykexec memmap --json | md5sum; ls /sys/firmware/efi/efivars")

    for words, status, line in [
        (r"\EFI\text.efi", 3, r"\EFI\text.efi: "),
        (r"\EFI\empty.efi", 3, r"\EFI\empty.efi: "),
        (r"\EFI\short.efi", 3, r"\EFI\short.efi: "),
        (r"\EFI\arm.efi", 3, r"\EFI\arm.efi: "),
        (r"\EFI\none.efi", 8, r"\EFI\none.efi: No such file"),
        (r"\EFI", 8, r"\EFI: is a directory"),
        ("/none.efi", 3, "/none.efi: No such file or directory"),
        ("/dev/zero", 3, "/dev/zero: not a regular file"),
        (rf"{HELLO_PATH} --volume NOPE", 2, "NOPE"),
        (rf"{HELLO_PATH} --device-path 'What(1)'", 2, "--device-path What(1)"),
        (rf"{HELLO_PATH} --via boot-next", 3, HELLO_PATH),
    ]:
        path, _, rest = words.partition(" ")
        result = guest.run(f"pykexec exec '{path}' {rest}")
        assert result.status == status, (words, result)
        assert result.output.startswith("pykexec: ") and line in result.output, (words, result)
        assert "\n" not in result.output, (words, result)

    guest.ok("dd if=/dev/zero of=/tmp/huge bs=1M count=1 seek=130")
    huge = guest.run("pykexec exec /tmp/huge")
    assert huge.status == 3 and "/tmp/huge: " in huge.output and "that fit" in huge.output
    after = guest.ok("pykexec memmap --json | md5sum; ls /sys/firmware/efi/efivars")
    assert after == before
    assert guest.json("pykexec status --json")["firmware"]["outcome"]["nr_runs"] == 0


def test_agent_comes_back_when_the_firmware_refuses_to_load(
    agent_ready: AgentReady, firmware: Firmware
) -> None:
    guest = agent_ready(image("6.12-cloud"), firmware)

    def outcome() -> tuple[object, ...]:
        found = guest.json("pykexec status --json")["firmware"]["outcome"]
        return tuple(found[key] for key in ("nr_runs", "stage", "status", "action"))

    guest.ok("head -c 5000 /inside/hello.efi >/tmp/short.efi")
    guest.send("/inside/stage /tmp/short.efi agent kexec ''")
    guest.vm.expect_stage("stub", "load", UNSUPPORTED)
    guest.ready()
    assert outcome() == (1, "load", UNSUPPORTED, "agent")

    guest.ok("echo no program >/tmp/text.efi")
    guest.ok(f"kexec -s -l {RESUME_IN_GUEST} --initrd=/tmp/text.efi")
    guest.send("kexec -e")
    guest.vm.expect_stage("stub", "load", UNSUPPORTED)
    guest.ready()
    assert outcome() == (2, "load", UNSUPPORTED, "agent")

    guest.ok(f"kexec -s -l {RESUME_IN_GUEST}")
    guest.send("kexec -e")
    guest.vm.expect_stage("stub", "load", NOT_FOUND)
    guest.ready()
    assert outcome() == (3, "load", NOT_FOUND, "agent")

    guest.send("/inside/stage /inside/hello.efi shell leave ''")
    guest.payload_ran()
    guest.ready()
    assert outcome() == (4, "returned", 0, "shell")
    assert guest.firmware_is_the_same()


def free_mib(guest: Guest) -> int:
    """What the firmware has to give, in MiB."""
    rows = guest.json("pykexec memmap --json")
    free = sum(row["end"] - row["start"] for row in rows if row["type"] == "conventional memory")
    return int(free) >> 20


def payload_has_mib(guest: Guest) -> int:
    """The same as a payload has found it."""
    guest.payload_ran()
    return int(guest.vm.expect(r"PK:payload:free_mib:(0x[0-9a-f]+)\n", within=10)[1], 16)


def test_every_action_leads_where_it_says(agent_ready: AgentReady) -> None:
    def machine() -> Guest:
        # It is reset, and with a TPM firmware is three times as slow.
        return agent_ready(image(), ovmf.firmware("2025.02"), reboot=True, **BARE)

    guest = machine()
    before = free_mib(guest)
    guest.send(f"pykexec exec '{HELLO_PATH}'")
    # Where Linux comes again its memory waits for it, and is the payload's where it does not.
    assert abs(payload_has_mib(guest) - before) < 8
    guest.ready()
    guest.send(f"pykexec exec '{HELLO_PATH}' --on-failure firmware")
    assert payload_has_mib(guest) > before + ARENA_MIB
    guest.vm.expect("PK:stub:action:0x1$")
    guest.vm.expect(BOOT_MANAGER)
    guest.vm.kill()

    guest = machine()
    guest.send(f"pykexec exec '{HELLO_PATH}' --on-failure reset")
    guest.payload_ran()
    guest.vm.expect("PK:stub:action:0x3$")
    guest.vm.expect_stage("stub", "start")
    guest.ready()
    assert guest.json("pykexec status --json")["firmware"]["outcome"]["nr_runs"] == 0

    guest.send("pykexec leave --action agent")
    guest.ready()
    outcome = guest.json("pykexec status --json")["firmware"]["outcome"]
    assert (outcome["stage"], outcome["action"]) == ("leave", "agent")

    guest.send("/inside/stage /inside/hello.efi boot-next leave refused")
    guest.payload_ran("refused")
    guest.vm.expect("PK:stub:action:0x2$")
    guest.payload_ran(NEXT_OPTIONS)
    guest.vm.expect(BOOT_MANAGER)
