# SPDX-License-Identifier: Apache-2.0
"""The engine: one step after the other, each named on the stick before it runs.

A machine that hangs is switched off by its user. At the next start the step that was begun has no
end: that is its result, and the next one is what comes next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pykexec.certify import history
from pykexec.certify.plan import (
    ABSENT,
    FAILED,
    OK,
    OUTCOMES,
    PLAN,
    TRIPS,
    AbsentError,
    Bench,
    Facts,
    Result,
    Run,
    Step,
    StepError,
)
from pykexec.log import marker
from pykexec.steps import words

if TYPE_CHECKING:
    from pykexec.certify.history import Life
    from pykexec.certify.keep import Keeper

COMPONENT = "certify"
"""Of the markers: PK:certify:<step>:<outcome>."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A report in the making. trip ends Linux to start the application, and comes back only if
    that failed; trip_facts tells of the one that has just come back.
    """

    bench: Bench
    keeper: Keeper
    life: Life
    trip: Callable[[Bench, int], None]
    trip_facts: Callable[[Bench], Facts]
    runs: Mapping[str, Run]
    plan: Sequence[Step] = PLAN

    def go_on(self) -> bool:
        """Find out what became of the step that has no end; True if there was one, unless Linux
        has come back from the application meanwhile.
        """
        begun = history.open_step(self.keeper.journal.records)
        self._settle()
        return begun is not None and self.life.nr_runs == 0

    def run(self) -> None:
        """Go through what is left of the plan; Linux may end in it, and this is gone on with in
        the next one.
        """
        self._settle()
        self.bench.results.update(history.results(self.keeper.journal.records))
        for number, step in enumerate(self.plan, 1):
            if step.name in self.bench.results:
                continue
            self.bench.say(f"[{number}/{len(self.plan)}] {step.title} ...")
            if step.name == TRIPS:
                self._trips(step)
            else:
                self._step(step)
        self.keeper.append({"kind": history.END})

    def _settle(self) -> None:
        """Find out what became of the step that has no end."""
        begun = history.open_step(self.keeper.journal.records)
        if begun is None:
            return
        name = str(begun.get("step"))
        result = history.judge(begun, self.life)
        if result is None:
            self.keeper.append({"kind": history.TRIP, "facts": self.trip_facts(self.bench)})
        elif name == TRIPS:
            self._end(name, replace(result, facts=self._trip_facts()))
        else:
            self._end(name, result)

    def _step(self, step: Step) -> None:
        self.keeper.append(history.begin_record(step.name, self.life))
        # Whoever reads this may pull the plug.
        self.bench.say(marker(COMPONENT, step.name, "begin"))
        begun = time.monotonic()
        result = _result(self.runs[step.name], self.bench)
        self._end(step.name, replace(result, seconds=time.monotonic() - begun))

    def _trips(self, step: Step) -> None:
        """Round trips until enough came back; each of them ends this Linux."""
        wanted = self.bench.settings.round_trips
        number = len(history.trips(self.keeper.journal.records)) + 1
        if number > wanted:
            result = Result(OK) if wanted else Result(ABSENT, "none was asked for")
            self._end(step.name, replace(result, facts=self._trip_facts()))
            return
        self.keeper.append(history.begin_record(step.name, self.life, number))
        self.bench.say(marker(COMPONENT, step.name, number))
        if not self.keeper.is_kept:  # The next Linux would begin anew, and so on for ever.
            facts = self._trip_facts()
            self._end(step.name, Result(ABSENT, "there is no stick to come back to", facts=facts))
            return
        try:
            self.trip(self.bench, number)
            fault = "it did not start"
        except Exception as error:
            fault = words(error)
        result = Result(FAILED, f"round trip {number}: {fault}", facts=self._trip_facts())
        self._end(step.name, result)

    def _trip_facts(self) -> Facts:
        return {"trips": history.trips(self.keeper.journal.records)}

    def _end(self, name: str, result: Result) -> None:
        """Keep what came of a step, and show it."""
        disguise = self.bench.disguise
        shown = replace(result, reason=disguise.hide_text(result.reason))
        record = history.done_record(name, shown, hidden(shown.facts, disguise.hide_text))
        brief = history.done_record(name, shown, {"left_out": "the stick had no room for it"})
        self.keeper.append(record, brief)
        self.bench.results[name] = shown
        words_ = OUTCOMES[result.outcome] + (f": {shown.reason}" if shown.reason else "")
        self.bench.say(f"    {words_}")
        self.bench.say(marker(COMPONENT, name, result.outcome))


def _result(run: Run, bench: Bench) -> Result:
    try:
        return Result(OK, facts=run(bench))
    except AbsentError as error:
        return Result(ABSENT, words(error))
    except StepError as error:
        return Result(FAILED, words(error), facts=error.facts)
    except Exception as error:  # Whatever it is, it is what there is to say of this step.
        return Result(FAILED, words(error))


def hidden(facts: Facts, hide: Callable[[str], str]) -> Facts:
    """The facts with what identifies the machine hidden, in texts however deep, and in keys."""

    def of(value: object) -> object:
        if isinstance(value, str):
            return hide(value)
        if isinstance(value, list | tuple):
            return [of(each) for each in value]
        if isinstance(value, dict):
            return {hide(str(key)): of(each) for key, each in value.items()}
        return value

    return {hide(key): of(value) for key, value in facts.items()}
