# SPDX-License-Identifier: Apache-2.0
"""agent.toml: what the agent starts and what happens when that fails."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pykexec.config import keys
from pykexec.config.attest import AttestConfig, parse_attest
from pykexec.config.table import Key, Table
from pykexec.config.wim import WimConfig, parse_wim, take_sha256
from pykexec.errors import ConfigError, FormatError, UsageError

EMBEDDED_PATH = "/etc/pykexec/agent.toml"
CERTIFY_PATH = "/etc/pykexec/certify.json"  # only in an image that is to certify
MODULES_PATH = "/etc/pykexec/modules"  # see pykexec/linux/modules.py
OVERRIDE_PATH = "\\EFI\\pykexec\\agent.toml"
OVERRIDE_MAX = 65536
NETWORK_NAME = "agent.toml"  # beside the image, on the server that it came from


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
    timeout_s: int = keys.SILENCE_S.default
    total_s: int = keys.TOTAL_S.default


@dataclass(frozen=True, slots=True)
class WindowsConfig:
    """[windows]: the payload is Windows' boot manager; what to do where it would ask somebody."""

    on_mismatch: str = keys.ON_MISMATCH.default


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """A whole agent.toml; the defaults are those of an empty file."""

    locked: bool = keys.LOCKED.default
    payload: PayloadConfig | None = None
    failure_action: str = keys.ACTION.default
    timeout_s: int = keys.MENU_TIMEOUT_S.default
    shell: bool = keys.SHELL.default
    bridges: tuple[str, ...] = keys.BRIDGES.default
    network: NetworkConfig = field(default_factory=NetworkConfig)
    attest: AttestConfig | None = None
    windows: WindowsConfig | None = None  # None: nothing is looked at
    native: bool = keys.NATIVE.default  # False: leave what the kernel itself can do unused
    wim: WimConfig | None = None  # None: the payload is started as it is
    drivers: tuple[str, ...] = keys.DRIVERS.default  # paths on the image's volume, addresses


def parse_config(data: bytes, source: str, trusted: bool = True) -> AgentConfig:
    """Read agent.toml; ConfigError names source, key and fault. One that is not trusted says
    nobody whom to trust, has no file read, and adds nothing to the firmware.

    An unattended machine must stay bootable: with a payload the failure action
    defaults to boot-next and the shell to off.
    """
    from pykexec.config.toml import parse_toml

    try:
        document = parse_toml(data)
    except FormatError as error:
        raise ConfigError(f"{source}: {error}") from None
    root = Table(source, "", document)
    unattended, attested = root.has(keys.PAYLOAD), root.has(keys.ATTEST)
    payload, failure = root.table(keys.PAYLOAD), root.table(keys.FAILURE)
    agent, network = root.table(keys.AGENT), root.table(keys.NETWORK)
    firmware = root.table(keys.FIRMWARE)
    is_windows, has_wim = root.has(keys.WINDOWS), root.has(keys.WIM_SECTION)
    wim = root.table(keys.WIM_SECTION)
    attest, windows = root.table(keys.ATTEST), root.table(keys.WINDOWS)
    started = _payload(payload) if unattended else None
    found_wim = parse_wim(wim, not started or started.is_remote) if has_wim else None
    config = AgentConfig(
        locked=root.take(keys.LOCKED),
        payload=started,
        wim=found_wim,
        failure_action=failure.take(keys.ACTION, "boot-next" if unattended else None),
        timeout_s=agent.take(keys.MENU_TIMEOUT_S),
        shell=agent.take(keys.SHELL, False if unattended else None),
        # An unattended boot has no time to lose.
        bridges=agent.take(keys.BRIDGES, () if unattended else None),
        network=_network(network, trusted),
        attest=parse_attest(attest) if attested else None,
        windows=WindowsConfig(windows.take(keys.ON_MISMATCH)) if is_windows else None,
        native=agent.take(keys.NATIVE),
        drivers=_drivers(firmware, trusted),
    )
    for table in (root, payload, wim, failure, agent, firmware, network, attest, windows):
        table.refuse_rest()
    if found_wim and not started:
        raise wim.fault(keys.WIM.name, "there is no payload, the boot manager, to start with it")
    return config


def _payload(table: Table) -> PayloadConfig:
    path, url = table.take(keys.PATH), table.take(keys.URL)
    if path and url:
        raise table.fault(keys.URL.name, "path and url exclude each other")
    options, sha256 = table.take(keys.OPTIONS), take_sha256(table, keys.SHA256)
    if url:
        _check_url(table, keys.URL, url)
        return PayloadConfig(url, None, options, True, sha256)
    if not path:
        raise table.fault(keys.PATH.name, "missing")
    if not path.startswith("\\") or "\0" in path:
        fault = f"{path!r} is no path on a volume, such as '\\EFI\\BOOT\\BOOTX64.EFI'"
        raise table.fault(keys.PATH.name, fault)
    return PayloadConfig(path, table.take(keys.VOLUME) or None, options, False, sha256)


