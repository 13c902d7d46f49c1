"""What a question and its answer cost the air, and how surely they arrive, next to the way of today's radio bots.

Real nodes on virtual radios, LONG_FAST, in virtual time: 1, 2 and 3 transmissions along the path, 0 to 30 % loss of
every reception beside collisions, all transmitters counted until the air is quiet. The radios tell about themselves
meanwhile (NodeInfo, position, telemetry), which disturbs and is not counted. Questions and answers of about 600
characters are texts that the packs were not made from (`data/`). Frames are padded to the size of sealed ones. The
bots' way on the same radios, medium and addressing: slices of 200 bytes of UTF-8, each with want_ack, 4 s apart; an
exchange is completed when the same text is there, byte for byte, within 10 minutes.

All with firmware 2.8.0 on every radio, and again with 2.7.26: those figures end in `.fw27`. The goals hold for both.

    python tests/benchmarks/air.py [--quick] [--jobs N]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, pairwise, product
from pathlib import Path
from random import Random
from statistics import median

import trio

# A benchmark in this folder has the name of the package simulator, which is to be found first.
sys.path.sort(key=lambda place: Path(place) == Path(__file__).parent)

from nodes.bearers.radio import PRIVATE_PORT, RadioBearer, address_of
from nodes.cache import AnswerCache
from nodes.engines.scripted import ScriptedEngine
from nodes.interfaces import BROADCAST, RadioEvent, RadioPacket
from nodes.node import Node, NodeSettings
from nodes.trace import Trace
from nodes.wishes import Wish
from protocol import limits
from protocol.airtime import DEFAULT_PRESET, data_bytes_on_air, time_on_air_s
from protocol.errors import MeshaiError
from protocol.messages import Role, Turn
from simulator import kernel
from simulator.channels import Channel
from simulator.firmware.settings import RadioSettings
from simulator.medium import Transmission
from simulator.neighbourhood import Neighbourhood
from simulator.packet import NODEINFO_PORT, POSITION_PORT, TELEMETRY_PORT
from simulator.radio import VirtualRadioPort
from simulator.remembering import remembering_coder
from simulator.topology import Topology

DATA = Path(__file__).parent / "data"
LANGUAGES = ("en", "sw", "ha", "yo")
HOPS = (1, 2, 3)
LOSSES = (0.0, 0.1, 0.2, 0.3)
ABREAST = (2, 3)
"""So many relays that hear one another: what can't be read by them, each repeats for every copy heard."""
RELEASES = {"": "2.8.0", ".fw27": "2.7.26"}
"""What the names of figures end in, and the firmware that all radios have there."""
GOALS = {
    "airtime_ratio.en": 0.30,
    "airtime_ratio.sw": 0.33,
    "airtime_ratio.ha": 0.33,
    "airtime_ratio.yo": 0.33,
    "ended": 1.0,
    "completed.loss10.hops3": 0.99,
    "completed.loss30.hops3": 0.95,
}
"""Of each release."""
SEEDS = {"": 50, ".fw27": 20}
"""How often each exchange is repeated; `--quick` does twice. Fewer with 2.7, which differs where relays can't read."""
PATIENCE_S = 600
ANSWER_CHARS = 600
ANSWER_TOKENS = 160
WARM_S = 900.0, 1500.0
"""A warm node has run for about so long: its beacon is known and its budget is that of every day."""
SETTLE_S = 20.0
SEALED_EXTRA_BYTES = limits.SEAL_BYTES - 1 - limits.CHECK_BYTES
SLICE_BYTES, SLICE_GAP_S = 200, 4.0
CHATTER_PORTS = (NODEINFO_PORT, POSITION_PORT, TELEMETRY_PORT)
SHARED = RadioSettings(channels=(Channel("serial", bytes(range(32))),), chatter=True, long_on=True)
"""Everybody's channel: relays can read it, and firmware leaves direct messages on a channel of this name unsealed."""
PKC = replace(SHARED, channels=(Channel("meshai", bytes(range(32))),))
"""Direct messages sealed with the receiver's key: relays can't read them."""


@dataclass(frozen=True)
class Run:
    """One exchange's outcome."""

    completed: bool
    ended: bool
    airtime_s: float
    seconds: float


