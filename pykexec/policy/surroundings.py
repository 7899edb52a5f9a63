# SPDX-License-Identifier: Apache-2.0
"""[origin], [[rates]], [quarantine] and [outside] of a policy, read and checked together."""

from __future__ import annotations

from pykexec.policy.model import Limit, Origin, Policy, QuarantineDemand
from pykexec.policy.table import Table

RATES_MAX = 16
COUNT_MAX = 100_000
WITHIN_MAX_S = 7 * 86400
OTHERWISE = ("refuse", "ask")
_ASKING = ("windows", "origin", "quarantine")


def parse_origin(root: Table) -> Origin:
    """The table; PolicyError for one that demands nothing."""
    if (table := root.table("origin")) is None:
        return Origin()
    origin = Origin(table.texts("networks"), table.flag("by_site"))
    table.end()
    if origin == Origin():
        raise table.fault("", "demands nothing")
    return origin


def parse_rates(root: Table) -> tuple[Limit, ...]:
    """The tables; PolicyError names the wrong one."""
    tables = root.tables("rates")
    if len(tables) > RATES_MAX:
        raise root.fault("rates", f"{len(tables)} of them, at most {RATES_MAX} are taken")
    return tuple(map(_rate, tables))


def _rate(table: Table) -> Limit:
    limit = Limit(
        name=table.name(),
        count=table.number("count"),
        within_s=table.number("within_s"),
        tag=table.text("tag"),
        asks=_asks(table, "then"),
    )
    table.end()
    # None at all is what a quarantine is for.
    if not 1 <= limit.count <= COUNT_MAX:
        raise table.fault("count", f"must be from 1 to {COUNT_MAX}")
    if not 1 <= limit.within_s <= WITHIN_MAX_S:
        raise table.fault("within_s", f"must be from 1 to {WITHIN_MAX_S}")
    _check_tag(table, "tag", limit.tag)
    return limit


def parse_quarantine(root: Table) -> QuarantineDemand:
    """The table; PolicyError for one that demands nothing."""
    if (table := root.table("quarantine")) is None:
        return QuarantineDemand()
    demand = QuarantineDemand(table.texts("machines"), table.texts("tags"))
    table.end()
    if demand == QuarantineDemand():
        raise table.fault("", "demands nothing: a machine in quarantine is given nothing anyway")
    for tag in demand.tags:
        _check_tag(table, "tags", tag)
    return demand


def _check_tag(table: Table, key: str, tag: str) -> None:
    if tag.startswith("=") or not tag.isprintable():
        raise table.fault(key, f"{tag!r} is neither KEY nor KEY=VALUE")


def parse_asks(root: Table) -> frozenset[str]:
    """[outside]: which of them ask for persons."""
    if (table := root.table("outside")) is None:
        return frozenset()
    found = frozenset(key for key in _ASKING if _asks(table, key))
    table.end()
    return found


def _asks(table: Table, key: str) -> bool:
    text = table.text(key)
    if text not in ("", *OTHERWISE):
        raise table.fault(key, f"must be {' or '.join(OTHERWISE)}")
    return text == "ask"


def check_together(root: Table, policy: Policy) -> None:
    """PolicyError for demands that contradict each other or that nobody could fulfil."""
    demanded = {
        "windows": bool(policy.windows),
        "origin": policy.origin != Origin(),
        "quarantine": policy.quarantine != QuarantineDemand(),
    }
    for key in sorted(policy.asks):
        if not demanded[key]:
            raise root.fault(f"outside.{key}", f"the policy demands nothing of {key}")
    for name in policy.origin.networks:
        if name not in policy.networks:
            raise root.fault("origin.networks", f"{name!r} is none of [networks]")
    if policy.origin.by_site and not policy.networks:
        raise root.fault("origin.by_site", "there are no [networks] that could be called as sites")
    for kind, names in (
        ("windows", [window.name for window in policy.windows]),
        ("rates", [limit.name for limit in policy.rates]),
        ("outdated", [entry.name for entry in policy.outdated]),
    ):
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise root.fault(kind, f"{twice!r} occurs twice")
    known = {image.name for image in policy.images}
    for entry in policy.outdated:
        if unknown := set(entry.images) - known:
            raise root.fault("outdated", f"{entry.name}: no image is called {min(unknown)!r}")
    _check_persons(root, policy)


def _check_persons(root: Table, policy: Policy) -> None:
    asks = [f"outside.{key}" for key in sorted(policy.asks)]
    asks += [f"rates.{limit.name}" for limit in policy.rates if limit.asks]
    demand = policy.approval
    if asks and demand is None:
        raise root.fault(asks[0], "asks for persons, and there is no [approval] of any")
    if asks and demand is not None and not demand.outside_only:
        fault = "persons approve every boot anyhow; say approval.outside_only = true if not"
        raise root.fault(asks[0], fault)
    if demand is not None and demand.outside_only and not asks:
        raise root.fault("approval.outside_only", "nothing asks for persons, so nobody ever would")
