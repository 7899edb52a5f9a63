# SPDX-License-Identifier: Apache-2.0
"""What dom0 extends into the machine's TPM before it uses it: the bundle, then each domain.

PCR 13: neither Windows nor a policy of the launcher's needs it. 8, 9 and 14 are GRUB's and shim's,
10 is IMA's, 11 and 12 are BitLocker's and systemd's, 15 tells that this boot has had its key.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from pykexec.launch.dom0.bundle import Bundle
from pykexec.launch.dom0.domains import Domain

PCR = 13
_NONE = "-"


def bundle_event(bundle: Bundle) -> bytes:
    """The event of a bundle whose signature was verified (TPM2_PCR_Event, 1024 bytes at most)."""
    return f"pykexec launch 1 bundle={bundle.name} sha256={bundle.sha256}".encode()


def domain_event(bundle: Bundle, domain: Domain) -> bytes:
    """The event of a domain whose files were verified: all that makes it what it is."""
    said = json.dumps(asdict(domain), sort_keys=True, separators=(",", ":")).encode()
    words = [f"domain={domain.name}", f"config={hashlib.sha256(said).hexdigest()}"]
    for name, path in (("kernel", domain.kernel), ("ramdisk", domain.ramdisk)):
        words.append(f"{name}={bundle.file(path).sha256 if path else _NONE}")
    return " ".join(["pykexec launch 1", *words]).encode()


def predict(bundle: Bundle, bank: str = "sha256") -> dict[str, bytes]:
    """The register after the bundle (""), and after each domain by its name, when all are started
    in their order.
    """
    value = _extend(bank, bytes(hashlib.new(bank).digest_size), bundle_event(bundle))
    values = {"": value}
    for domain in bundle.domains:
        value = _extend(bank, value, domain_event(bundle, domain))
        values[domain.name] = value
    return values


def _extend(bank: str, value: bytes, data: bytes) -> bytes:
    return hashlib.new(bank, value + hashlib.new(bank, data).digest()).digest()
