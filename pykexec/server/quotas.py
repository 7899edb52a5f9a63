# SPDX-License-Identifier: Apache-2.0
"""Who may hold what of the server, and for how long: every such limit, from the wire to the disk.

The rule behind the numbers: what a stranger can hold is small, charged to his address and given
back in seconds; what a machine with a proven EK can hold is bounded for each machine; and nobody
who only reads can keep those from writing who release. Rates (requests a second) are WebOptions'.
"""

from __future__ import annotations

# A connection, from accept() on.
HANDSHAKE_S = 10.0
"""For TLS, from accept() to its end, and for TLS to be shut down."""
HEADERS_S = 10.0
"""Seconds for a request's head, from the connection's start or the request's first byte."""
HEADERS_SIZE_MAX = 32 << 10
"""Bytes of one request's head; llhttp itself sets no limit."""
KEEP_ALIVE_S = 5
"""Between two requests."""
STALLED_S = 20.0
"""For 48 KiB of an answer to be taken by who reads it."""
CONNECTIONS_MAX = 4096
"""Of a worker, those in their handshake too."""
PEERS_KNOWN = CONNECTIONS_MAX
"""Addresses whose text is not read anew: each request of a connection is of the same one."""
CONNECTIONS_PER_PEER = 256
"""Of a worker; a trusted proxy, which stands for many, may have all of them."""

# A request's body.
BODIES_MAX = 128 << 20
"""Bytes of all bodies in a worker that are being read or worked on, charged as they arrive."""
BODIES_PER_PEER = 1 / 4
"""Of that."""
BODY_FREE = 64 << 10
"""So much anybody may send; what goes on has begun with the token of a challenge of ours."""
BODY_RATE = 4 << 10
"""Bytes a second that a body must bring in the long run, BODY_PATIENCE_S aside."""
BODY_PATIENCE_S = 20.0
"""For a body of any size, before BODY_RATE counts."""

# The database.
WRITERS, VIEWS, READERS = 4, 4, 8
"""Connections of a worker for transactions that write, for views that stay the same for a while,
and for single questions; who waits for one of them does not take another's."""
CONNECT_S = 5
"""For a database to answer who connects."""
UNHEARD_MS = 15_000
"""For a packet of a connection to it to be acknowledged (TCP_USER_TIMEOUT)."""
POOL_TIMEOUT_S = 10
"""For a connection that others hold."""
READY_S = 5.0
"""For database and master key to show that they can be used."""
READY_EVERY_S = 1.0
"""They are asked so often, however many want to know."""
CLOCKS_APART_S = 15
"""Servers of one database may be, by its clock: what one asks another must find in time."""
ROWS_AT_ONCE = 500
"""Of the audit chain; no connection is held while somebody reads what was found."""

# Rows.
WAITS_S = 3600
"""For one that waits for approval before its own network can have it make room for another."""
FINDINGS_MAX = 64
"""Of one attestation, as it is told and kept; the rest is counted."""
FINDING_MAX = 512
"""Characters of one."""
ATTESTATIONS_KEPT = 200
"""Of one machine, the newest; of one that waits for approval the last alone."""
EVIDENCE_KEPT = 8
"""Of one machine, the newest; of one that waits the last, and no more than the next number."""
EVIDENCE_WAITING_MAX = 256 << 10
"""Bytes."""

# Persons.
CODE_TRIES = 5
"""Wrong codes for one boot, of everybody who has logged in; then it is given nothing."""
VISITORS_MAX = 16
"""Who have logged in for one boot and not decided; the oldest makes room."""
CLAIMS_MAX = 1 << 20
"""Characters of claims that are kept of a boot that waits for persons; one of each machine."""
STATEMENT_KEPT_MAX = 8 << 10
"""Bytes of its statement, which goes into the audit chain."""
APPROVAL_KEPT_S = 600
"""After its end, for machine and persons to hear of it."""
PROVIDER_WAITERS = 16
"""Of a worker, who wait for the login service at once."""
LOGIN_S = 900
"""From the first page to the login's end."""

# Webhooks.
WEBHOOKS_MAX = 32
"""Of a store."""
WEBHOOK_THREADS = 4
"""Of a worker: so many receivers are told at a time."""
WEBHOOK_WINDOW = 500
"""Entries of the audit trail that are looked through at once."""
WEBHOOK_BATCH = 50
"""Messages that a receiver is sent before others have their turn."""
WEBHOOK_CONNECT_S = 5.0
"""For each of a receiver's addresses to be connected to, and for each word of its answer."""
WEBHOOK_S = 10.0
"""For TLS, and for all of an answer's head."""
WEBHOOK_ANSWER_MAX = 64 << 10
"""Bytes of an answer, which is not looked at."""
WEBHOOK_LEASE_S = 120
"""Whose server has gone is told by another one after that."""
WEBHOOK_PAUSES_S = (5, 30, 120, 600, 1800, *(hours * 3600 for hours in (1, 2, 4, 8, *[12] * 4)))
"""After each attempt that fails; then it is stopped."""
WEBHOOK_REFUSALS = 4
"""Attempts with a message that its receiver does not understand."""
