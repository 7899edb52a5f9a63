# SPDX-License-Identifier: Apache-2.0
"""What a server knows of all its machines that tells what a change will do to them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Protocol

from pykexec.attest.decode import parse_attest_request
from pykexec.attest.protocol import Evidence
from pykexec.errors import FormatError, UsageError
from pykexec.log import printable
from pykexec.policy.recovery import TAG, Known, tagged

_PAGE = 500
Rows = list[dict[str, object]]


class Asking(Protocol):
    """Asks the admin API, as AdminClient does."""

    def get(self, *path: str, **query: object) -> dict[str, object]:
        """What is at path."""


def read_fleet(
    client: Asking,
    reports: Mapping[str, frozenset[int] | str],
    policy: str | None = None,
) -> Iterator[Known]:
    """Every machine that is enrolled, with policy alone if so wanted.

    reports are protectors' registers by a machine's name or fingerprint; they count before tags.
    UsageError for one that is of no machine, or of several. The role of an operator is needed.
    """
    of = dict.fromkeys(reports, 0)
    for row in _machines(client, policy):
        fingerprint, name, tags = str(row["fingerprint"]), str(row["name"]), row["tags"]
        assert isinstance(tags, dict)
        for each in of.keys() & {fingerprint, name}:
            of[each] += 1
        pcrs = reports.get(fingerprint, reports.get(name))
        yield Known(
            printable(name),
            fingerprint,
            _evidence(client, fingerprint),
            tagged(tags.get(TAG)) if pcrs is None else pcrs,
        )
    for each, count in of.items():
        if count != 1:
            raise UsageError(f"{each}: {count or 'no'} machines of these are called so")


def _machines(client: Asking, policy: str | None) -> Iterator[dict[str, object]]:
    """Page after page."""
    offset = 0
    while True:
        query = {"state": "enrolled", "policy": policy, "limit": _PAGE, "offset": offset}
        rows = _rows(client.get("machines", **query), "machines")
        yield from rows
        offset += len(rows)
        if len(rows) < _PAGE:
            return


def _evidence(client: Asking, fingerprint: str) -> Evidence | str:
    """Of its last boot that was accepted, since that is what Windows has sealed to."""
    answer = client.get("machines", fingerprint, "attestations", accepted=True, limit=1)
    rows = _rows(answer, "attestations")
    if not rows:
        return "its last boot is not known: none was accepted"
    (last,) = rows
    if not last["has_evidence"]:
        return (
            f"its last boot is not known: of that of {last['time']} no evidence was kept"
            " (keep_evidence=always keeps it)"
        )
    found = client.get("attestations", str(last["id"]), "evidence")
    try:
        return parse_attest_request(json.dumps(found).encode()).evidence
    except FormatError as error:
        return f"its last boot is not known: {error}"


def _rows(answer: dict[str, object], key: str) -> Rows:
    found = answer[key]
    assert isinstance(found, list)
    return found
