# SPDX-License-Identifier: Apache-2.0
"""swtpm for tests without a machine: by a socket, for our client and for tpm2-tools."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pykexec.errors import ToolError, TpmError
from pykexec.run import run
from pykexec.tpm.loaded import flush, loaded_handles
from pykexec.tpm.transport import BUFFER_SIZE
from pykexec.vm.child import start, stop

HOST = "127.0.0.1"


@dataclass(slots=True)
class SoftwareTpm:
    """A running swtpm; directory is for tpm2-tools' files. Calling it transmits a command."""

    directory: Path
    port: int
    recorded: list[bytes] = field(default_factory=list)

    def __call__(self, command: bytes) -> bytes:
        # A connection each: swtpm serves one at a time, and the tools want their turn.
        with socket.create_connection((HOST, self.port), timeout=20) as connection:
            connection.sendall(command)
            response = connection.recv(BUFFER_SIZE)
            while 10 <= len(response) < int.from_bytes(response[2:6], "big"):
                response += connection.recv(BUFFER_SIZE)
        if not response:
            raise TpmError("swtpm: no response")
        self.recorded += [command, response]
        return response

    def tool(self, line: str) -> str:
        """Run one of tpm2-tools in directory; flushes all objects and sessions afterwards."""
        try:
            return self.tool_keeping(line)
        finally:
            for handle in loaded_handles(self):
                flush(self, handle)

    def tool_keeping(self, line: str) -> str:
        """The same, with what is loaded left as it is."""
        variables = {"TPM2TOOLS_TCTI": f"swtpm:host={HOST},port={self.port}"}
        return run(line.split(), cwd=self.directory, env=variables, timeout_s=60).decode()

    def file(self, name: str) -> bytes:
        """What a tool has written."""
        return (self.directory / name).read_bytes()


@contextmanager
def software_tpm(directory: Path) -> Iterator[SoftwareTpm]:
    """Run swtpm with its state in directory/state, after TPM2_Startup; a new TPM if it is empty."""
    (directory / "state").mkdir(parents=True, exist_ok=True)
    for _ in range(5):
        port = _free_ports()
        command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={directory / 'state'}"]
        command += ["--server", f"type=tcp,port={port},bindaddr={HOST}"]
        command += ["--ctrl", f"type=tcp,port={port + 1},bindaddr={HOST}"]
        command += ["--flags", "not-need-init,startup-clear"]
        process = start(command, directory / "swtpm.log")
        try:
            # Somebody else may have taken the port meanwhile.
            if _listens(port, process):
                yield SoftwareTpm(directory, port)
                return
        finally:
            stop(process)
    raise ToolError(f"swtpm: {(directory / 'swtpm.log').read_text()}")


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((HOST, port), timeout=20).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return True
    return False


def _free_ports() -> int:
    """A port which is free, as is the next one."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind((HOST, 0))
            port: int = first.getsockname()[1]
            try:
                second.bind((HOST, port + 1))
            except OSError:
                continue
            return port
