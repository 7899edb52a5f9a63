# SPDX-License-Identifier: Apache-2.0
"""Kills the TPM's bridge while a command waits for it; prints as JSON how the command ended."""

import errno
import json
import os
import select
import signal
import struct
import time

from pykexec.bridge import state
from pykexec.tpm.transport import RAW_DEVICE

(record,) = state.records(kind="tpm")
os.kill(record["pid"], signal.SIGSTOP)
fd = os.open(RAW_DEVICE, os.O_RDWR | os.O_NONBLOCK)
# TPM2_CreatePrimary: one that Linux itself gives minutes.
os.write(fd, struct.pack(">HII", 0x8001, 10, 0x131))
poll = select.poll()
poll.register(fd, select.POLLIN)
waiting = not poll.poll(500)
os.kill(record["pid"], signal.SIGKILL)
started = time.monotonic()
ready = bool(poll.poll(20000))
try:
    answer = os.read(fd, 4096).hex()
except OSError as error:
    answer = errno.errorcode[error.errno or 0]
seconds = time.monotonic() - started
print(json.dumps({"waiting": waiting, "ready": ready, "answer": answer, "seconds": seconds}))
