# SPDX-License-Identifier: Apache-2.0
"""agent.toml: what the agent starts and what happens when that fails."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pykexec.config.attest import AttestConfig, parse_attest
from pykexec.config.table import Table
from pykexec.errors import ConfigError, UsageError

EMBEDDED_PATH = "/etc/pykexec/agent.toml"
MODULES_PATH = "/etc/pykexec/modules"  # see pykexec/linux/modules.py
OVERRIDE_PATH = "\\EFI\\pykexec\\agent.toml"
OVERRIDE_MAX = 65536
NETWORK_NAME = "agent.toml"  # beside the image, on the server that it came from

# What the agent bridges when a person is expected; "net" waits until something needs it, since
# it takes the NICs away from the firmware.
ATTENDED_BRIDGES = ("block", "tpm")

# The names of enum pk_action that a configuration may use.
ACTIONS = ("agent", "firmware", "boot-next", "reset", "shell")


@dataclass(frozen=True, slots=True)
class PayloadConfig:
    """[payload]: a file on a volume, None being the one that the image came from, or on a server.

    path is such a file's path, or the address; a relative address is relative to that of the image.
    sha256 is what the file must have, in hex; "" is any.
    """

    path: str
    volume: str | None = None
    options: str = ""
    is_remote: bool = False
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """[network]: whom to trust, which interface, how long to wait.

    authorities is PEM: who may vouch for HTTPS servers. interface is a name or a MAC address, ""
    any; address ("10.0.0.5/24"), gateway and dns replace DHCP. timeout_s is how long a server may
    be silent, total_s how long a download may last.
    """

    authorities: str = ""
    interface: str = ""
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    timeout_s: int = 10
    total_s: int = 600


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """A whole agent.toml; the defaults are those of an empty file."""

    locked: bool = False
    payload: PayloadConfig | None = None
    failure_action: str = "agent"
    timeout_s: int = 0
    shell: bool = True
    bridges: tuple[str, ...] = ATTENDED_BRIDGES
    network: NetworkConfig = field(default_factory=NetworkConfig)
    attest: AttestConfig | None = None
    native: bool = True  # False: leave what the kernel itself can do unused


def parse_config(data: bytes, source: str) -> AgentConfig:
    """Read agent.toml; ConfigError names source, key and fault.

    An unattended machine must stay bootable: with a payload the failure action
    defaults to boot-next and the shell to off.
    """
    import tomllib

    try:
        document = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{source}: not TOML: {error}") from None
    root = Table(source, "", document)
    payload, failure, agent = root.table("payload"), root.table("failure"), root.table("agent")
    network, attest = root.table("network"), root.table("attest")
    attended = payload is None
    config = AgentConfig(
        locked=root.flag("locked", False),
        payload=None if payload is None else _payload(payload),
        failure_action=_action(failure, "agent" if attended else "boot-next"),
        timeout_s=agent.number("timeout_s", 0) if agent else 0,
        shell=agent.flag("shell", attended) if agent else attended,
        bridges=_bridges(agent, ATTENDED_BRIDGES if attended else ()),
        network=_network(network) if network else NetworkConfig(),
        attest=None if attest is None else parse_attest(attest),
        native=agent.flag("native", True) if agent else True,
    )
    for table in (root, payload, failure, agent, network, attest):
        if table:
            table.refuse_rest()
    return config


def _payload(table: Table) -> PayloadConfig:
    path, url = table.text("path"), table.text("url")
    if path and url:
        raise table.fault("url", "path and url exclude each other")
    options = table.text("options") or ""
    sha256 = (table.text("sha256") or "").lower()
    if sha256 and (len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef")):
        raise table.fault("sha256", "must be 64 hexadecimal digits")
    if url:
        _check_url(table, url)
        return PayloadConfig(url, None, options, True, sha256)
    if path is None:
        raise table.fault("path", "missing")
    if not path.startswith("\\") or "\0" in path:
        raise table.fault(
            "path", f"{path!r} is no path on a volume, such as '\\EFI\\BOOT\\BOOTX64.EFI'"
        )
    return PayloadConfig(path, table.text("volume"), options, False, sha256)


def _bridges(table: Table | None, default: tuple[str, ...]) -> tuple[str, ...]:
    """agent.bridges: what is bridged at the start; an unattended boot has no time to lose."""
    from pykexec.config.bridges import KINDS

    if table is None or "bridges" not in table.values:
        return default
    kinds = table.texts("bridges")
    if unknown := set(kinds) - set(KINDS):
        raise table.fault("bridges", f"{min(unknown)!r} is not one of {', '.join(KINDS)}")
    return kinds


def _check_url(table: Table, url: str) -> None:
    from pykexec.config.url import parse_url

    try:
        parse_url("http://server/").join(url)
    except UsageError as error:
        raise table.fault("url", str(error)) from None


def _network(table: Table) -> NetworkConfig:
    default = NetworkConfig()
    address, gateway, dns = table.text("address"), table.text("gateway"), table.texts("dns")
    for key, text in (("gateway", gateway), *(("dns", server) for server in dns)):
        _check_address(table, key, text or "")
    if address and "/" not in address:
        raise table.fault("address", f"{address!r} has no prefix length, such as 10.0.0.5/24")
    _check_address(table, "address", address or "")
    if (gateway or dns) and not address:
        raise table.fault("gateway" if gateway else "dns", "needs an address; DHCP brings its own")
    return NetworkConfig(
        authorities=_authorities(table),
        interface=table.text("interface") or "",
        address=address or "",
        gateway=gateway or "",
        dns=dns,
        timeout_s=table.number("timeout_s", default.timeout_s),
        total_s=table.number("total_s", default.total_s),
    )


def _authorities(table: Table) -> str:
    """PEM, or the absolute path of a file of the initramfs that holds it."""
    text = table.text("ca") or ""
    if not text.startswith("/"):
        if text and "-----BEGIN CERTIFICATE-----" not in text:
            raise table.fault("ca", "neither PEM certificates nor a path that begins with '/'")
        return text
    try:
        with open(text, encoding="ascii") as file:
            pem = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise table.fault("ca", f"{text}: {getattr(error, 'strerror', 'not PEM')}") from None
    if "-----BEGIN CERTIFICATE-----" not in pem:
        raise table.fault("ca", f"{text}: not PEM")
    return pem


def _check_address(table: Table, key: str, text: str) -> None:
    import ipaddress

    try:
        if text and key == "address":
            ipaddress.ip_interface(text)
        elif text:
            ipaddress.ip_address(text)
    except ValueError as error:
        raise table.fault(key, str(error)) from None


def _action(table: Table | None, default: str) -> str:
    action = table.text("action") if table else None
    if table and action and action not in ACTIONS:
        raise table.fault("action", f"{action!r} is not one of {', '.join(ACTIONS)}")
    return action or default


def read_embedded() -> bytes | None:
    """The agent.toml that the image was built with."""
    try:
        with open(EMBEDDED_PATH, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def resolve_config(
    embedded: bytes | None, override: bytes | None, override_source: str = OVERRIDE_PATH
) -> AgentConfig:
    """The configuration that counts: override, unless it is missing or the embedded one locked.

    Whom to trust is what the embedded one says, whatever the override is; and where that one has
    the machine attested, no other does away with it.
    """
    config = parse_config(embedded, EMBEDDED_PATH) if embedded is not None else AgentConfig()
    if override is None or config.locked:
        return config
    return _trusting(config, parse_config(override, override_source), override_source)


def resolve_network_config(embedded: AgentConfig, override: bytes, source: str) -> AgentConfig:
    """The configuration that counts when the server that our image came from has one.

    Anybody on the wire may have written it, so it opens no shell where the embedded one has none.
    ConfigError if it tries, or says whom to trust.
    """
    found = _trusting(embedded, parse_config(override, source), source)
    if not embedded.shell and found.failure_action == "shell":
        raise ConfigError(f"{source}: failure.action: the embedded configuration allows no shell")
    return replace(found, shell=found.shell and embedded.shell)


def _trusting(embedded: AgentConfig, found: AgentConfig, source: str) -> AgentConfig:
    """found, whose trust and attestation are those of the embedded configuration."""
    if found.network.authorities:
        raise ConfigError(f"{source}: network.ca: only the embedded configuration has one")
    if embedded.attest and found.attest:
        raise ConfigError(f"{source}: attest: the embedded configuration has its own")
    trusted = replace(found.network, authorities=embedded.network.authorities)
    return replace(found, network=trusted, attest=embedded.attest or found.attest)
