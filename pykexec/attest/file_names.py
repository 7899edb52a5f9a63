# SPDX-License-Identifier: Apache-2.0
"""What a released secret's file is called on the machine, as far as its kind and parameters say."""

from __future__ import annotations

from collections.abc import Mapping

_SUFFIXES = {"luks-key": ".key", "luks-passphrase": ".pass"}


def file_name(kind: str, parameters: Mapping[str, str]) -> str:
    """The name; "" where it takes the secret itself (a BitLocker startup key), or has none."""
    if kind == "bitlocker-recovery-password":
        suffix = f" {parameters['volume'].upper()}" if "volume" in parameters else ""
        return f"BitLocker Recovery Key{suffix}.txt"
    if "file" in parameters:
        return parameters["file"]
    if kind in _SUFFIXES:
        return f"{parameters.get('volume', 'luks')}{_SUFFIXES[kind]}"
    return ""
