# SPDX-License-Identifier: Apache-2.0
"""The stub's doors, gate and services for the host, and the firmware that they stand on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pykexec.run import run

_HERE = Path(__file__).resolve().parent
_STUB = _HERE.parent.parent / "csrc/stub"
STUB_DRIVER = "sequence"
"""The driver that has the stub itself below it."""
TEST_HEADER = "stub/lib/test.h"
STUB_SOURCES = (
    "doors/bootsvc.c",
    "doors/mailbox.c",
    "doors/operations.c",
    "doors/runtime.c",
    "doors/window.c",
    "gate/gate.c",
    "lib/acpi_tables.c",
    "lib/boot_device.c",
    "lib/call.c",
    "lib/string.c",
    "lib/stub.c",
    "services/acpi.c",
    "services/block.c",
    "services/block_disk.c",
    "services/console.c",
    "services/firmware_ram.c",
    "services/handles.c",
    "services/identity.c",
    "services/net.c",
    "services/net_stack.c",
    "services/nfit.c",
    "services/pci.c",
    "services/pxe.c",
    "services/ramdisk.c",
    "services/services.c",
    "services/tcg2.c",
    "services/timers.c",
    "services/tpm.c",
    "services/volume.c",
    "services/window_memory.c",
    "start/tables.c",
)
# As the stub is compiled, where that changes what it does.
_FLAGS = ("-include", f"{_HERE / 'world/host.h'}", "-fno-strict-aliasing", "-fshort-wchar")


def stub_objects(
    flags: Sequence[str], product: Path, work: Path, defines: Sequence[str]
) -> list[Path]:
    """Those of the product, compiled once into its directory, or of another build into work.

    defines say what the other one lacks; it has objects of its own only where that shows.
    """
    stub = [_STUB / name for name in STUB_SOURCES]
    world = sorted((_HERE / "world").glob("*.c"))
    if not product.exists():
        product.mkdir()
        _compile(stub, product, (*flags, *_FLAGS))
        _compile(world, product, flags)
    changed = [source for source in stub if defines and TEST_HEADER in source.read_text()]
    if changed:
        _compile(changed, work, (*flags, *_FLAGS, *(f"-D{define}" for define in defines)))
    directories = {source.stem: work for source in changed}
    stems = [source.stem for source in (*stub, *world)]
    return [directories.get(stem, product) / f"{stem}.o" for stem in stems]


def _compile(sources: Sequence[Path], work: Path, flags: Sequence[str]) -> None:
    run(["clang", *flags, "-c", *sources], cwd=work)
