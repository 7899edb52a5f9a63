# SPDX-License-Identifier: Apache-2.0
"""Numbers of the TPM 2.0 Library Specification, Part 2, and the TCG Algorithm Registry.

Those of hash algorithms are pykexec.tpm.banks.HashAlgorithm.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Tag(IntEnum):
    """TPM_ST (6.9)."""

    NO_SESSIONS = 0x8001
    SESSIONS = 0x8002
    ATTEST_QUOTE = 0x8018


class CommandCode(IntEnum):
    """TPM_CC (6.5.2); names are those of Part 3, without "TPM2_"."""

    CREATE_PRIMARY = 0x131
    PCR_EVENT = 0x13C
    NV_READ = 0x14E
    POLICY_SECRET = 0x151
    CREATE = 0x153
    ACTIVATE_CREDENTIAL = 0x147
    LOAD = 0x157
    QUOTE = 0x158
    UNSEAL = 0x15E
    FLUSH_CONTEXT = 0x165
    NV_READ_PUBLIC = 0x169
    POLICY_AUTH_VALUE = 0x16B
    POLICY_OR = 0x171
    READ_PUBLIC = 0x173
    START_AUTH_SESSION = 0x176
    GET_CAPABILITY = 0x17A
    PCR_READ = 0x17E
    POLICY_PCR = 0x17F
    PCR_EXTEND = 0x182

    @property
    def title(self) -> str:
        """As Part 3 has it: "TPM2_PCR_Read"."""
        return "TPM2_" + "".join(
            word if word in ("PCR", "NV", "OR") else word.capitalize()
            for word in _spaced(self.name)
        )


def _spaced(name: str) -> list[str]:
    words = name.split("_")
    # Part 3 separates these two prefixes alone by an underscore.
    return [words[0], "_", *words[1:]] if words[0] in ("PCR", "NV") else words


class Handle(IntEnum):
    """TPM_RH and TPM_RS (7.4), and the reserved ones of the TCG's registry of handles."""

    OWNER = 0x40000001
    NULL = 0x40000007
    PASSWORD = 0x40000009
    ENDORSEMENT = 0x4000000B
    PERSISTENT_EK_FIRST = 0x81010000
    PERSISTENT_EK_LAST = 0x8101FFFF


class HandleType(IntEnum):
    """TPM_HT (7.2), the first byte of a handle."""

    NV_INDEX = 0x01
    HMAC_SESSION = 0x02
    POLICY_SESSION = 0x03
    TRANSIENT = 0x80
    PERSISTENT = 0x81


class Algorithm(IntEnum):
    """TPM_ALG_ID of what is no hash (6.3)."""

    RSA = 0x0001
    AES = 0x0006
    KEYED_HASH = 0x0008
    NULL = 0x0010
    RSASSA = 0x0014
    RSAPSS = 0x0016
    ECDSA = 0x0018
    ECC = 0x0023
    CFB = 0x0043


class Curve(IntEnum):
    """TPM_ECC_CURVE (6.4)."""

    P256 = 0x0003
    P384 = 0x0004
    P521 = 0x0005

    @property
    def title(self) -> str:
        """As FIPS 186 has it: "P-256"."""
        return f"P-{self.name[1:]}"

    @property
    def size(self) -> int:
        """Bytes of a coordinate."""
        return (int(self.name[1:]) + 7) // 8


class Attribute(IntFlag):
    """TPMA_OBJECT (8.3)."""

    FIXED_TPM = 1 << 1
    ST_CLEAR = 1 << 2
    FIXED_PARENT = 1 << 4
    SENSITIVE_DATA_ORIGIN = 1 << 5
    USER_WITH_AUTH = 1 << 6
    ADMIN_WITH_POLICY = 1 << 7
    NO_DA = 1 << 10
    ENCRYPTED_DUPLICATION = 1 << 11
    RESTRICTED = 1 << 16
    DECRYPT = 1 << 17
    SIGN = 1 << 18


class SessionAttribute(IntFlag):
    """TPMA_SESSION (8.4)."""

    CONTINUE = 1 << 0
    DECRYPT = 1 << 5
    ENCRYPT = 1 << 6


class SessionType(IntEnum):
    """TPM_SE (6.11)."""

    HMAC = 0x00
    POLICY = 0x01


class Capability(IntEnum):
    """TPM_CAP (6.12)."""

    HANDLES = 0x1
    PCRS = 0x5
    TPM_PROPERTIES = 0x6


class Property(IntEnum):
    """TPM_PT (6.13)."""

    NV_BUFFER_MAX = 0x12C


class NvAttribute(IntFlag):
    """TPMA_NV (13.4)."""

    OWNER_READ = 1 << 17
    AUTH_READ = 1 << 18
    WRITTEN = 1 << 29


GENERATED_VALUE = 0xFF544347
"""TPM_GENERATED_VALUE (6.2): leads what the TPM itself attests."""
