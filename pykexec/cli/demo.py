# SPDX-License-Identifier: Apache-2.0
"""pykexec demo: the whole chain in a virtual machine, stage by stage."""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pykexec.errors import UsageError

if TYPE_CHECKING:
    from pykexec.demo.run import DemoResult, Observer
    from pykexec.vm.stages import Reached

HELP = "show it in a virtual machine: network boot, attestation, released key, unlocked volume"
EXAMPLES = """\
pykexec demo
pykexec demo --local --kernel 6.12-cloud
pykexec demo --net --keep /tmp/demo
pykexec demo --windows
"""
DEFAULT_DIRECTORY = Path("build/demo")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--ovmf", default="2025.02", metavar="VERSION", help="2022.11 or 2025.02 (default)"
    )
    parser.add_argument(
        "--kernel",
        default="6.1-cloud",
        metavar="NAME",
        help="6.1-cloud (default), 6.1-generic, 6.12-cloud or 6.12-generic",
    )
    parser.add_argument(
        "--payload",
        choices=("grub", "hello"),
        default="grub",
        help="with --local: GRUB, which starts a second Linux (default), or a test application"
        " that returns",
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--local",
        action="store_true",
        help="without attestation, from a disk: firmware, Linux, kexec, GRUB, another Linux",
    )
    way.add_argument(
        "--net",
        action="store_true",
        help="without attestation, from the network: image by PXE, payload by HTTP",
    )
    way.add_argument(
        "--windows",
        action="store_true",
        help="attested, from a disk: BitLocker's startup key, and a stand-in for Windows' boot"
        " manager that opens a volume of Windows' with it",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        default=DEFAULT_DIRECTORY,
        metavar="DIR",
        help="where logs, pictures, disks and images are kept (default: build/demo)",
    )
    # SUPPRESS: --verbose in front of the verb means the same and must not be undone here.
    parser.add_argument(
        "--verbose", action="store_true", default=argparse.SUPPRESS, help="show the whole console"
    )


def main(args: argparse.Namespace) -> int:
    """Run the demo and sum it up; MissedStage (exit code 4) if a stage does not come."""
    from pykexec.vm.stages import MissedStage

    started = time.monotonic()
    screen = _Screen(verbose=args.verbose)
    if args.payload != "grub" and not args.local:
        raise UsageError(f"--payload {args.payload}: goes with --local alone")
    what = "from a disk" if args.local else "from the network" if args.net else "attested"
    what += ", for Windows" if args.windows else ""
    print(f"pykexec demo: OVMF {args.ovmf}, Linux {args.kernel}, {what}\n", flush=True)
    chosen = {"ovmf": args.ovmf, "kernel_name": args.kernel, "observer": screen.observer()}
    try:
        if args.net:
            from pykexec.demo.net import run_net_demo

            result = run_net_demo(args.keep, **chosen)
        elif args.local:
            from pykexec.demo.local import run_local_demo

            result = run_local_demo(args.keep, payload=args.payload, **chosen)
        elif args.windows:
            from pykexec.demo.windows import run_windows_demo

            result = run_windows_demo(args.keep, **chosen)
        else:
            from pykexec.demo.attest import run_attest_demo

            result = run_attest_demo(args.keep, **chosen)
    except MissedStage as error:
        screen.end(f"\nThe last lines of the console:\n{_indented(error.tail)}\n")
        raise
    screen.end(_summary(result, time.monotonic() - started))
    return 0


class _Screen:
    """Prints lines whole, from whichever thread they come."""

    def __init__(self, verbose: bool) -> None:
        self._verbose = verbose
        self._lock = threading.Lock()
        self._heading = "\n seconds    took  stage"

    def observer(self) -> Observer:
        from pykexec.demo.run import Observer

        return Observer(self._run, self._step, self._stage, self._line)

    def end(self, text: str) -> None:
        with self._lock:
            print(text, flush=True)

    def _run(self, title: str) -> None:
        with self._lock:
            print(f"\n{title}", flush=True)
            self._heading = "\n seconds    took  stage"

    def _step(self, text: str, seconds: float) -> None:
        with self._lock:
            print(f"{'':8}{seconds:8.2f}  {text}", flush=True)

    def _stage(self, reached: Reached) -> None:
        detail = f": {reached.detail}" if reached.detail else ""
        self._print(f"{reached.seconds:8.2f}{reached.took:8.2f}  {reached.stage.title}{detail}")

    def _line(self, seconds: float, text: str, shown: bool) -> None:
        if (self._verbose or shown) and text.strip() and not text.startswith("PK:"):
            self._print(f"{'':16}  | {text.rstrip()}")

    def _print(self, text: str) -> None:
        with self._lock:
            print(f"{self._heading}\n{text}" if self._heading else text, flush=True)
            self._heading = ""


def _summary(result: DemoResult, seconds: float) -> str:
    total = f"{result.seconds:.1f} s of a running machine, {seconds:.1f} s in all"
    groups = [f"  {time_:7.2f} s  {group}" for group, time_ in result.group_seconds().items()]
    proven = [f"  - {line}" for line in result.proven()]
    paths = [path for run in result.runs for path in (run.log, *run.pictures)]
    files = [f"  {path}" for path in paths]
    lines = ["", f"All {len(result.stages)} stages came: {total}.", *groups]
    lines += ["", "What this has shown:", *proven, "", "Log and pictures of the screen:", *files]
    return "\n".join(lines)


def _indented(text: str) -> str:
    return "\n".join(f"  | {line}" for line in text.splitlines())