@dataclass(frozen=True)
class Job:
    """What to run: everything that an outcome depends on."""

    way: str
    """`ours`, `ours.cold`, `ours.pkc`, `slices` or `slices.pkc`."""
    language: str
    pair: int
    hops: int
    loss: float
    seeds: tuple[int, ...]
    relays_abreast: int = 1
    """How many relays that hear one another stand at each step of the path."""
    firmware: str = RELEASES[""]

    @property
    def radios(self) -> RadioSettings:
        """Every radio's settings."""
        return replace(PKC if self.way.endswith("pkc") else SHARED, firmware=self.firmware)

    @property
    def topology(self) -> Topology:
        """The asker's radio first, the answerer's last."""
        steps = [
            ["asker"],
            *([f"relay {step}{n}" for n in range(self.relays_abreast)] for step in range(self.hops - 1)),
        ]
        steps.append(["answerer"])
        pairs = [(one, other) for here, there in pairwise(steps) for one in here for other in there]
        pairs += [(one, other) for step in steps for one, other in combinations(step, 2)]
        return Topology.both_ways(tuple(name for step in steps for name in step), tuple(pairs))


class SealedPort(VirtualRadioPort):
    """Pads frames to the length that sealing will give them."""

    async def run(self, deliver: Callable[[RadioEvent], None]) -> None:
        await super().run(lambda event: deliver(unpadded(event)))

    async def transmit(self, payload: bytes, *, port: int, **how: object) -> int:
        padding = bytes(SEALED_EXTRA_BYTES) if port == PRIVATE_PORT else b""
        return await super().transmit(payload + padding, port=port, **how)


def unpadded(event: RadioEvent) -> RadioEvent:
    if isinstance(event, RadioPacket) and event.port == PRIVATE_PORT:
        values = {name: getattr(event, name) for name in event.__slots__}
        return RadioPacket(**{**values, "payload": event.payload[:-SEALED_EXTRA_BYTES]})
    return event


@cache
def pairs(language: str) -> list[tuple[str, str]]:
    """Questions, and answers of about 600 characters: held-out answers, one after the other where they are short."""
    rows = [json.loads(row) for row in (DATA / f"{language}.dev.jsonl").read_text().splitlines()]
    answers = [row["text"] for row in rows if row["kind"] == "answer"]
    found = []
    for number, row in enumerate(row for row in rows if row["kind"] == "prompt"):
        text = " ".join(answers[number % len(answers) :] + answers)
        found.append((row["text"], text[: text.rindex(" ", 0, ANSWER_CHARS + 20)]))
    return found


class Tally:
    """Counts the air that everybody uses, but for what radios tell about themselves."""

    def __init__(self, air: Neighbourhood) -> None:
        self.airtime_s = 0.0
        self._heard = trio.Event()
        air.medium.observe(self._count)

    def _count(self, transmission: Transmission) -> None:
        if transmission.to == BROADCAST and transmission.port in CHATTER_PORTS:
            return
        if not transmission.ended:
            self.airtime_s += transmission.airtime_s
        self._heard.set()
        self._heard = trio.Event()

    async def until_quiet(self) -> None:
        """Wait until nothing was sent for a while."""
        while True:
            with trio.move_on_after(SETTLE_S) as quiet:
                await self._heard.wait()
            if quiet.cancelled_caught:
                return


async def until_heard(node: Node) -> None:
    """Wait until the node knows somebody who answers."""
    heard = trio.Event()
    stop = node.trace.listen(lambda fact: heard.set() if fact.name == "beacon.heard" else None)
    if not any(peer.fresh(trio.current_time()) for peer in node.known_peers()):
        await heard.wait()
    stop()


async def ours(job: Job, seed: int) -> Run:
    """One question from a node without a model to one with, both run as they are."""
    asked, answer = pairs(job.language)[job.pair]
    air = Neighbourhood(job.topology, seed=seed, loss=job.loss, settings=job.radios)
    asker, answerer = air.radio("asker"), air.radio("answerer")

    def node(radio, name: str, engine: ScriptedEngine | None, serves: frozenset[str]) -> Node:
        trace = Trace()
        return Node(
            NodeSettings(name, serves),
            engine=engine,
            bearers=[RadioBearer(SealedPort(radio), trace)],
            cache=AnswerCache(None, trace),
            rng=Random(f"{name} {seed}"),
            trace=trace,
            coder=remembering_coder(),
        )

    engine = ScriptedEngine(lambda question: answer, name="smollm2-135m", tokens_per_s=20)
    async with trio.open_nursery() as nursery:
        await nursery.start(air.run)
        house = node(answerer, "house", engine, frozenset({address_of(asker.node_number)}))
        await nursery.start(house.run)
        cabin = node(asker, "cabin", None, frozenset())
        await nursery.start(cabin.run)
        if job.way != "ours.cold":
            await trio.sleep(Random(seed).uniform(*WARM_S))
            await until_heard(cabin)
        tally, started = Tally(air), trio.current_time()
        completed = ended = False
        with trio.move_on_after(PATIENCE_S + 5):
            try:
                got = await cabin.ask(Wish((Turn(Role.USER, asked),), deadline_s=PATIENCE_S, max_tokens=ANSWER_TOKENS))
                completed, ended = got.text == answer, True
            except MeshaiError:
                ended = True
        seconds = trio.current_time() - started
        await tally.until_quiet()
        nursery.cancel_scope.cancel()
    return Run(completed and seconds <= PATIENCE_S, ended, tally.airtime_s, seconds)


