# SPDX-License-Identifier: Apache-2.0
"""Signing images for Secure Boot with osslsigncode or, where that is missing and the key is a file,
sbsign.
"""

from __future__ import annotations

import calendar
import logging
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from pykexec.efi import pe
from pykexec.errors import ToolError
from pykexec.image import files
from pykexec.image.pkcs11 import TokenKey
from pykexec.run import run

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, a PEM file or one in a token, and its certificate, a PEM file."""

    key: Path | TokenKey
    certificate: Path

    def __str__(self) -> str:
        return self.key.uri if isinstance(self.key, TokenKey) else str(self.key)


def sign(image: bytes, signing: SigningKey) -> bytes:
    """image with an Authenticode signature (SHA-256); ToolError if no tool is installed or it
    fails.

    osslsigncode's output is reproducible (for RSA keys): the signing time is the first that the
    certificate is valid at, unless SOURCE_DATE_EPOCH sets another one.
    """
    secret = signing.key.pin if isinstance(signing.key, TokenKey) else signing.key
    for path in (secret, signing.certificate):
        if path:
            files.read(path)
    with tempfile.TemporaryDirectory(prefix="pykexec-sign-") as directory:
        unsigned, signed = Path(directory, "unsigned.efi"), Path(directory, "signed.efi")
        unsigned.write_bytes(image)
        run(_command(signing, unsigned, signed), timeout_s=120)
        data = files.read(signed)
    before = pe.authenticode_digest(image, pe.parse(image, "unsigned image"))
    after = pe.parse(data, "signed image")
    if not after.certificates_size or pe.authenticode_digest(data, after) != before:
        raise ToolError(f"{signing}: the signing tool changed the image or did not sign it")
    return data


def _command(signing: SigningKey, unsigned: Path, signed: Path) -> list[str]:
    key, certificate = signing.key, str(signing.certificate)
    if shutil.which("osslsigncode"):
        command = ["osslsigncode", "sign", "-h", "sha256"]
        command += ["-time", os.environ.get("SOURCE_DATE_EPOCH") or _valid_from(certificate)]
        command += ["-certs", certificate, "-key", str(signing)]
        if isinstance(key, TokenKey):
            command += ["-pkcs11module", key.module]
            command += ["-readpass", str(key.pin)] if key.pin else []
        return [*command, "-in", str(unsigned), "-out", str(signed)]
    if isinstance(key, TokenKey):
        raise ToolError("osslsigncode: not installed, and a key in a token needs it")
    if shutil.which("sbsign"):
        log.warning("osslsigncode is not installed: sbsign's output differs each time")
        command = ["sbsign", "--key", str(key), "--cert", certificate]
        return [*command, "--output", str(signed), str(unsigned)]
    raise ToolError("osslsigncode: not installed, and neither is sbsign")


def _valid_from(certificate: str) -> str:
    """Firmware looks at no signing time; for Linux the key must have been valid then (kexec)."""
    words = ["openssl", "x509", "-in", certificate, "-noout", "-startdate"]
    date = run(words, timeout_s=60).decode().strip().removeprefix("notBefore=")
    return str(calendar.timegm(time.strptime(date, "%b %d %H:%M:%S %Y GMT")))
