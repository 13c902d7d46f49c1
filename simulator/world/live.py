"""Runs a scenario: people ask and write, the clock jumps, and all is noted.

The only entrance is `run_scenario`. Everything random follows from the seed; wall clock and threads have no part.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random

import trio

from nodes.interfaces import BROADCAST
from nodes.wishes import Wish
from protocol.messages import Role, Turn
from simulator import kernel
from simulator.outcome import Asked, Outcome
from simulator.packet import TEXT_PORT, Packet
from simulator.people import PlannedQuestion, PlannedText, answer_for, plan_day
from simulator.remembering import remembering_coder
from simulator.scenario.plan import Scenario
from simulator.world.checkers import AirChecker, AskChecker, check_kept
from simulator.world.faults import FaultMaker, draw_faults
from simulator.world.household import Ended
from simulator.world.power import Power
from simulator.world.recorder import Recorder
from simulator.world.village import Village
from simulator.world.walks import Walks

__all__ = ["WARM_UP_S", "Progress", "run_scenario"]

Progress = Callable[[float], None]
"""Is told now and then which share of the run is over, 0 to 1."""

WARM_UP_S = 300.0
"""So long before the scenario begins, everything is switched on: radios and nodes know one another then."""
_STARTS_WITHIN_S = 60.0
_SETTLE_S = 30.0
"""After the last question's deadline, so much longer: what is on its way arrives."""
_TOLD_TIMES = 200
_PROBES, _PROBE_S = 12, 300
"""After the last fault, so many questions at most, so far apart, until one is answered."""


def run_scenario(
    scenario: Scenario, seed: int, *, keep_packets: bool = False, progress: Progress = lambda share: None
) -> Outcome:
    """Run a scenario from beginning to end in virtual time; the same seed gives the same outcome.

    `keep_packets` keeps every transmission, as a report needs. Raises LocalError for a scenario that can't be built.
    """
    with ExitStack() as stack:
        folder = None
        if scenario.faults.total:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meshai-sim-")))
        world = _World(scenario, seed, folder=folder, keep_packets=keep_packets, progress=progress)
        return kernel.run(world.run, seed=seed)