async def slices(job: Job, seed: int) -> Run:
    """The same question and answer in slices, as bots send them."""
    asked, answer = pairs(job.language)[job.pair]
    air = Neighbourhood(job.topology, seed=seed, loss=job.loss, settings=job.radios)
    asker, answerer = air.radio("asker"), air.radio("answerer")
    ports = VirtualRadioPort(asker), VirtualRadioPort(answerer)
    heard_question, heard_answer = bytearray(), bytearray()
    whole_question, whole_answer = trio.Event(), trio.Event()

    def at_answerer(event: RadioEvent) -> None:
        if isinstance(event, RadioPacket) and event.port == PRIVATE_PORT:
            heard_question.extend(event.payload)
            if bytes(heard_question) == asked.encode():
                whole_question.set()

    def at_asker(event: RadioEvent) -> None:
        if isinstance(event, RadioPacket) and event.port == PRIVATE_PORT:
            heard_answer.extend(event.payload)
            if bytes(heard_answer) == answer.encode():
                whole_answer.set()

    async def send(port: VirtualRadioPort, text: str, to: int) -> None:
        data = text.encode()
        for start in range(0, len(data), SLICE_BYTES):
            sliced = data[start : start + SLICE_BYTES]
            await port.transmit(sliced, to=to, port=PRIVATE_PORT, want_ack=True)
            await trio.sleep(time_on_air_s(DEFAULT_PRESET, data_bytes_on_air(len(sliced), PRIVATE_PORT)) + SLICE_GAP_S)

    async def reply() -> None:
        await whole_question.wait()
        await send(ports[1], answer, asker.node_number)

    async with trio.open_nursery() as nursery:
        await nursery.start(air.run)
        nursery.start_soon(ports[0].run, at_asker)
        nursery.start_soon(ports[1].run, at_answerer)
        await trio.sleep(Random(seed).uniform(*WARM_S))
        nursery.start_soon(reply)
        tally, started = Tally(air), trio.current_time()
        await send(ports[0], asked, answerer.node_number)
        with trio.move_on_after(PATIENCE_S) as waiting:
            await whole_answer.wait()
            seconds = trio.current_time() - started
        if waiting.cancelled_caught:
            seconds = float(PATIENCE_S)
        await tally.until_quiet()
        nursery.cancel_scope.cancel()
    completed = whole_answer.is_set() and bytes(heard_answer) == answer.encode()
    return Run(completed, completed, tally.airtime_s, seconds)


def work(job: Job) -> list[Run]:
    way: Callable[[Job, int], Awaitable[Run]] = slices if job.way.startswith("slices") else ours
    return [kernel.run(way, job, seed, seed=seed) for seed in job.seeds]


def airtime_per_completed_s(runs: list[Run]) -> float:
    completed = sum(run.completed for run in runs)
    return sum(run.airtime_s for run in runs) / completed if completed else float("inf")


def rounded(airtime_s: float) -> float | None:
    """To milliseconds; None where nothing was completed."""
    return round(airtime_s, 3) if airtime_s < float("inf") else None


def jobs_for(*, pairs_max: int, seeds: int, languages: tuple[str, ...], firmware: str) -> list[Job]:
    found = []
    for language in languages:
        for pair, hops in product(range(min(pairs_max, len(pairs(language)))), HOPS):
            for loss, way in product((0.0, 0.1), ("ours", "slices")):
                found.append(Job(way, language, pair, hops, loss, tuple(range(seeds)), firmware=firmware))
    for hops, loss in product(HOPS, LOSSES):
        for way in ("ours", "slices", "ours.cold", "ours.pkc", "slices.pkc"):
            numbers = tuple(range(1000, 1000 + seeds))
            found += [Job(way, "en", pair, hops, loss, numbers, firmware=firmware) for pair in range(2)]
    for relays, way in product(ABREAST, ("ours", "ours.pkc")):
        found.append(Job(way, "en", 0, 2, 0.0, tuple(range(seeds)), relays, firmware))
    return found


