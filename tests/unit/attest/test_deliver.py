# SPDX-License-Identifier: Apache-2.0
"""What released secrets become on the key disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pykexec.attest.deliver import key_disk
from pykexec.attest.opened import OpenedSecret
from pykexec.disk import bek
from pykexec.efi.guid import Guid
from pykexec.errors import FormatError
from pykexec.run import run
from pykexec.secret import Secret

IDENTIFIER = "4381f759-c4f8-4de0-bb61-fc33a831bda5"
VOLUME = "5a95db04-6ebc-4ba9-99a3-15a87a3d07b2"
BEK_NAME = f"{IDENTIFIER.upper()}.BEK"
PASSWORD = b"363770-230505-096371-652674-567006-579150-291038-408111"
UUID = "0f7d5cbb-7b5a-4c53-9f8a-1e0f4d2f3a11"


def secret(kind: str, value: bytes, parameters: Mapping[str, str], name: str = "s") -> OpenedSecret:
    held = Secret(len(value))
    held.view[:] = value
    return OpenedSecret(name, kind, parameters, held)


def files(directory: Path, *secrets: OpenedSecret) -> dict[str, bytes]:
    image = directory / "disk.img"
    with key_disk(secrets) as disk:
        image.write_bytes(disk.view)
    volume = f"{image}@@{64 * 512}"
    names = run(["mdir", "-/", "-b", "-i", volume, "::/"]).decode().splitlines()
    found = [name for name in names if not name.endswith("/")]
    return {name[3:]: run(["mtype", "-i", volume, name]) for name in found}


def written_bek(volume: str | None) -> bytes:
    guid = None if volume is None else Guid.parse(volume)
    out = bytearray(bek.size(guid))
    bek.write(memoryview(out), memoryview(b"k" * 32), Guid.parse(IDENTIFIER), guid, 0)
    return bytes(out)


@pytest.mark.parametrize(
    ("kind", "parameters", "value", "name"),
    [
        ("luks-key", {"file": "EFI/keys/root.key"}, b"\0\xff" * 16, "EFI/keys/root.key"),
        ("luks-key", {"volume": UUID}, b"k" * 64, f"{UUID}.key"),
        ("luks-key", {}, b"k" * 64, "luks.key"),
        ("luks-passphrase", {}, b"correct horse", "luks.pass"),
        ("file", {"file": "token.json"}, b"{}", "token.json"),
        ("bitlocker-recovery-password", {}, PASSWORD, "BitLocker Recovery Key.txt"),
        ("bitlocker-external-key", {}, written_bek(None), BEK_NAME),
        ("bitlocker-external-key", {}, written_bek(VOLUME), BEK_NAME),
    ],
)
def test_a_secret_becomes_its_file(
    tmp_path: Path, kind: str, parameters: Mapping[str, str], value: bytes, name: str
) -> None:
    assert files(tmp_path, secret(kind, value, parameters)) == {name: value}


@pytest.mark.parametrize("volume", [None, VOLUME])
def test_a_bare_external_key_becomes_a_bek_file(tmp_path: Path, volume: str | None) -> None:
    parameters = {"identifier": IDENTIFIER, **({"volume": volume} if volume else {})}
    found = files(tmp_path, secret("bitlocker-external-key", b"k" * 32, parameters))
    data = found[BEK_NAME]
    read = bek.read(memoryview(data), "x")
    assert (str(read.identifier), read.volume and str(read.volume)) == (IDENTIFIER, volume)
    assert data[read.key_offset :][:32] == b"k" * 32


def test_all_secrets_share_one_disk(tmp_path: Path) -> None:
    both = [secret("luks-key", b"a", {"file": "a"}), secret("file", b"b", {"file": "b"})]
    assert files(tmp_path, *both) == {"a": b"a", "b": b"b"}


@pytest.mark.parametrize(
    ("kind", "parameters", "value", "fault"),
    [
        ("file", {}, b"x", "a file needs a name"),
        ("file", {"file": "../x"}, b"x", "is no name"),
        ("bitlocker-external-key", {}, b"k" * 32, "needs the identifier"),
        ("bitlocker-external-key", {"identifier": "x"}, b"k" * 32, "is not a GUID"),
        ("bitlocker-external-key", {}, b"k" * 31, "too few"),
        ("bitlocker-recovery-password", {}, b"363770", "8 groups"),
    ],
)
def test_what_is_no_such_secret_is_refused(
    kind: str, parameters: Mapping[str, str], value: bytes, fault: str
) -> None:
    with pytest.raises(FormatError, match=fault), key_disk([secret(kind, value, parameters)]):
        pass


def test_two_secrets_for_one_file_are_refused() -> None:
    both = [secret("file", b"1", {"file": "a"}), secret("file", b"2", {"file": "a"})]
    with pytest.raises(FormatError, match="two for the file a"), key_disk(both):
        pass


def test_the_disk_is_wiped_in_the_end() -> None:
    with key_disk([secret("file", b"needle in it", {"file": "a"})]) as disk:
        view = disk.view
        assert b"needle in it" in bytes(view)
    assert bytes(view) == bytes(len(view))
