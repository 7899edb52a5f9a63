# SPDX-License-Identifier: Apache-2.0
"""TPM_RC in words (TPM 2.0 Library Specification, Part 1, 39.4; Part 2, 6.6)."""

from __future__ import annotations

from collections.abc import Sequence

from pykexec.errors import TpmError
from pykexec.tpm.constants import Handle

RETRIED = frozenset({0x908, 0x90A, 0x920, 0x922})
"""YIELDED, TESTING, NV_RATE, RETRY: the same command may succeed a little later."""

_FORMAT_ONE = 1 << 7
_PARAMETER = 1 << 6
_LAYER_SHIFT = 16
_LAYERS = {11: "resource manager", 12: "resource manager"}

_FORMAT_ONE_NAMES = {
    0x01: "ASYMMETRIC",
    0x02: "ATTRIBUTES",
    0x03: "HASH",
    0x04: "VALUE",
    0x05: "HIERARCHY",
    0x07: "KEY_SIZE",
    0x08: "MGF",
    0x09: "MODE",
    0x0A: "TYPE",
    0x0B: "HANDLE",
    0x0C: "KDF",
    0x0D: "RANGE",
    0x0E: "AUTH_FAIL",
    0x0F: "NONCE",
    0x10: "PP",
    0x12: "SCHEME",
    0x15: "SIZE",
    0x16: "SYMMETRIC",
    0x17: "TAG",
    0x18: "SELECTOR",
    0x1A: "INSUFFICIENT",
    0x1B: "SIGNATURE",
    0x1C: "KEY",
    0x1D: "POLICY_FAIL",
    0x1F: "INTEGRITY",
    0x20: "TICKET",
    0x21: "RESERVED_BITS",
    0x22: "BAD_AUTH",
    0x23: "EXPIRED",
    0x24: "POLICY_CC",
    0x25: "BINDING",
    0x26: "CURVE",
    0x27: "ECC_POINT",
}
_NAMES = {
    0x01E: "BAD_TAG",
    0x100: "INITIALIZE",
    0x101: "FAILURE",
    0x103: "SEQUENCE",
    0x119: "DISABLED",
    0x120: "EXCLUSIVE",
    0x124: "AUTH_TYPE",
    0x125: "AUTH_MISSING",
    0x126: "POLICY",
    0x127: "PCR",
    0x128: "PCR_CHANGED",
    0x12D: "UPGRADE",
    0x12E: "TOO_MANY_CONTEXTS",
    0x12F: "AUTH_UNAVAILABLE",
    0x130: "REBOOT",
    0x131: "UNBALANCED",
    0x142: "COMMAND_SIZE",
    0x143: "COMMAND_CODE",
    0x144: "AUTHSIZE",
    0x145: "AUTH_CONTEXT",
    0x146: "NV_RANGE",
    0x147: "NV_SIZE",
    0x148: "NV_LOCKED",
    0x149: "NV_AUTHORIZATION",
    0x14A: "NV_UNINITIALIZED",
    0x14B: "NV_SPACE",
    0x14C: "NV_DEFINED",
    0x150: "BAD_CONTEXT",
    0x151: "CPHASH",
    0x152: "PARENT",
    0x153: "NEEDS_TEST",
    0x154: "NO_RESULT",
    0x155: "SENSITIVE",
    0x901: "CONTEXT_GAP",
    0x902: "OBJECT_MEMORY",
    0x903: "SESSION_MEMORY",
    0x904: "MEMORY",
    0x905: "SESSION_HANDLES",
    0x906: "OBJECT_HANDLES",
    0x907: "LOCALITY",
    0x908: "YIELDED",
    0x909: "CANCELED",
    0x90A: "TESTING",
    **{0x910 + number: f"REFERENCE_H{number}" for number in range(7)},
    **{0x918 + number: f"REFERENCE_S{number}" for number in range(7)},
    0x920: "NV_RATE",
    0x921: "LOCKOUT",
    0x922: "RETRY",
    0x923: "NV_UNAVAILABLE",
}
# For whom the name says too little.
_WORDS = {
    "AUTH_FAIL": "wrong authorisation value",
    "BAD_AUTH": "wrong authorisation value",
    "COMMAND_CODE": "this TPM does not have the command",
    "INTEGRITY": "of another TPM, or altered",
    "LOCKOUT": "too many wrong authorisation values, the TPM refuses all for a while",
    "NV_UNAVAILABLE": "the TPM's storage cannot be written now",
    "OBJECT_MEMORY": "no room for another object: somebody has left some loaded",
    "PCR_CHANGED": "a PCR was extended meanwhile",
    "POLICY_FAIL": "the policy is not satisfied",
    "SESSION_HANDLES": "no room for another session: somebody has left some open",
    "SESSION_MEMORY": "no room for another session: somebody has left some open",
}


_HIERARCHIES: dict[int, str] = {Handle.OWNER: "owner", Handle.ENDORSEMENT: "endorsement"}


class ResponseError(TpmError):
    """The TPM, or who manages it, refused a command; code is the TPM_RC, name "TPM_RC_LOCKOUT".

    handles are the command's: of a hierarchy that is closed it is said how it is opened.
    """

    def __init__(self, command: str, code: int, handles: Sequence[int] = ()) -> None:
        text = f"{command}: TPM error {code:#x}: {describe_code(code)}"
        way_out = _way_out(code, handles)
        super().__init__(f"{text}; {way_out}" if way_out else text)
        self.code = code
        self.name = code_name(code)


def code_name(code: int) -> str:
    """ "TPM_RC_VALUE" for 0x1c4; "" for a code without a name."""
    code &= (1 << _LAYER_SHIFT) - 1
    name = _FORMAT_ONE_NAMES.get(code & 0x3F) if code & _FORMAT_ONE else _NAMES.get(code)
    return f"TPM_RC_{name}" if name else ""


def describe_code(code: int) -> str:
    """All that a response code says: its name, what it is about, and what that means."""
    layer, code = code >> _LAYER_SHIFT, code & (1 << _LAYER_SHIFT) - 1
    name = code_name(code)
    parts = [name or "without a name"]
    if code & _FORMAT_ONE and (place := _place(code)):
        parts.append(place)
    if layer:
        parts.append(f"by {_LAYERS.get(layer, f'layer {layer}')}")
    words = _WORDS.get(name.removeprefix("TPM_RC_"))
    text = ", ".join(parts)
    return f"{text} ({words})" if words else text


def _way_out(code: int, handles: Sequence[int]) -> str:
    """What to do about a hierarchy that somebody has closed; "" where the code is of none."""
    number = code >> 8 & 7
    if not code & _FORMAT_ONE or code & _PARAMETER or not 1 <= number <= len(handles):
        return ""
    name = _HIERARCHIES.get(handles[number - 1])
    fault = code_name(code).removeprefix("TPM_RC_")
    if name and fault in ("AUTH_FAIL", "BAD_AUTH"):
        remedy = (
            f"`tpm2_changeauth -c {name} -p PASSWORD` takes it away, and so does clearing the TPM"
        )
        return f"the {name} hierarchy has a password: {remedy}"
    if name and fault == "HIERARCHY":
        remedy = "the firmware's setup has a switch for it, or who disabled it must not"
        return f"the {name} hierarchy is disabled until the next reset: {remedy}"
    return ""


def _place(code: int) -> str:
    """Which of the command's parameters, handles or sessions is meant; numbers start at 1."""
    number = code >> 8 & 0xF
    if code & _PARAMETER:
        return f"parameter {number}" if number else ""
    kind = "session" if number & 8 else "handle"
    return f"{kind} {number & 7}" if number & 7 else ""