def ratio(ours: list[Run], theirs: list[Run]) -> float:
    """Air per completed exchange, ours over theirs; 0 where only ours completed any."""
    if not any(run.completed for run in ours):
        return float("inf")
    return airtime_per_completed_s(ours) / airtime_per_completed_s(theirs)


def summary(
    done: dict[Job, list[Run]], languages: tuple[str, ...]
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """The figures of one release, and the same of the bots' way."""

    def runs(way: str, **where: object) -> list[Run]:
        where = {"relays_abreast": 1, **where}
        wanted = [job for job in done if job.way == way and all(getattr(job, k) == v for k, v in where.items())]
        return [run for job in wanted for run in done[job]]

    figures: dict[str, float | None] = {}
    peer: dict[str, float | None] = {}
    for language in languages:
        worst = []
        for pair in sorted({job.pair for job in done if job.language == language}):
            ratios = []
            for hops, loss in product(HOPS, (0.0, 0.1)):
                where = {"language": language, "pair": pair, "hops": hops, "loss": loss}
                ratios.append(ratio(runs("ours", **where), runs("slices", **where)))
            worst.append(max(ratios))
        figures[f"airtime_ratio.{language}"] = round(median(worst), 4)
    every = [run for job, found in done.items() if job.way.startswith("ours") for run in found]
    figures["ended"] = sum(run.ended for run in every) / len(every)
    for hops, loss in product(HOPS, LOSSES):
        where = {"language": "en", "hops": hops, "loss": loss}
        name = f"loss{round(100 * loss)}.hops{hops}"
        for into, way in ((figures, "ours"), (peer, "slices")):
            found = runs(way, **where)
            into[f"completed.{name}"] = round(sum(run.completed for run in found) / len(found), 4)
            into[f"airtime_s.{name}"] = rounded(airtime_per_completed_s(found))
            into[f"seconds.{name}"] = round(median(run.seconds for run in found), 1)
        for way in ("ours.cold", "ours.pkc"):
            found = runs(way, **where)
            figures[f"{way[5:]}.completed.{name}"] = round(sum(run.completed for run in found) / len(found), 4)
            figures[f"{way[5:]}.airtime_s.{name}"] = rounded(airtime_per_completed_s(found))
        peer[f"pkc.airtime_s.{name}"] = rounded(airtime_per_completed_s(runs("slices.pkc", **where)))
    for relays in ABREAST:
        for prefix, way in (("", "ours"), ("pkc.", "ours.pkc")):
            found = runs(way, relays_abreast=relays)
            figures[f"{prefix}airtime_s.relays{relays}"] = rounded(airtime_per_completed_s(found))
    return figures, peer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer pairs and seeds")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    options = parser.parse_args()
    pairs_max = 2 if options.quick else 10
    seeds = dict.fromkeys(RELEASES, 2) if options.quick else SEEDS
    jobs = [
        job
        for suffix, firmware in RELEASES.items()
        for job in jobs_for(pairs_max=pairs_max, seeds=seeds[suffix], languages=LANGUAGES, firmware=firmware)
    ]
    done: dict[Job, list[Run]] = {}
    with ProcessPoolExecutor(options.jobs) as pool:
        for number, (job, found) in enumerate(zip(jobs, pool.map(work, jobs, chunksize=4), strict=True), 1):
            done[job] = found
            print(f"\r{number} of {len(jobs)} settings", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    figures: dict[str, float | None] = {}
    peer: dict[str, float | None] = {}
    for suffix, firmware in RELEASES.items():
        found = summary({job: runs for job, runs in done.items() if job.firmware == firmware}, LANGUAGES)
        for into, values in zip((figures, peer), found, strict=True):
            into.update({f"{name}{suffix}": value for name, value in values.items()})
    goals = {f"{name}{suffix}": goal for suffix in RELEASES for name, goal in GOALS.items()}
    missed = [
        name
        for name, goal in goals.items()
        if (figures[name] > goal if name.startswith("airtime") else figures[name] < goal)
    ]
    settings = {
        "goals": goals,
        "missed": sorted(missed),
        "preset": "LONG_FAST",
        "quick": options.quick,
        "pairs_max": pairs_max,
        **{f"seeds{suffix}": number for suffix, number in seeds.items()},
        **{f"firmware{suffix}": firmware for suffix, firmware in RELEASES.items()},
    }
    print(json.dumps({"figures": figures, "peer": peer, "settings": settings}))


if __name__ == "__main__":
    main()
