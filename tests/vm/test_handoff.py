# SPDX-License-Identifier: Apache-2.0
"""The handoff of a running machine, carried out of it and looked at elsewhere."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest

from pykexec.errors import ToolError
from pykexec.run import run
from pykexec.vm.ovmf import firmware
from tests.vm.images import image
from tests.vm.snapshots import AgentReady


def inspect(path: Path) -> tuple[str, dict[str, object]]:
    """What `pykexec inspect` prints, for people and as JSON."""
    words = (sys.executable, "-m", "pykexec", "inspect", str(path))
    return run(words).decode(), json.loads(run((*words, "--json")))


def test_a_saved_handoff_can_be_inspected_elsewhere(
    agent_ready: AgentReady, tmp_path: Path
) -> None:
    guest = agent_ready(image(), firmware())
    assert "TPM: 2.0, IBM, active banks sha" in guest.vm.console.text
    guest.ok("pykexec status --save-handoff /tmp/handoff")
    saved = tmp_path / "handoff"
    saved.write_bytes(base64.b64decode(guest.ok("base64 /tmp/handoff")))

    text, report = inspect(saved)
    assert "PK:stub:exit_bs:0" in text
    assert report["kind"] == "handoff"

    forged = tmp_path / "forged"
    data = bytearray(saved.read_bytes())
    data[64] ^= 1
    forged.write_bytes(data)
    with pytest.raises(ToolError, match="forged: bad checksum"):
        inspect(forged)
