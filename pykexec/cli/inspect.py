# SPDX-License-Identifier: Apache-2.0
"""pykexec inspect: show what an image, a kernel, the resume image or a handoff dump holds."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.errors import FormatError

if TYPE_CHECKING:
    from pykexec.image.bzimage import Kernel
    from pykexec.image.inspection import HandoffReport, PeReport, Report, UkiReport

HELP = "show what an image, a kernel, the resume image or a dump of the handoff holds"
EXAMPLES = """\
pykexec inspect pykexec.efi
pykexec inspect /boot/vmlinuz-6.1.0-50-cloud-amd64 --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="for machines")


def main(args: argparse.Namespace) -> int:
    """Inspect, print; FormatError after the report if the file has a fault."""
    from pykexec.image import files
    from pykexec.image.inspection import inspect

    report = inspect(files.read(args.file), str(args.file))
    if args.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        print("\n".join(_lines(report)))
    if report.fault:
        raise FormatError(f"{args.file}: {report.fault}")
    return 0


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.source}: {report.kind}, {report.size} bytes"
    yield f"sha256              {report.sha256}"
    if report.kind == "resume":
        yield f"of this installation: {'yes' if report.resume_is_ours else 'no'}"
    if report.pe:
        yield from _pe_lines(report.pe)
    if report.kernel:
        yield from _kernel_lines(report.kernel)
    if report.uki:
        yield from _uki_lines(report.uki)
    if report.handoff:
        yield from _handoff_lines(report.handoff)


def _pe_lines(pe: PeReport) -> Iterator[str]:
    yield f"machine             {pe.machine}"
    yield f"subsystem           {pe.subsystem}"
    yield f"size in memory      {pe.size_of_image}"
    yield f"checksum            {pe.checksum}"
    yield f"Authenticode sha256 {pe.authenticode_sha256}"
    for signature in pe.signatures:
        yield f"signature           {signature.kind}, {signature.size} bytes"
    if not pe.signatures:
        yield "signature           none"
    yield "section       address       size  sha256"
    for section in pe.sections:
        yield (
            f"{section.name:9} {section.address:#11x} {section.virtual_size:10}  {section.sha256}"
        )


def _kernel_lines(kernel: Kernel) -> Iterator[str]:
    yield f"kernel              {kernel.banner}"
    yield f"boot protocol       {kernel.protocol[0]}.{kernel.protocol[1]}"
    yield f"memory to unpack    {kernel.init_size}"
    yield f"longest cmdline     {kernel.cmdline_size}"
    yield f"initramfs           {'by LoadFile2' if kernel.loads_initrd else 'not by LoadFile2'}"


def _uki_lines(uki: UkiReport) -> Iterator[str]:
    for name, text in uki.texts.items():
        yield f"{name}:"
        yield from (f"  {line}" for line in text.splitlines())
    for bank, value in uki.pcr11.items():
        yield f"PCR 11 {bank:6} {value}"
    if uki.pcr11_before:
        yield "if its stub is of pykexec before 0.2:"
        yield from (f"  PCR 11 {bank:6} {value}" for bank, value in uki.pcr11_before.items())


def _handoff_lines(handoff: HandoffReport) -> Iterator[str]:
    yield f"version             {handoff.version}"
    yield f"resume entry        {handoff.resume_entry:#x}"
    yield f"stub                {handoff.stub}"
    yield f"arena               {handoff.arena}"
    yield f"low memory          {handoff.low}"
    yield f"window              {handoff.window}"
    yield f"TSC                 {handoff.tsc_khz} kHz"
    yield "processor context:"
    for name, value in handoff.cpu.items():
        yield f"  {name:15} {value if isinstance(value, str) else hex(value)}"
    yield "trace:"
    yield from (f"  {entry.sequence:4} {entry}" for entry in handoff.trace)
