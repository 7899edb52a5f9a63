# SPDX-License-Identifier: Apache-2.0
"""Certificate authorities and the servers that they vouch for, made by openssl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pykexec.run import run

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_DAYS = 30
# What RFC 5280 wants, and Python from 3.13 on.
_AUTHORITY = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
_SERVER = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName={}\n"


@dataclass(frozen=True, slots=True)
class Certified:
    """A server's key and certificate, and the authority's certificate; all PEM."""

    key: Path
    certificate: Path
    authority: Path


def certified(
    directory: Path, names: str = "DNS:localhost,IP:127.0.0.1,IP:::1", days: int = _DAYS
) -> Certified:
    """A new authority and a certificate of its, for so many days, for a server with these names."""
    directory.mkdir(parents=True, exist_ok=True)
    authority, authority_key = directory / "ca.pem", directory / "ca.key"
    files: list[str | Path] = ["-keyout", authority_key, "-out", authority]
    run(
        [
            "openssl",
            "req",
            "-x509",
            *_KEY,
            "-subj",
            "/CN=test authority",
            *_AUTHORITY,
            "-days",
            str(_DAYS),
            *files,
        ]
    )
    key, asked, certificate = (directory / name for name in ("key.pem", "csr.pem", "cert.pem"))
    run(["openssl", "req", "-new", *_KEY, "-subj", "/CN=server", "-keyout", key, "-out", asked])
    extensions = directory / "extensions"
    extensions.write_text(_SERVER.format(names))
    signer: list[str | Path] = ["-CA", authority, "-CAkey", authority_key, "-CAcreateserial"]
    signed: list[str | Path] = ["-days", str(days), "-extfile", extensions, "-out", certificate]
    run(["openssl", "x509", "-req", "-in", asked, *signer, *signed])
    return Certified(key, certificate, authority)
