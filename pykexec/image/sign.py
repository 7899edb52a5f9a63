# SPDX-License-Identifier: Apache-2.0
"""Signing images for Secure Boot with osslsigncode or, where that is missing, sbsign."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pykexec.efi import pe
from pykexec.errors import ToolError
from pykexec.image import files
from pykexec.run import run

log = logging.getLogger(__name__)

_SIGNING_TIME = "315532800"
"""1980-01-01, the first day of FAT: the firmware does not look at it, and equal inputs give equal
bytes.
"""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its certificate, both as PEM files."""

    key: Path
    certificate: Path


def sign(image: bytes, signing: SigningKey) -> bytes:
    """image with an Authenticode signature (SHA-256); ToolError if no tool is installed or it
    fails.

    osslsigncode's output is reproducible (for RSA keys); SOURCE_DATE_EPOCH sets the signing time.
    """
    for path in (signing.key, signing.certificate):
        files.read(path)
    with tempfile.TemporaryDirectory(prefix="pykexec-sign-") as directory:
        unsigned, signed = Path(directory, "unsigned.efi"), Path(directory, "signed.efi")
        unsigned.write_bytes(image)
        run(_command(signing, unsigned, signed), timeout_s=120)
        data = files.read(signed)
    before = pe.authenticode_digest(image, pe.parse(image, "unsigned image"))
    after = pe.parse(data, "signed image")
    if not after.certificates_size or pe.authenticode_digest(data, after) != before:
        raise ToolError(f"{signing.key}: the signing tool changed the image or did not sign it")
    return data


def _command(signing: SigningKey, unsigned: Path, signed: Path) -> list[str]:
    key, certificate = str(signing.key), str(signing.certificate)
    if shutil.which("osslsigncode"):
        command = ["osslsigncode", "sign", "-h", "sha256"]
        command += ["-time", os.environ.get("SOURCE_DATE_EPOCH", _SIGNING_TIME)]
        command += ["-certs", certificate, "-key", key]
        return [*command, "-in", str(unsigned), "-out", str(signed)]
    if shutil.which("sbsign"):
        log.warning("osslsigncode is not installed: sbsign's output differs each time")
        command = ["sbsign", "--key", key, "--cert", certificate]
        return [*command, "--output", str(signed), str(unsigned)]
    raise ToolError("osslsigncode: not installed, and neither is sbsign")
