# SPDX-License-Identifier: Apache-2.0
"""The pages that change something: each asks first, by GET, and does it by POST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from pykexec.server.store.records import Machine
from pykexec.server.web.page.page import Page, render
from pykexec.server.web.page.views import find
from pykexec.server.web.problems import Problem

REASON_MAX = 1024


@dataclass(frozen=True, slots=True)
class _Question:
    title: str
    text: str
    button: str
    danger: bool
    reason: bool
    act: Callable[[Page, Machine], object]


def _approve(page: Page, machine: Machine) -> object:
    if policy := page.form.get("policy", ""):
        page.web.store.set_policy(machine.id, policy, page.actor)
    return page.web.store.approve(machine.id, page.actor)


def _refuse(page: Page, machine: Machine) -> object:
    return page.web.store.refuse(machine.id, page.actor, _reason(page))


def _retire(page: Page, machine: Machine) -> object:
    if page.form.get("confirm", "").strip().lower() != machine.fingerprint[:8]:
        raise Problem(400, "nothing was done: type the first 8 digits of the fingerprint")
    return page.web.store.retire(machine.id, page.actor, _reason(page))


def _reason(page: Page) -> str:
    return page.form.get("reason", "").replace("\0", "")[:REASON_MAX]


_QUESTIONS = {
    "approve": _Question(
        "Approve this machine?",
        "Whoever holds this TPM is then given the machine's secrets, as long as what it attests "
        "satisfies the policy. Compare the fingerprint with what the machine itself shows.",
        "Approve",
        False,
        False,
        _approve,
    ),
    "refuse": _Question(
        "Refuse this machine?",
        "It is given nothing until somebody approves it again.",
        "Refuse",
        True,
        True,
        _refuse,
    ),
    "retire": _Question(
        "Retire this machine for good?",
        "It is never given anything again. Its secrets can be restored by an administrator for as "
        "long as the settings say (destroy_days), and are destroyed then: keep its keys somewhere "
        "else if you still need what is on its disks.",
        "Retire for good",
        True,
        True,
        _retire,
    ),
}


def change(page: Page) -> Response:
    """Approve, refuse or retire."""
    question = _QUESTIONS.get(page.path["action"])
    if question is None:
        raise Problem(404, "no such page")
    machine = find(page)
    if page.method == "POST":
        question.act(page, machine)
        return RedirectResponse(f"/machines/{machine.fingerprint}", 303)
    return render(
        "confirm.html",
        page,
        machine=machine,
        action=page.path["action"],
        question=question,
        policies=page.web.store.policies(),
        secrets=page.web.store.secrets(machine.id),
    )


def check_audit(page: Page) -> Response:
    """Check the audit chain now."""
    page.web.watch.check(page.web.store, force=True)
    return RedirectResponse("/audit", 303)


ACTIONS = {
    "/machines/{machine}/{action}": ("GET", "operator", change),
    "/audit/check": ("POST", "viewer", check_audit),
}
"""By path: the method beside POST, the role, the page."""
