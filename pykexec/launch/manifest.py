# SPDX-License-Identifier: Apache-2.0
"""The manifest of a launch: every key, what it may be, and what cannot be together."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pykexec.config.table import FLAG, TEXT, TEXTS, Key, Section, Table
from pykexec.config.toml import parse_toml
from pykexec.efi.unified_xen import LINE_MAX, line_fault
from pykexec.errors import ConfigError, FormatError
from pykexec.launch.dom0.bundle import VERSION_MAX
from pykexec.launch.dom0.domains import (
    DOMAIN,
    DOMAINS_MAX,
    GUID,
    NAME,
    Domain,
    check_domains,
    number,
    parse_domain,
)
from pykexec.launch.lines import place, places

MANIFEST_MAX = 1 << 20
DOM0_CMDLINE = "console=hvc0 quiet"

VERSION = Key(
    "version",
    number(1, VERSION_MAX),
    0,
    "counts up: an older bundle is not started any more",
    unset="refused",
)
ROOT = Section("", "", (Key("name", TEXT, "", "what this launch is called"), VERSION))

IMAGE = Key("image", TEXT, "", "Debian's `/boot/xen-*.efi`")
OPTIONS = Key("options", TEXT, "", "Xen's command line; `dom0_mem=` comes from `dom0.memory_mib`")
UCODE = Key("ucode", TEXT, "", "a processor's microcode", unset="none")
XSM = Key("xsm", TEXT, "", "a policy of Xen's security module", unset="none")
XEN = Section("xen", "The hypervisor.", (IMAGE, OPTIONS, UCODE, XSM))

DOM0_KERNEL = Key("kernel", TEXT, "", "a kernel with `CONFIG_XEN_DOM0`: not a cloud one")
MODULES = Key("modules", TEXT, "", "its modules", unset="beside it, as `pykexec build` finds them")
DOM0_CMDLINE_KEY = Key("cmdline", TEXT, DOM0_CMDLINE, "its command line")
DOM0_MEMORY = Key("memory_mib", number(256, 1 << 20), 700, "its memory in MiB")
ROOTS = Key(
    "roots", TEXTS, ("/",),
    "directories in which Debian's xen-utils, busybox and swtpm are installed or unpacked; the "
    "first that has a program counts",
    unset="`/`",
)  # fmt: skip
DOM0 = Section(
    "dom0",
    "The domain that starts the others. It has no network.",
    (DOM0_KERNEL, MODULES, DOM0_CMDLINE_KEY, DOM0_MEMORY, ROOTS),
)

PARTITION = Key("partition", TEXT, "", "its GPT partition GUID; no domain gets these blocks")
ROLL_BACK = Key(
    "roll_back",
    FLAG,
    False,
    "a bundle may be older than the one that it replaces, and than the xen.efi",
)
HIDDEN = Section("hidden", "The partition of the hypervisor's own.", (PARTITION, ROLL_BACK))

OUT = Key(
    "out", TEXTS, (), 'services that the user may reach: `"tcp/443"`, `"udp/123"`', unset="none"
)
RESOLVER = Key("resolver", TEXT, "", "the only server of names", unset="none is reached")
SUBNET = Key("subnet", TEXT, "192.168.77.0/24", "the user's network; the service domain is its .1")
NETWORK = Section(
    "network", "What the service domain lets through; all else is dropped and counted.",
    (OUT, RESOLVER, SUBNET),
)  # fmt: skip
SERVER = Key("server", TEXT, "", "the attestation server's `https://` address", unset="none")
MANAGEMENT = Section("management", "Who manages this machine from afar.", (SERVER,))

FILE_PATH = Key("path", TEXT, "", "its path in the bundle: `sigdb/main.cvd`")
FILE_SOURCE = Key("source", TEXT, "", "the file")
FILE = Section(
    "file",
    "What else is in the bundle: rules, a signature database.",
    (FILE_PATH, FILE_SOURCE),
    repeated=True,
)
SECTIONS = (ROOT, XEN, DOM0, HIDDEN, DOMAIN, NETWORK, MANAGEMENT, FILE)
"""All of the file."""
_SERVICE = re.compile(r"(tcp|udp)/([1-9][0-9]{0,4})")
_OURS = re.compile(r"(?:^| )dom0_mem=")


@dataclass(frozen=True, slots=True)
class Network:
    """[network]: protocol and port of each service; resolver is an address, "" for none."""

    out: tuple[tuple[str, int], ...]
    resolver: str
    subnet: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole manifest; paths are as written. options are all of Xen's command line."""

    name: str
    version: int
    xen: Path
    options: str
    ucode: Path | None
    xsm: Path | None
    kernel: Path
    modules: Path | None
    cmdline: str
    roots: tuple[Path, ...]
    hidden: str
    may_roll_back: bool
    domains: tuple[Domain, ...]
    network: Network | None
    server: str
    files: tuple[tuple[str, Path], ...]


