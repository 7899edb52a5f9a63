# SPDX-License-Identifier: Apache-2.0
"""Events of Linux in the TPM's registers and in the firmware's event log.

An event's data are what was measured, byte for byte: a verifier that has the log computes the
extended digests from it. The firmware lets Linux extend two registers alone, see
abi_devices.TpmEventConstant. PCR 5, the boot manager's, has what configures the agent and is no
part of its image, as TCG_PCClientTaggedEvent with the tag TAG_CONFIG and one of

    b"pykexec-config\\0" + the file's bytes, where these fit into an event
    b"pykexec-config-sha256\\0" + 32 bytes: the SHA-256 of the file's bytes, where they do not
"""

from __future__ import annotations

import struct

from pykexec._native import lib
from pykexec.abi import Op
from pykexec.abi_devices import TpmEventConstant
from pykexec.errors import FirmwareError, FormatError
from pykexec.firmware.mailbox import Mailbox, Request
from pykexec.firmware.wire import pack

LOG_FULL = "the firmware's event log is full: what is measured now is in no log"
CONFIG = b"pykexec-config\0"
CONFIG_SHA256 = b"pykexec-config-sha256\0"
_TAGGED = "<II"


def tagged_event(tag: int, data: bytes) -> bytes:
    """TCG_PCClientTaggedEvent (PC Client Platform Firmware Profile 1.05, 10.4.2)."""
    return struct.pack(_TAGGED, tag, len(data)) + data


def parse_tagged_event(event: bytes) -> tuple[int, bytes]:
    """Tag and data of a TCG_PCClientTaggedEvent; FormatError if it is none."""
    head = struct.calcsize(_TAGGED)
    if len(event) < head:
        raise FormatError(f"tagged event of {len(event)} bytes")
    tag, size = struct.unpack_from(_TAGGED, event)
    if len(event) != head + size:
        raise FormatError(f"tagged event of {len(event)} bytes, {head + size} by what it says")
    return tag, event[head:]


def measure(mailbox: Mailbox, pcr: int, data: bytes) -> None:
    """Extend pcr with the digests of data, and append it to the event log.

    pcr and the size of data are bounded by TpmEventConstant. FirmwareError: EINVAL if they are
    not, ENOENT without a TPM, ENOSPC where the firmware's log is full; then the register is
    extended, and nothing explains it. EDK II says so already when its table of events since the
    first GetEventLog is full, with the event in the log: that is refused too much, not too little.
    """
    body = pack("pk_tpm_event", pcr=pcr) + data
    mailbox.ask(Request(Op.TPM_EVENT, f"measure into PCR {pcr}", body))


def config_event(data: bytes) -> bytes:
    """What is measured of a configuration file with these bytes."""
    event = tagged_event(TpmEventConstant.TAG_CONFIG, CONFIG + data)
    if len(event) <= TpmEventConstant.MAX:
        return event
    import hashlib

    digest = CONFIG_SHA256 + hashlib.sha256(data).digest()
    return tagged_event(TpmEventConstant.TAG_CONFIG, digest)


def measure_config(mailbox: Mailbox, data: bytes, source: str, attested: bool) -> bool:
    """measure() a configuration file that overrides the image's own, before it is looked at.

    False where the firmware's log has no room for it and the machine is not attested: the register
    is extended all the same. FirmwareError, naming source: it must not be used, for nobody could
    know that it was.
    """
    try:
        measure(mailbox, TpmEventConstant.PCR_CONFIG, config_event(data))
    except FirmwareError as error:
        if error.status == lib.EFI_VOLUME_FULL and not attested:
            return False
        fault = f"ignored, for it cannot be measured: {error.strerror}"
        raise FirmwareError(error.errno or 0, fault, source, error.status) from None
    return True
