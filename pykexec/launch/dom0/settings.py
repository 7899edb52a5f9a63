# SPDX-License-Identifier: Apache-2.0
"""What dom0 was built to hold the machine against: in its initramfs, and so in PCR 4."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pykexec.attest.fields import parse_object
from pykexec.crypto import ED25519_KEY_SIZE
from pykexec.launch.dom0.bundle import VERSION_MAX

PATH = "/etc/pykexec/launch.json"
_SIZE_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class Settings:
    """name is the launch's, options Xen's command line, cmdline dom0's; key is the public one of
    bundles, version the oldest that is started unless may_roll_back; hidden is the partition.
    """

    name: str
    options: str
    cmdline: str
    key: bytes
    version: int
    may_roll_back: bool
    hidden: str

    def encode(self) -> bytes:
        """The file at PATH, the same bytes for the same settings."""
        fields = {
            "name": self.name,
            "options": self.options,
            "cmdline": self.cmdline,
            "key": self.key.hex(),
            "version": self.version,
            "may_roll_back": self.may_roll_back,
            "hidden": self.hidden,
        }
        return json.dumps(fields, indent=2).encode() + b"\n"


def parse_settings(data: bytes) -> Settings:
    """The same; FormatError names what is wrong."""
    fields = parse_object(data, "launch.json", _SIZE_MAX)
    key = fields.text("key", 2 * ED25519_KEY_SIZE)
    try:
        public = bytes.fromhex(key)
    except ValueError:
        public = b""
    if len(public) != ED25519_KEY_SIZE:
        raise fields.fault("key", f"not {ED25519_KEY_SIZE} bytes in hexadecimal digits")
    found = Settings(
        name=fields.text("name"),
        options=fields.text("options"),
        cmdline=fields.text("cmdline"),
        key=public,
        version=fields.number("version", VERSION_MAX),
        may_roll_back=fields.flag("may_roll_back"),
        hidden=fields.text("hidden"),
    )
    fields.end()
    return found
