# SPDX-License-Identifier: Apache-2.0
"""What the store and its keys refuse, and why."""

from __future__ import annotations

from pykexec.errors import PykexecError


class StoreError(PykexecError):
    """The store cannot do what was asked; str() says why and holds no secret."""


class NotFound(StoreError):
    """No such machine, policy, secret, token or entry."""


class Conflict(StoreError):
    """What is there forbids the change: a retired machine, a name that is taken."""


class EnrolmentRefused(StoreError):
    """No way of enrolment that is allowed takes this machine."""


class Replayed(StoreError):
    """The nonce was used before: this evidence was seen already, or is somebody else's copy."""


class AlreadyReleased(StoreError):
    """This boot of this machine was given its secrets already."""


class NotReleasable(StoreError):
    """Between the decision and its record the machine lost its state or a secret was changed."""


class RateExceeded(NotReleasable):
    """As many as may be were released meanwhile; asks: persons may decide about one more."""

    def __init__(self, text: str, asks: bool) -> None:
        super().__init__(text)
        self.asks = asks


class Tampered(StoreError):
    """The database holds what this server never wrote."""


class SchemaError(StoreError):
    """The database is of another version of this program, or of another program."""


class MasterKeyError(StoreError):
    """The master key cannot be had, or is not the one the store was made with."""
