# SPDX-License-Identifier: Apache-2.0
"""Round trips: Linux ends, the firmware starts an application, and a new Linux comes back."""

from __future__ import annotations

from collections.abc import Sequence

from pykexec.certify.plan import Bench, Facts
from pykexec.certify.settings import APPLICATION_FILE, APPLICATION_PATH
from pykexec.firmware.handoff import TraceEntry, read_handoff


def trip(bench: Bench, number: int) -> None:
    """End this Linux for the application; comes back by an error alone.

    By turns from the stick and from memory, and every fourth time without kexec.
    """
    from pykexec.abi import Action
    from pykexec.kexec.execute import exec_payload

    from_stick = bench.info.boot_volume and number % 2
    exec_payload(
        bench.mailbox,
        APPLICATION_PATH if from_stick else APPLICATION_FILE,
        options=f"certify {number}",
        failure_action=Action.AGENT,
        via="leave" if number % 4 == 0 else None,
        report=bench.say,
    )


def trip_facts(bench: Bench) -> Facts:
    """How long the one that has just come back took, by the trace that the stub keeps."""
    handoff = read_handoff(bench.mailbox)
    return times(handoff.trace, handoff.tsc_khz)


def times(trace: Sequence[TraceEntry], tsc_khz: int) -> Facts:
    """Milliseconds from Linux' end to the application, in it, and to Linux' entry again.

    What the trace no longer has is left out.
    """
    newest: dict[str, int] = {}
    # Later stages with an earlier one's name belong to the Linux that is running now.
    for entry in trace:
        if entry.component == "stub":
            newest[entry.stage] = entry.tsc
    pairs = {
        "to_application_ms": ("resume", "started"),
        "application_ms": ("started", "returned"),
        "to_linux_ms": ("returned", "linux"),
        "linux_start_ms": ("linux", "exit_bs"),
    }
    return {
        name: round((newest[end] - newest[start]) / tsc_khz, 2)
        for name, (start, end) in pairs.items()
        if tsc_khz and start in newest and end in newest and newest[end] >= newest[start]
    }
