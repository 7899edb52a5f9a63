# SPDX-License-Identifier: Apache-2.0
"""Writes attributes and an INFO message, as efivarfs wants them, to the file that is its argument.

Prints the path of the mailbox as JSON.
"""

import json
import os
import struct
import sys

from pykexec.abi import MailboxConstant, Op
from pykexec.efi.efivarfs import EFIVARFS
from pykexec.efi.guid import named_guids
from pykexec.efi.variables import VariableName
from pykexec.firmware.mailbox import MAILBOX_NAME, Mailbox, Request, encode_message

name = VariableName(MAILBOX_NAME, named_guids()["pykexec_mailbox"])
Mailbox().close()  # Clears the immutable flag.
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<I", MailboxConstant.ATTRIBUTES))
    file.write(encode_message([Request(Op.INFO, "info")], 1))
print(json.dumps(os.path.join(EFIVARFS, str(name))))
