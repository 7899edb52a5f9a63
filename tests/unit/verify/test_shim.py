# SPDX-License-Identifier: Apache-2.0
"""Behind shim the claims say whose keys vouched, and what the machine's owner has enrolled."""

from __future__ import annotations

import hashlib
from typing import Any

from pykexec.efi.secure_boot import SHIM_LOCK
from tests.support.attest_expected import claims_of
from tests.support.attest_log import IPL, VARIABLE_AUTHORITY, certificate, variable
from tests.support.attest_machine import Machine

LEVEL = b"sbat,1,2025021800\nshim,4\ngrub,5\n"  # as long as a hash, and none
LIST = b"EFI_SIGNATURE_LIST of the owner"


def behind_shim() -> Machine:
    """What Debian's shim measures when a key of the owner's has signed what it starts."""
    machine = Machine()
    machine.extend(14, IPL, b"MokList\0", hashed=LIST)
    machine.extend(7, VARIABLE_AUTHORITY, variable("SbatLevel", SHIM_LOCK, LEVEL))
    owners = variable("MokList", SHIM_LOCK, certificate("the machine's owner"))
    machine.extend(7, VARIABLE_AUTHORITY, owners)
    return machine


def test_authorities_are_the_keys_that_vouched_and_state_is_apart() -> None:
    claims: Any = claims_of(behind_shim().evidence())["secure_boot"]
    assert [each["variable"] for each in claims["authorities"]] == ["db", "MokList"]
    assert claims["authorities"][1]["subject"] == "CN=the machine's owner"
    assert claims["shim"] == {
        "state": {"SbatLevel": hashlib.sha256(LEVEL).hexdigest()},
        "enrolled": [
            {
                "name": "MokList",
                "digest": hashlib.sha256(LIST).hexdigest(),
                "unproven": ["name"],
            }
        ],
    }


def test_without_shim_there_is_no_word_of_it() -> None:
    claims: Any = claims_of(Machine().evidence())["secure_boot"]
    assert "shim" not in claims
    assert [each["variable"] for each in claims["authorities"]] == ["db"]
