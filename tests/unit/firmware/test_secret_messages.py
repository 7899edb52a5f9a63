# SPDX-License-Identifier: Apache-2.0
"""Secrets on their way to the firmware and from it: the same messages, and no copy left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pykexec.abi import Limit, Op
from pykexec.efi.guid import named_guids
from pykexec.errors import FirmwareError
from pykexec.firmware.mailbox import Mailbox, Request, encode_message
from pykexec.firmware.wire import pack
from pykexec.secret import Secret

FILE = f"PykexecMailbox-{named_guids()['pykexec_mailbox']}"
HEAD = pack("pk_ramdisk_data", ramdisk=1, offset=64)
REQUEST = Request(Op.RAMDISK_DATA, "fill RAM disk 1", HEAD)
KEY = bytes(i * 37 + 11 & 0xFF for i in range(48))

# The key is never one object but in the secret; the parent looks for it while this waits.
SENDER = """
import sys
from pykexec.abi import Op
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.errors import FirmwareError
from pykexec.secret import Secret

root, secretly = sys.argv[1:]
key = Secret(48)
for i in range(48):
    key.view[i] = i * 37 + 11 & 0xFF
request = Request(Op.RAMDISK_DATA, "fill", bytes(16))
with Mailbox(root) as mailbox:
    try:
        if secretly == "yes":
            mailbox.ask_secret(request, key.view)
        else:
            kept = Request(Op.RAMDISK_DATA, "fill", bytes(16) + key.view)
            mailbox.ask(kept)
    except FirmwareError as error:
        fault = error.strerror
print(fault, flush=True)
sys.stdin.read()
"""

# It stops once the file's position is behind the answer, which the parent puts at its beginning.
RECEIVER = """
import sys
from pykexec.abi import Op
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.errors import FirmwareError
from pykexec.secret import Secret

root, secretly = sys.argv[1:]
request = Request(Op.BLOCK_READ, "read")
with Mailbox(root) as mailbox, Secret(48) as key:
    mailbox.ask(Request(Op.BLOCK_READ, "first", bytes(400)))
    print(flush=True)
    sys.stdin.readline()
    fault = "none"
    try:
        if secretly == "yes":
            mailbox.ask_into(request, key.view)
        else:
            mailbox.ask(request)
    except FirmwareError as error:
        fault = error.strerror
    print(fault, flush=True)
    sys.stdin.read()
"""


def copies(pid: int) -> int:
    """How often the key is in the writable memory of a process."""
    found = 0
    maps = Path(f"/proc/{pid}/maps").read_text()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in re.findall(r"^(\w+)-(\w+) rw", maps, re.MULTILINE):
            memory.seek(int(start, 16))
            found += memory.read(int(end, 16) - int(start, 16)).count(KEY)
    return found


@pytest.mark.parametrize("size", [0, 1, 7, 8, 48])
def test_a_secret_message_is_like_any_other(size: int, tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with Secret(size) as data, Mailbox(tmp_path) as mailbox:
        data.view[:] = KEY[:size]
        # What was written reads as its own answer here, whose status is the number of the disk.
        mailbox.ask_secret(REQUEST, data.view)
    written = (tmp_path / FILE).read_bytes()
    sequence = int.from_bytes(written[16:20], "little")
    expected = encode_message([Request(REQUEST.op, "", HEAD + KEY[:size])], sequence)
    assert written == b"\6\0\0\0" + expected


def test_a_secret_message_is_bounded(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with (
        Secret(Limit.MESSAGE_MAX) as data,
        Mailbox(tmp_path) as mailbox,
        pytest.raises(FirmwareError, match="message of 1052720 bytes"),
    ):
        mailbox.ask_secret(REQUEST, data.view)
    assert (tmp_path / FILE).read_bytes() == b""


@pytest.mark.parametrize(
    ("device", "secretly", "fault", "nr_copies"),
    [
        ("/dev/null", "yes", "bad answer: offset 0: pk_message is cut off", 1),
        ("/dev/full", "yes", "mailbox: No space left on device", 1),
        ("/dev/null", "no", "bad answer: offset 0: pk_message is cut off", 2),
    ],
)
def test_no_copy_of_a_secret_stays_in_the_process(
    device: str, secretly: str, fault: str, nr_copies: int, tmp_path: Path
) -> None:
    (tmp_path / FILE).symlink_to(device)
    words = [sys.executable, "-c", SENDER, str(tmp_path), secretly]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as sender:
        assert sender.stdout and sender.stdin
        assert sender.stdout.readline().strip() == fault
        found = copies(sender.pid)
        sender.stdin.close()
    assert sender.returncode == os.EX_OK
    assert found >= nr_copies if nr_copies > 1 else found == nr_copies


@pytest.mark.parametrize("size", [0, 1, 8, 48])
def test_a_secret_answer_comes_into_what_it_is_for(size: int, tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    # What was written reads as its own answer: a status of 8 bytes, and what comes.
    echoed = Request(Op.BLOCK_READ, "read", bytes(8) + KEY[:size])
    with Secret(size) as out, Mailbox(tmp_path) as mailbox:
        mailbox.ask_into(echoed, out.view)
        assert bytes(out.view) == KEY[:size]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (bytes(8) + KEY[:47], "bad answer: offset 0: 47 bytes came"),
        (bytes(8) + KEY + KEY, "bad answer: offset 8: size 136, but 88 bytes came"),
        (b"\x0e" + bytes(6) + b"\x80", "NOT_FOUND"),
    ],
)
def test_another_answer_is_refused(body: bytes, fault: str, tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    with (
        Secret(48) as out,
        Mailbox(tmp_path) as mailbox,
        pytest.raises(FirmwareError, match=fault),
    ):
        mailbox.ask_into(Request(Op.BLOCK_READ, "read", body), out.view)


@pytest.mark.parametrize(
    ("secretly", "fault", "nr_copies"),
    [("yes", "none", 1), ("no", "bad answer: offset 8: size 88, but 468 bytes came", 2)],
)
def test_no_copy_of_a_secret_answer_stays_in_the_process(
    secretly: str, fault: str, nr_copies: int, tmp_path: Path
) -> None:
    path = tmp_path / FILE
    path.touch()
    words = [sys.executable, "-c", RECEIVER, str(tmp_path), secretly]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as receiver:
        assert receiver.stdout and receiver.stdin
        receiver.stdout.readline()
        sequence = int.from_bytes(path.read_bytes()[16:20], "little") + 1 & 0xFFFFFFFF
        answer = Request(Op.BLOCK_READ, "", bytes(8) + KEY)
        with open(path, "r+b", buffering=0) as file:
            file.write(b"\6\0\0\0" + encode_message([answer], sequence))
        print(file=receiver.stdin, flush=True)
        assert receiver.stdout.readline().strip() == fault
        found = copies(receiver.pid)
        receiver.stdin.close()
    assert receiver.returncode == os.EX_OK
    assert found >= nr_copies if nr_copies > 1 else found == nr_copies
