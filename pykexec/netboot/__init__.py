# SPDX-License-Identifier: Apache-2.0
"""A boot server for test benches: DHCP, PXE, TFTP and UEFI HTTP boot from one directory."""

from __future__ import annotations

from pykexec.netboot.rights import give_up_root
from pykexec.netboot.serve import Server, serve
from pykexec.netboot.settings import Settings, Tls

__all__ = ["Server", "Settings", "Tls", "give_up_root", "serve"]
