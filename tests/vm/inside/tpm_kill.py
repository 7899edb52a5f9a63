# SPDX-License-Identifier: Apache-2.0
"""Kills the TPM's bridge while a command waits for it; prints as JSON how the command ended."""

import errno
import json
import os
import signal
import struct
import time

from pykexec.bridge import state
from pykexec.tpm.transport import RAW_DEVICE

LIMIT_S = 10
# TPM2_CreatePrimary: one that Linux itself gives minutes.
COMMAND = struct.pack(">HII", 0x8001, 10, 0x131)


def send() -> str:
    """How the command ends; Linux' driver lets a write wait for it."""
    fd = os.open(RAW_DEVICE, os.O_RDWR)
    try:
        os.write(fd, COMMAND)
        return "answered"
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def waits(pid: int) -> bool:
    """Does the process sleep in the driver?"""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            if file.read().rpartition(")")[2].split()[0] == "D":
                return True
    return False


(record,) = state.records(kind="tpm")
os.kill(record["pid"], signal.SIGSTOP)
read_end, write_end = os.pipe()
child = os.fork()
if child == 0:
    os.write(write_end, send().encode())
    os._exit(0)
os.close(write_end)
waiting = waits(child)
os.kill(record["pid"], signal.SIGKILL)
started = time.monotonic()
answer = os.read(read_end, 100).decode()
seconds = time.monotonic() - started
print(json.dumps({"waiting": waiting, "answer": answer, "seconds": seconds}))