def _drivers(table: Table, trusted: bool) -> tuple[str, ...]:
    drivers, name = table.take(keys.DRIVERS), keys.DRIVERS.name
    if drivers and not trusted:
        raise table.fault(name, "only the embedded configuration has any")
    for driver in drivers:
        if not driver.startswith("\\"):
            _check_url(table, keys.DRIVERS, driver)
        elif "\0" in driver:
            raise table.fault(name, f"{driver!r} is no path on a volume")
    return drivers


def _check_url(table: Table, key: Key[object], url: str) -> None:
    from pykexec.config.url import parse_url

    try:
        parse_url("http://server/").join(url)
    except UsageError as error:
        raise table.fault(key.name, str(error)) from None


def _network(table: Table, trusted: bool) -> NetworkConfig:
    if not trusted and table.take(keys.CA):
        raise table.fault(keys.CA.name, "only the embedded configuration has one")
    address, gateway = table.take(keys.ADDRESS), table.take(keys.GATEWAY)
    dns = table.take(keys.DNS)
    _check_address(table, keys.GATEWAY, gateway)
    for server in dns:
        _check_address(table, keys.DNS, server)
    if address and "/" not in address:
        fault = f"{address!r} has no prefix length, such as 10.0.0.5/24"
        raise table.fault(keys.ADDRESS.name, fault)
    _check_address(table, keys.ADDRESS, address)
    if (gateway or dns) and not address:
        key = keys.GATEWAY if gateway else keys.DNS
        raise table.fault(key.name, "needs an address; DHCP brings its own")
    return NetworkConfig(
        authorities=_authorities(table),
        interface=table.take(keys.INTERFACE),
        address=address,
        gateway=gateway,
        dns=dns,
        timeout_s=table.take(keys.SILENCE_S),
        total_s=table.take(keys.TOTAL_S),
    )


def _authorities(table: Table) -> str:
    """PEM, or the absolute path of a file of the initramfs that holds it."""
    text, name = table.take(keys.CA), keys.CA.name
    if not text.startswith("/"):
        if text and "-----BEGIN CERTIFICATE-----" not in text:
            raise table.fault(name, "neither PEM certificates nor a path that begins with '/'")
        return text
    try:
        with open(text, encoding="ascii") as file:
            pem = file.read()
    except OSError as error:
        raise table.fault(name, f"{text}: {error.strerror}") from None
    except ValueError:
        raise table.fault(name, f"{text!r}: not PEM, or no path") from None
    if "-----BEGIN CERTIFICATE-----" not in pem:
        raise table.fault(name, f"{text}: not PEM")
    return pem


def _check_address(table: Table, key: Key[object], text: str) -> None:
    import ipaddress

    try:
        if text and key is keys.ADDRESS:
            ipaddress.ip_interface(text)
        elif text:
            ipaddress.ip_address(text)
    except ValueError as error:
        raise table.fault(key.name, str(error)) from None


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

    Whom to trust, and what is added to the firmware, is what the embedded one says, whatever the
    override is; and where that one has the machine attested, no other does away with it.
    """
    config = parse_config(embedded, EMBEDDED_PATH) if embedded is not None else AgentConfig()
    if override is None or config.locked:
        return config
    found = parse_config(override, override_source, trusted=False)
    return _trusting(config, found, override_source)


def resolve_network_config(embedded: AgentConfig, override: bytes, source: str) -> AgentConfig:
    """The configuration that counts when the server that our image came from has one.

    Anybody on the wire may have written it, so it opens no shell where the embedded one has none.
    ConfigError if it tries, or says whom to trust.
    """
    found = _trusting(embedded, parse_config(override, source, trusted=False), source)
    if not embedded.shell and found.failure_action == "shell":
        raise ConfigError(f"{source}: failure.action: the embedded configuration allows no shell")
    return replace(found, shell=found.shell and embedded.shell)


def _trusting(embedded: AgentConfig, found: AgentConfig, source: str) -> AgentConfig:
    """found, whose trust, drivers and attestation are those of the embedded configuration."""
    if embedded.attest and found.attest:
        raise ConfigError(f"{source}: attest: the embedded configuration has its own")
    trusted = replace(found.network, authorities=embedded.network.authorities)
    attest = embedded.attest or found.attest
    return replace(found, network=trusted, attest=attest, drivers=embedded.drivers)
