# SPDX-License-Identifier: Apache-2.0
"""What Linux has measured of a configuration, and what happens when it cannot."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from pykexec._native import lib
from pykexec.abi_devices import TpmEventConstant
from pykexec.efi.guid import named_guids
from pykexec.errors import FirmwareError, FormatError
from pykexec.firmware.mailbox import Mailbox, Reply, Request
from pykexec.firmware.measure import config_event, measure_config, parse_tagged_event

LARGEST = bytes(4096 - 8 - len(b"pykexec-config\0"))


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (b"", b"pykexec-config\0"),
        (b"locked = true\n", b"pykexec-config\0locked = true\n"),
        (LARGEST, b"pykexec-config\0" + LARGEST),
        (
            LARGEST + b"x",
            b"pykexec-config-sha256\0" + hashlib.sha256(LARGEST + b"x").digest(),
        ),
    ],
)
def test_an_event_is_the_file_or_where_it_is_too_large_its_digest(
    data: bytes, event: bytes
) -> None:
    head = b"pkcf" + len(event).to_bytes(4, "little")
    assert config_event(data) == head + event
    assert parse_tagged_event(head + event) == (TpmEventConstant.TAG_CONFIG, event)


@pytest.mark.parametrize("data", [b"", b"pkcf\1\0\0", b"pkcf\1\0\0\0", b"pkcf\0\0\0\0x"])
def test_what_is_no_tagged_event_is_told(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"^tagged event of "):
        parse_tagged_event(data)


def test_what_cannot_be_measured_is_named_and_ignored(tmp_path: Path) -> None:
    (tmp_path / f"PykexecMailbox-{named_guids()['pykexec_mailbox']}").symlink_to("/dev/full")
    with Mailbox(tmp_path) as mailbox, pytest.raises(FirmwareError) as caught:
        measure_config(mailbox, b"locked = true\n", "tftp://server/agent.toml", attested=False)
    assert caught.value.filename == "tftp://server/agent.toml"
    assert caught.value.strerror == (
        "ignored, for it cannot be measured: mailbox: No space left on device"
    )


class Firmware(Mailbox):
    """A firmware that answers every request with one status."""

    def __init__(self, root: Path, status: int) -> None:
        (root / f"PykexecMailbox-{named_guids()['pykexec_mailbox']}").touch()
        super().__init__(root)
        self.status = status

    def call(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply(request.op, self.status, b"") for request in requests]


def test_a_full_log_hinders_nobody_who_is_not_attested(tmp_path: Path) -> None:
    with Firmware(tmp_path, lib.EFI_VOLUME_FULL) as firmware:
        assert measure_config(firmware, b"", "agent.toml", attested=False) is False
        with pytest.raises(FirmwareError, match=r"ignored, for it cannot be measured: No space"):
            measure_config(firmware, b"", "agent.toml", attested=True)


@pytest.mark.parametrize("attested", [False, True])
def test_what_the_register_does_not_have_is_not_used(tmp_path: Path, attested: bool) -> None:
    with Firmware(tmp_path, lib.EFI_DEVICE_ERROR) as firmware, pytest.raises(FirmwareError):
        measure_config(firmware, b"", "agent.toml", attested)
    with Firmware(tmp_path, lib.EFI_SUCCESS) as firmware:
        assert measure_config(firmware, b"", "agent.toml", attested) is True
