"""What simulating costs: Meshtasticator's scenes with its rules and with today's, a festival, a village of real nodes.

Each scene runs in a process of its own; CPU seconds are those of building and running it, start-up of Python and
imports not counted. Messages, receptions and reach stand beside, so that nobody wins by sending less. The peer can't be
installed by a package manager: its figures are those published for the same scenes (30 nodes: 54 CPU seconds; 100: not
finished in five minutes).

    python tests/benchmarks/simulator.py [--quick] [--jobs N]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random

# This file has the package's name: its own folder must not stand before it; the crowd is in the folder above.
sys.path[:] = [str(Path(__file__).parents[1]), *(one for one in sys.path if Path(one) != Path(__file__).parent)]

GOALS = {
    "cpu_s.nodes30": 0.5,
    "cpu_s.nodes100": 5.0,
    "cpu_s.nodes300": 30.0,
    "cpu_s.festival": 120.0,
    "rss_mb.festival": 1000.0,
    "cpu_s.village_day": 120.0,
}
PEER = {"cpu_s.nodes10": 2.7, "cpu_s.nodes30": 54.0, "messages.nodes30": 444, "packets.nodes30": 3549}
RULES = {"": "2.1", ".fw28": "2.8.0"}
"""Suffix of the figures -> firmware whose rules hold: the older ones are Meshtasticator's."""
SEED = 1
FESTIVAL_RADIOS, FESTIVAL_PER_KM2, FESTIVAL_GAP_S = 1000, 220.0, 8_000.0
DENSITY_PER_KM2, DENSITY_GAP_S = 1.5, 3000.0
DENSITY_TIME_S = {100: 9000.0, 1000: 1800.0, 3000: 600.0}
VILLAGE_HOURS = 24.0

Figures = dict[str, float]


def measured(what, *how, **more) -> tuple[object, float]:
    """What `what` returns, and the CPU seconds it took."""
    began = time.process_time()
    result = what(*how, **more)
    return result, time.process_time() - began


def scene(count: int, suffix: str, share: float) -> Figures:
    """Meshtasticator's default scene with so many nodes; `share` of its time."""
    from crowd import TIME_S, Crowd, meshtasticator_gaps, meshtasticator_places

    from simulator.firmware.settings import RadioSettings

    settings = RadioSettings(has_pkc=False, firmware=RULES[suffix])
    places = meshtasticator_places(count, Random(SEED))

    crowd, setup_s = measured(Crowd, places, settings, SEED, meshtasticator_gaps, until_s=TIME_S * share)
    counts, cpu_s = measured(crowd.run)
    name = f"nodes{count}{suffix}"
    return {
        f"cpu_s.{name}": round(setup_s + cpu_s / share, 3),
        f"messages.{name}": round(counts.messages / share),
        f"receptions.{name}": round(counts.receptions / share),
        f"reach.{name}": round(counts.reach, 4),
    }


def spread(count: int, share: float) -> Figures:
    """Equal density, more radios: what a reception costs."""
    from crowd import Crowd, scattered

    from simulator.firmware.settings import RadioSettings

    places = scattered(count, Random(SEED), DENSITY_PER_KM2)

    def gap(number: int):
        rng = Random(f"{SEED} {number}")
        return lambda: rng.expovariate(1 / DENSITY_GAP_S)

    crowd = Crowd(
        places, RadioSettings(has_pkc=False), SEED, gap, until_s=DENSITY_TIME_S[count] * share, wants_ack=False
    )
    counts, cpu_s = measured(crowd.run)
    return {
        f"reception_us.n{count}": round(1e6 * cpu_s / max(1, counts.receptions + crowd.medium.collisions), 2),
        f"receptions.n{count}": round(counts.receptions / share),
    }


def festival(share: float) -> Figures:
    """A thousand radios in one field with their own chatter, one hour; they pass nothing on, as organisers ask."""
    from crowd import Crowd, scattered

    from simulator.firmware.settings import RadioSettings

    places = scattered(FESTIVAL_RADIOS, Random(SEED), FESTIVAL_PER_KM2)

    def gap(number: int):
        rng = Random(f"{SEED} {number}")
        return lambda: rng.expovariate(1 / FESTIVAL_GAP_S)

    settings = RadioSettings(chatter=True, long_on=True, role="CLIENT_MUTE")
    crowd, setup_s = measured(Crowd, places, settings, SEED, gap, until_s=3600.0 * share, wants_ack=False)
    counts, cpu_s = measured(crowd.run)
    return {
        "cpu_s.festival": round(setup_s + cpu_s / share, 2),
        "rss_mb.festival": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "receptions.festival": round(counts.receptions / share),
        "heard_per_hour.festival": round(counts.receptions / FESTIVAL_RADIOS / share, 1),
    }


def village(share: float) -> Figures:
    """`village-40` with the node's own code, one day."""
    from dataclasses import replace

    from simulator.scenario.reading import load
    from simulator.world.live import run_scenario

    scenario = load("village-40").scenario
    outcome, cpu_s = measured(run_scenario, replace(scenario, hours=VILLAGE_HOURS * share), SEED)
    answered = sum(asked.ending != "failed" for asked in outcome.asked)
    return {
        "cpu_s.village_day": round(cpu_s / share, 2),
        "transmissions.village_day": round(outcome.transmissions / share),
        "receptions.village_day": round(outcome.receptions / share),
        "questions.village_day": round(len(outcome.asked) / share),
        "answers.village_day": round(answered / share),
    }


def main() -> None:
    """Run all scenes and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a part of each scene's time, totals scaled to the whole")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    options = parser.parse_args()
    share = 0.1 if options.quick else 1.0
    jobs = [(scene, count, suffix, share) for count in (30, 100, 300) for suffix in RULES]
    jobs += [(spread, count, share) for count in DENSITY_TIME_S]
    jobs += [(festival, share), (village, share)]
    figures: Figures = {}
    pool = ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1)
    with pool:
        for number, done in enumerate([pool.submit(*job) for job in jobs], 1):
            figures |= done.result()
            print(f"\r{number} of {len(jobs)} scenes", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    us = [figures[f"reception_us.n{count}"] for count in DENSITY_TIME_S]
    figures["reception_us.ratio"] = round(max(us) / min(us), 3)
    missed = [name for name, goal in GOALS.items() if figures[name] > goal]
    missed += ["reception_us.ratio"] if figures["reception_us.ratio"] > 2 else []
    settings = {
        "goals": {**GOALS, "reception_us.ratio": 2.0},
        "missed": missed,
        "seed": SEED,
        "share_of_time": share,
        "peer": "Meshtasticator, as published for the same scenes; not run here",
        "quick": options.quick,
    }
    print(json.dumps({"figures": figures, "peer": PEER, "settings": settings}))


if __name__ == "__main__":
    main()
