# SPDX-License-Identifier: Apache-2.0
"""An import: everything is looked at first, then one transaction does all of it, or nothing.

A dry run is the same transaction, undone: so what it says would change is what changes.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pykexec.errors import FormatError, UsageError
from pykexec.policy import parse_policy
from pykexec.server.bulk.lines import (
    Change,
    Fault,
    HashLine,
    Line,
    MachineLine,
    PolicyLine,
    SecretLine,
)
from pykexec.server.errors import NotFound, StoreError
from pykexec.server.keys.envelope import Keyring, WrappedKey
from pykexec.server.keys.masterkey import KEY_SIZE, LocalMasterKey
from pykexec.server.policy_trial import check_rules
from pykexec.server.store import enrolment, machines, policies, secret_values
from pykexec.server.store.database import Writing
from pykexec.server.store.store import Store

FAULTS_MAX = 20
"""That are told; one is enough to stop."""
_SAID_EVERY = 100
# What later lines may refer to comes before them.
_ORDER = (PolicyLine, HashLine, MachineLine, SecretLine)
_FINGERPRINT = re.compile("[0-9a-f]{64}")
_REFUSALS = (FormatError, StoreError, UsageError)

Sealed = Mapping[int, tuple[str, tuple[WrappedKey, bytes]]]


@dataclass(frozen=True, slots=True)
class Progress:
    """So many of so many were looked at, sealed or written."""

    step: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing was done where there are faults, nor in a dry run."""

    changes: tuple[Change, ...] = ()
    faults: tuple[Fault, ...] = ()


class _Undo(Exception):
    """Ends a transaction that must leave nothing."""


def bring_in(
    store: Store, lines: Sequence[Line], actor: str, dry_run: bool
) -> Iterator[Progress | Done]:
    """Progress, and in the end what was done. No transaction is open while anybody waits."""
    faults: list[Fault] = []
    for step in _look(store, lines, faults):
        yield step
    sealed: dict[int, tuple[str, tuple[WrappedKey, bytes]]] = {}
    if not faults:
        # A dry run needs no master key, which may be a request away.
        own = Keyring(LocalMasterKey(secrets.token_bytes(KEY_SIZE)))
        keyring = own if dry_run else store.keyring
        for step in _seal(store, keyring, lines, sealed, faults):
            yield step
    if faults:
        yield Done(faults=tuple(faults[:FAULTS_MAX]))
        return
    yield Progress("written", 0, len(lines))
    yield _write(store, lines, sealed, actor, dry_run)


def _look(store: Store, lines: Sequence[Line], faults: list[Fault]) -> Iterator[Progress]:
    """What can be said of each line by itself, and which say the same twice."""
    seen: dict[tuple[object, ...], int] = {}
    for done, line in enumerate(lines):
        if done % _SAID_EVERY == 0:
            yield Progress("checked", done, len(lines))
        with _noting(line, faults):
            if (first := seen.setdefault(_what(line), line.number)) != line.number:
                raise UsageError(f"says again what line {first} says")
            _check(store, line)


def _what(line: Line) -> tuple[object, ...]:
    match line:
        case PolicyLine():
            return ("policy", line.name)
        case HashLine():
            return ("ek-hash", line.entry.sha256)
        case MachineLine():
            return ("machine", line.fingerprint)
        case SecretLine():
            return ("secret", line.number)  # Its machine has two names; _seal() knows both.


def _check(store: Store, line: Line) -> None:
    match line:
        case PolicyLine():
            check_rules(store, line.name, parse_policy(line.text.encode(), line.name))
        case HashLine():
            machines.check_name(line.entry.name)
            machines.check_tags(line.entry.tags)
        case MachineLine():
            machines.check_name(str(line.values.get("name", "")))
        case SecretLine():
            secret_values.check(line.name, line.kind, line.parameters, line.value)


class _noting:
    """Has a refusal become a fault of a line."""

    def __init__(self, line: Line, faults: list[Fault]) -> None:
        self._line, self._faults = line, faults

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> bool:
        if isinstance(error, _REFUSALS):
            self._faults.append(Fault(self._line.number, str(error)))
            return True
        return False


