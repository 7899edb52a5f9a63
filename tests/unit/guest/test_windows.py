# SPDX-License-Identifier: Apache-2.0
"""The agent looks at Windows before it starts it, and does what is configured where that asks
somebody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pykexec._native import lib
from pykexec.abi import BlockFlag, Op
from pykexec.attest.opened import OpenedSecret
from pykexec.config.agent import WindowsConfig, resolve_config
from pykexec.efi.guid import named_guids
from pykexec.errors import MismatchError
from pykexec.firmware.mailbox import Mailbox, Reply, Request
from pykexec.firmware.wire import align8, pack, unpack
from pykexec.guest import payload
from pykexec.guest.windows import WindowsCheck
from pykexec.secret import Secret
from tests.support.bitlocker import Way, bek_file, volume
from tests.support.windows_disk import BCD, BOOTMGFW, PCA_2011, authority, bcd, disk
from tests.unit.image.inputs import pe_bytes

KEY = bytes(range(32))
STARTUP = "4381f759-c4f8-4de0-bb61-fc33a831bda5"
STRANGER = "44444444-0000-4000-8000-444444444444"
DISK, MEDIA = 7, 3


class Firmware(Mailbox):
    """A firmware with one disk and no TPM; everything else it has not."""

    def __init__(self, root: Path, data: bytes) -> None:
        (root / f"PykexecMailbox-{named_guids()['pykexec_mailbox']}").touch()
        super().__init__(root)
        self.data = data

    def call(self, requests: Sequence[Request]) -> list[Reply]:
        return [self.answer(request) for request in requests]

    def answer(self, request: Request) -> Reply:
        bodies = {Op.HANDLES: self.handles, Op.BLOCK_INFO: self.info, Op.BLOCK_READ: self.blocks}
        if body := bodies.get(Op(request.op)):
            return Reply(request.op, 0, body(request.body))
        return Reply(request.op, lib.EFI_NOT_FOUND, b"")

    def handles(self, body: bytes) -> bytes:
        guid = named_guids()["block_io"].data
        size = len(pack("pk_handle_entry")) + len(guid)
        entry = pack("pk_handle_entry", size=align8(size), handle=DISK, nr_protocols=1) + guid
        head = pack("pk_handles_reply", nr_entries=1, nr_handles=1)
        return head + entry + bytes(align8(size) - size)

    def info(self, body: bytes) -> bytes:
        last = len(self.data) // 512 - 1
        flags = int(BlockFlag.PRESENT)
        return pack("pk_block_info", flags=flags, last_lba=last, block_size=512, media_id=MEDIA)

    def blocks(self, body: bytes) -> bytes:
        asked = unpack("pk_block_request", body, 0, "x")
        assert (asked.handle, asked.media_id) == (DISK, MEDIA)
        return self.data[asked.lba * 512 : asked.lba * 512 + asked.size]


def windows_disk() -> bytes:
    files = {BOOTMGFW: authority(PCA_2011).sign(pe_bytes()), BCD: bcd()}
    return disk(files, volume([Way(STARTUP, 0x200, KEY), Way(STRANGER, 0x800)]))


def secret(value: bytes, parameters: Mapping[str, str] | None = None) -> OpenedSecret:
    kept = Secret(len(value))
    kept.view[:] = value
    return OpenedSecret("server-key", "bitlocker-external-key", parameters or {}, kept)


@pytest.fixture
def firmware(tmp_path: Path) -> Firmware:
    return Firmware(tmp_path, windows_disk())


@pytest.mark.parametrize(
    "released",
    [secret(bek_file(STARTUP, KEY)), secret(KEY, {"identifier": STARTUP})],
    ids=["file", "bare key"],
)
def test_a_released_key_that_opens_the_volume_lets_the_payload_start(
    firmware: Firmware, released: OpenedSecret, capsys: pytest.CaptureFixture[str]
) -> None:
    found = WindowsCheck(firmware, WindowsConfig("fail"))
    found.look([released])
    found.decide()
    said = capsys.readouterr().out
    assert f"secret server-key ({STARTUP.upper()}.BEK) opens it" in said


def test_a_released_recovery_password_is_tried_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Secret(55)
    kept.view[:] = b"-".join([b"000011"] * 8)
    found = WindowsCheck(Firmware(tmp_path, windows_disk()), WindowsConfig("fail"))
    found.look([OpenedSecret("recovery", "bitlocker-recovery-password", {}, kept)])
    said = capsys.readouterr().out
    assert f"recovery password {{{STRANGER}}}: secret recovery is not its password" in said
    with pytest.raises(MismatchError):
        found.decide()


def test_without_a_key_the_volume_is_named_and_the_payload_is_not_started(
    firmware: Firmware, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MismatchError, match=f"no secret at hand fits .*{STARTUP.upper()}"):
        WindowsCheck(firmware, WindowsConfig("fail")).decide()
    said = capsys.readouterr().out
    assert "windows: Windows will not start unattended: 1 reason" in said


def test_a_key_of_another_volume_is_named_by_secret_and_guid(
    firmware: Firmware, capsys: pytest.CaptureFixture[str]
) -> None:
    found = WindowsCheck(firmware, WindowsConfig("fail"))
    other = "55555555-0000-4000-8000-555555555555"
    found.look([secret(bek_file(other, KEY))])
    assert f"secret server-key ({other}.BEK) {{{other}}}: is for none" in capsys.readouterr().out
    with pytest.raises(MismatchError):
        found.decide()


def test_start_starts_all_the_same(firmware: Firmware, capsys: pytest.CaptureFixture[str]) -> None:
    WindowsCheck(firmware, WindowsConfig("start")).decide()
    assert "windows: Windows will not start unattended" in capsys.readouterr().out


@pytest.mark.parametrize(("configured", "raises"), [("fail", True), ("start", False)])
def test_a_disk_that_cannot_be_read_is_a_mismatch(
    firmware: Firmware, configured: str, raises: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    firmware.data = firmware.data[:512]  # It says that it is larger than it is.
    firmware.info = lambda body: pack(  # type: ignore[method-assign]
        "pk_block_info", flags=int(BlockFlag.PRESENT), last_lba=9999, block_size=512, media_id=MEDIA
    )
    found = WindowsCheck(firmware, WindowsConfig(configured))
    if raises:
        with pytest.raises(MismatchError, match="no volume has"):
            found.decide()
    else:
        found.decide()
    assert (
        "windows: note  disk 7: block device 7: 512 bytes at LBA 1: bad answer"
        in capsys.readouterr().out
    )


CONFIG = b"[payload]\npath = '\\EFI\\x.efi'\n[windows]\n"


def test_before_the_payload_is_started_the_agent_decides(
    firmware: Firmware, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    started: list[str] = []

    def exec_payload(mailbox: Mailbox, path: str, **given: object) -> None:
        before = given["before"]
        assert callable(before)
        before(None)
        started.append(path)

    monkeypatch.setattr("pykexec.kexec.execute.exec_payload", exec_payload)
    for more, paths in ((b"", []), (b"on_mismatch = 'start'\n", ["\\EFI\\x.efi"])):
        assert not payload.start_payload(firmware, resolve_config(CONFIG + more, None))
        assert started == paths
    assert "pykexec: disk 7 partition 2: BitLocker volume" in capfd.readouterr().err


def test_without_the_table_nothing_is_looked_at() -> None:
    assert resolve_config(CONFIG, None).windows == WindowsConfig("fail")
    assert resolve_config(CONFIG.replace(b"[windows]\n", b""), None).windows is None
