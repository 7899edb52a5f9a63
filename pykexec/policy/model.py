# SPDX-License-Identifier: Apache-2.0
"""What an appraisal policy is made of, and what of the surroundings it may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from ipaddress import IPv4Network, IPv6Network

from pykexec.attest.protocol import BANKS as BANKS
from pykexec.errors import FormatError

VERSION = 1

POLICY_MAX = 256 << 10  # bytes
LIST_MAX = 1024
NAME_MAX = 128  # characters
PATTERN_MAX = 256
EXPRESSION_MAX = 4096
RULES_MAX = 32

Digests = Mapping[str, str]
"""A digest in hex for each bank of BANKS that it is known for."""
Claims = Mapping[str, object]
"""What verify() read out of evidence."""


class PolicyError(FormatError):
    """A policy is not what it should be; str() names source, key and fault."""


@dataclass(frozen=True, slots=True)
class Image:
    """One of our images: its Authenticode digests, which the firmware has measured.

    pcr11 is demanded besides of an image that measures its sections itself. sections are their
    digests: they judge nothing, they tell where another image says that it differs.
    """

    name: str
    authenticode: Digests
    pcr11: Digests = field(default_factory=dict)
    sections: Mapping[str, Digests] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Application:
    """An EFI application that may be started before our image, such as shim."""

    name: str
    authenticode: Digests


@dataclass(frozen=True, slots=True)
class VariableDemand:
    """What a variable of Secure Boot may hold; an empty tuple demands nothing.

    sha256 are digests of the whole content. certificates (SHA-256 of DER, or subjects) and hashes
    are all that may be in it; contains is what has to be in it, at_least how many hashes.
    """

    sha256: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    at_least: int = 0


@dataclass(frozen=True, slots=True)
class SecureBoot:
    """[secure_boot]: authorities are all that may have vouched for what was started."""

    required: bool = False
    authorities: tuple[str, ...] = ()
    variables: Mapping[str, VariableDemand] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Boot:
    """[boot]: what the firmware may have started, and the device path of our image (patterns)."""

    applications: tuple[Application, ...] = ()
    any_application: bool = False
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PayloadDemand:
    """[payload]: what may be started next; digests are alternatives to each other.

    signers are certificates (SHA-256 of DER, or subjects): Secure Boot is on and db holds nothing
    else, so that the firmware itself refuses what they have not signed. self_contained demands a
    unified kernel image under Secure Boot: kernel, initrd and command line are in what is known.
    """

    required: bool = False
    self_contained: bool = False
    sha256: tuple[str, ...] = ()
    authenticode_sha256: tuple[str, ...] = ()
    signers: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigDemand:
    """[config]: digests of the overrides of agent.toml that may have been measured."""

    allowed: tuple[str, ...] = ()
    any: bool = False


@dataclass(frozen=True, slots=True)
class ApprovalDemand:
    """[approval]: persons who have to approve a boot before anything is released to it.

    count of them, each another subject at the provider; groups are those that may, () anybody who
    logs in; distinct: each stands for another of the groups. reason: each says why. requester:
    somebody asks first, who then may not approve. expires_s is how long the machine waits,
    max_age_s how old a login may be (0: any), acr what it has to be (one of them, () anything).
    outside_only: only where the surroundings ask for persons, see Outside.
    """

    count: int = 1
    groups: tuple[str, ...] = ()
    distinct: bool = False
    reason: bool = False
    requester: bool = False
    expires_s: int = 600
    max_age_s: int = 0
    acr: tuple[str, ...] = ()
    outside_only: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """One of [[windows]]: when secrets are released, by the clocks of a time zone.

    It begins on days of the week (0 is Monday) or on dates, every day where there is neither, and
    ends before end, on the next day if that is not after start; end None is midnight.
    """

    name: str
    zone: str
    start: time
    end: time | None
    days: tuple[int, ...] = ()
    dates: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """[origin]: names of [networks] in one of which the peer has to be; by_site: in the one that is
    called as the machine's tag `site`.
    """

    networks: tuple[str, ...] = ()
    by_site: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """One of [[rates]]: at most count releases within within_s, of the machines that a tag groups.

    tag is KEY=VALUE, which concerns machines that have it, KEY, which counts those together that
    have the same value or none, or "" for all machines of the policy. asks: one more is for persons
    to decide, else it is refused.
    """

    name: str
    count: int
    within_s: int
    tag: str = ""
    asks: bool = False


@dataclass(frozen=True, slots=True)
class QuarantineDemand:
    """[quarantine]: machines, by name or fingerprint, and tags, KEY=VALUE or KEY for the machine's
    own value, of which none may be in quarantine.
    """

    machines: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outdated:
    """One of [[outdated]]: firmware (patterns of versions) and images (by their names) that are
    allowed until the end of a day (UTC), and told until then; None: told alone.
    """

    name: str
    versions: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    until: date | None = None


@dataclass(frozen=True, slots=True)
class BreakGlassDemand:
    """[break_glass]: what a machine without a network may be given, and by whom: the secret of that
    name alone.
    """

    secret: str
    persons: ApprovalDemand


@dataclass(frozen=True, slots=True)
class Rule:
    """One of [[rules]]: a CEL expression over evidence and context, and over approval where there
    is one, that has to be true.
    """

    name: str
    expression: str
    message: str


@dataclass(frozen=True, slots=True)
class Update:
    """One of [[updates]]: values that are allowed besides, since a known update brings them."""

    name: str
    pcrs: Mapping[int, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    versions: tuple[str, ...] = ()
    variables: Mapping[str, VariableDemand] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy; pcrs are allowed values by register and bank.

    updates are part of the allowed values already; they are kept to tell of them. asks are those of
    "windows", "origin" and "quarantine" that ask for persons where they would refuse.
    """

    name: str
    description: str = ""
    allow_any_image: bool = False
    images: tuple[Image, ...] = ()
    secure_boot: SecureBoot = field(default_factory=SecureBoot)
    versions: tuple[str, ...] = ()
    pcrs: Mapping[int, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    boot: Boot = field(default_factory=Boot)
    payload: PayloadDemand = field(default_factory=PayloadDemand)
    config: ConfigDemand = field(default_factory=ConfigDemand)
    networks: Mapping[str, tuple[IPv4Network | IPv6Network, ...]] = field(default_factory=dict)
    approval: ApprovalDemand | None = None
    windows: tuple[Window, ...] = ()
    origin: Origin = field(default_factory=Origin)
    rates: tuple[Limit, ...] = ()
    quarantine: QuarantineDemand = field(default_factory=QuarantineDemand)
    outdated: tuple[Outdated, ...] = ()
    asks: frozenset[str] = frozenset()
    break_glass: BreakGlassDemand | None = None
    rules: tuple[Rule, ...] = ()
    updates: tuple[Update, ...] = ()


@dataclass(frozen=True, slots=True)
class Approval:
    """A person who approves, as the login provider vouches for; count is how many do by now, with
    this one. requester is the subject of who has asked, "" where nobody had to.
    """

    subject: str
    groups: tuple[str, ...]
    acr: str
    amr: tuple[str, ...]
    auth_time: datetime
    count: int
    requester: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What a policy may ask for besides the evidence.

    time has a time zone; address is the peer's, "" where there is none; tags and labels are the
    operator's, of the machine. releases are counted by [[rates]]' names, quarantined what is in
    quarantine of [quarantine]. approval is None as long as nobody has approved.
    """

    time: datetime
    address: str = ""
    machine: str = ""
    tags: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    releases: Mapping[str, int] = field(default_factory=dict)
    quarantined: tuple[str, ...] = ()
    approval: Approval | None = None

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError("a context's time needs a time zone")
