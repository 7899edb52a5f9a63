# SPDX-License-Identifier: Apache-2.0
"""LUKS2 volumes for virtual machines: the key opens them, nothing of the files shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykexec.errors import ToolError
from pykexec.run import run
from pykexec.vm.luks import VOLUME_UUID, make_volume

KEY = b"\0\nkey of the volume, 32 bytes.\xff"
PROOF = b"nobody reads this without the key"


def test_the_key_opens_the_volume_and_no_other(tmp_path: Path) -> None:
    volume = tmp_path / "volume.img"
    make_volume(volume, KEY, {"proof": PROOF})
    tool: tuple[str | Path, ...] = ("/usr/sbin/cryptsetup", "--disable-locks")
    assert run([*tool, "luksUUID", volume]).decode().strip() == str(VOLUME_UUID)
    opening: list[str | Path] = [*tool, "open", "--test-passphrase", "--key-file=-", volume]
    run(opening, stdin=KEY)
    with pytest.raises(ToolError, match="exit status 2"):
        run(opening, stdin=KEY[:-1] + b"\xfe")
    assert PROOF not in volume.read_bytes()
