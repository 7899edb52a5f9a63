# SPDX-License-Identifier: Apache-2.0
"""Domains in the words of xl.cfg(5)."""

from __future__ import annotations

from pykexec.errors import FormatError
from pykexec.launch.dom0.domains import Domain

_SPECIAL = set("\"'\\")


def config(domain: Domain, kernel: str, ramdisk: str = "", disk: str = "") -> str:
    """What `xl create` reads; kernel and ramdisk are paths in dom0, disk is a block device's.

    PCI functions are not in it: "pci=" has xl force the host's memory map on the domain, in which
    a firmware's low reserved memory is where its kernel wants to be. They are attached while it is
    paused.
    """
    lines = [
        _line("name", domain.name),
        _line("type", domain.type),
        _line("kernel", kernel),
        f"memory={domain.memory_mib}",
        f"vcpus={domain.vcpus}",
        _line("on_reboot", "restart"),
        _line("on_crash", "destroy"),
    ]
    if ramdisk:
        lines.append(_line("ramdisk", ramdisk))
    if domain.cmdline:
        lines.append(_line("cmdline", domain.cmdline))
    if domain.role == "service":
        lines.append("driver_domain=1")
    if domain.devices:
        lines.append(_line("passthrough", "enabled"))
    if domain.network:
        lines.append(f"vif=[{_quoted(f'type=vif,backend={domain.network},mac={domain.mac}')}]")
    if disk:
        lines.append(f"disk=[{_quoted(f'phy:{disk},xvda,w')}]")
    return "".join(f"{line}\n" for line in lines)


def _line(key: str, value: str) -> str:
    return f"{key}={_quoted(value)}"


def _quoted(text: str) -> str:
    if not text.isprintable() or set(text) & _SPECIAL:
        raise FormatError(f"{text!r} cannot stand in xl's configuration")
    return f'"{text}"'
