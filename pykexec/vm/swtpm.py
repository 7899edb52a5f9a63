# SPDX-License-Identifier: Apache-2.0
"""One software TPM 2.0 for each machine."""

from __future__ import annotations

import os
import socket as sockets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pykexec.errors import ToolError
from pykexec.run import run
from pykexec.vm.child import start, stop

_BUFFER_SIZE = 4096
_LOCALCA = """\
statedir = {ca}
signingkey = {ca}/signkey.pem
issuercert = {ca}/issuercert.pem
certserial = {ca}/certserial
"""
_SETUP = """\
create_certs_tool = swtpm_localca
create_certs_tool_config = {directory}/localca.conf
create_certs_tool_options = {directory}/localca.options
active_pcr_banks = sha256
"""
_OPTIONS = """\
--platform-manufacturer pykexec
--platform-version 1
--platform-model vm
"""


def provision(directory: Path) -> None:
    """Give the TPM whose state is in directory an EK with certificates (takes seconds).

    The certificate authority's files are in directory/ca (issuercert.pem).
    """
    state, authority = directory / "state", directory / "ca"
    state.mkdir(parents=True, exist_ok=True)
    authority.mkdir(exist_ok=True)
    (directory / "localca.conf").write_text(_LOCALCA.format(ca=authority))
    (directory / "localca.options").write_text(_OPTIONS)
    (directory / "setup.conf").write_text(_SETUP.format(directory=directory))
    words: list[str | Path] = ["swtpm_setup", "--tpm2", "--tpmstate", state, "--overwrite"]
    words += ["--createek", "--create-ek-cert", "--create-platform-cert", "--lock-nvram"]
    words += ["--pcr-banks", "sha256", "--config", directory / "setup.conf"]
    if os.geteuid() == 0:
        # It would become the user tss, who may not write here.
        words += ["--runas", "root"]
    run(words, timeout_s=120)


@contextmanager
def swtpm(directory: Path, socket: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a TPM with its state in directory, for QEMU to control through socket.

    A directory that provision() did not fill gives a fresh TPM without certificates.
    """
    state = directory / "state"
    state.mkdir(parents=True, exist_ok=True)
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}"]
    command += ["--ctrl", f"type=unixio,path={socket}", "--terminate"]
    process = start(command, directory / "swtpm.log", listens_at=socket)
    try:
        yield process
    finally:
        stop(process)


@contextmanager
def commands(directory: Path) -> Iterator[Callable[[bytes], bytes]]:
    """Talk to the TPM whose state is in directory while no machine does: command in, response out.

    It is switched on for that, as by a machine that is reset.
    """
    with (
        tempfile.TemporaryDirectory(prefix="pykexec-tpm-") as name,
        sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as connection,
    ):
        path = Path(name, "tpm")
        words = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={directory / 'state'}"]
        words += ["--server", f"type=unixio,path={path}", "--flags", "not-need-init,startup-clear"]
        process = start(words, directory / "swtpm.log", listens_at=path)
        try:
            connection.settimeout(30)
            connection.connect(str(path))

            def transmit(command: bytes) -> bytes:
                connection.sendall(command)
                response = connection.recv(_BUFFER_SIZE)
                while len(response) < 6 or len(response) < int.from_bytes(response[2:6], "big"):
                    if not (more := connection.recv(_BUFFER_SIZE)):
                        raise ToolError(f"swtpm in {directory} has ended")
                    response += more
                return response

            yield transmit
        finally:
            stop(process)
