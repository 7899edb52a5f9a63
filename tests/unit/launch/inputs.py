# SPDX-License-Identifier: Apache-2.0
"""A launch of two domains: its domains, its bundle, its manifest."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pykexec.disk import Reader
from pykexec.launch.bundle import public_bytes, write_bundle
from pykexec.launch.dom0.domains import Domain
from pykexec.launch.dom0.settings import Settings

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = public_bytes(KEY)
HIDDEN = "01234567-89ab-cdef-0123-456789abcdef"
NIC = "0000:00:02.0"
SERVICE = Domain(
    "filter", "service", "pv", 192, kernel="filter/kernel", ramdisk="filter/ramdisk",
    cmdline="console=hvc0 iommu=soft", devices=(NIC,),
)  # fmt: skip
USER = Domain(
    "pc", "user", "pvh", 2048, 2, "pc/kernel", cmdline="console=hvc0", network="filter",
    disk="89abcdef-0123-4567-89ab-cdef01234567", mac="00:16:3e:00:00:02",
)  # fmt: skip
CONTENTS = {
    "filter/kernel": b"K" * 5000,
    "filter/ramdisk": b"R" * 4096,
    "pc/kernel": b"k",
    "rules/filter.nft": b"",
}
BUNDLE = write_bundle(KEY, "office", 7, (SERVICE, USER), CONTENTS)
SETTINGS = Settings("office", "console=com1", "console=hvc0 quiet", PUBLIC, 7, False, HIDDEN)
MANIFEST = f"""\
name = "office"
version = 7

[xen]
image = "/boot/xen.efi"
options = "console=com1"

[dom0]
kernel = "/boot/vmlinuz"

[hidden]
partition = "{HIDDEN.upper()}"

[[domain]]
name = "filter"
role = "service"
type = "pv"
kernel = "/boot/vmlinuz"
ramdisk = "filter.img"
memory_mib = 192
devices = ["{NIC}"]

[[domain]]
name = "pc"
kernel = "/boot/vmlinuz"
memory_mib = 2048
network = "filter"
mac = "00:16:3e:00:00:02"

[network]
out = ["tcp/443", "udp/123"]
resolver = "10.0.0.53"

[management]
server = "https://keys.example:8443"

[[file]]
path = "sigdb/main.cvd"
source = "main.cvd"
"""


def reading(data: bytes) -> Reader:
    """Of a bundle in memory."""
    return lambda offset, size: data[offset : offset + size]


def of_version(version: int) -> bytes:
    """The bundle as it was, or will be."""
    return write_bundle(KEY, "office", version, (SERVICE, USER), CONTENTS)


def second(domain: Domain, **changes: object) -> Domain:
    """Another domain that has nothing of the first but what changes do not say."""
    fields = {"name": "other", "devices": (), "mac": "", "network": "", "disk": "", **changes}
    return replace(domain, **fields)  # type: ignore[arg-type]
