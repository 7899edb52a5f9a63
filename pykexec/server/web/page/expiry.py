# SPDX-License-Identifier: Apache-2.0
"""The page of what ends."""

from __future__ import annotations

from starlette.responses import Response

from pykexec.server.expiry import Expiry, now
from pykexec.server.web.page.page import Page, render

_SHOWN = 200
_SOON_DAYS = 30


def expiry(page: Page) -> Response:
    """The soonest first."""
    time = now()
    found = Expiry(page.web.store, page.web.options.certificates).endings(time)
    rows = [(one, one.days(time)) for one in found[:_SHOWN]]
    more = max(0, len(found) - _SHOWN)
    return render("expiry.html", page, rows=rows, more=more, soon=_SOON_DAYS)
