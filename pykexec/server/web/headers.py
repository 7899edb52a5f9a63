# SPDX-License-Identifier: Apache-2.0
"""What answers forbid browsers to do."""

from __future__ import annotations


def _content_policy(scripts: str) -> str:
    return (
        f"default-src 'self'; script-src {scripts}; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    )


SCRIPTED = {"content-security-policy": _content_policy("'self'")}
"""Of the pages that ask for a security key, which browsers do for scripts alone."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", _content_policy("'none'").encode()),
)
"""Of every answer that does not say otherwise."""
