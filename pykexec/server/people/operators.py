# SPDX-License-Identifier: Apache-2.0
"""How operators log in, and what groups may do: a file for `pykexec serve --operators`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pykexec.config.toml import parse_toml
from pykexec.errors import FormatError, UsageError
from pykexec.server.people.settings import PeopleSettings, address_fault
from pykexec.server.roles import Grant, check_role, make_scope, strongest

PASSWORDS = ("first", "all")
"""Whose passwords count: the first administrator's alone, or those of all who have one."""
SECOND_FACTORS = ("registered", "passwords", "everybody")
"""Who has to show a security key: who has registered one, also all who have logged in by a
password, or everybody."""
CALLBACK = "/login/callback"
_GROUPS_MAX = 256
_TEXT_MAX = 256


@dataclass(frozen=True, slots=True)
class GroupGrant:
    """What who is of a group may do."""

    group: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """address is this server's as browsers reach it; without it there are no security keys.

    A session ends when it was not used for idle_s, and in any case after lifetime_s. A login at the
    provider may not be older than max_age_s (0: any) and is of a kind in acr (none: any).
    """

    address: str = ""
    groups: tuple[GroupGrant, ...] = ()
    passwords: str = "all"
    second_factor: str = "registered"
    idle_s: int = 30 * 60
    lifetime_s: int = 10 * 3600
    max_age_s: int = 0
    acr: tuple[str, ...] = ()

    def grant(self, groups: Iterable[str]) -> Grant | None:
        """What somebody may do who is of these groups; None: nothing."""
        named = set(groups)
        return strongest(entry.grant for entry in self.groups if entry.group in named)

    def known(self, groups: Iterable[str]) -> tuple[str, ...]:
        """Those of them that say something here."""
        return tuple(sorted({entry.group for entry in self.groups} & set(groups)))

    def wants_key(self, how: str) -> bool:
        """Whether who has logged in that way ("password", "provider") needs a security key, even
        one who has none yet.
        """
        if self.second_factor == "everybody":
            return True
        return self.second_factor == "passwords" and how == "password"


def read_operators(path: Path, people: PeopleSettings | None) -> OperatorSettings:
    """The file (TOML); FormatError names key and fault. people is where persons log in."""
    data = path.read_bytes()
    try:
        return _settings(dict(parse_toml(data)), people)
    except (FormatError, UsageError) as error:
        raise FormatError(f"{path}: {error}") from None


def _settings(values: dict[str, object], people: PeopleSettings | None) -> OperatorSettings:
    groups = _groups(values.pop("groups", []))
    address = _text(values, "address", people.address if people else "").rstrip("/")
    found = OperatorSettings(
        address=address,
        groups=groups,
        passwords=_choice(values, "passwords", PASSWORDS, "first" if groups else "all"),
        second_factor=_choice(values, "second_factor", SECOND_FACTORS, "registered"),
        idle_s=60 * _number(values, "idle_min", 30, 24 * 60),
        lifetime_s=3600 * _number(values, "lifetime_h", 10, 7 * 24),
        max_age_s=_number(values, "max_age_s", 0, 7 * 86400, 0),
        acr=_texts(values.pop("acr", []), "acr"),
    )
    for key in values:
        raise FormatError(f"{key[:_TEXT_MAX]}: unknown key")
    if people is None and (groups or found.acr or found.max_age_s):
        raise FormatError("groups: where do they log in? serve --people says it")
    if people is not None and address != people.address:
        raise FormatError(f"address: --people has another one, {people.address}")
    if address and (fault := address_fault(address)):
        raise FormatError(f"address: {fault}")
    if found.second_factor != "registered" and not has_name(address):
        raise FormatError("second_factor: security keys need an address with a host's name")
    return found


def has_name(address: str) -> bool:
    """Whether security keys can be for it (WebAuthn, 5.1.2): a name, no number."""
    host = urlsplit(address).hostname
    try:
        ipaddress.ip_address(host or "0.0.0.0")
    except ValueError:
        return True
    return False


def _groups(value: object) -> tuple[GroupGrant, ...]:
    if not isinstance(value, list) or len(value) > _GROUPS_MAX:
        raise FormatError(f"groups: must be at most {_GROUPS_MAX} tables, [[groups]]")
    return tuple(_group(entry, f"groups[{index}]") for index, entry in enumerate(value))


def _group(entry: object, where: str) -> GroupGrant:
    if not isinstance(entry, Mapping):
        raise FormatError(f"{where}: must be a table")
    for key in entry:
        if key not in ("group", "role", "scope"):
            raise FormatError(f"{where}.{str(key)[:_TEXT_MAX]}: unknown key")
    values = dict(entry)
    group, role = _text(values, "group", ""), _text(values, "role", "")
    if not group:
        raise FormatError(f"{where}.group: missing")
    try:
        check_role(role)
        scope = make_scope(_texts(entry.get("scope", []), "scope"))
    except (FormatError, UsageError) as error:
        raise FormatError(f"{where}: {error}") from None
    return GroupGrant(group, Grant(role, scope))


def _text(values: dict[str, object], key: str, default: str) -> str:
    value = values.pop(key, default)
    if not isinstance(value, str) or len(value) > _TEXT_MAX or not (value + "x").isprintable():
        raise FormatError(f"{key}: must be a string of up to {_TEXT_MAX} characters")
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise FormatError(f"{where}: must be a list of strings")
    return tuple(value)


def _choice(values: dict[str, object], key: str, choices: tuple[str, ...], default: str) -> str:
    value = values.pop(key, default)
    if value not in choices:
        raise FormatError(f"{key}: must be one of {', '.join(choices)}")
    return str(value)


def _number(values: dict[str, object], key: str, default: int, most: int, least: int = 1) -> int:
    value = values.pop(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise FormatError(f"{key}: must be from {least} to {most}")
    return value
