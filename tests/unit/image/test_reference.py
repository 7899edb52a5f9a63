# SPDX-License-Identifier: Apache-2.0
"""Reference values: of the image alone, the same for the same image."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from pykexec.cli import main
from pykexec.efi import pe
from pykexec.errors import FormatError, UsageError
from pykexec.firmware import description
from pykexec.image import assemble, initrd, measure
from pykexec.image.builder import described
from pykexec.image.reference import encode_reference, reference_values
from pykexec.policy.offline import parse_reference, updated_policy
from pykexec.policy.predict import Changes
from tests.support.attest_machine import Machine
from tests.unit.image.inputs import TEXT, SectionInput, kernel_bytes, pe_bytes

SECTIONS = {
    ".osrel": b'NAME="pykexec"\nID=pykexec\nVERSION_ID=1.2\nPRETTY_NAME="pykexec 1.2"\n',
    ".cmdline": b"console=ttyS0 quiet",
    ".uname": b"6.1.0-test",
    ".linux": b"a kernel",
}
OURS = SectionInput(".sbat", 0x2000, b"sbat,1,test\npykexec,1,pykexec,pykexec,1,README.md\n")
STUB = pe_bytes((TEXT, OURS))


def image_of(**changed: bytes) -> bytes:
    """Ours, as `build` puts it together, with other contents in sections named without the dot."""
    sections = {**SECTIONS, **{f".{name}": data for name, data in changed.items()}}
    return assemble.append_sections(STUB, "stub", described(STUB, "stub", sections))


IMAGE = image_of()


def test_values_are_those_of_the_image() -> None:
    values = reference_values(IMAGE, "image")
    assert values["name"] == "pykexec 1.2"
    assert values["pykexec"] == "1.2"
    assert values["kernel"] == "6.1.0-test"
    assert values["cmdline"] == "console=ttyS0 quiet"
    assert values["size"] == len(IMAGE)
    assert values["sha256"] == hashlib.sha256(IMAGE).hexdigest()
    sections: dict[str, dict[str, str]] = values["sections"]  # type: ignore[assignment]
    assert list(sections) == [".linux", ".osrel", ".cmdline", ".uname", ".sbat"]
    assert sections[".linux"]["sha384"] == hashlib.sha384(b"a kernel").hexdigest()
    assert list(values["authenticode"]) == list(measure.BANKS)  # type: ignore[call-overload]
    assert values["described"] is True
    assert "pcr11" not in values


def test_an_image_that_measures_its_sections_has_a_value_of_pcr_11() -> None:
    cmdline = b"console=ttyS0 quiet pykexec.measure=systemd"
    values = reference_values(image_of(cmdline=cmdline), "image")
    assert list(values["pcr11"]) == list(measure.BANKS)  # type: ignore[call-overload]
    for words in (b"pykexec.measure=firmware pykexec.measure=systemd", b"xpykexec.measure=systemd"):
        assert "pcr11" not in reference_values(image_of(cmdline=words), "image")
    # Who has not our stub, has systemd's.
    other = assemble.append_sections(pe_bytes(), "stub", SECTIONS)
    values = reference_values(other, "other")
    assert ("pcr11" in values, values["described"]) == (True, False)


def test_an_image_says_of_its_sections_what_they_are() -> None:
    image = pe.parse(IMAGE, "image")
    own = image.section(".digests")
    assert own is not None
    said = description.parse_description(pe.section_data(IMAGE, own))
    sections: dict[str, dict[str, str]] = reference_values(IMAGE, "i")["sections"]  # type: ignore[assignment]
    assert said == {name: digests["sha256"] for name, digests in sections.items()}
    assert ".sbat" in said
    lying = assemble.append_sections(
        STUB, "stub", {".digests": description.describe({".linux": b"another"}), **SECTIONS}
    )
    assert reference_values(lying, "lying")["described"] is False


def test_another_command_line_changes_its_own_values_and_what_follows_from_them() -> None:
    other = image_of(cmdline=b"rd.break")
    old, new = reference_values(IMAGE, "old"), reference_values(other, "new")
    changed = {key for key in old if old[key] != new[key]}
    assert changed == {"cmdline", "sha256", "authenticode", "sections"} | (
        {"size"} if len(other) != len(IMAGE) else set()
    )


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_authenticode_digests_are_the_headers_and_sections_without_the_checksum(
    algorithm: str,
) -> None:
    values: dict[str, dict[str, str]] = reference_values(IMAGE, "i")  # type: ignore[assignment]
    spoilt = bytearray(IMAGE)
    offset = pe.parse(IMAGE, "i").checksum_offset
    spoilt[offset : offset + 4] = b"\xff" * 4
    again: dict[str, dict[str, str]] = reference_values(bytes(spoilt), "i")  # type: ignore[assignment]
    assert values["authenticode"][algorithm] == again["authenticode"][algorithm]
    spoilt[-1] ^= 1
    other: dict[str, dict[str, str]] = reference_values(bytes(spoilt), "i")  # type: ignore[assignment]
    assert values["authenticode"][algorithm] != other["authenticode"][algorithm]


@pytest.mark.parametrize("data", [b"", b"MZ", kernel_bytes(), pe_bytes()])
def test_what_is_no_image_has_none(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"^file: "):
        reference_values(data, "file")


def test_a_file_of_them_is_as_good_as_the_image() -> None:
    values = reference_values(IMAGE, "image")
    assert parse_reference(encode_reference(values), "r") == values == parse_reference(IMAGE, "i")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "neither an image nor JSON"),
        (b"[]", "no reference values of version 1"),
        (b'{"version": 2}', "no reference values of version 1"),
        (b'{"version": 1}', "authenticode: no values for sha256 and sha384"),
        (b'{"version": 1, "authenticode": {"sha256": 5}}', "authenticode: no values for sha256"),
        (
            b'{"version": 1, "authenticode": {"sha256": "", "sha384": ""}, "pcr11": 5}',
            "pcr11: no values for sha256 and sha384",
        ),
    ],
)
def test_a_file_of_something_else_is_refused(data: bytes, fault: str) -> None:
    with pytest.raises(FormatError, match=f"^r: {fault}"):
        parse_reference(data, "r")


def test_a_digest_that_is_none_is_refused() -> None:
    values = {**reference_values(IMAGE, "image"), "authenticode": {"sha256": "x", "sha384": "x"}}
    with pytest.raises(UsageError, match="authenticode: 'x' is no digest"):
        updated_policy(Machine().evidence(), "e", Changes(), "u", image=values)


def test_build_writes_them_beside_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initrd, "_LEVEL", 1)  # Compression is most of a build's time.
    kernel, image, file = (tmp_path / name for name in ("vmlinuz", "image.efi", "reference.json"))
    kernel.write_bytes(kernel_bytes())
    words = ["build", "--no-modules", "--kernel", kernel, "--output", image, "--reference", file]
    assert main([str(word) for word in words]) == 0
    assert file.read_bytes() == encode_reference(reference_values(image.read_bytes(), "image"))
    assert json.loads(file.read_bytes())["kernel"] == "6.1.0-test"
