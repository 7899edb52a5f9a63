# SPDX-License-Identifier: Apache-2.0
"""What of the surroundings of a boot the server knows, for its policy to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from pykexec.policy import Context, Policy
from pykexec.policy.model import Approval
from pykexec.server.store import release_rates
from pykexec.server.store.quarantine import Quarantine
from pykexec.server.store.records import Machine
from pykexec.server.store.store import Store


class Surroundings:
    """Safe in any thread."""

    def __init__(self, store: Store) -> None:
        self._database = store.database
        self.quarantine = Quarantine(store.database, store.keys)

    def context(
        self,
        policy: Policy,
        machine: Machine,
        peer: str,
        now: datetime,
        approval: Approval | None = None,
    ) -> Context:
        """Of a machine that asks from peer at now; of what the policy does not ask for nothing."""
        labels, limits = machine.tags, policy.rates
        releases: dict[str, int] = {}
        if limits:
            releases = self._database.read(
                lambda found: release_rates.counts(found, limits, labels, machine.policy, now)
            )
        return replace(self.moment(policy, machine, peer, now, releases), approval=approval)

    def moment(
        self,
        policy: Policy,
        machine: Machine,
        peer: str,
        time: datetime,
        releases: Mapping[str, int],
    ) -> Context:
        """The same, as if so many had been released by then."""
        labels, demand = machine.tags, policy.quarantine
        quarantined: tuple[str, ...] = ()
        if demand.machines or demand.tags:
            quarantined = self.quarantine.named(demand, labels)
        return Context(
            time=time,
            address=peer,
            machine=machine.name,
            tags=tuple(labels),
            labels=labels,
            releases=releases,
            quarantined=quarantined,
        )
