# SPDX-License-Identifier: Apache-2.0
"""The runs of a machine that attests, and what the server's books say of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pykexec.demo.attest_server import Server
from pykexec.demo.run import Observer, Run, Steps, run_machine
from pykexec.vm.machine import Machine
from pykexec.vm.stages import MissedStage, Stage


class Judged:
    """Runs of one machine, one after the other; logs and pictures come to lie in directory."""

    def __init__(
        self, directory: Path, observer: Observer, steps: Steps, machine: Machine, host: Server
    ) -> None:
        self._directory, self._observer, self._steps = directory, observer, steps
        self._machine, self._host = machine, host
        self.runs: list[Run] = []

    def run(self, name: str, stages: Sequence[Stage], end: str) -> Run:
        """One more, which has to end by that reason."""
        run = run_machine(self._machine, self._directory / name, stages, self._observer, end=end)
        self.runs.append(run)
        self._steps.start()
        return run

    def judged(self, *, accepted: bool) -> str:
        """What the server says of the last attestation: its audit trail's newest entry.

        MissedStage if that is not as it has to be.
        """
        last = self._host.attestations()[0]
        entry = self._host.audit(subject=f"machine:{last['fingerprint']}")[0]
        text = f"{entry['action']} {json.dumps(entry['detail'], ensure_ascii=False)}"
        self._observer.on_line(0, f"the server's audit trail, entry {entry['seq']}: {text}", True)
        wanted = "attestation.released" if accepted else "attestation.refused"
        self.check(
            last["accepted"] is accepted and entry["action"] == wanted,
            f"the server's books say otherwise: {text}",
        )
        return text

    def seen(self, *sentences: str) -> None:
        """What the last run has shown outside of the machine."""
        self.runs[-1] = replace(self.runs[-1], seen=sentences)

    def check(self, good: bool, fault: str) -> None:
        """MissedStage with fault, and the end of the last run's console, unless it is good."""
        if not good:
            raise MissedStage(fault, self.runs[-1].log.read_text()[-2000:])
