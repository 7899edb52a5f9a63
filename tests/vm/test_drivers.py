# SPDX-License-Identifier: Apache-2.0
"""[firmware] drivers: at work before the agent is ready, measured where policies look, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pykexec.cli import main
from pykexec.efi import pe
from pykexec.policy import offline
from pykexec.vm.ovmf import Firmware
from tests.vm import images
from tests.vm.guest import HELLO_PATH, Guest
from tests.vm.signed import SIGNED_DRIVER
from tests.vm.snapshots import AgentReady

MISSING = r"\EFI\drivers\missing.efi"
CONFIG = f"[firmware]\ndrivers = ['{MISSING}', '{SIGNED_DRIVER}', '{HELLO_PATH}']\n"
PCR, DRIVER, SEPARATOR = 2, "EV_EFI_BOOT_SERVICES_DRIVER", "EV_SEPARATOR"


def save_evidence(guest: Guest, path: Path) -> str:
    """Where evidence of this boot is."""
    path.write_text(json.dumps(guest.script("evidence", within=120)))
    return str(path)


def reference(image: Path, directory: Path) -> str:
    """Where reference values of image are, under its own name: both are of one commit."""
    path = directory / f"{image.name}.json"
    values = offline.parse_reference(image.read_bytes(), image.name)
    path.write_text(json.dumps({**values, "name": image.name}))
    return str(path)


def added(guest: Guest) -> list[dict[str, Any]]:
    """What is in PCR 2 behind its separator."""
    events = guest.json("pykexec eventlog --json")["events"]
    of_drivers = [event for event in events if event["pcr"] == PCR]
    (separator,) = (n for n, event in enumerate(of_drivers) if event["type"] == SEPARATOR)
    return of_drivers[separator + 1 :]


def test_a_driver_of_agent_toml_is_at_work_and_measured_as_foreseen(
    firmware: Firmware, agent_ready: AgentReady, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without, image = images.image(), images.image(config=CONFIG)
    digest = pe.authenticode_digest(data := images.driver().read_bytes(), pe.parse(data, "driver"))
    learnt, foreseen = str(tmp_path / "learnt.toml"), str(tmp_path / "foreseen.toml")
    before = save_evidence(agent_ready(without, firmware), tmp_path / "before.json")
    known = (reference(path, tmp_path) for path in (without, image))
    words = [word for path in known for word in ("--image", path)]
    assert main(["policy", "learn", before, *words, "-o", learnt]) == 0
    words = ["policy", "predict", before, "--name", "the driver", "--policy", learnt]
    assert main([*words, "--driver", str(images.driver()), "-o", foreseen]) == 0

    guest = agent_ready(image, firmware)
    said = guest.vm.console.text
    assert f"driver {SIGNED_DRIVER}: SUCCESS\n" in said
    assert f"pykexec: driver {MISSING}: " in said
    assert "hello.efi: EFI application, not a driver" in said
    assert "pykexec_test" in guest.ok("pykexec devices --all")
    (event,) = added(guest)
    assert (event["type"], event["digests"]["sha256"]) == (DRIVER, digest.hex())

    # One policy for both boots, which does not change; the older one says what was added.
    after = save_evidence(guest, tmp_path / "after.json")
    assert main(["policy", "check", before, foreseen]) == 0
    assert main(["policy", "check", after, foreseen]) == 0
    capsys.readouterr()
    assert main(["policy", "check", after, learnt]) == 6
    refusal = capsys.readouterr().out
    assert refusal.count("refused policy.") == 1
    assert f"drivers were added to the firmware's own: {digest.hex()} from " in refusal

    # The next Linux under this firmware finds it there, and measures nothing.
    guest.send(f"pykexec exec '{HELLO_PATH}'")
    guest.payload_ran()
    guest.ready()
    assert "pykexec_test" in guest.ok("pykexec devices --all")
    assert added(guest) == [event]
