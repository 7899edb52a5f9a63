# SPDX-License-Identifier: Apache-2.0
"""The configurations in which a series is compiled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.kernel.compile import Variant

RANDOM_SEEDS = (1, 2, 3)

# Of what a patch adds to a Kconfig file; the help between has two more blanks.
_SYMBOL = re.compile(r"^\+config (\w+)\n\+\s+(bool|tristate)", re.MULTILINE)
# Without these next to nothing of the series is compiled, whatever the dice say.
_RANDOM = (
    "CONFIG_64BIT=y",
    "CONFIG_MODULES=y",
    "CONFIG_ACPI=y",
    "CONFIG_EFI=y",
    "CONFIG_EFI_STUB=y",
    "CONFIG_EFI_BOOTSVC=y",
)
_OFF = "# CONFIG_{} is not set"
# What KEXEC_FILE depends on there, and selects in later versions.
_6_1 = ("CONFIG_CRYPTO_SHA256=y",)


def symbols(patches: Sequence[Path]) -> dict[str, str]:
    """Configuration symbols that patches add, each with its type."""
    found: dict[str, str] = {}
    for patch in patches:
        found |= dict(_SYMBOL.findall(patch.read_text()))
    return found


def main(patches: Sequence[Path]) -> Variant:
    """Everything that patches add, built in; tests as modules, since KUnit is one."""
    return Variant("builtin", lines=tuple(_set(symbols(patches), "y")))


def main_6_1(patches: Sequence[Path]) -> Variant:
    """The same for Linux 6.1."""
    return Variant("builtin-6.1", lines=_6_1 + main(patches).lines)


def final(patches: Sequence[Path]) -> list[Variant]:
    """In which the whole series is compiled, besides main()."""
    new = symbols(patches)
    return [
        Variant("modules", lines=tuple(_set(new, "m"))),
        Variant("allmodconfig", target="allmodconfig"),
        Variant("no-efi", lines=(_OFF.format("EFI"),)),
        Variant("no-kexec-file", lines=(_OFF.format("KEXEC_FILE"),)),
        Variant("no-kexec", lines=(_OFF.format("KEXEC"), _OFF.format("KEXEC_FILE"))),
        Variant("no-bootsvc", lines=(_OFF.format("EFI_BOOTSVC"),)),
        Variant("no-modules", lines=(_OFF.format("MODULES"), _OFF.format("KUNIT"))),
        *(
            Variant(f"random-{seed}", target="randconfig", seed=seed, lines=_RANDOM)
            for seed in RANDOM_SEEDS
        ),
        Variant("i386", arch="i386", target="i386_defconfig", lines=("CONFIG_EFI=y",)),
        Variant("i386-all", arch="i386", target="allmodconfig"),
    ]


def _set(symbols: dict[str, str], tristate: str) -> list[str]:
    values = {"bool": "y", "tristate": tristate}
    return [
        f"CONFIG_{name}={'m' if 'KUNIT' in name else values[kind]}"
        for name, kind in symbols.items()
    ]
