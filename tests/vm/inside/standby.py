# SPDX-License-Identifier: Apache-2.0
"""Runs verbs of pykexec and the scripts beside it in forks of itself, for who asks by ask.c.

To start an interpreter, and to import what a verb needs, takes an emulated processor a second. It
comes back once it listens, and ends with Linux.
"""

import gc
import os
import signal
import socket
import struct
import sys
import types
from importlib import import_module
from pathlib import Path

import pykexec
from pykexec.cli import main

SOCKET = "/run/standby"  # ask.c
WORDS_MAX = 1 << 16
PACKAGE = Path(pykexec.__file__).parent
LEFT_OUT = {"attest", "guest", "windows"}  # Half of all, and the agent's own.
DESCRIPTORS = struct.Struct("4i")  # standard input, output and error; the working directory


def run(name: str, words: list[str]) -> int:
    """The exit status of `pykexec` with these words, or of a script of that name."""
    sys.argv = [name, *words]
    try:
        if name == "pykexec":
            return main()
        script = types.ModuleType("__main__")
        sys.modules["__main__"] = script
        with open(f"/inside/{name}", encoding="utf-8") as source:
            exec(compile(source.read(), source.name, "exec"), script.__dict__)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def serve(connection: socket.socket) -> None:
    """Do what one asks, as if it had done so itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked, ((_, _, passed),), _, _ = connection.recvmsg(
        WORDS_MAX, socket.CMSG_SPACE(DESCRIPTORS.size)
    )
    *standard, directory = DESCRIPTORS.unpack(passed)
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.fchdir(directory)
    os.close(directory)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    name, *words = map(os.fsdecode, asked.split(b"\0"))
    status = 1
    try:
        status = run(name, words)
        sys.stdout.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    connection.send(struct.pack("i", status))


def listen(listener: socket.socket) -> None:
    """A fork for each who asks."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()  # What is not looked through is not copied.
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            try:
                serve(connection)
            finally:
                os._exit(1)
        connection.close()


for path in sorted(PACKAGE.rglob("[!_]*.pyc")):
    names = path.relative_to(PACKAGE.parent).with_suffix("").parts
    if not LEFT_OUT & {*names}:
        import_module(".".join(names))
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as entrance:
    entrance.bind(SOCKET)
    entrance.listen(8)
    if os.fork() == 0:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        listen(entrance)