class _World:
    """One run."""

    def __init__(
        self, scenario: Scenario, seed: int, *, folder: Path | None, keep_packets: bool, progress: Progress
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self._folder = folder
        self._keep_packets = keep_packets
        self._progress = progress
        self._length_s = scenario.hours * 3600.0
        self._number = 0
        """Questions so far."""

    async def run(self) -> Outcome:
        """Live through it."""
        scenario, seed = self.scenario, self.seed
        self.village = village = Village(
            scenario,
            seed,
            script=self._script,
            coder=remembering_coder(),
            folder=self._folder,
            sharing=lambda place, plan: self.power.sharing(place, plan),
        )
        self.power = Power(village, seed, start_s=WARM_UP_S)
        self.recorder = Recorder(village.medium, village.stations, start_s=WARM_UP_S, keep_packets=self._keep_packets)
        questions, texts = plan_day(
            scenario.people,
            village.meshai,
            start_hour=scenario.start_hour,
            hours=scenario.hours,
            rng=Random(f"people {seed}"),
        )
        self._watch()
        end_s = WARM_UP_S + self._length_s + scenario.people.patience_s + _SETTLE_S
        async with trio.open_nursery() as nursery:
            nursery.start_soon(village.medium.run)
            nursery.start_soon(self.faults.run)
            nursery.start_soon(Walks(village, self.faults, WARM_UP_S).run)
            nursery.start_soon(self.power.run)
            nursery.start_soon(self._tell_progress, end_s)
            starts = Random(f"starts {seed}")
            for devices in village.devices.values():
                for device in devices:
                    nursery.start_soon(device.run, starts.uniform(0, _STARTS_WITHIN_S))
            nursery.start_soon(self._ask_all, questions, nursery)
            nursery.start_soon(self._write_all, texts)
            await trio.sleep_until(WARM_UP_S)
            self.power.begin()
            await trio.sleep_until(end_s)
            self.power.write_down(self.recorder.use)
            outcome = self.recorder.outcome(scenario, seed, self._length_s)
            outcome.faults = dict(sorted(self.faults.made.items()))
            outcome.violations = await self._violations()
            nursery.cancel_scope.cancel()
        self._progress(1.0)
        return outcome

    def _watch(self) -> None:
        """Draw what goes wrong, and set up who checks that all holds nevertheless."""
        village, scenario = self.village, self.scenario
        radios = range(len(village.radios))
        faults = draw_faults(scenario.faults, village.meshai, radios, self._length_s, Random(f"faults {self.seed}"))
        self.faults = FaultMaker(village, faults, WARM_UP_S)
        index = {radio.name: number for number, radio in enumerate(village.radios)}
        self.asks = AskChecker(self._script, village.place_of)
        self.air = AirChecker(
            (village.radios[place].name for place in village.meshai), lambda radio: self.faults.starts[index[radio]]
        )
        village.medium.observe(self.air.see)

    async def _violations(self) -> list[str]:
        """What the checkers found; looks first whether questions are answered again after the faults."""
        self.asks.finish()
        kept = [finding for devices in self.village.devices.values() for one in devices for finding in check_kept(one)]
        findings = [*self.asks.findings, *self.air.findings, *kept]
        if self.scenario.faults.total and not await self._is_alive():
            findings.append("after the last fault nobody was answered by radio any more")
        return findings

    async def _is_alive(self) -> bool:
        """Whether a neighbour answers over the air, one of several times; True where no path to one exists."""
        village = self.village
        askers: list[int] = []
        for number in range(_PROBES):
            works = frozenset(place for place in village.meshai if self._answers(place))
            askers = [place for place in village.meshai if village.reaches(place, works)]
            if not askers:
                return True
            device = village.devices[askers[number % len(askers)]][0]
            wish = Wish((Turn(Role.USER, f"Is anybody there? This is try number {number}."),), deadline_s=_PROBE_S)
            ended = await device.ask(wish)
            if ended.answer is not None and ended.answer.source == "model":
                return True
            await trio.sleep(_PROBE_S)
        return False

    def _answers(self, place: int) -> bool:
        """Whether the device with the radio answers others there now: it is on, has a model, and its owner lets it."""
        device, plan = self.village.devices[place][0], self.village.plan_of(place, 0)
        return plan is not None and device.node is not None and self.power.sharing(place, plan).shares

    def _script(self, question: str) -> str:
        return answer_for(question, self.scenario.people.answer_chars)

    async def _tell_progress(self, end_s: float) -> None:
        while True:
            self._progress(trio.current_time() / end_s)
            await trio.sleep(end_s / _TOLD_TIMES)

    async def _ask_all(self, questions: list[PlannedQuestion], nursery: trio.Nursery) -> None:
        for question in questions:
            await trio.sleep_until(WARM_UP_S + question.time_s)
            nursery.start_soon(self._ask, question)

    async def _ask(self, question: PlannedQuestion) -> None:
        device = self.village.devices[question.house][0]
        patience_s = self.scenario.people.patience_s
        wish = Wish((Turn(Role.USER, question.text),), deadline_s=int(patience_s))
        started_s = trio.current_time()
        self._number += 1
        number = self._number
        self.asks.begins(number, f"question {number} at {device.setup.name}")
        ended = await device.ask(wish)
        self.asks.ends(number, question.text, ended, trio.current_time() - started_s, int(patience_s))
        self.recorder.ask_ended(self._asked(question, ended, started_s))

    def _asked(self, question: PlannedQuestion, ended: Ended, started_s: float) -> Asked:
        seconds = round(trio.current_time() - started_s, 6)
        time_s = round(started_s - WARM_UP_S, 6)
        if ended.answer is None:
            return Asked(
                time_s,
                question.house,
                question.language,
                "failed",
                seconds,
                why=ended.why,
                emergency=question.emergency,
            )
        answer = ended.answer
        ending = {"cache": "cached", "fixed": "fixed"}.get(answer.source, "answered")
        return Asked(
            time_s,
            question.house,
            question.language,
            ending,
            seconds,
            answered_by=self.village.place_of.get(answer.answered_by) if ending == "answered" else None,
            hops=answer.hops,
            truncated=answer.truncated,
            cost_s=round(answer.cost.airtime_s, 6),
            emergency=question.emergency,
        )

    async def _write_all(self, texts: list[PlannedText]) -> None:
        for text in texts:
            await trio.sleep_until(WARM_UP_S + text.time_s)
            radio = self.village.radios[text.house]
            if radio.is_on:
                radio.submit(Packet(0, BROADCAST, 0, TEXT_PORT, text.text.encode()))
