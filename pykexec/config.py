# SPDX-License-Identifier: Apache-2.0
"""agent.toml: what the agent starts and what happens when that fails."""

from __future__ import annotations

from dataclasses import dataclass

from pykexec.errors import ConfigError

EMBEDDED_PATH = "/etc/pykexec/agent.toml"
MODULES_PATH = "/etc/pykexec/modules"  # see pykexec/guest/modules.py
OVERRIDE_PATH = "\\EFI\\pykexec\\agent.toml"
OVERRIDE_MAX = 65536

# The names of enum pk_action that a configuration may use.
ACTIONS = ("agent", "firmware", "boot-next", "reset", "shell")


@dataclass(frozen=True, slots=True)
class PayloadConfig:
    """[payload]: a file on a volume; volume None is the one that the image came from."""

    path: str
    volume: str | None = None
    options: str = ""


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """A whole agent.toml; the defaults are those of an empty file."""

    locked: bool = False
    payload: PayloadConfig | None = None
    failure_action: str = "agent"
    timeout_s: int = 0
    shell: bool = True


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
    root = _Table(source, "", document)
    payload, failure, agent = root.table("payload"), root.table("failure"), root.table("agent")
    attended = payload is None
    config = AgentConfig(
        locked=root.flag("locked", False),
        payload=None if payload is None else _payload(payload),
        failure_action=_action(failure, "agent" if attended else "boot-next"),
        timeout_s=agent.number("timeout_s", 0) if agent else 0,
        shell=agent.flag("shell", attended) if agent else attended,
    )
    for table in (root, payload, failure, agent):
        if table:
            table.refuse_rest()
    return config


def _payload(table: _Table) -> PayloadConfig:
    path = table.text("path")
    if path is None:
        raise table.fault("path", "missing")
    if not path.startswith("\\") or "\0" in path:
        raise table.fault(
            "path", f"{path!r} is no path on a volume, such as '\\EFI\\BOOT\\BOOTX64.EFI'"
        )
    return PayloadConfig(path, table.text("volume"), table.text("options") or "")


def _action(table: _Table | None, default: str) -> str:
    action = table.text("action") if table else None
    if table and action and action not in ACTIONS:
        raise table.fault("action", f"{action!r} is not one of {', '.join(ACTIONS)}")
    return action or default


def resolve_config(
    embedded: bytes | None, override: bytes | None, override_source: str = OVERRIDE_PATH
) -> AgentConfig:
    """The configuration that counts: override, unless it is missing or the embedded one locked."""
    config = parse_config(embedded, EMBEDDED_PATH) if embedded is not None else AgentConfig()
    if override is None or config.locked:
        return config
    return parse_config(override, override_source)


class _Table:
    """A TOML table whose keys are taken one by one; what is left over is unknown."""

    def __init__(self, source: str, prefix: str, values: dict[str, object]) -> None:
        self.source = source
        self.prefix = prefix
        self.values = dict(values)

    def fault(self, key: str, fault: str) -> ConfigError:
        return ConfigError(f"{self.source}: {self.prefix}{key}: {fault}")

    def table(self, key: str) -> _Table | None:
        value = self.values.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.fault(key, "must be a table")
        return _Table(self.source, f"{self.prefix}{key}.", value)

    def text(self, key: str) -> str | None:
        value = self.values.pop(key, None)
        if value is not None and not isinstance(value, str):
            raise self.fault(key, "must be a string")
        return value or None

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.pop(key, default)
        if not isinstance(value, bool):
            raise self.fault(key, "must be true or false")
        return value

    def number(self, key: str, default: int) -> int:
        value = self.values.pop(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.fault(key, "must be a number, 0 or more")
        return value

    def refuse_rest(self) -> None:
        for key in self.values:
            raise self.fault(key, "unknown key")
