# SPDX-License-Identifier: Apache-2.0
"""Policies from TOML. What is not understood is refused: a demand that is lost would be a hole."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from pykexec.image.measure import PCR as SECTIONS_PCR
from pykexec.policy.approval import parse_approval
from pykexec.policy.break_glass import parse_break_glass
from pykexec.policy.model import (
    BANKS,
    EXPRESSION_MAX,
    PATTERN_MAX,
    RULES_MAX,
    VERSION,
    Application,
    Boot,
    ConfigDemand,
    Digests,
    Image,
    PayloadDemand,
    Policy,
    PolicyError,
    Rule,
    SecureBoot,
    Update,
    VariableDemand,
)
from pykexec.policy.outdated import parse_outdated
from pykexec.policy.rules import compile_fault
from pykexec.policy.surroundings import (
    check_together,
    parse_asks,
    parse_origin,
    parse_quarantine,
    parse_rates,
)
from pykexec.policy.table import Table, parse_toml
from pykexec.policy.windows import parse_windows
from pykexec.tpm.banks import NR_PCRS

Pcrs = dict[int, dict[str, tuple[str, ...]]]

_RULE_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VARIABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_INFORMATION = ("pykexec", "kernel", "cmdline", "sha256")
_PCRS = {str(number): number for number in range(NR_PCRS)}
_RELEASE_PCR, _APPLICATION_PCR, _QUOTED = 15, 4, 16
_ANYBODYS = f"any program can write PCR {SECTIONS_PCR}, so it names no image"


def parse_policy(data: bytes, source: str) -> Policy:
    """Read a policy; PolicyError names source, key and fault."""
    root = parse_toml(data, source)
    if (version := root.number("version")) != VERSION:
        raise root.fault("version", f"{version or 'missing'}; {VERSION} is known")
    policy = Policy(
        name=root.name(),
        description=root.text("description", 4096),
        allow_any_image=root.flag("allow_any_image"),
        images=_images(root),
        secure_boot=_secure_boot(root),
        versions=_versions(root),
        pcrs=_pcrs(root),
        boot=_boot(root),
        payload=_payload(root),
        config=_config(root),
        networks=_networks(root),
        approval=parse_approval(root),
        windows=parse_windows(root),
        origin=parse_origin(root),
        rates=parse_rates(root),
        quarantine=parse_quarantine(root),
        outdated=parse_outdated(root),
        asks=parse_asks(root),
        break_glass=parse_break_glass(root),
        rules=_rules(root),
        updates=_updates(root),
    )
    root.end()
    _check_restricts(root, policy)
    check_together(root, policy)
    return _with_updates(root, policy)


def _unique(tables: Iterable[tuple[Table, str]]) -> None:
    seen: set[str] = set()
    for table, name in tables:
        if name in seen:
            raise table.fault("name", f"{name!r} occurs twice")
        seen.add(name)


def _images(root: Table) -> tuple[Image, ...]:
    tables = root.tables("images")
    images = tuple(map(_image, tables))
    _unique(zip(tables, (image.name for image in images), strict=True))
    return images


def _image(table: Table) -> Image:
    for key in _INFORMATION:
        table.text(key, EXPRESSION_MAX)
    sections = table.table("sections")
    found: dict[str, Digests] = {}
    for name in sections.keys() if sections else ():
        assert sections
        found[name] = sections.banked(name)
    image = Image(table.name(), table.banked("authenticode"), table.banked("pcr11"), found)
    if not image.authenticode:
        why = f": {_ANYBODYS}" if image.pcr11 else ""
        fault = f"missing; a table with a digest for {' or '.join(BANKS)}{why}"
        raise table.fault("authenticode", fault)
    if image.pcr11 and image.pcr11.keys() != image.authenticode.keys():
        raise table.fault("pcr11", "must have the banks that authenticode has")
    table.end()
    return image


def _secure_boot(root: Table) -> SecureBoot:
    if not (table := root.table("secure_boot")):
        return SecureBoot()
    required, authorities = table.flag("required"), _certificates(table, "authorities")
    variables = {}
    for name in table.keys():
        if not _VARIABLE_NAME.fullmatch(name):
            raise table.fault(name, "is no variable's name")
        inner = table.table(name)
        assert inner
        variables[name] = _variable(inner)
    return SecureBoot(required, authorities, variables)


def _variable(table: Table) -> VariableDemand:
    demand = VariableDemand(
        sha256=table.digests("sha256"),
        certificates=_certificates(table, "certificates"),
        hashes=table.digests("hashes"),
        contains=table.digests("contains"),
        at_least=table.number("at_least"),
    )
    table.end()
    if demand == VariableDemand():
        raise table.fault("", "demands nothing")
    return demand


def _certificates(table: Table, key: str) -> tuple[str, ...]:
    """SHA-256 of DER, or subjects, which have a '='."""
    found = table.texts(key)
    for text in found:
        if "=" not in text:
            table.check_digest(key, text.lower())
    return tuple(text if "=" in text else text.lower() for text in found)


def _versions(root: Table) -> tuple[str, ...]:
    if not (table := root.table("firmware")):
        return ()
    versions = table.texts("versions")
    table.end()
    if not versions:
        raise table.fault("versions", "missing")
    return versions


def _pcrs(root: Table) -> Pcrs:
    found: Pcrs = {}
    if not (banks := root.table("pcrs")):
        return found
    for bank in BANKS:
        table = banks.table(bank)
        for key in table.keys() if table else ():
            assert table
            if (number := _PCRS.get(key, NR_PCRS)) == NR_PCRS:
                raise table.fault(key[:64], "is no PCR")
            if number >= _QUOTED:
                raise table.fault(key, f"is not quoted; 0 to {_QUOTED - 1} are")
            if number == _RELEASE_PCR:
                raise table.fault(key, "is what tells that a secret was released: always zero")
            found.setdefault(number, {})[bank] = table.digests(key, bank)
    banks.end()
    return found


def _boot(root: Table) -> Boot:
    if not (table := root.table("boot")):
        return Boot()
    inner = table.tables("applications")
    applications = tuple(Application(t.name(), t.banked("authenticode")) for t in inner)
    for one, application in zip(inner, applications, strict=True):
        if not application.authenticode:
            raise one.fault("authenticode", "missing")
        one.end()
    _unique(zip(inner, (application.name for application in applications), strict=True))
    boot = Boot(applications, table.flag("any_application"), table.texts("paths"))
    if boot.any_application and applications:
        raise table.fault("any_application", "contradicts boot.applications")
    table.end()
    return boot


def _payload(root: Table) -> PayloadDemand:
    if not (table := root.table("payload")):
        return PayloadDemand()
    demand = PayloadDemand(
        required=table.flag("required"),
        self_contained=table.flag("self_contained"),
        sha256=table.digests("sha256"),
        authenticode_sha256=table.digests("authenticode_sha256"),
        signers=_certificates(table, "signers"),
        paths=table.texts("paths"),
    )
    table.end()
    known = demand.sha256 or demand.authenticode_sha256 or demand.signers
    if demand.self_contained and not known:
        fault = "anybody can make one: say which as well, by sha256, authenticode_sha256 or signers"
        raise table.fault("self_contained", fault)
    return demand


def _config(root: Table) -> ConfigDemand:
    if not (table := root.table("config")):
        return ConfigDemand()
    demand = ConfigDemand(table.digests("allowed", *BANKS), table.flag("any"))
    table.end()
    if demand.any and demand.allowed:
        raise table.fault("any", "contradicts config.allowed")
    return demand


def _networks(root: Table) -> dict[str, tuple[IPv4Network | IPv6Network, ...]]:
    table = root.table("networks")
    found = {}
    for name in table.keys() if table else ():
        assert table
        try:
            found[name] = tuple(ip_network(text) for text in table.texts(name))
        except ValueError as error:
            raise table.fault(name, str(error)[:PATTERN_MAX]) from None
    return found


def _rules(root: Table) -> tuple[Rule, ...]:
    tables = root.tables("rules")
    if len(tables) > RULES_MAX:
        raise root.fault("rules", f"{len(tables)} rules, at most {RULES_MAX} are taken")
    rules = tuple(
        Rule(table.name(), table.text("expression", EXPRESSION_MAX), table.text("message", 512))
        for table in tables
    )
    _unique(zip(tables, (rule.name for rule in rules), strict=True))
    for table, rule in zip(tables, rules, strict=True):
        if not _RULE_NAME.fullmatch(rule.name) or len(rule.name) > 48:
            raise table.fault("name", "must be up to 48 of a-z, 0-9 and single dashes")
        if not rule.expression:
            raise table.fault("expression", "missing")
        table.end()
    for table, fault in zip(tables, compile_fault([r.expression for r in rules]), strict=True):
        if fault:
            raise table.fault("expression", f"not CEL: {fault}")
    return rules


def _updates(root: Table) -> tuple[Update, ...]:
    tables = root.tables("updates")
    updates = tuple(map(_update, tables))
    _unique(zip(tables, (update.name for update in updates), strict=True))
    return updates


def _update(table: Table) -> Update:
    variables = {}
    secure_boot = table.table("secure_boot")
    for name in secure_boot.keys() if secure_boot else ():
        assert secure_boot
        if inner := secure_boot.table(name):
            variables[name] = VariableDemand(
                sha256=inner.digests("sha256"),
                certificates=_certificates(inner, "certificates"),
                hashes=inner.digests("hashes"),
            )
            inner.end()
    update = Update(table.name(), _pcrs(table), _versions(table), variables)
    table.end()
    return update


def _check_restricts(root: Table, policy: Policy) -> None:
    """A policy by mistake for any image whatsoever is none."""
    sequence_known = _APPLICATION_PCR in policy.pcrs
    if policy.allow_any_image:
        if policy.images:
            raise root.fault("allow_any_image", "contradicts what is demanded of the image")
        return
    if not (policy.images or sequence_known):
        why = f" ({_ANYBODYS})" if SECTIONS_PCR in policy.pcrs else ""
        raise root.fault(
            "images", f"missing: any image would do{why}; if it may, say allow_any_image = true"
        )
    demand = policy.secure_boot
    if policy.boot.any_application and not (
        sequence_known or (demand.required and demand.authorities)
    ):
        # LoadImage measures the image, whether StartImage follows or not.
        raise root.fault(
            "boot.any_application",
            "any program could load the image, never start it, and fulfil this: name what is "
            "started before it (boot.applications), or demand whose keys vouch for all that is "
            "(secure_boot.required, secure_boot.authorities)",
        )


def _with_updates(root: Table, policy: Policy) -> Policy:
    """The policy with what its updates allow besides; they never demand what it does not."""
    pcrs = {number: dict(banks) for number, banks in policy.pcrs.items()}
    versions = policy.versions
    variables = dict(policy.secure_boot.variables)
    for number, update in enumerate(policy.updates):
        where = f"updates[{number}]"
        for pcr, banks in update.pcrs.items():
            for bank, values in banks.items():
                if bank not in pcrs.get(pcr, {}):
                    raise _no_demand(root, f"{where}.pcrs.{bank}.{pcr}")
                pcrs[pcr][bank] += values
        if update.versions and not versions:
            raise _no_demand(root, f"{where}.firmware.versions")
        versions += update.versions
        for name, more in update.variables.items():
            old = variables.get(name, VariableDemand())
            for key in ("sha256", "certificates", "hashes"):
                if getattr(more, key) and not getattr(old, key):
                    raise _no_demand(root, f"{where}.secure_boot.{name}.{key}")
            variables[name] = replace(
                old,
                sha256=old.sha256 + more.sha256,
                certificates=old.certificates + more.certificates,
                hashes=old.hashes + more.hashes,
            )
    return replace(
        policy,
        pcrs=pcrs,
        versions=versions,
        secure_boot=replace(policy.secure_boot, variables=variables),
    )


def _no_demand(root: Table, key: str) -> PolicyError:
    return root.fault(key, "the policy itself demands nothing here, so there is nothing to add to")
