# SPDX-License-Identifier: Apache-2.0
"""Sealed data against swtpm; tpm2-tools open ours, we open theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pykexec.errors import ToolError, TpmError
from pykexec.secret import Secret
from pykexec.tpm.client import Tpm
from pykexec.tpm.loaded import loaded_handles
from pykexec.tpm.response_code import ResponseError
from pykexec.tpm.seal import Sealed, parse_sealed
from pykexec.tpm.templates import AK_TEMPLATE
from pykexec.tpm.wire import Reader, WireError, sized
from tests.support.software_tpm import SoftwareTpm, software_tpm

DATA = b"sealed data, for nobody to see"
SRK_ATTRIBUTES = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"


@pytest.fixture(scope="module")
def swtpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftwareTpm]:
    with software_tpm(tmp_path_factory.mktemp("tpm")) as running:
        yield running


@pytest.fixture
def tpm(swtpm: SoftwareTpm) -> Iterator[Tpm]:
    """A client; no call may leave anything loaded."""
    with Tpm(swtpm) as client:
        yield client
        assert loaded_handles(swtpm) == set()


def opened(secret: Secret) -> bytes:
    with secret:
        return bytes(secret.view)


def parent_by_tools(swtpm: SoftwareTpm) -> None:
    """The storage key in parent.ctx."""
    zeros = b"\x20\0" + bytes(128)
    (swtpm.directory / "unique").write_bytes(zeros * 2)
    make = "tpm2_createprimary -Q -C o -G ecc:null:aes128cfb -u unique -c parent.ctx"
    swtpm.tool(f"{make} -a {SRK_ATTRIBUTES}")


def load_by_tools(swtpm: SoftwareTpm, sealed: Sealed) -> None:
    """Our sealed object in sealed.ctx."""
    parent_by_tools(swtpm)
    (swtpm.directory / "public").write_bytes(sized(sealed.public))
    (swtpm.directory / "private").write_bytes(sized(sealed.private))
    swtpm.tool("tpm2_load -Q -C parent.ctx -u public -r private -c sealed.ctx")


def sealed_by_tools(swtpm: SoftwareTpm, options: str) -> Sealed:
    parent_by_tools(swtpm)
    (swtpm.directory / "data").write_bytes(DATA)
    swtpm.tool(f"tpm2_create -Q -C parent.ctx -i data -u public -r private {options}")
    parts = [Reader(swtpm.file(name), name).sized() for name in ("public", "private")]
    return Sealed(*parts)


@pytest.mark.parametrize("bank", ["sha256", "sha384"])
def test_tpm2_unseal_opens_what_was_sealed_to_registers(
    swtpm: SoftwareTpm, tpm: Tpm, bank: str
) -> None:
    tpm.event(7, b"not all zeros")
    load_by_tools(swtpm, tpm.seal(DATA, bank=bank, pcrs=[7, 0]))
    swtpm.tool(f"tpm2_unseal -Q -c sealed.ctx -p pcr:{bank}:0,7 -o opened")
    assert swtpm.file("opened") == DATA


def test_tpm2_unseal_opens_what_was_sealed_to_a_value(swtpm: SoftwareTpm, tpm: Tpm) -> None:
    load_by_tools(swtpm, tpm.seal(DATA, auth=b"value"))
    swtpm.tool("tpm2_unseal -Q -c sealed.ctx -p value -o opened")
    assert swtpm.file("opened") == DATA
    with pytest.raises(ToolError, match="authorization HMAC check failed"):
        swtpm.tool("tpm2_unseal -Q -c sealed.ctx -p other -o opened")
    swtpm.tool("tpm2_dictionarylockout -Q -c")


@pytest.mark.parametrize("bank", ["sha256", "sha384"])
def test_what_tpm2_create_has_sealed_to_registers_is_opened(
    swtpm: SoftwareTpm, tpm: Tpm, bank: str
) -> None:
    swtpm.tool(f"tpm2_createpolicy -Q --policy-pcr -l {bank}:0,7 -L policy")
    sealed = sealed_by_tools(swtpm, "-L policy")
    assert opened(tpm.unseal(sealed, bank=bank, pcrs=[0, 7])) == DATA


def test_what_tpm2_create_has_sealed_to_a_value_is_opened(swtpm: SoftwareTpm, tpm: Tpm) -> None:
    assert opened(tpm.unseal(sealed_by_tools(swtpm, "-p value"), auth=b"value")) == DATA


@pytest.mark.parametrize("pcrs", [(), (7,), (0, 7, 23)])
@pytest.mark.parametrize("auth", [b"", b"value", b"zeros\0\0", b"v" * 32])
@pytest.mark.parametrize("size", [1, 128])
def test_what_was_sealed_is_opened(tpm: Tpm, pcrs: tuple[int, ...], auth: bytes, size: int) -> None:
    if pcrs or auth:
        sealed = tpm.seal(b"s" * size, pcrs=pcrs, auth=auth)
        assert opened(tpm.unseal(sealed, pcrs=pcrs, auth=auth)) == b"s" * size


def test_a_secret_is_sealed_and_opened(tpm: Tpm) -> None:
    with Secret(len(DATA)) as secret:
        secret.view[:] = DATA
        sealed = tpm.seal(secret, auth=b"value")
    assert repr(tpm.unseal(sealed, auth=b"value")) == "<secret>"


@pytest.mark.parametrize("auth", [b"", b"value"])
def test_data_stay_sealed_once_a_register_was_extended(tpm: Tpm, auth: bytes) -> None:
    sealed = tpm.seal(DATA, pcrs=[8, 9], auth=auth)
    tpm.event(9, b"later")
    with pytest.raises(ResponseError, match=r"TPM2_Unseal: .* TPM_RC_POLICY_FAIL"):
        tpm.unseal(sealed, pcrs=[8, 9], auth=auth)


def test_data_are_sealed_to_registers_as_they_will_be(tpm: Tpm) -> None:
    tpm.event(16, b"now")
    now = tpm.read_pcrs("sha256", [16])
    tpm.event(16, b"later")
    later = tpm.seal(DATA, pcrs=[16], values=now)
    with pytest.raises(ResponseError, match="TPM_RC_POLICY_FAIL"):
        tpm.unseal(later, pcrs=[16])


def test_registers_are_not_enough_where_a_value_is_asked_for(tpm: Tpm) -> None:
    sealed = tpm.seal(DATA, pcrs=[7], auth=b"value")
    with pytest.raises(ResponseError, match="TPM_RC_POLICY_FAIL"):
        tpm.unseal(sealed, pcrs=[7])
    with pytest.raises(ResponseError):
        tpm.unseal(sealed, auth=b"value")


def test_wrong_values_end_in_lockout_which_says_so(swtpm: SoftwareTpm, tpm: Tpm) -> None:
    sealed = tpm.seal(DATA, auth=b"value")
    to_registers = tpm.seal(DATA, pcrs=[7])
    swtpm.tool("tpm2_dictionarylockout -Q -s -n 2 -t 1000 -l 1000")
    for _ in range(2):
        with pytest.raises(ResponseError, match=r"TPM_RC_AUTH_FAIL, session 1 \(wrong"):
            tpm.unseal(sealed, auth=b"other")
    with pytest.raises(ResponseError, match=r"TPM_RC_LOCKOUT \(too many wrong"):
        tpm.unseal(sealed, auth=b"value")
    # What nobody can guess is there all the same, and so is the AK.
    assert opened(tpm.unseal(to_registers, pcrs=[7])) == DATA
    tpm.quote(tpm.ak(), bytes(32), "sha256", [0])
    tpm.close()
    swtpm.tool("tpm2_dictionarylockout -Q -c")


def test_sealed_data_of_another_tpm_are_refused(tpm: Tpm, tmp_path: Path) -> None:
    with software_tpm(tmp_path) as elsewhere, Tpm(elsewhere) as other:
        sealed = other.seal(DATA, pcrs=[7])
    with pytest.raises(ResponseError, match=r"TPM2_Load: .*TPM_RC_INTEGRITY.*\(of another TPM"):
        tpm.unseal(sealed, pcrs=[7])


@pytest.mark.parametrize("size", [0, 129])
def test_what_a_tpm_cannot_seal_is_refused(tpm: Tpm, size: int) -> None:
    with pytest.raises(TpmError, match=f"seals 1 to 128 bytes, not {size}"):
        tpm.seal(bytes(size), auth=b"value")


def test_nothing_is_sealed_to_nothing(tpm: Tpm) -> None:
    with pytest.raises(TpmError, match="need PCRs or an authorisation value"):
        tpm.seal(DATA)
    with pytest.raises(TpmError, match="33 bytes, 32 at most"):
        tpm.seal(DATA, auth=bytes(33))


def test_data_are_not_sealed_to_registers_without_a_value(tpm: Tpm) -> None:
    with pytest.raises(TpmError, match="bank sha256 has no value of PCR 7"):
        tpm.seal(DATA, pcrs=[0, 7], values={0: bytes(32)})


def test_a_sealed_object_is_kept_in_one_piece(tpm: Tpm) -> None:
    sealed = tpm.seal(DATA, pcrs=[7])
    data = sealed.encode()
    assert parse_sealed(data) == sealed
    for broken in (data[:-1], data + b"\0", sized(b"p") + sized(AK_TEMPLATE.encode())):
        with pytest.raises(WireError):
            parse_sealed(broken)
