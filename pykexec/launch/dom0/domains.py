# SPDX-License-Identifier: Apache-2.0
"""Domains: what a manifest or a bundle says of them, and which of it cannot be together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pykexec.config.table import TEXT, TEXTS, Key, Kind, Section, Table
from pykexec.errors import ConfigError

ROLES = ("service", "user")
TYPES = ("pv", "pvh")
DOMAINS_MAX = 16
DEVICES_MAX = 32
LINE_MAX = 1000
"""Characters of a domain's command line: its start page has 1024."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_DEVICE = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAC = re.compile(r"00:16:3e:[0-7][0-9a-f](?::[0-9a-f]{2}){2}")
"""Of Xen's own range (OUI 00:16:3e), its half for virtual NICs."""


def number(lowest: int, highest: int) -> Kind[int]:
    """Integers of a range."""

    def read(value: object) -> int | None:
        fits = isinstance(value, int) and not isinstance(value, bool)
        return value if fits and isinstance(value, int) and lowest <= value <= highest else None

    return Kind(f"a number from {lowest} to {highest}", read)


NAME = Key("name", TEXT, "", "its name: lower-case letters, digits, hyphens")
ROLE = Key(
    "role", TEXT, "user", "`service`: it has the NIC, and filters; `user`: the PC's own system",
    choices=ROLES,
)  # fmt: skip
TYPE = Key("type", TEXT, "pvh", "how Xen virtualises it", choices=TYPES)
KERNEL = Key("kernel", TEXT, "", "its kernel, or what takes the place of one: OVMF for Xen, GRUB")
RAMDISK = Key("ramdisk", TEXT, "", "its initramfs", unset="none")
CMDLINE = Key("cmdline", TEXT, "", "its kernel's command line", unset="empty")
MEMORY = Key("memory_mib", number(32, 1 << 20), 0, "its memory in MiB", unset="refused")
VCPUS = Key("vcpus", number(1, 128), 1, "its processors")
DEVICES = Key(
    "devices", TEXTS, (), 'PCI functions that it owns: `"0000:00:1f.6"`; not with `pvh`',
    unset="none",
)  # fmt: skip
DISK = Key(
    "disk", TEXT, "", "its disk: the GUID of a GPT partition, never the hidden one", unset="none"
)
NETWORK = Key("network", TEXT, "", "the service domain that its only NIC leads to", unset="none")
MAC = Key("mac", TEXT, "", "that NIC's address, `00:16:3e:...`")
DOMAIN = Section(
    "domain",
    "A domain. They are started in this order, those of the service first.",
    (NAME, ROLE, TYPE, KERNEL, RAMDISK, CMDLINE, MEMORY, VCPUS, DEVICES, DISK, NETWORK, MAC),
    repeated=True,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain; kernel and ramdisk are files, of the build host in a manifest, of the bundle in a
    bundle; "" for none.
    """

    name: str
    role: str
    type: str
    memory_mib: int
    vcpus: int = 1
    kernel: str = ""
    ramdisk: str = ""
    cmdline: str = ""
    devices: tuple[str, ...] = ()
    disk: str = ""
    network: str = ""
    mac: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Those that it has."""
        return tuple(filter(None, (self.kernel, self.ramdisk)))


Fault: TypeAlias = Callable[[int, str, str], ConfigError]
"""Makes the error for a key of a domain, by its place among them."""


def parse_domain(table: Table) -> Domain:
    """One domain's table, taken whole; ConfigError names the key. What belongs to others is for
    check_domains().
    """
    domain = Domain(
        name=table.take(NAME),
        role=table.take(ROLE),
        type=table.take(TYPE),
        kernel=table.take(KERNEL),
        ramdisk=table.take(RAMDISK),
        cmdline=table.take(CMDLINE),
        memory_mib=table.take(MEMORY),
        vcpus=table.take(VCPUS),
        devices=table.take(DEVICES),
        disk=table.take(DISK),
        network=table.take(NETWORK),
        mac=table.take(MAC),
    )
    table.refuse_rest()
    for key, fault in _faults(domain):
        raise table.fault(key, fault)
    return domain


def _faults(domain: Domain) -> Iterator[tuple[str, str]]:
    """Keys of one domain, and what is wrong with them."""
    if not _NAME.fullmatch(domain.name):
        yield "name", f"{domain.name!r} is no name of a domain" if domain.name else "missing"
    if not domain.memory_mib:
        yield "memory_mib", "missing"
    if not domain.kernel:
        yield "kernel", "missing"
    text = domain.cmdline
    if not text.isascii() or not text.isprintable() or set(text) & set("\"'\\"):
        yield "cmdline", "must be printable ASCII without quotes and backslashes"
    if len(text) > LINE_MAX:
        yield "cmdline", f"{len(text)} characters, at most {LINE_MAX} are taken"
    for device in domain.devices:
        if not _DEVICE.fullmatch(device):
            yield "devices", f"{device!r} is no PCI function, such as '0000:00:1f.6'"
    if len(domain.devices) > DEVICES_MAX:
        yield "devices", f"{len(domain.devices)}, at most {DEVICES_MAX} are taken"
    if domain.devices and domain.type == "pvh":
        yield "devices", "Xen passes none to a pvh domain"
    if domain.disk and not GUID.fullmatch(domain.disk):
        yield "disk", f"{domain.disk!r} is no GUID of a partition"
    if bool(domain.network) != bool(domain.mac):
        yield "mac", "goes with network"
    if domain.mac and not _MAC.fullmatch(domain.mac):
        yield "mac", f"{domain.mac!r} is none of Xen's, 00:16:3e:00:00:00 to 00:16:3e:7f:ff:ff"


def check_domains(domains: Sequence[Domain], hidden: str, fault: Fault) -> None:
    """ConfigError, made by fault, where they do not go together, or with the hidden partition."""
    owners: dict[tuple[str, str], str] = {}
    services = {domain.name for domain in domains if domain.role == "service"}
    for position, domain in enumerate(domains):
        for key, what in _claims(domain):
            if (key, what) in owners:
                raise fault(position, key, f"{what!r} is {owners[key, what]}'s already")
            owners[key, what] = domain.name
        if domain.disk and domain.disk == hidden:
            raise fault(position, "disk", "is the hidden partition, which no domain ever sees")
        if domain.network and domain.network not in services:
            raise fault(position, "network", f"there is no service domain {domain.network!r}")
        if domain.role == "service" and domain.network:
            raise fault(position, "network", "a service domain owns a NIC, and has no virtual one")
        if domain.role == "service" and any(each.role == "user" for each in domains[:position]):
            raise fault(position, "role", "a service domain starts before what it serves")


def _claims(domain: Domain) -> Iterator[tuple[str, str]]:
    """Key and value of what one domain alone may have, and only once."""
    yield "name", domain.name
    yield from (("devices", device) for device in domain.devices)
    yield from ((key, what) for key, what in (("disk", domain.disk), ("mac", domain.mac)) if what)