def parse_manifest(data: bytes, source: str) -> Manifest:
    """Read a manifest; ConfigError names source, line, key and fault."""
    if len(data) > MANIFEST_MAX:
        raise ConfigError(f"{source}: {len(data)} bytes, at most {MANIFEST_MAX} are taken")
    try:
        document = parse_toml(data)
    except FormatError as error:
        raise ConfigError(f"{source}: {error}") from None
    where = partial(place, places(data.decode(errors="replace")))
    root = Table(source, "", document, where)
    xen, dom0, hidden = root.table(XEN), root.table(DOM0), root.table(HIDDEN)
    has_network = root.has(NETWORK)
    network, management = root.table(NETWORK), root.table(MANAGEMENT)
    domains, files = root.tables(DOMAIN), root.tables(FILE)
    if not 0 < len(domains) <= DOMAINS_MAX:
        raise root.fault(DOMAIN.name, f"{len(domains)} of them, 1 to {DOMAINS_MAX} are taken")
    name = root.take(NAME)
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,63}", name):
        raise root.fault(NAME.name, f"{name!r} is no name of a launch" if name else "missing")
    if not (version := root.take(VERSION)):
        raise root.fault(VERSION.name, "missing")
    root.refuse_rest()
    manifest = Manifest(
        name=name,
        version=version,
        xen=_path(xen, IMAGE),
        options=_options(xen, dom0.take(DOM0_MEMORY)),
        ucode=_optional(xen, UCODE),
        xsm=_optional(xen, XSM),
        kernel=_path(dom0, DOM0_KERNEL),
        modules=_optional(dom0, MODULES),
        cmdline=_line(dom0, DOM0_CMDLINE_KEY),
        roots=tuple(map(Path, dom0.take(ROOTS))),
        hidden=_guid(hidden, PARTITION),
        may_roll_back=hidden.take(ROLL_BACK),
        domains=tuple(map(parse_domain, domains)),
        network=_network(network) if has_network else None,
        server=_server(management),
        files=tuple(
            (_path(each, FILE_PATH).as_posix(), _path(each, FILE_SOURCE)) for each in files
        ),
    )
    for table in (xen, dom0, hidden, network, management, *files):
        table.refuse_rest()

    def fault(position: int, key: str, words: str) -> ConfigError:
        return domains[position].fault(key, words)

    check_domains(manifest.domains, manifest.hidden, fault)
    if has_network and not any(domain.role == "service" for domain in manifest.domains):
        raise root.fault(NETWORK.name, "there is no service domain to keep it")
    return manifest


def _path(table: Table, key: Key[str]) -> Path:
    if not (text := table.take(key)):
        raise table.fault(key.name, "missing")
    return Path(text)


def _optional(table: Table, key: Key[str]) -> Path | None:
    text = table.take(key)
    return Path(text) if text else None


def _line(table: Table, key: Key[str]) -> str:
    text = table.take(key)
    if fault := line_fault(text):
        raise table.fault(key.name, fault)
    return text


def _options(table: Table, memory_mib: int) -> str:
    text = _line(table, OPTIONS)
    if _OURS.search(text):
        raise table.fault(OPTIONS.name, "dom0_mem comes from dom0.memory_mib")
    options = f"{text} dom0_mem={memory_mib}M,max:{memory_mib}M".strip()
    if len(options) > LINE_MAX:
        raise table.fault(OPTIONS.name, f"with dom0_mem more than {LINE_MAX} characters")
    return options


def _guid(table: Table, key: Key[str]) -> str:
    text = table.take(key).lower()
    if not GUID.fullmatch(text):
        raise table.fault(key.name, f"{text!r} is no GUID of a partition" if text else "missing")
    return text


def _network(table: Table) -> Network:
    out = []
    for service in table.take(OUT):
        found = _SERVICE.fullmatch(service)
        if not found or int(found[2]) > 0xFFFF:
            raise table.fault(OUT.name, f"{service!r} is no service, such as 'tcp/443'")
        out.append((found[1], int(found[2])))
    resolver, subnet = table.take(RESOLVER), table.take(SUBNET)
    try:
        if resolver:
            ipaddress.ip_address(resolver)
    except ValueError as error:
        raise table.fault(RESOLVER.name, str(error)) from None
    try:
        net = ipaddress.IPv4Network(subnet)
    except ValueError as error:
        raise table.fault(SUBNET.name, str(error)) from None
    if net.prefixlen > 30 or not net.is_private:
        raise table.fault(SUBNET.name, "must be private, with room for two")
    return Network(tuple(out), resolver, subnet)


def _server(table: Table) -> str:
    server = table.take(SERVER)
    if server and not server.startswith("https://"):
        raise table.fault(SERVER.name, "must begin with https://")
    return server
