# SPDX-License-Identifier: Apache-2.0
"""Prints as JSON the handles that are loaded in the TPM, asked by the mailbox."""

import json

from pykexec.firmware.mailbox import Mailbox
from pykexec.tpm.loaded import loaded_handles
from pykexec.tpm.transport import firmware

print(json.dumps(sorted(loaded_handles(firmware(Mailbox())))))
