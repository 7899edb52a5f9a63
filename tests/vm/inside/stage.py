# SPDX-License-Identifier: Apache-2.0
"""Stages a file of Linux as payload, unchecked, by way of the mailbox or of kexec, or starts it.

Arguments: file, failure action, what comes then (mailbox: staged only; leave, kexec: started),
load options.
"""

import os
import sys

from pykexec.abi import Action, Op
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.wire import enum_member, pack
from pykexec.kexec.leave import leave, new_token, stage
from pykexec.kexec.load import execute, load
from pykexec.kexec.request import ExecRequest, Payload

path, action, way, options = sys.argv[1:]
fd = os.open(path, os.O_RDONLY)
payload = Payload(path, fd, os.fstat(fd).st_size)
request = ExecRequest(payload, None, options, Action(enum_member(Action, action)))
mailbox = Mailbox()
if way == "kexec":
    load(mailbox, request)
    execute(path)
stage(mailbox, request, new_token(), payload.size)
for offset, chunk in payload.chunks():
    mailbox.ask(Request(Op.PAYLOAD_DATA, path, pack("pk_payload_data", offset=offset) + chunk))
if way == "leave":
    leave(mailbox, Action.PAYLOAD)
print("true")
