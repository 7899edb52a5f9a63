# SPDX-License-Identifier: Apache-2.0
"""Stage a payload in the mailbox, then reset as `reboot -f` would: the route of reboot=efi."""

import sys

from pykexec._native import lib
from pykexec.abi import Action, Op
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.wire import pack
from pykexec.kexec.leave import new_token, stage
from pykexec.kexec.request import prepare

with Mailbox() as mailbox:
    request = prepare(mailbox, sys.argv[1], failure_action=Action.BOOT_NEXT)
    stage(mailbox, request, new_token(), request.payload.size)
    for offset, chunk in request.payload.chunks():
        body = pack("pk_payload_data", offset=offset) + chunk
        mailbox.ask(Request(Op.PAYLOAD_DATA, "payload", body))
lib.pk_reboot(lib.LINUX_REBOOT_CMD_RESTART)
