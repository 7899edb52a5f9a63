# SPDX-License-Identifier: Apache-2.0
"""A store as somebody sees it who has a scope: machines of others are not there.

This is the one place that decides it. Whatever serves somebody with a scope is given this instead
of the store, and what is not named here is for those alone who have the whole server: a method that
is new to the store, too, until it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from sqlalchemy import literal, select

from pykexec.errors import PykexecError
from pykexec.server.errors import NotFound
from pykexec.server.roles import Scope, covers, pairs
from pykexec.server.store import audit, machines, records, tables
from pykexec.server.store.view import Reading

if TYPE_CHECKING:
    from pykexec.server.store.store import Store
    from pykexec.verify.ek import Ek

OF_ALL = frozenset({"policy", "policies", "policy_versions", "settings", "ek_roots", "health"})
"""What is no machine's and everybody may look at."""
OF_A_MACHINE = frozenset(
    {
        "approve", "refuse", "retire", "reinstate", "forget_boots",
        "set_policy", "set_name",
        "secrets", "put_secret", "revoke_secret", "restore_secret",
    }
)  # fmt: skip
"""What is done to, or asked of, the machine whose number comes first."""


class OutOfScope(PykexecError):
    """This is for those who have the whole server; str() says so."""


def within(store: Store, scope: Scope) -> Store:
    """What somebody with that scope is given; the store itself, where it is the whole server."""
    # Not a subclass: nothing of the store's may be there but by its name.
    return cast("Store", _Within(store, scope)) if scope else store


class _Within:
    def __init__(self, store: Store, scope: Scope) -> None:
        self.__store = store
        self.__scope = scope

    def __getattr__(self, name: str) -> object:
        if name in OF_ALL:
            return getattr(self.__store, name)
        if name in OF_A_MACHINE:
            return self.__of_a_machine(getattr(self.__store, name))
        raise OutOfScope(f"your scope is {' '.join(self.__scope)}, this needs the whole server")

    def machine(self, fingerprint: str) -> records.Machine | None:
        """By its EK's fingerprint, if it is one of theirs."""
        found = self.__store.machine(fingerprint)
        return found if found is not None and self.__has(found) else None

    def machine_by_id(self, machine_id: int) -> records.Machine:
        """By its number; NotFound unless it is one of theirs."""
        found = self.__store.machine_by_id(machine_id)
        if not self.__has(found):
            raise NotFound(f"there is no machine {machine_id}")
        return found

    def machines(
        self,
        state: str | None = None,
        search: str = "",
        tag: tuple[str, str] | None = None,
        policy: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> records.Page[records.Machine]:
        """Theirs, newest first."""
        found = self.__store.database.read(
            lambda connection: machines.page(
                Reading(connection, self.__store.keys),
                state, search, tag, policy, offset, limit, self.__scope,
            )
        )  # fmt: skip
        return found

    def machine_counts(self) -> dict[str, int]:
        """How many of theirs are in each state."""
        store = self.__store
        return store.database.read(
            lambda connection: machines.counts(Reading(connection, store.keys), self.__scope)
        )

    def add_machine(
        self,
        ek: Ek,
        actor: str,
        name: str = "",
        policy: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> records.Machine:
        """One more of theirs."""
        self.__check_tags({}, tags or {})
        return self.__store.add_machine(ek, actor, name, policy, tags)

    def set_tags(self, machine_id: int, tags: Mapping[str, str], actor: str) -> records.Machine:
        """Replace its tags, but for those by which it is theirs."""
        self.__check_tags(self.machine_by_id(machine_id).tags, tags)
        return self.__store.set_tags(machine_id, tags, actor)

    def attestations(
        self,
        machine_id: int | None = None,
        accepted: bool | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> tuple[records.Attestation, ...]:
        """Of one of theirs."""
        if machine_id is None:
            raise OutOfScope("attestations of all machines need the whole server")
        self.machine_by_id(machine_id)
        return self.__store.attestations(machine_id, accepted, before, limit)

    def attestation(self, attestation_id: int) -> records.Attestation:
        """By its number, of one of theirs."""
        found = self.__store.attestation(attestation_id)
        if found.machine_id is None or not self.__has(self.__store.machine_by_id(found.machine_id)):
            raise NotFound(f"there is no attestation {attestation_id}")
        return found

    def evidence(self, attestation_id: int) -> bytes:
        """The evidence that was kept, of one of theirs."""
        self.attestation(attestation_id)
        return self.__store.evidence(attestation_id)

    def audit_entries(
        self,
        before: int | None = None,
        limit: int = 100,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> tuple[records.AuditEntry, ...]:
        """Of what happened to theirs, newest first."""
        table = tables.machines.c
        subjects = select(literal(machines.subject("")) + table.fingerprint)
        among = subjects.where(machines.in_scope(self.__scope))
        return self.__store.database.read(
            lambda connection: audit.entries(
                Reading(connection, self.__store.keys),
                before, limit, actor, action, subject, among,
            )
        )  # fmt: skip

    def __has(self, machine: records.Machine) -> bool:
        return covers(self.__scope, machine.tags)

    def __of_a_machine(self, method: Callable[..., object]) -> Callable[..., object]:
        def checked(machine_id: int, *args: object, **kwargs: object) -> object:
            self.machine_by_id(machine_id)
            return method(machine_id, *args, **kwargs)

        return checked

    def __check_tags(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """Who is told by tags which machines are his does not say of which those are true."""
        if not covers(self.__scope, after):
            raise OutOfScope(
                f"your scope is {' '.join(self.__scope)}: a machine of yours has such a tag"
            )
        for key, _ in pairs(self.__scope):
            if before and before.get(key) != after.get(key):
                raise OutOfScope(f"the tag {key} says whose a machine is: not yours to change")
