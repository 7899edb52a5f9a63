# SPDX-License-Identifier: Apache-2.0
"""A machine's keys: their generations, who has seen them, and one shown to who may see it."""

from __future__ import annotations

from starlette.responses import Response

from pykexec.server.keys.envelope import wipe
from pykexec.server.store.machine_keys import MachineKeys
from pykexec.server.web.admin.keys import REVEALS, in_words
from pykexec.server.web.page.page import Page, render
from pykexec.server.web.page.views import find
from pykexec.server.web.problems import Problem

SHOWN_S = 300
"""So long a value stays on the screen."""
_REASON_MAX, _PERSON_MAX, _NAME_MAX = 1024, 256, 256


def keys(page: Page) -> Response:
    """All keys of a machine, without values."""
    machine, store = find(page), page.web.store
    found = MachineKeys(store)
    return render(
        "keys.html",
        page,
        machine=machine,
        keys=found.states(machine.id),
        seen=found.revealed(machine.id),
    )


def reveal(page: Page) -> Response:
    """Ask for a reason, then show the value: once, for a while."""
    machine, name = find(page), page.path["key"][:_NAME_MAX]
    found = MachineKeys(page.web.store)
    state = next((each for each in found.states(machine.id) if each.name == name), None)
    if state is None or state.plan is None:
        raise Problem(404, "there is no such key that the machine's system could replace")
    if page.method != "POST":
        return render("key_reveal.html", page, machine=machine, key=state, secret=None)
    page.web.hold_to("reveals", page.actor, REVEALS)
    reason, person = (
        page.form.get(field, "").replace("\0", "")[:size]
        for field, size in (("reason", _REASON_MAX), ("person", _PERSON_MAX))
    )
    text = page.form.get("version", "")
    version = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
    secret, value = found.reveal(machine.id, name, version, page.actor, reason, person)
    try:
        text, encoding = in_words(value)
    finally:
        wipe(value)
    response = render(
        "key_reveal.html",
        page,
        machine=machine,
        key=state,
        secret=secret,
        text=text,
        encoding=encoding,
        shown_s=SHOWN_S,
    )
    response.headers["Refresh"] = f"{SHOWN_S}; url=/machines/{machine.fingerprint}/keys"
    return response


VIEWS = {"/machines/{machine}/keys": keys}
"""As views.VIEWS."""
ACTIONS = {"/machines/{machine}/keys/{key}/reveal": ("GET", "operator", reveal)}
"""As actions.ACTIONS."""
