# SPDX-License-Identifier: Apache-2.0
"""The pages that show something: machines, policies, the audit trail."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.responses import Response

from pykexec.server.store.records import MACHINE_STATES, Machine
from pykexec.server.waiting_boots import waiting_boots
from pykexec.server.web.page import rollout
from pykexec.server.web.page.expiry import expiry
from pykexec.server.web.page.page import Page, render
from pykexec.server.web.problems import Problem

_ROWS = 50


def find(page: Page) -> Machine:
    """The machine that the path names."""
    machine = page.web.store.machine(page.path["machine"])
    if machine is None:
        raise Problem(404, "no such machine")
    return machine


def machines(page: Page) -> Response:
    """All, or those of a state, or what was searched for."""
    state = page.query.get("state", "")
    search = page.query.get("search", "")[:128].replace("\0", "")
    number = max(1, page.number("page") or 1)
    found = page.web.store.machines(
        state=state if state in MACHINE_STATES else None,
        search=search,
        offset=(number - 1) * _ROWS,
        limit=_ROWS,
    )
    return render(
        "machines.html",
        page,
        found=found,
        counts=page.web.store.machine_counts(),
        states=MACHINE_STATES,
        state=state,
        search=search,
        number=number,
        last=-(-found.total // _ROWS) or 1,
    )


def pending(page: Page) -> Response:
    """Those that wait for an operator."""
    found = page.web.store.machines(state="pending", limit=_ROWS)
    return render("pending.html", page, found=found, settings=page.web.store.settings())


def waiting(page: Page) -> Response:
    """Boots that wait for persons."""
    now = datetime.now(UTC)
    boots = waiting_boots(page.web.store, page.web.service.desk, now, _ROWS)
    return render("waiting.html", page, boots=boots, persons=page.web.provider is not None)


def machine(page: Page) -> Response:
    """One machine."""
    found = find(page)
    return render(
        "machine.html",
        page,
        machine=found,
        attestations=page.web.store.attestations(machine_id=found.id, limit=20),
        secrets=page.web.store.secrets(found.id),
    )


def policies(page: Page) -> Response:
    """The newest version of each."""
    found = page.web.store.policies()
    return render("policies.html", page, policies=found, rollouts=rollout.states(page, found))


def policy(page: Page) -> Response:
    """One version, in words and as it is written."""
    from pykexec.policy import PolicyError
    from pykexec.server.web.admin.settings import check_policy

    name = page.path["policy"]
    found = page.web.store.policy(name, page.number("version"))
    try:
        explanation = check_policy(found.text, found.name)
    except PolicyError as error:  # An earlier version took it.
        explanation = f"It refuses every machine: {error}"
    return render(
        "policy.html",
        page,
        policy=found,
        explanation=explanation,
        versions=page.web.store.policy_versions(name),
        used=page.web.store.machines(policy=name, limit=1).total,
        tried=rollout.tried(page, name),
    )


def audit(page: Page) -> Response:
    """The trail, newest first, and whether the chain is whole."""
    entries = page.web.store.audit_entries(
        before=page.number("before"),
        limit=_ROWS,
        subject=page.query.get("subject") or None,
        action=page.query.get("action") or None,
    )
    return render(
        "audit.html",
        page,
        entries=entries,
        # The chain is of the whole server.
        checked=None if page.scope else page.web.watch.check(page.web.store),
        older=entries[-1].seq if len(entries) == _ROWS else None,
        subject=page.query.get("subject", ""),
        action=page.query.get("action", ""),
    )


VIEWS = {
    "/machines": machines,
    "/machines/{machine}": machine,
    "/pending": pending,
    "/waiting": waiting,
    "/policies": policies,
    "/policies/{policy}": policy,
    "/audit": audit,
    "/expiry": expiry,
}
"""By path."""
SCOPED = frozenset({"/machines", "/pending", "/policies", "/policies/{policy}", "/audit"})
"""Those that show what is theirs to whoever has a scope, or what is everybody's."""
