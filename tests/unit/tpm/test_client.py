# SPDX-License-Identifier: Apache-2.0
"""Registers, quotes and the AK against swtpm; tpm2-tools say what is right."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import pytest

from pykexec.errors import TpmError
from pykexec.tpm.client import Tpm
from pykexec.tpm.loaded import loaded_handles
from pykexec.tpm.response_code import ResponseError
from pykexec.tpm.wire import sized
from pykexec.verify.credential import make_credential
from tests.support.software_tpm import SoftwareTpm, software_tpm

PCRS = (0, 4, 7, 16)
NONCE = bytes(range(32))


@pytest.fixture(scope="module")
def swtpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftwareTpm]:
    with software_tpm(tmp_path_factory.mktemp("tpm")) as running:
        yield running


@pytest.fixture
def tpm(swtpm: SoftwareTpm) -> Iterator[Tpm]:
    """A client; whatever a test does, nothing may be left loaded."""
    with Tpm(swtpm) as client:
        yield client
    assert loaded_handles(swtpm) == set()


def read_by_tools(swtpm: SoftwareTpm, bank: str) -> dict[int, bytes]:
    lines = re.findall(r"(\d+) *: 0x(\w+)", swtpm.tool(f"tpm2_pcrread {bank}"))
    return {int(number): bytes.fromhex(value) for number, value in lines}


def checkquote(swtpm: SoftwareTpm, tpm: Tpm, bank: str, nonce: bytes = NONCE) -> str:
    ak = tpm.ak()
    attest, signature = tpm.quote(ak, NONCE, bank, PCRS)
    values = b"".join(tpm.read_pcrs(bank, PCRS).values())
    files = {"ak": sized(ak.public), "attest": attest, "signature": signature, "values": values}
    for name, data in files.items():
        (swtpm.directory / name).write_bytes(data)
    tpm.close()
    numbers = ",".join(map(str, PCRS))
    check = f"tpm2_checkquote -u ak -m attest -s signature -f values -l {bank}:{numbers}"
    return swtpm.tool(f"{check} -g sha256 -q {nonce.hex()}")


@pytest.mark.parametrize("bank", ["sha256", "sha384"])
def test_tpm2_tools_accept_our_quote(swtpm: SoftwareTpm, tpm: Tpm, bank: str) -> None:
    tpm.event(16, b"something")
    assert "sig: " in checkquote(swtpm, tpm, bank)


def test_tpm2_tools_refuse_our_quote_for_another_nonce(swtpm: SoftwareTpm, tpm: Tpm) -> None:
    with pytest.raises(Exception, match="validating nonce"):
        checkquote(swtpm, tpm, "sha256", bytes(32))


@pytest.mark.parametrize("bank", ["sha1", "sha256", "sha384", "sha512"])
def test_registers_read_as_tpm2_tools_read_them(swtpm: SoftwareTpm, tpm: Tpm, bank: str) -> None:
    tpm.event(8, b"of this bank")
    found = tpm.read_pcrs(bank, range(24))
    assert found[8] != bytes(len(found[8]))
    assert found == read_by_tools(swtpm, bank)


def test_a_register_is_extended_in_the_banks_that_are_named(swtpm: SoftwareTpm, tpm: Tpm) -> None:
    digests = {"sha256": b"\x5a" * 32, "sha384": b"\xa5" * 48}
    tpm.extend(9, digests)
    for bank, digest in digests.items():
        expected = hashlib.new(bank, bytes(len(digest)) + digest).digest()
        assert read_by_tools(swtpm, bank)[9] == expected
    assert read_by_tools(swtpm, "sha1")[9] == bytes(20)


def test_an_event_extends_all_banks_with_its_digest(swtpm: SoftwareTpm, tpm: Tpm) -> None:
    banks = tpm.active_banks()
    digests = {bank: hashlib.new(bank, b"event").digest() for bank in banks}
    assert tpm.event(10, b"event") == digests
    for bank, digest in digests.items():
        expected = hashlib.new(bank, bytes(len(digest)) + digest).digest()
        assert read_by_tools(swtpm, bank)[10] == expected


def test_all_banks_of_a_new_tpm_are_active(tpm: Tpm) -> None:
    assert tpm.active_banks() == ("sha1", "sha256", "sha384", "sha512")


def test_the_ak_is_the_same_every_time_and_what_tpm2_tools_see(
    swtpm: SoftwareTpm, tpm: Tpm
) -> None:
    ak = tpm.ak()
    swtpm.tool_keeping(f"tpm2_readpublic -c {ak.handle:#x} -n name -o public")
    assert (swtpm.file("name"), swtpm.file("public")) == (ak.name, sized(ak.public))
    tpm.close()
    again = tpm.ak()
    assert (again.name, again.public) == (ak.name, ak.public)


def test_the_ak_is_restricted_to_what_the_tpm_attests(swtpm: SoftwareTpm, tpm: Tpm) -> None:
    handle = tpm.ak().handle
    text = swtpm.tool_keeping(f"tpm2_readpublic -c {handle:#x}")
    expected = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign"
    assert f"value: {expected}" in text
    (swtpm.directory / "digest").write_bytes(NONCE)
    with pytest.raises(Exception, match="tpm:parameter"):
        swtpm.tool_keeping(f"tpm2_sign -c {handle:#x} -g sha256 -d -o forged digest")


def test_the_quote_is_of_the_endorsement_hierarchy_and_shows_the_counters(
    swtpm: SoftwareTpm, tpm: Tpm
) -> None:
    attest, _ = tpm.quote(tpm.ak(), NONCE, "sha256", PCRS)
    (swtpm.directory / "attest").write_bytes(attest)
    text = swtpm.tool_keeping("tpm2_print -t TPMS_ATTEST attest")
    assert f"extraData: {NONCE.hex()}" in text
    # In another hierarchy these would be random.
    assert re.search(r"resetCount: [01]\n", text) and re.search(r"restartCount: 0\n", text)


def test_the_same_key_is_loaded_once(swtpm: SoftwareTpm, tpm: Tpm) -> None:
    assert tpm.ak() is tpm.ak()
    assert tpm.ek("ecc-p256") is tpm.ek("ecc-p256") is tpm.best_ek()
    assert len(loaded_handles(swtpm)) == 2


def test_the_end_of_a_with_statement_flushes_after_an_error(swtpm: SoftwareTpm) -> None:
    with pytest.raises(TpmError), Tpm(swtpm) as tpm:
        tpm.ak()
        tpm.quote(tpm.ak(), bytes(200), "sha256", PCRS)
    assert loaded_handles(swtpm) == set()


def test_a_full_tpm_says_so(swtpm: SoftwareTpm, tpm: Tpm) -> None:
    tpm.ak(), tpm.ek("ecc-p256"), tpm.ek("ecc-p384")
    with pytest.raises(ResponseError, match=r"OBJECT_MEMORY \(no room for another object"):
        tpm.ek("rsa2048")


@pytest.mark.parametrize(
    ("bank", "pcrs", "fault"),
    [("sha255", [0], "'sha255': there is no such"), ("sha256", [24], "there is no PCR 24")],
)
def test_registers_that_do_not_exist_are_not_asked_for(
    tpm: Tpm, bank: str, pcrs: list[int], fault: str
) -> None:
    with pytest.raises(TpmError, match=fault):
        tpm.read_pcrs(bank, pcrs)
    assert tpm.usage.commands == 0


def test_a_digest_must_fit_its_bank(tpm: Tpm) -> None:
    with pytest.raises(TpmError, match="48 bytes are no digest of bank sha256"):
        tpm.extend(16, {"sha256": bytes(48)})
    with pytest.raises(TpmError, match="1024 bytes at most, not 1025"):
        tpm.event(16, bytes(1025))


def test_usage_counts_commands_and_their_time(tpm: Tpm) -> None:
    tpm.read_pcrs("sha256", range(16))
    assert tpm.usage.commands == 2
    assert 0 < tpm.usage.seconds < 10


def test_an_attestation_takes_few_commands(swtpm: SoftwareTpm, tpm: Tpm) -> None:
    assert "sha256" in tpm.active_banks()
    ek, ak = tpm.best_ek(), tpm.ak()
    blob, secret = make_credential(ek.area, ak.name, bytes(32))
    with tpm.activate_credential(ak, ek, blob, secret):
        tpm.quote(ak, NONCE, "sha256", range(16))
    tpm.read_pcrs("sha256", range(16))
    tpm.close()
    # On a machine's own TPM each is 10 to 50 ms, a new ECC key about 200.
    assert tpm.usage.commands <= 13
