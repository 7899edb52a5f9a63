# SPDX-License-Identifier: Apache-2.0
"""Prints evidence of this boot as `pykexec attest --save` writes it, for which no server asked."""

from pykexec.attest import protocol
from pykexec.attest.machine import machine_identity
from pykexec.attest.protocol import AttestRequest, Evidence, Identity, Statement
from pykexec.bridge.supervisor import ensure
from pykexec.firmware.mailbox import Mailbox
from pykexec.tpm.client import open_tpm
from pykexec.tpm.transport import read_event_log

BANK, PCRS = "sha256", tuple(range(16))

ensure("tpm")
with Mailbox() as mailbox, open_tpm() as tpm:
    ek, ak = tpm.best_ek(), tpm.ak()
    identity = Identity(ek.public, ek.certificates, ak.public)
    said = Statement(bytes(32), (bytes(32), bytes(32)), machine_identity(), {}).encode()
    quote, signature = tpm.quote(ak, protocol.qualifying_data(said), BANK, PCRS)
    values = tpm.read_pcrs(BANK, PCRS)
    log = read_event_log(mailbox).data
evidence = Evidence(identity, said, quote, signature, BANK, values, log)
print(AttestRequest("none", bytes(32), evidence).encode().decode())
