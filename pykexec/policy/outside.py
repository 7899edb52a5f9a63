# SPDX-License-Identifier: Apache-2.0
"""The surroundings of a boot: when, from where, how many others, what is in quarantine.

What does not fit refuses, or asks for persons where the policy says so ([outside], and [[rates]] by
`then`). An outcome tells the facts as they were known, since nobody can look at them later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pykexec.attest.verdict import Finding
from pykexec.policy.clause import Clause, either, shown
from pykexec.policy.model import ApprovalDemand, Claims, Context, Limit, Policy
from pykexec.policy.rules import networks_of
from pykexec.policy.windows import next_start, open_windows, shown_time, words

SITE = "site"
"""The tag that says where a machine stands."""
ORIGIN_CODE = "policy.origin"
"""Of an outcome that speaks of the machine's address."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What of the surroundings does not fit; asks: persons may let it pass."""

    code: str
    text: str
    asks: bool


def outcomes(policy: Policy, context: Context) -> tuple[Outcome, ...]:
    """All that does not fit; none for what the policy leaves open."""
    return tuple(found for look in _LOOKS for found in look(policy, context))


def needs_persons(policy: Policy, context: Context) -> ApprovalDemand | None:
    """What persons have to do in these surroundings, None where nobody is asked."""
    demand = policy.approval
    if demand is None or not demand.outside_only:
        return demand
    return demand if any(found.asks for found in outcomes(policy, context)) else None


def facts(policy: Policy, context: Context) -> dict[str, object]:
    """What was known, of all that the policy asks for, for the audit trail; {} if it does not."""
    if not any(list(demands(policy)) for demands in _DEMANDS):
        return {}
    known: dict[str, object] = {
        "time": context.time.isoformat(),
        "address": context.address,
        "windows": open_windows(policy, context),
        "networks": networks_of(policy, context.address),
        "site": context.labels.get(SITE),
        "releases": {limit.name: context.releases.get(limit.name) for limit in policy.rates},
        "quarantined": list(context.quarantined),
        "asks": [found.code for found in outcomes(policy, context) if found.asks],
    }
    return {key: value for key, value in known.items() if value}


def concerns(limit: Limit, labels: Mapping[str, str]) -> bool:
    """Whether a machine with these tags is limited by it."""
    key, equals, value = limit.tag.partition("=")
    return not equals or labels.get(key) == value


def refusing_rates(policy: Policy) -> tuple[Limit, ...]:
    """Those that hold for what persons have approved, too."""
    return tuple(limit for limit in policy.rates if not limit.asks)


def over_text(limit: Limit, count: int) -> str:
    """That so many were released already."""
    of = f" of tag {shown(limit.tag)}" if limit.tag else ""
    return (
        f"{limit.name}: {count} releases{of} in {_duration(limit.within_s)}, {limit.count} may be"
    )


def _duration(seconds: int) -> str:
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {word}"
    return f"{seconds} s"


def _look_at_windows(policy: Policy, context: Context) -> Iterator[Outcome]:
    if not policy.windows or open_windows(policy, context):
        return
    now = context.time
    coming = [(start, w) for w in policy.windows if (start := next_start(w, now)) is not None]
    zone = policy.windows[0]
    text = f"no window is open: it is {shown_time(zone, now)}"
    if coming:
        start, window = min(coming, key=lambda pair: pair[0])
        text += f"; {window.name} begins {shown_time(window, start)}"
    yield Outcome("policy.window", text, "windows" in policy.asks)


def _look_at_origin(policy: Policy, context: Context) -> Iterator[Outcome]:
    origin, asks = policy.origin, "origin" in policy.asks
    code, address = ORIGIN_CODE, shown(context.address) or "an unknown address"
    among = networks_of(policy, context.address)
    if origin.networks and not set(among) & set(origin.networks):
        yield Outcome(code, f"{address} is not in {either(origin.networks)}", asks)
    if not origin.by_site:
        return
    site = context.labels.get(SITE)
    if not site:
        yield Outcome(code, f"nobody has said where the machine stands (tag {SITE})", asks)
    elif site not in policy.networks:
        yield Outcome(code, f"the policy has no network of the site {shown(site)}", asks)
    elif site not in among:
        text = f"{address} is not of the machine's site {shown(site)}"
        where = f", but of {either(among)}" if among else ""
        yield Outcome(code, text + where, asks)


def _look_at_rates(policy: Policy, context: Context) -> Iterator[Outcome]:
    for limit in policy.rates:
        if concerns(limit, context.labels):
            count = context.releases.get(limit.name, 0)
            if count >= limit.count:
                yield Outcome("policy.rate", over_text(limit, count), limit.asks)


def _look_at_quarantine(policy: Policy, context: Context) -> Iterator[Outcome]:
    if context.quarantined:
        text = f"in quarantine: {either(context.quarantined)}"
        yield Outcome("policy.quarantine", text, "quarantine" in policy.asks)


def _window_demands(policy: Policy) -> Iterator[str]:
    yield from (words(window) for window in policy.windows)
    yield from _otherwise(policy, "windows", bool(policy.windows))


def _origin_demands(policy: Policy) -> Iterator[str]:
    origin = policy.origin
    if origin.networks:
        yield f"the machine's address is in {either(origin.networks)}"
    if origin.by_site:
        yield f"its address is in the network of its site (tag {SITE})"
    yield from _otherwise(policy, "origin", bool(origin.networks or origin.by_site))


def _rate_demands(policy: Policy) -> Iterator[str]:
    for limit in policy.rates:
        of = f"machines of tag {shown(limit.tag)}" if limit.tag else "machines of this policy"
        then = "persons are asked" if limit.asks else "it is refused"
        within = _duration(limit.within_s)
        yield f"{limit.name}: at most {limit.count} releases to {of} in {within}, then {then}"


def _quarantine_demands(policy: Policy) -> Iterator[str]:
    demand = policy.quarantine
    if demand.machines:
        yield f"none of these is in quarantine: {either(demand.machines)}"
    if demand.tags:
        yield f"no machine is in quarantine of tag {either(demand.tags)}"
    yield from _otherwise(policy, "quarantine", bool(demand.machines or demand.tags))


def _otherwise(policy: Policy, key: str, demanded: bool) -> Iterator[str]:
    if demanded and key in policy.asks:
        yield "otherwise persons are asked"


def _found(policy: Policy, claims: Claims) -> Iterator[str]:
    return iter(())


_Look = Callable[[Policy, Context], Iterator[Outcome]]


def _clause(title: str, demands: Callable[[Policy], Iterator[str]], look: _Look) -> Clause:
    def check(policy: Policy, claims: Claims, context: Context) -> Iterator[Finding]:
        for found in look(policy, context):
            persons = "; a person has to approve" if found.asks else ""
            # Whoever approves has seen it.
            yield Finding(found.code, found.text + persons, refuses=not found.asks)

    return Clause(title, demands, _found, check)


_LOOKS = (_look_at_windows, _look_at_origin, _look_at_rates, _look_at_quarantine)
_DEMANDS = (_window_demands, _origin_demands, _rate_demands, _quarantine_demands)
WINDOWS, ORIGIN, RATES, QUARANTINE = (
    _clause(title, demands, look)
    for title, demands, look in zip(
        ("windows", "origin", "rates", "quarantine"), _DEMANDS, _LOOKS, strict=True
    )
)