def _seal(
    store: Store,
    keyring: Keyring,
    lines: Sequence[Line],
    sealed: dict[int, tuple[str, tuple[WrappedKey, bytes]]],
    faults: list[Fault],
) -> Iterator[Progress]:
    """Each secret for its machine, which the same file may name."""
    wanted = [line for line in lines if isinstance(line, SecretLine)]
    if not wanted:
        return
    names = _names(store, lines)
    seen: dict[tuple[str, str], int] = {}
    for done, line in enumerate(wanted):
        if done % _SAID_EVERY == 0:
            yield Progress("sealed", done, len(wanted))
        with _noting(line, faults):
            fingerprint = _machine_of(line.machine, names)
            if (first := seen.setdefault((fingerprint, line.name), line.number)) != line.number:
                raise UsageError(f"says again what line {first} says")
            value = secret_values.seal(
                keyring, fingerprint, line.name, line.kind, line.parameters, line.value
            )
            sealed[line.number] = (fingerprint, value)


def _names(store: Store, lines: Iterable[Line]) -> dict[str, set[str]]:
    found = {fingerprint: name for fingerprint, name in store.database.read(machines.names)}
    for line in lines:
        if isinstance(line, MachineLine) and "name" in line.values:
            found[line.fingerprint] = str(line.values["name"])
    names: dict[str, set[str]] = {}
    for fingerprint, name in found.items():
        names.setdefault(name, set()).add(fingerprint)
    return names


def _machine_of(text: str, names: Mapping[str, set[str]]) -> str:
    if _FINGERPRINT.fullmatch(text):
        return text
    found = names.get(text, set()) if text else set()
    if len(found) != 1:
        raise NotFound(f"{len(found) or 'no'} machines are named {text!r}")
    return next(iter(found))


def _write(store: Store, lines: Sequence[Line], sealed: Sealed, actor: str, dry_run: bool) -> Done:
    changes: list[Change] = []
    faults: list[Fault] = []
    try:
        with store.database.writing(store.keys) as tx:
            for line in sorted(lines, key=lambda line: _ORDER.index(type(line))):
                before = len(tx.chain.pending)
                with _noting(line, faults):
                    _bring_in(tx, line, sealed, actor)
                if faults:
                    raise _Undo
                changes += (
                    Change(line.number, entry.action, entry.subject, entry.detail)
                    for entry in tx.chain.pending[before:]
                )
            tx.chain.append(
                tx.now, actor, "import", "bulk", {"lines": len(lines), "changes": len(changes)}
            )
            if dry_run:
                raise _Undo
    except _Undo:
        pass
    if faults:
        return Done(faults=tuple(faults))
    return Done(tuple(sorted(changes, key=lambda change: change.line)))


def _bring_in(tx: Writing, line: Line, sealed: Sealed, actor: str) -> None:
    match line:
        case PolicyLine():
            policies.put(tx, line.name, line.text, actor, line.comment)
        case HashLine():
            if enrolment.known_hash(tx, line.entry.sha256) != line.entry:
                enrolment.add_hashes(tx, [line.entry], actor)
        case MachineLine():
            _bring_in_machine(tx, line, actor)
        case SecretLine():
            fingerprint, value = sealed[line.number]
            if (machine := machines.find(tx, fingerprint)) is None:
                raise NotFound(f"there is no machine {fingerprint}")
            secret_values.put(tx, machine.id, line.name, line.kind, line.parameters, value, actor)


def _bring_in_machine(tx: Writing, line: MachineLine, actor: str) -> None:
    machine = machines.find(tx, line.fingerprint)
    known = {} if machine is None else dict(machine.tags)
    tags = {key: value for key, value in {**known, **line.tags}.items() if value is not None}
    machines.check_tags(tags)
    if machine is None:
        if line.ek is None:
            raise NotFound(f"there is no machine {line.fingerprint}, and no EK to make it by")
        name, policy = str(line.values.get("name", "")), line.values.get("policy")
        policy = None if policy is None else str(policy)
        machines.add(tx, line.ek, "enrolled", "operator", actor, name, policy, tags)
        return
    wanted = {**line.values, "tags": tags}
    now: dict[str, object] = {"name": machine.name, "policy": machine.policy, "tags": known}
    changed = {key: value for key, value in wanted.items() if now[key] != value}
    if changed:
        machines.change(tx, machine.id, actor, "machine.import", changed)
