# SPDX-License-Identifier: Apache-2.0
"""Has secrets as the agent has them: a key, made of argv[1], on a RAM disk by the product's path.

/tmp/leak is what goes wrong in between: the key, many times, where nobody wipes it. Prints JSON:
answers to events that must not be measured.
"""

import hashlib
import json
import sys

from pykexec.abi import Op
from pykexec.attest.deliver import deliver
from pykexec.attest.opened import OpenedSecret
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.measure import config_event
from pykexec.firmware.secrets import announce
from pykexec.firmware.status import status_name
from pykexec.firmware.wire import pack
from pykexec.secret import Secret

KEY_SIZE = 32

with Mailbox() as mailbox, Secret(KEY_SIZE) as key:
    bodies = {
        "PCR 11": pack("pk_tpm_event", pcr=11) + b"x",
        "PCR 12": pack("pk_tpm_event", pcr=12) + config_event(b""),
        "no configuration": pack("pk_tpm_event", pcr=5) + b"EFI PART",
        "PCR 16": pack("pk_tpm_event", pcr=16) + b"x",
        "nothing": pack("pk_tpm_event", pcr=15),
        "too large": pack("pk_tpm_event", pcr=15) + bytes(4097),
        "cut off": bytes(4),
    }
    replies = mailbox.call([Request(Op.TPM_EVENT, name, body) for name, body in bodies.items()])
    refused = {name: status_name(r.status) for name, r in zip(bodies, replies, strict=True)}

    announce(mailbox)
    key.view[:] = hashlib.sha256(sys.argv[1].encode()).digest()
    deliver(mailbox, [OpenedSecret("root", "luks-key", {}, key)])
    with open("/tmp/leak", "wb") as leak:
        leak.write(bytes(key.view) * 65536)
print(json.dumps(refused))
