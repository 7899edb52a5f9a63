# SPDX-License-Identifier: Apache-2.0
"""Which QEMU a machine runs on: this system's, or another release's as it was unpacked."""

from __future__ import annotations

from pykexec.vm import packages, tools

_PROGRAM = "qemu-system-x86_64"
_MODULES = "usr/lib/x86_64-linux-gnu/qemu"
_DATA = ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu")


def command(name: str) -> list[str]:
    """The words that QEMU is started with: name is one of packages.QEMUS, or "" this system's."""
    if not name:
        return [_PROGRAM]
    package = packages.QEMUS[name]
    root = packages.fetch(package)
    words = ["env", f"QEMU_MODULE_DIR={root / _MODULES}"]
    words += map(str, tools.command(package, f"usr/bin/{_PROGRAM}"))
    return words + [word for path in _DATA for word in ("-L", str(root / path))]
