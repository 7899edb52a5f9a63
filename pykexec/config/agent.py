# SPDX-License-Identifier: Apache-2.0
"""agent.toml: what the agent starts and what happens when that fails."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pykexec.config import keys
from pykexec.config.attest import AttestConfig, parse_attest
from pykexec.config.payload import PayloadConfig, check_url, parse_payload
from pykexec.config.table import Key, Table
from pykexec.config.wim import WimConfig, parse_wim
from pykexec.errors import ConfigError, FormatError

if TYPE_CHECKING:
    from pykexec.config.menu import MenuConfig

EMBEDDED_PATH = "/etc/pykexec/agent.toml"
CERTIFY_PATH = "/etc/pykexec/certify.json"  # only in an image that is to certify
MODULES_PATH = "/etc/pykexec/modules"  # see pykexec/linux/modules.py
OVERRIDE_PATH = "\\EFI\\pykexec\\agent.toml"
OVERRIDE_MAX = 65536
NETWORK_NAME = "agent.toml"  # beside the image, on the server that it came from


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
    menu: MenuConfig | None = None  # None: nothing but the payload is offered


def parse_config(
    data: bytes, source: str, trusted: bool = True, has_menu: bool = False
) -> AgentConfig:
    """Read agent.toml; ConfigError names source, key and fault. One that is not trusted says
    nobody whom to trust, has no file read, and adds nothing to the firmware; what entries need is
    then checked with what they are added to. has_menu: there is one that it comes to.

    An unattended machine must stay bootable: with a payload or a menu the failure action
    defaults to boot-next and the shell to off.
    """
    from pykexec.config.toml import parse_toml

    try:
        document = parse_toml(data)
    except FormatError as error:
        raise ConfigError(f"{source}: {error}") from None
    root = Table(source, "", document)
    has_payload, attested = root.has(keys.PAYLOAD), root.has(keys.ATTEST)
    menu = _menu(root)
    unattended = has_payload or has_menu or menu is not None
    payload, failure = root.table(keys.PAYLOAD), root.table(keys.FAILURE)
    agent, network = root.table(keys.AGENT), root.table(keys.NETWORK)
    firmware = root.table(keys.FIRMWARE)
    is_windows, has_wim = root.has(keys.WINDOWS), root.has(keys.WIM_SECTION)
    wim = root.table(keys.WIM_SECTION)
    attest, windows = root.table(keys.ATTEST), root.table(keys.WINDOWS)
    started = _payload(payload) if has_payload else None
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
        menu=menu,
    )
    for table in (root, payload, wim, failure, agent, firmware, network, attest, windows):
        table.refuse_rest()
    if found_wim and not started:
        raise wim.fault(keys.WIM.name, "there is no payload, the boot manager, to start with it")
    if started and started.is_launch and (found_wim or is_windows):
        raise payload.fault(keys.PAYLOAD_KIND.name, "a launch is no boot manager of Windows'")
    if trusted:
        _check(config, source)
    return config


def _payload(table: Table) -> PayloadConfig:
    return parse_payload(table, table.take(keys.PAYLOAD_KIND) == keys.LAUNCH)


def _menu(root: Table) -> MenuConfig | None:
    if not root.has(keys.MENU) and not root.has(keys.ENTRY):
        return None
    from pykexec.config.menu import parse_menu

    menu = root.table(keys.MENU)
    found = parse_menu(menu, root.tables(keys.ENTRY))
    menu.refuse_rest()
    return found


def _check(config: AgentConfig, source: str) -> None:
    """What no table says of itself alone."""
    if config.menu is None:
        return
    from pykexec.config.menu import check_menu

    if config.payload:
        fault = "there is a menu: an entry, and menu.default, say what is started"
        raise ConfigError(f"{source}: {keys.PAYLOAD.name}: {fault}")
    check_menu(config.menu, config.shell, config.attest, source)


def _drivers(table: Table, trusted: bool) -> tuple[str, ...]:
    drivers, name = table.take(keys.DRIVERS), keys.DRIVERS.name
    if drivers and not trusted:
        raise table.fault(name, "only the embedded configuration has any")
    for driver in drivers:
        if not driver.startswith("\\"):
            check_url(table, keys.DRIVERS, driver)
        elif "\0" in driver:
            raise table.fault(name, f"{driver!r} is no path on a volume")
    return drivers


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
    found = _added_to(config, override, override_source)
    _check(found, override_source)
    return found


def resolve_network_config(embedded: AgentConfig, override: bytes, source: str) -> AgentConfig:
    """The configuration that counts when the server that our image came from has one.

    Anybody on the wire may have written it, so it opens no shell where the embedded one has none.
    ConfigError if it tries, or says whom to trust.
    """
    found = _added_to(embedded, override, source)
    if not embedded.shell and found.failure_action == "shell":
        raise ConfigError(f"{source}: failure.action: the embedded configuration allows no shell")
    found = replace(found, shell=found.shell and embedded.shell)
    _check(found, source)
    return found


def _added_to(embedded: AgentConfig, override: bytes, source: str) -> AgentConfig:
    """An override with the embedded configuration's trust, drivers and attestation, its entries
    behind those that are embedded.
    """
    found = parse_config(override, source, trusted=False, has_menu=embedded.menu is not None)
    if embedded.attest and found.attest:
        raise ConfigError(f"{source}: attest: the embedded configuration has its own")
    trusted = replace(found.network, authorities=embedded.network.authorities)
    attest = embedded.attest or found.attest
    menu = found.menu
    if embedded.menu:
        from pykexec.config.menu import merge_menus

        menu = merge_menus(embedded.menu, found.menu, source)
    return replace(found, network=trusted, attest=attest, drivers=embedded.drivers, menu=menu)
