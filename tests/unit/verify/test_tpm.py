# SPDX-License-Identifier: Apache-2.0
"""What a TPM says by way of our client is accepted: swtpm, with the certificates it is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pykexec.attest.protocol import QUOTED_PCRS, Evidence, Identity, qualifying_data
from pykexec.tpm.client import Tpm
from pykexec.vm.swtpm import provision
from tests.support.attest_expected import NONCE, claims_of, codes
from tests.support.attest_machine import Machine
from tests.support.software_tpm import SoftwareTpm, software_tpm


@pytest.fixture(scope="module")
def swtpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftwareTpm]:
    """A TPM whose registers are those of a simulated machine."""
    directory = tmp_path_factory.mktemp("tpm")
    provision(directory)
    with software_tpm(directory) as running, Tpm(running) as tpm:
        for event in Machine().events:
            tpm.extend(event.pcr, {"sha256": event.digest("sha256")})
        yield running


def authorities(swtpm: SoftwareTpm) -> tuple[bytes, ...]:
    data = (swtpm.directory / "ca/issuercert.pem").read_bytes()
    return tuple(c.public_bytes(Encoding.DER) for c in x509.load_pem_x509_certificates(data))


def evidence_of(swtpm: SoftwareTpm, kind: str) -> Evidence:
    machine = Machine()
    statement = machine.statement(NONCE).encode()
    with Tpm(swtpm) as tpm:
        ek, ak = tpm.ek(kind), tpm.ak()
        quote, signature = tpm.quote(ak, qualifying_data(statement), "sha256", QUOTED_PCRS)
        pcrs = tpm.read_pcrs("sha256", QUOTED_PCRS)
    identity = Identity(ek.public, ek.certificates, ak.public)
    return Evidence(identity, statement, quote, signature, "sha256", pcrs, machine.event_log)


def made(swtpm: SoftwareTpm, evidence: Evidence) -> datetime:
    """When the last certificate of the chain was made: today, whatever day other tests live in."""
    chain = (*evidence.identity.ek_certificates, *authorities(swtpm))
    return max(x509.load_der_x509_certificate(der).not_valid_before_utc for der in chain)


@pytest.mark.parametrize("kind", ["rsa2048", "ecc-p384"])
def test_a_tpm_with_a_certificate_is_accepted(swtpm: SoftwareTpm, kind: str) -> None:
    evidence = evidence_of(swtpm, kind)
    claims = claims_of(evidence, now=made(swtpm, evidence), ek_roots=authorities(swtpm))
    assert (claims["ek"]["algorithm"], claims["ek"]["trusted"]) == (kind, "certificate")
    assert claims["ek"]["certificate"]["model"] == "swtpm"
    assert claims["secure_boot"]["enabled"] is True
    assert codes(evidence, now=made(swtpm, evidence)) == ["ek.chain"]


def test_a_tpm_without_a_certificate_is_accepted_once_it_is_enrolled(swtpm: SoftwareTpm) -> None:
    evidence = evidence_of(swtpm, "ecc-p256")
    assert codes(evidence) == ["ek.untrusted"]
    assert claims_of(evidence, enrolled=True)["ek"]["algorithm"] == "ecc-p256"


def test_a_key_of_the_owner_is_no_ak(swtpm: SoftwareTpm) -> None:
    attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign"
    swtpm.tool(f"tpm2_createprimary -Q -C o -G ecc256:ecdsa-sha256:null -c key -a {attributes}")
    swtpm.tool("tpm2_readpublic -Q -c key -o public")
    evidence = evidence_of(swtpm, "ecc-p384")
    data, numbers = qualifying_data(evidence.statement).hex(), ",".join(map(str, QUOTED_PCRS))
    swtpm.tool(f"tpm2_quote -Q -c key -l sha256:{numbers} -q {data} -m quote -s signature")
    other = replace(
        evidence,
        identity=replace(evidence.identity, ak_public=swtpm.file("public")[2:]),
        quote=swtpm.file("quote"),
        signature=swtpm.file("signature"),
    )
    # Outside of the endorsement hierarchy the TPM obfuscates its counters (Part 1, 36.7).
    assert codes(other, now=made(swtpm, evidence), ek_roots=authorities(swtpm)) == ["quote.signer"]
