# SPDX-License-Identifier: Apache-2.0
"""What identifies a machine is hidden in every form that it turns up in, the same way each time."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pykexec.certify.blob import pack_blob, unpack_blob
from pykexec.certify.disguise import Disguise
from pykexec.certify.engine import hidden
from pykexec.certify.identity import learn_path, learn_serials, read_dmi
from pykexec.efi.device_path import DevicePath
from pykexec.efi.device_path_node import Node
from pykexec.efi.guid import Guid

MAC = bytes.fromhex("525400aabbcc")
GUID = Guid.parse("8be4df61-1111-2222-3333-444455556666")
SERIAL = "PF2ABCDE"
EUI = bytes.fromhex("0025385b71b00001")


@pytest.fixture
def disguise() -> Disguise:
    made = Disguise(b"salt")
    made.learn_bytes(MAC)
    made.learn_bytes(GUID.data)
    made.learn_text(SERIAL)
    return made


@pytest.mark.parametrize(
    "text",
    ["52:54:00:aa:bb:cc", "52-54-00-AA-BB-CC", "525400AABBCC", "MAC(525400aabbcc,0x1)", SERIAL,
     str(GUID), str(GUID).upper(), f"HD(1,GPT,{GUID},0x800,0x1000)"],
)  # fmt: skip
def test_no_form_of_it_stays_in_a_text(disguise: Disguise, text: str) -> None:
    found = disguise.hide_text(text)
    assert found != text and len(found) == len(text)
    assert SERIAL not in found and "aabbcc" not in found.lower() and "4455" not in found
    wide = disguise.hide_bytes(text.encode("utf-16-le"))
    assert wide == found.encode("utf-16-le")


def test_bytes_stay_as_long_and_the_same_looks_the_same(disguise: Disguise) -> None:
    data = b"a" + MAC + b"b" + GUID.data + b"c" + MAC
    found = disguise.hide_bytes(data)
    assert len(found) == len(data) and MAC not in found and GUID.data not in found
    assert found[1:7] == found[-6:]
    assert disguise.hide_text("52:54:00:aa:bb:cc") == found[1:7].hex(":")
    assert unpack_blob(pack_blob(data, disguise), "blob") == found


def test_another_report_has_other_words(disguise: Disguise) -> None:
    other = Disguise(b"another salt")
    other.learn_bytes(MAC)
    assert other.hide_bytes(MAC) != disguise.hide_bytes(MAC)
    assert other.word(b"certificate") != disguise.word(b"certificate")


def test_who_asks_for_them_gets_them_as_they_are() -> None:
    disguise = Disguise(b"salt", is_open=True)
    disguise.learn_bytes(MAC)
    disguise.learn_text(SERIAL)
    assert disguise.hide_bytes(MAC + SERIAL.encode()) == MAC + SERIAL.encode()


@pytest.mark.parametrize("value", ["", "   ", "To be filled by O.E.M.", "None", "123"])
def test_what_nobody_filled_in_is_no_serial_number(value: str) -> None:
    disguise = Disguise(b"salt")
    disguise.learn_text(value)
    assert disguise.hide_text(f"x {value} 1234") == f"x {value} 1234"


@pytest.mark.parametrize("value", [bytes(6), b"\xff" * 6, b"ab"])
def test_no_address_at_all_is_none(value: bytes) -> None:
    disguise = Disguise(b"salt")
    disguise.learn_bytes(value)
    assert disguise.hide_bytes(value * 3) == value * 3


def test_device_paths_give_away_what_is_in_them() -> None:
    path = DevicePath(
        (
            Node(3, 11, MAC + bytes(26) + b"\x01"),
            Node(3, 23, struct.pack("<I8s", 1, EUI)),
            Node(3, 16, struct.pack("<HHH", 0, 1, 2) + SERIAL.encode("utf-16-le")),
            Node(4, 1, struct.pack("<IQQ16sBB", 1, 2048, 4096, GUID.data, 2, 2)),
            Node(4, 1, struct.pack("<IQQ16sBB", 1, 2048, 4096, b"\x01\x02\x03\x04" * 4, 1, 1)),
        )
    )
    disguise = Disguise(b"salt")
    learn_path(disguise, path)
    found = disguise.hide_bytes(bytes(path))
    assert len(found) == len(bytes(path))
    for secret in (MAC, EUI, GUID.data, SERIAL.encode("utf-16-le"), b"\x01\x02\x03\x04"):
        assert secret in bytes(path) and secret not in found


def test_serials_of_the_mainboard_are_hidden_and_its_kind_is_not(tmp_path: Path) -> None:
    root = tmp_path
    fields = {"product_name": "NUC8", "product_serial": SERIAL, "product_uuid": str(GUID)}
    for name, value in fields.items():
        (root / name).write_text(f"{value}\n")
    found = read_dmi((*fields, "board_name"), str(root))
    assert found == fields
    disguise = Disguise(b"salt")
    learn_serials(disguise, found)
    shown = hidden({"smbios": found, "list": [SERIAL], str(GUID): 1}, disguise.hide_text)
    assert SERIAL not in str(shown) and str(GUID) not in str(shown)
    assert "NUC8" in str(shown)
