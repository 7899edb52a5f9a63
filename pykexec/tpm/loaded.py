# SPDX-License-Identifier: Apache-2.0
"""Objects and sessions that somebody has loaded into the TPM, and getting rid of Linux' own.

Elsewhere a reset follows when an OS ends. Here the payload uses the TPM as Linux leaves it, and a
TPM has room for as few as three objects.
"""

from __future__ import annotations

import json
import logging
import os
import struct

from pykexec.errors import TpmError
from pykexec.tpm.transport import Transmit

log = logging.getLogger(__name__)

BASELINE = "/run/pykexec/tpm-handles"
"""What was in the TPM before Linux used it: the firmware's."""

_NO_SESSIONS = 0x8001
_HEADER = ">HII"
_CC_FLUSH_CONTEXT, _CC_GET_CAPABILITY = 0x165, 0x17A
_CAP_HANDLES = 1
# Part 2, 7.2: loaded and saved sessions, transient objects.
_TYPES = (0x02, 0x03, 0x80)
_NR_MAX = 254  # MAX_CAP_HANDLES of a response of 1 KiB


def loaded_handles(transmit: Transmit) -> set[int]:
    """Handles of all transient objects and sessions, those of saved sessions included."""
    found: set[int] = set()
    for type_ in _TYPES:
        question = struct.pack(">III", _CAP_HANDLES, type_ << 24, _NR_MAX)
        answer = _call(transmit, "TPM2_GetCapability", _CC_GET_CAPABILITY, question)
        try:
            capability, count = struct.unpack_from(">xII", answer)
            handles = struct.unpack_from(f">{count}I", answer, 9) if count <= _NR_MAX else None
        except struct.error:
            handles = None
        if handles is None or capability != _CAP_HANDLES:
            raise TpmError("TPM2_GetCapability: response does not fit the question")
        found.update(handles)
    return found


def flush(transmit: Transmit, handle: int) -> None:
    """TPM2_FlushContext."""
    _call(transmit, "TPM2_FlushContext", _CC_FLUSH_CONTEXT, struct.pack(">I", handle))


def flush_leftovers(transmit: Transmit, baseline: str = BASELINE) -> set[int]:
    """Remove what was not there when this was called first; the handles that were removed.

    Only while no program uses the TPM. TpmError when the TPM does not answer as it should.
    """
    now = loaded_handles(transmit)
    try:
        with open(baseline, encoding="ascii") as file:
            before = set(json.load(file))
    except FileNotFoundError:
        os.makedirs(os.path.dirname(baseline), exist_ok=True)
        with open(baseline, "w", encoding="ascii") as file:
            json.dump(sorted(now), file)
        return set()
    for handle in now - before:
        flush(transmit, handle)
    return now - before


def _call(transmit: Transmit, name: str, code: int, body: bytes) -> bytes:
    """The response without its header; TpmError for any code but success."""
    header_size = struct.calcsize(_HEADER)
    response = transmit(struct.pack(_HEADER, _NO_SESSIONS, header_size + len(body), code) + body)
    if len(response) < header_size:
        raise TpmError(f"{name}: response of {len(response)} bytes is cut off")
    _, _, result = struct.unpack_from(_HEADER, response)
    if result:
        raise TpmError(f"{name}: TPM error {result:#x}")
    return response[header_size:]
