# SPDX-License-Identifier: Apache-2.0
"""Group commit: one thread writes what all others have decided, as much as there is at a time.

A commit waits for the disk, every writer waits for the chain's head, and a transaction's own costs
are many times those of a record. While one batch is being written the next one gathers, and when
attestations follow one another it gathers a moment longer, unless there are enough: so a storm of
them costs few commits, and who comes alone does not wait.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from pykexec.server.errors import Conflict, StoreError
from pykexec.server.store.records import AttestationRecord

log = logging.getLogger(__name__)

BATCH_MAX = 256
"""Records in one transaction."""
GATHER_S = 0.04
"""So soon after a commit others will follow: they are waited for, at most as long again."""
ENOUGH = 8
"""Records for which a transaction's own costs matter no more."""
_LOOK_S = 0.01
_WAITING_MAX = 4096

_Item = tuple[AttestationRecord, "Future[None]"]
_Write = Callable[[Sequence[AttestationRecord]], list[StoreError | None]]


class Writer:
    """write() takes records in one transaction and says of each why it was not written.

    An exception of write() means that none was.
    """

    def __init__(self, write: _Write, gather_s: float = GATHER_S) -> None:
        self._write = write
        self._gather_s = gather_s
        self._ends = threading.Event()
        self._queue: queue.Queue[_Item | None] = queue.Queue(_WAITING_MAX)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(self, record: AttestationRecord) -> Future[None]:
        """The future ends when the record is on disk, or with why it is not."""
        future: Future[None] = Future()
        with self._lock:
            if self._closed:
                raise StoreError("the store is closed")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="attestation writer", daemon=True
                )
                self._thread.start()
            try:
                self._queue.put_nowait((record, future))
            except queue.Full:
                raise StoreError("too many attestations wait to be written") from None
        return future

    def close(self) -> None:
        """Write what is waiting, then end."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._ends.set()
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _run(self) -> None:
        written = float("-inf")
        while (item := self._queue.get()) is not None:
            if time.monotonic() - written < self._gather_s:
                self._gather()
            batch = [item]
            ends = False
            while len(batch) < BATCH_MAX and not ends:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ends = True
                else:
                    batch.append(more)
            self._commit(batch)
            written = time.monotonic()
            if ends:
                return

    def _gather(self) -> None:
        end = time.monotonic() + self._gather_s
        # Looking now and then takes less than to be woken by each.
        while self._queue.qsize() + 1 < ENOUGH and time.monotonic() < end:
            if self._ends.wait(_LOOK_S):
                return

    def _commit(self, batch: list[_Item]) -> None:
        try:
            errors = self._write([record for record, _ in batch])
        except Conflict as error:
            # The database itself refused one of them, which must not fail the others.
            if len(batch) > 1:
                for item in batch:
                    self._commit([item])
                return
            _end(batch, [error])
        except Exception as error:
            # Whatever it is, those who wait must hear of it, and the thread must go on.
            log.exception("%d attestations were not written", len(batch))
            _end(batch, [error] * len(batch))
        else:
            _end(batch, errors)


def _end(batch: list[_Item], errors: Sequence[Exception | None]) -> None:
    for (_, future), error in zip(batch, errors, strict=True):
        # Nobody may cancel what is being written, but asyncio cancels what it wraps.
        if not future.set_running_or_notify_cancel():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
