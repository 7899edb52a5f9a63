# SPDX-License-Identifier: Apache-2.0
"""What the filtered ExitBootServices and SetVariable answer."""

from __future__ import annotations

import pytest

from pykexec._native import ffi, lib
from pykexec.abi import VariableAttribute

NV = VariableAttribute.NON_VOLATILE
BS = VariableAttribute.BOOTSERVICE_ACCESS
RT = VariableAttribute.RUNTIME_ACCESS
APPEND = VariableAttribute.APPEND_WRITE

SUCCESS = lib.EFI_SUCCESS
INVALID = lib.EFI_INVALID_PARAMETER
NOT_FOUND = lib.EFI_NOT_FOUND
PROTECTED = lib.EFI_WRITE_PROTECTED


@pytest.mark.parametrize(
    ("ours", "already_exited", "map_key", "status"),
    [
        (True, False, 7, SUCCESS),
        (True, False, 6, INVALID),
        (True, False, (1 << 64) - 1, INVALID),
        (False, False, 7, INVALID),
        (False, False, 6, INVALID),
        (True, True, 7, lib.EFI_UNSUPPORTED),
        (True, True, 6, lib.EFI_UNSUPPORTED),
        (False, True, 7, lib.EFI_UNSUPPORTED),
    ],
)
def test_exit_boot_services(ours: bool, already_exited: bool, map_key: int, status: int) -> None:
    request = ffi.new("struct pk_exit_request *", (ours, already_exited, map_key, 7))
    assert lib.pk_exit_boot_services_decide(request) == status


@pytest.mark.parametrize(
    ("attributes", "visible"),
    [(0, False), (NV, False), (NV | BS, False), (BS | RT, True), (RT, True), (NV | BS | RT, True)],
)
def test_only_runtime_variables_are_visible(attributes: int, visible: bool) -> None:
    assert lib.pk_variable_visible(attributes) is visible


@pytest.mark.parametrize(
    ("exists", "old", "new", "size", "status"),
    [
        # Creation.
        (False, 0, NV | BS | RT, 1, SUCCESS),
        (False, 0, NV | BS | RT | APPEND, 1, SUCCESS),
        (False, 0, NV | BS | RT | 0x20, 1, SUCCESS),
        (False, 0, BS | RT, 1, INVALID),
        (False, 0, NV | BS, 1, INVALID),
        (False, 0, BS, 1, INVALID),
        (False, 0, NV | BS | APPEND, 0, INVALID),
        # Deletion of nothing: by size, by no access attributes.
        (False, 0, NV | BS | RT, 0, NOT_FOUND),
        (False, 0, 0, 1, NOT_FOUND),
        (False, 0, NV, 1, NOT_FOUND),
        # Overwriting, appending and deleting what the OS may see.
        (True, NV | BS | RT, NV | BS | RT, 1, SUCCESS),
        (True, NV | BS | RT, NV | BS | RT | APPEND, 0, SUCCESS),
        (True, NV | BS | RT, NV | BS | RT, 0, SUCCESS),
        (True, NV | BS | RT, 0, 0, SUCCESS),
        (True, NV | BS | RT, 0, 1, SUCCESS),
        (True, NV | BS | RT, NV | BS, 1, INVALID),
        (True, NV | BS | RT, BS | RT, 1, INVALID),
        # Volatile ones are read-only to an OS.
        (True, BS | RT, BS | RT, 1, PROTECTED),
        (True, BS | RT, NV | BS | RT, 1, PROTECTED),
        (True, BS | RT, BS | RT, 0, PROTECTED),
        (True, BS | RT, 0, 0, PROTECTED),
        # Boot-services-only ones (MokList) cannot be reached, whatever is asked for.
        (True, NV | BS, NV | BS | RT, 1, INVALID),
        (True, NV | BS, NV | BS, 1, INVALID),
        (True, NV | BS, NV | BS | RT | APPEND, 1, INVALID),
        (True, NV | BS, NV | BS | RT | APPEND, 0, INVALID),
        (True, NV | BS, NV | BS, 0, NOT_FOUND),
        (True, NV | BS, 0, 0, NOT_FOUND),
        (True, BS, 0, 1, NOT_FOUND),
    ],
)
def test_set_variable(exists: bool, old: int, new: int, size: int, status: int) -> None:
    assert lib.pk_variable_may_set(exists, old, new, size) == status


@pytest.mark.parametrize("new", range(256))
@pytest.mark.parametrize("size", [0, 1, (1 << 64) - 1])
def test_no_call_reaches_a_hidden_variable(new: int, size: int) -> None:
    assert lib.pk_variable_may_set(True, NV | BS, new, size) in (INVALID, NOT_FOUND)
