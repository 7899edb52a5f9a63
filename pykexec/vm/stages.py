# SPDX-License-Identifier: Apache-2.0
"""Waiting for a sequence of stages on a machine's console, and telling of each as it comes."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pykexec.errors import ToolError
from pykexec.vm.vm import FATAL, Vm


@dataclass(frozen=True, slots=True)
class Stage:
    """A line that must come within so many seconds after the line of the stage before.

    A group "detail" in pattern is part of what is told. group is the heading of the summary
    under which its time counts. shown lets the reader see the console's lines up to it. picture
    names the screenshot to take when it has come. proves is the sentence that it makes true, with
    {detail} in it.
    """

    title: str
    pattern: str
    group: str
    within: float = 60.0
    shown: bool = False
    picture: str = ""
    proves: str = ""


@dataclass(frozen=True, slots=True)
class Reached:
    """A stage that came, so many seconds after the machine was switched on."""

    stage: Stage
    seconds: float
    took: float
    detail: str = ""

    @property
    def proof(self) -> str:
        """What it has proven; "" if it is but a step on the way."""
        return self.stage.proves.format(detail=self.detail)


class MissedStage(ToolError):
    """A stage did not come; tail holds the last lines of the console."""

    def __init__(self, message: str, tail: str) -> None:
        super().__init__(message)
        self.tail = tail


class Progress:
    """Follows stages through the lines of one console.

    on_stage and on_line are called from the console's thread, in the order of its lines; on_line
    is also told whether the line belongs to a stage that is shown.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        on_stage: Callable[[Reached], None],
        on_line: Callable[[float, str, bool], None],
    ) -> None:
        self.stages = tuple(stages)
        self.reached: list[Reached] = []
        self._on_stage, self._on_line = on_stage, on_line
        self._fatal = ""
        self._changed = threading.Condition()

    def line(self, seconds: float, text: str) -> None:
        """Take one line of the console."""
        if len(self.reached) == len(self.stages):
            self._on_line(seconds, text, False)
            return
        stage = self.stages[len(self.reached)]
        self._on_line(seconds, text, stage.shown)
        match = re.search(stage.pattern, text)
        if match:
            before = self.reached[-1].seconds if self.reached else 0.0
            detail = match.groupdict().get("detail") or ""
            reached = Reached(stage, seconds, seconds - before, detail.strip())
            self._on_stage(reached)
            with self._changed:
                self.reached.append(reached)
                self._changed.notify_all()
        elif re.search(FATAL, text):
            with self._changed:
                self._fatal = text.strip()
                self._changed.notify_all()

    def wait(self, vm: Vm, number: int) -> Reached:
        """The stage of that number; MissedStage if it does not come in time or at all."""
        stage = self.stages[number]
        deadline = time.monotonic() + stage.within
        with self._changed:
            while len(self.reached) <= number:
                remaining = deadline - time.monotonic()
                if self._fatal or vm.console.closed or remaining <= 0:
                    raise MissedStage(f"{self._fault(vm, stage)}: {stage.title}", vm.console.tail())
                # The end of the console is not told of here.
                self._changed.wait(min(remaining, 0.5))
            return self.reached[number]

    def _fault(self, vm: Vm, stage: Stage) -> str:
        place = f"stage {len(self.reached) + 1} of {len(self.stages)}"
        if self._fatal:
            return f"{place} missed, the machine said {self._fatal!r}"
        if vm.console.closed:
            return f"{place} missed, the machine has ended"
        return f"{place} not reached within {stage.within:g} s"
