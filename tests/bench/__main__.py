# SPDX-License-Identifier: Apache-2.0
"""python -m tests.bench: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from pykexec.cli.output import print_table, to_plain
from pykexec.vm.machine import DEFAULT_CPU
from tests.bench import (
    attest,
    attest_report,
    devices,
    devices_report,
    guest_side,
    inputs,
    kernel,
    kernel_report,
    report,
    start,
)


def main() -> None:
    """Run all benchmarks; goals that are missed are shown, not failed."""
    parser = argparse.ArgumentParser(prog="tests.bench", description=main.__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--repetitions", type=int, default=3, help="of each boot and hand-over")
    parser.add_argument("--kernel", default="6.1-cloud")
    parser.add_argument("--ovmf", default="2025.02")
    parser.add_argument("--cpu", default=DEFAULT_CPU, help="QEMU's -cpu (%(default)s)")
    parser.add_argument("--devices-only", action="store_true", help="disks, network, TPM, idle")
    parser.add_argument("--attest-only", action="store_true", help="the attestation server")
    parser.add_argument("--kernel-only", action="store_true", help="the patched kernel")
    parser.add_argument("--start-only", action="store_true", help="from the firmware to the agent")
    parser.add_argument("--keep", type=Path, help="directory for consoles and disks")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pykexec-bench-") as temporary:
        directory = (args.keep or Path(temporary)).absolute()
        if args.kernel_only:
            _kernel(args, directory)
            return
        load_before = os.getloadavg()[0]
        if args.start_only:
            made = inputs.prepare(directory, args.kernel, args.ovmf, args.cpu)
            started = start.measure(made, args.repetitions)
            _write(args.output, started)
            print_table(report.start_rows(started))
            print_table(report.stage_rows(started))
            print(f"\nhost load {load_before:.1f} -> {os.getloadavg()[0]:.1f}; {args.output}")
            return
        attested = attest.measure(directory / "attest")
        if args.attest_only:
            _write(args.output, attested)
            print_table(attest_report.rows(attested))
            return
        made = inputs.prepare(directory, args.kernel, args.ovmf, args.cpu)
        found = devices.measure(made)
        if args.devices_only:
            _write(args.output, found)
            print_table(devices_report.rows(found))
            return
        inside = guest_side.measure(made, args.repetitions)
        boots = start.measure(made, args.repetitions)
    results = report.Results(
        kernel=made.kernel.release,
        ovmf=args.ovmf,
        repetitions=args.repetitions,
        host_load=(load_before, os.getloadavg()[0]),
        hand_over=inside.hand_over,
        start=boots,
        mailbox=inside.mailbox,
        blocks=inside.blocks,
        memory=inside.memory,
        sizes=report.sizes(made.plain),
        devices=found,
        device_ratios=devices_report.summary(found),
        attestations=attested,
    )
    _write(args.output, results)
    print_table(report.rows(results))
    print()
    print_table(report.stage_rows(results.start))
    print()
    print_table(devices_report.rows(found))
    print()
    print_table(attest_report.rows(attested))
    print(f"\nhost load {results.host_load[0]:.1f} -> {results.host_load[1]:.1f}; {args.output}")


def _kernel(args: argparse.Namespace, directory: Path) -> None:
    patched, stock = (
        inputs.prepare(directory / name, name, args.ovmf, args.cpu)
        for name in ("6.12-pykexec", "6.12-cloud")
    )
    found = kernel.measure(patched, stock, args.ovmf, args.repetitions)
    _write(args.output, {"measured": found, "ratios": kernel_report.ratios(found)})
    print_table(kernel_report.rows(found))
    print(f"\nhost load {found.host_load[0]:.1f} -> {found.host_load[1]:.1f}; {args.output}")


def _write(path: Path, results: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(to_plain(results), indent=2) + "\n")


if __name__ == "__main__":
    main()
