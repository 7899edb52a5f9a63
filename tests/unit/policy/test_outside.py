# SPDX-License-Identifier: Apache-2.0
"""A policy's surroundings: what refuses, what asks for persons, and that the facts are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pykexec.policy import Context, Policy, PolicyError, appraise, explain, parse_policy
from pykexec.policy.outside import facts, needs_persons, outcomes
from tests.unit.policy.samples import CLAIMS, IMAGE, NOON, OTHER

ANY = 'version = 1\nname = "p"\nallow_any_image = true\n'
NIGHTS = '[[windows]]\nname = "nights"\nzone = "Europe/Berlin"\nfrom = "22:00"\nto = "04:00"\n'
NETWORKS = '[networks]\nnorth = ["10.1.0.0/16"]\nsouth = ["10.2.0.0/16", "2001:db8::/32"]\n'
ORIGIN = NETWORKS + '[origin]\nnetworks = ["north"]\n'
SITE = NETWORKS + "[origin]\nby_site = true\n"
RATE = '[[rates]]\nname = "rack"\ntag = "rack=7"\ncount = 20\nwithin_s = 3600\n'
QUARANTINE = '[quarantine]\nmachines = ["hv-3"]\n'
PERSONS = "[approval]\noutside_only = true\n"
RACK = Context(NOON, "10.1.2.3", "db-7", ("rack", "site"), {"rack": "7", "site": "north"})
NIGHT = replace(RACK, time=NOON.replace(hour=23))
FULL = replace(RACK, releases={"rack": 20})


def policy(text: str) -> Policy:
    return parse_policy((ANY + text).encode(), "p.toml")


def told(text: str, context: Context) -> list[tuple[str, bool]]:
    """What appraise() says of the surroundings, and whether it refuses."""
    codes = ("policy.window", "policy.origin", "policy.rate", "policy.quarantine")
    found = appraise(CLAIMS, policy(text), context)
    return [(finding.code, finding.refuses) for finding in found if finding.code in codes]


OUTSIDE = {
    "windows": (NIGHTS, RACK, "policy.window"),
    "origin": (ORIGIN, replace(RACK, address="10.2.0.1"), "policy.origin"),
    "site": (SITE, replace(RACK, address="10.2.0.1"), "policy.origin"),
    "rate": (RATE, FULL, "policy.rate"),
    "quarantine": (QUARANTINE, replace(RACK, quarantined=("hv-3",)), "policy.quarantine"),
}


@pytest.mark.parametrize("what", OUTSIDE)
def test_what_does_not_fit_refuses(what: str) -> None:
    text, context, code = OUTSIDE[what]
    assert told(text, context) == [(code, True)]
    assert needs_persons(policy(text), context) is None


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (NIGHTS, NIGHT),
        (ORIGIN, RACK),
        (ORIGIN, replace(RACK, address="::ffff:10.1.9.9")),
        (SITE, RACK),
        (SITE, replace(RACK, address="2001:db8::7", labels={"site": "south"})),
        (RATE, replace(RACK, releases={"rack": 19})),
        (QUARANTINE, RACK),
    ],
)
def test_what_fits_says_nothing(text: str, context: Context) -> None:
    assert told(text, context) == []


def asking(what: str) -> str:
    """A policy that asks for persons where it would refuse."""
    text, _, _ = OUTSIDE[what]
    if what == "rate":
        return f'{text}then = "ask"\n{PERSONS}'
    return f'{text}{PERSONS}[outside]\n{"origin" if what == "site" else what} = "ask"\n'


@pytest.mark.parametrize("what", OUTSIDE)
def test_persons_are_asked_where_the_policy_says_so(what: str) -> None:
    text, (_, context, code) = asking(what), OUTSIDE[what]
    assert told(text, context) == [(code, False)]
    assert needs_persons(policy(text), context) == policy(text).approval
    (outcome,) = outcomes(policy(text), context)
    assert outcome.asks


def test_persons_are_left_alone_where_everything_fits() -> None:
    text = asking("windows")
    assert needs_persons(policy(text), NIGHT) is None
    assert not any(found.code == "policy.approval" for found in appraise({}, policy(text), NIGHT))
    assert any(found.code == "policy.approval" for found in appraise({}, policy(text), RACK))


def test_persons_who_approve_every_boot_are_not_asked_less() -> None:
    assert needs_persons(policy("[approval]\n"), NIGHT) is not None


def test_one_that_refuses_is_not_outvoted_by_one_that_asks() -> None:
    text = f"{asking('windows')}{QUARANTINE}"
    context = replace(RACK, quarantined=("hv-3",))
    assert told(text, context) == [("policy.window", False), ("policy.quarantine", True)]


@pytest.mark.parametrize("labels", [{}, {"site": "east"}, {"site": ""}])
def test_a_machine_of_no_known_site_is_outside(labels: dict[str, str]) -> None:
    assert told(SITE, replace(RACK, labels=labels)) == [("policy.origin", True)]


@pytest.mark.parametrize("address", ["", "unknown", "10.1.0.0/16"])
def test_an_address_that_is_none_is_outside(address: str) -> None:
    assert told(ORIGIN, replace(RACK, address=address)) == [("policy.origin", True)]


def test_a_rate_of_a_tag_does_not_concern_others() -> None:
    assert told(RATE, replace(FULL, labels={"rack": "8"})) == []
    assert told(RATE, replace(FULL, labels={})) == []
    of_each = RATE.replace("rack=7", "rack")
    assert told(of_each, replace(FULL, labels={})) == [("policy.rate", True)]


def test_the_facts_are_in_the_finding_and_in_the_trail() -> None:
    whole = policy(NIGHTS + SITE + RATE + QUARANTINE)
    context = replace(FULL, address="10.2.0.1", quarantined=("hv-3",))
    texts = {finding.code: finding.text for finding in appraise({}, whole, context)}
    nights = "it is sun 2026-11-22 13:00 Europe/Berlin; nights begins sun 2026-11-22 22:00"
    assert nights in texts["policy.window"]
    assert texts["policy.origin"] == "10.2.0.1 is not of the machine's site north, but of south"
    assert texts["policy.rate"] == "rack: 20 releases of tag rack=7 in 1 h, 20 may be"
    assert texts["policy.quarantine"] == "in quarantine: hv-3"
    assert facts(whole, context) == {
        "time": "2026-11-22T12:00:00+00:00",
        "address": "10.2.0.1",
        "networks": ["south"],
        "site": "north",
        "releases": {"rack": 20},
        "quarantined": ["hv-3"],
    }
    assert facts(whole, NIGHT)["windows"] == ["nights"]
    assert facts(policy(""), context) == {}


def test_rules_see_the_surroundings() -> None:
    rule = "'nights' in context.windows && context.releases.rack < 20 && context.quarantined == []"
    text = f'{NIGHTS}{PERSONS}{RATE}then = "ask"\n[[rules]]\nname = "r"\nexpression = "{rule}"\n'
    for context, codes in (
        (replace(NIGHT, releases={"rack": 3}), []),
        (replace(RACK, releases={"rack": 3}), ["policy.window", "policy.rule.r"]),
    ):
        found = appraise(CLAIMS, policy(text), context)
        assert [finding.code for finding in found if finding.refuses] == codes


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[origin]\n", "origin: demands nothing"),
        ('[origin]\nnetworks = ["north"]\n', "origin.networks: 'north' is none of [networks]"),
        ("[origin]\nby_site = true\n", "origin.by_site: there are no [networks]"),
        ("[quarantine]\n", "quarantine: demands nothing"),
        ('[quarantine]\ntags = ["=7"]\n', "quarantine.tags: '=7' is neither KEY nor KEY=VALUE"),
        (RATE.replace("20", "0"), "rates[0].count: must be from 1"),
        (RATE.replace("3600", "0"), "rates[0].within_s: must be from 1"),
        (RATE.replace("3600", "604801"), "rates[0].within_s: must be from 1 to 604800"),
        (RATE + 'then = "allow"\n', "rates[0].then: must be refuse or ask"),
        (RATE + RATE, "rates: 'rack' occurs twice"),
        (PERSONS + '[outside]\nwindows = "ask"\n', "outside.windows: the policy demands nothing"),
        ('[outside]\nrates = "ask"\n', "outside.rates: unknown key"),
        (NIGHTS + '[outside]\nwindows = "ask"\n', "outside.windows: asks for persons, and there"),
        (RATE + 'then = "ask"\n', "rates.rack: asks for persons, and there is no [approval]"),
        (
            NIGHTS + '[approval]\n[outside]\nwindows = "ask"\n',
            "outside.windows: persons approve every boot anyhow; say approval.outside_only",
        ),
        (NIGHTS + PERSONS, "approval.outside_only: nothing asks for persons"),
        ('[[outdated]]\nname = "o"\n', "outdated[0]: names neither versions nor images"),
        ('[[outdated]]\nname = "o"\nimages = ["x"]\n', "outdated: o: no image is called 'x'"),
        (
            '[[outdated]]\nname = "o"\nversions = ["1"]\nuntil = "soon"\n',
            "outdated[0].until: 'soon' is no day",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(text: str, fault: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(text)
    assert str(caught.value).startswith(f"p.toml: {fault}")


def test_the_policy_is_told_in_words() -> None:
    text = explain(policy(SITE + RATE + asking("windows") + QUARANTINE))
    for line in (
        "nights: every day, 22:00 to 04:00 Europe/Berlin",
        "otherwise persons are asked",
        "its address is in the network of its site (tag site)",
        "rack: at most 20 releases to machines of tag rack=7 in 1 h, then it is refused",
        "none of these is in quarantine: hv-3",
        "a person approves within 600 s, but only where the surroundings ask for it",
    ):
        assert line in text


IMAGES = (
    'version = 1\nname = "p"\n'
    f'[[images]]\nname = "old"\nauthenticode = {{ sha256 = "{IMAGE}" }}\n'
    f'[[images]]\nname = "new"\nauthenticode = {{ sha256 = "{OTHER}" }}\n'
)


@pytest.mark.parametrize(
    ("entry", "day", "refuses"),
    [
        ('versions = ["2025.*"]', 22, False),
        ('versions = ["2025.*"]\nuntil = "2026-11-22"', 22, False),
        ('versions = ["2025.*"]\nuntil = "2026-11-22"', 23, True),
        ('images = ["old"]\nuntil = "2026-11-22"', 22, False),
        ('images = ["old"]\nuntil = "2026-11-22"', 23, True),
        ('versions = ["2024.*"]\nuntil = "2026-11-22"', 23, None),
        ('images = ["new"]\nuntil = "2026-11-22"', 23, None),
    ],
)
def test_what_is_outdated_is_told_and_then_refused(
    entry: str, day: int, refuses: bool | None
) -> None:
    text = f'{IMAGES}[[outdated]]\nname = "CVE-1"\n{entry}\n'
    found = appraise(
        CLAIMS, parse_policy(text.encode(), "p"), replace(RACK, time=NOON.replace(day=day))
    )
    outdated = [finding.refuses for finding in found if finding.code == "policy.outdated"]
    assert outdated == ([] if refuses is None else [refuses])
