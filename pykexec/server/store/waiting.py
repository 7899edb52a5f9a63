# SPDX-License-Identifier: Apache-2.0
"""Machines that wait for an operator: who makes room when there are as many as may be.

Anybody can make up EKs, so places are shared among the networks that ask for them: room is made by
whoever has waited longest of the network that has most. A stranger so puts out his own machines,
and those of others only as long as he has fewer than they.
"""

from __future__ import annotations

import ipaddress
from datetime import timedelta

from sqlalchemy import String, cast, delete, exists, func, literal, not_, select

from pykexec.server import quotas
from pykexec.server.errors import EnrolmentRefused
from pykexec.server.store import machines, tables
from pykexec.server.store.database import Writing
from pykexec.verify.ek import VerifiedEk

_TABLE = tables.machines
_PREFIXES = {4: 24, 6: 48}  # What one holder of addresses is given at least, as a rule.
_OF_AN_OPERATOR = exists().where(
    tables.audit.c.subject == literal(machines.subject("")) + cast(_TABLE.c.fingerprint, String),
    tables.audit.c.actor != machines.SERVER,
)
# No authority vouches for it, and no operator has said anything of it yet.
_MAY_GO = (
    _TABLE.c.state == "pending",
    _TABLE.c.certificate_info == {},
    not_(_OF_AN_OPERATOR),
)


def network_of(address: str) -> str:
    """The network that a peer's address is counted for; what is no address is one of its own."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[: quotas.FINDING_MAX]
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return str(ipaddress.ip_network((parsed, _PREFIXES[parsed.version]), strict=False))


def make_room(tx: Writing, pending_max: int, candidate: VerifiedEk, network: str) -> None:
    """See to it that one more may wait; EnrolmentRefused if nobody is to go for it."""
    if machines.counts(tx).get("pending", 0) < pending_max:
        return
    if not (pending_max and _put_out(tx, candidate, network)):
        raise EnrolmentRefused("too many machines wait for approval")


def _put_out(tx: Writing, candidate: VerifiedEk, network: str) -> bool:
    """Whether one could go: who is vouched for may always ask for that, others if their network
    has fewer, or once the one that has waited longest has had its time.
    """
    column = _TABLE.c.network
    query = select(column, func.count(), func.min(_TABLE.c.id)).where(*_MAY_GO).group_by(column)
    groups = {row[0]: (row[1], row[2]) for row in tx.connection.execute(query)}
    if not groups:
        return False
    most, number = max(groups.values(), key=lambda group: (group[0], -group[1]))
    waited = timedelta(seconds=quotas.WAITS_S)
    machine = machines.get(tx, number)
    has = groups.get(network, (0, 0))[0]
    if not (candidate.vouched or most > has + 1 or machine.first_seen <= tx.now - waited):
        return False
    attestations = tables.attestations
    tx.connection.execute(delete(attestations).where(attestations.c.machine_id == number))
    tx.connection.execute(delete(_TABLE).where(_TABLE.c.id == number))
    detail = {"network": network, "reason": "another had to wait"}
    subject = machines.subject(machine.fingerprint)
    tx.chain.append(tx.now, machines.SERVER, "machine.evict", subject, detail)
    return True
