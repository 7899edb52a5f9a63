# SPDX-License-Identifier: Apache-2.0
"""One software TPM 2.0 for each machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pykexec.run import run
from pykexec.vm.child import start, stop

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
