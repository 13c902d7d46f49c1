"""A scenario in virtual time: the same seed the same run, faults that end, checkers that notice, power and hours."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from random import Random

import pytest
import trio

from nodes.cache import AnswerCache
from nodes.wishes import Answer, Cost
from simulator import kernel
from simulator.medium import Transmission
from simulator.people import answer_for
from simulator.scenario.plan import (
    DevicePlan,
    FaultPlan,
    PeoplePlan,
    Place,
    PowerSupply,
    RadioPlan,
    Scenario,
    SpecialRadio,
    Walk,
)
from simulator.world.checkers import AirChecker, AskChecker
from simulator.world.faults import Fault, FaultMaker, draw_faults
from simulator.world.household import Ended
from simulator.world.live import run_scenario
from simulator.world.storm import run_storm, storm
from simulator.world.village import Village

LINE = tuple(Place(f"house {n}", 300.0 * n, 0.0) for n in range(5))


def street(**changes):
    """Five houses in reach of one another, a model in the first."""
    plan = Scenario(
        "street",
        "A street",
        "",
        LINE,
        hours=0.5,
        start_hour=12.0,
        radio=RadioPlan(preset="MEDIUM_FAST", chatter=False, shadowing_db=0.0),
        devices=(DevicePlan("computer", at=("house 0",), tokens_per_s=20.0),),
        people=PeoplePlan(questions_per_day=24 * 40, answer_chars=120),
    )
    return replace(plan, **changes)


def endings(outcome):
    return [asked.ending for asked in outcome.asked]


def test_neighbours_are_answered_by_the_house_with_the_model():
    outcome = run_scenario(street(), 1)
    assert len(outcome.asked) > 8
    assert endings(outcome).count("answered") > 0.8 * len(outcome.asked)
    assert {asked.answered_by for asked in outcome.asked if asked.ending == "answered"} == {0}
    assert outcome.use[0].answered == sum(a.station != 0 and a.ending == "answered" for a in outcome.asked)
    assert outcome.violations == []
    assert outcome.airtime_by_kind_s.keys() >= {"question", "answer", "beacon"}
    assert sum(use.sent_s for use in outcome.use) == pytest.approx(sum(outcome.airtime_by_kind_s.values()), abs=0.01)
    assert all(0 < use.utilisation_by_hour[0] < 50 for use in outcome.use)


def test_packets_and_links_are_kept_when_a_report_wants_them():
    bare, full = run_scenario(street(), 2), run_scenario(street(), 2, keep_packets=True)
    assert bare.trace_hash == full.trace_hash
    assert bare.sent == []
    assert len(full.sent) == full.transmissions
    assert sum(link.heard for link in full.links) == full.receptions
    assert {packet.kind for packet in full.sent} >= {"question", "answer", "beacon"}


def test_nobody_is_answered_where_nobody_has_a_model():
    outcome = run_scenario(street(devices=()), 1)
    assert set(endings(outcome)) == {"failed"}
    assert all(asked.why for asked in outcome.asked)
    assert outcome.violations == []


RUN = """
from simulator.world.storm import run_storm
end = run_storm(7, 0.2)
print(end.trace_hash, end.asked, end.answered)
"""


@pytest.mark.realtime
def test_three_processes_with_one_seed_live_the_same_hour_and_another_seed_another():
    def end_of(hash_seed):
        environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
        done = subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    ends = {end_of(hash_seed) for hash_seed in (0, 1, 4242)}
    assert len(ends) == 1
    assert run_storm(8, 0.2).trace_hash not in ends.pop()


@pytest.mark.parametrize("seed", [1, 4, 9])
def test_a_hard_hour_breaks_nothing(seed):
    end = run_storm(seed)
    assert end.violations == (), f"seed {seed}"
    assert sum(end.faults.values()) >= 100
    assert min(end.faults.values()) >= 2
    assert end.answered > 0


def test_faults_follow_from_the_seed_and_end_within_the_run():
    plan = storm(3).faults
    faults = draw_faults(plan, [1, 2, 5], range(8), 3600.0, Random(1))
    assert faults == draw_faults(plan, [1, 2, 5], range(8), 3600.0, Random(1))
    assert len(faults) == plan.total
    assert all(fault.time_s >= 0 and fault.time_s + fault.lasts_s <= 3600 for fault in faults)
    assert all(fault.place in (1, 2, 5) for fault in faults if fault.kind == "crash")


# Faults in a village


def live(scenario, work, seed=1):
    """Run `work(village)` in a village of `scenario` whose devices all run."""

    async def main():
        def always_so(place, plan):
            from nodes.sharing import always

            return always()

        village = Village(
            scenario, seed, script=lambda q: answer_for(q, 120), coder=None, folder=None, sharing=always_so
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(village.medium.run)
            for devices in village.devices.values():
                for device in devices:
                    nursery.start_soon(device.run)
            await trio.sleep(60)
            await work(village)
            nursery.cancel_scope.cancel()

    kernel.run(main, seed=seed)


def test_a_map_that_falls_apart_is_whole_again_after():
    def links(village):
        return {(radio.name, *pair) for radio in village.radios for pair in village.medium.links_of(radio.name).items()}

    async def work(village):
        before = links(village)
        faults = [Fault(0.0, "partition", 0, 100.0, 0.0), Fault(50.0, "partition", 0, 100.0, 1.5)]
        maker = FaultMaker(village, faults, trio.current_time())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(maker.run)
            await trio.sleep(10)
            first = links(village)
            assert first < before
            assert not any(one[-1] in "01" and other[-1] in "34" for one, other, _ in first)
            await trio.sleep(60)
            assert links(village) <= first
        assert links(village) == before
        assert maker.made == {"partition": 2}

    live(street(), work)


def test_a_crash_ends_the_question_under_way_and_the_device_comes_back():
    async def work(village):
        from nodes.wishes import Wish
        from protocol.messages import Role, Turn

        device = village.devices[2][0]
        maker = FaultMaker(village, [Fault(1.0, "crash", 2, 30.0)], trio.current_time())
        ended = []

        async def ask():
            ended.append(await device.ask(Wish((Turn(Role.USER, "How high is the hill?"),))))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(maker.run)
            nursery.start_soon(ask)
            await trio.sleep(2)
            assert ended[0].by_crash
            assert "stopped" in ended[0].why
            assert device.node is None
            await ask()
            assert "off" in ended[1].why
        await trio.sleep(30)
        assert device.node is not None
        assert maker.starts[2] == 1

    live(street(), work)


def test_a_full_disk_costs_the_cache_and_nothing_else(tmp_path):
    plan = street(faults=FaultPlan(disk_full=40, crash=6), hours=0.5)
    outcome = run_scenario(plan, 3)
    assert outcome.violations == []
    assert outcome.faults == {"crash": 6, "disk_full": 40}


# Walks


def test_who_walks_into_reach_is_answered_from_then_on():
    far = (Place("house 0", 0.0, 0.0), Place("hut", 20_000.0, 0.0))
    walk = Walk(("hut",), ((300.0, 0.0),), speed_kmh=60.0, starts_hour=12.0)
    people = PeoplePlan(questions_per_day=24 * 60, patience_s=60)
    outcome = run_scenario(street(places=far, walks=(walk,), people=people, hours=1.0), 1)
    from_hut = [asked for asked in outcome.asked if asked.station == 1]
    assert {asked.ending for asked in from_hut if asked.time_s < 600} == {"failed"}
    late = [asked.ending for asked in from_hut if asked.time_s > 1600]
    assert late.count("answered") + late.count("cached") > 0.7 * len(late)
    assert outcome.trace_hash == run_scenario(outcome.scenario, 1).trace_hash


# What the checkers notice


ANSWER = Answer("It is high.", "m", "house 0", "model", False, 1, 3, False, 1.0, Cost())


def checker():
    found = AskChecker(lambda question: {"How high?": "It is high. Very.", "How low?": "Low."}[question], {"house 0"})
    found.begins(1, "question 1")
    return found


@pytest.mark.parametrize(
    ("ended", "seconds", "finding"),
    [
        (Ended(ANSWER), 5.0, None),
        (Ended(None, "nobody is there"), 5.0, None),
        (Ended(ANSWER), 61.5, "ended after 61.50 s"),
        (Ended(None, " "), 5.0, "without a reason"),
        (Ended(replace(ANSWER, text="Low.")), 5.0, "another question"),
        (Ended(replace(ANSWER, text="")), 5.0, "answered with nothing"),
        (Ended(replace(ANSWER, answered_by="a stranger")), 5.0, "somebody unknown"),
    ],
)
def test_what_becomes_of_a_question_is_judged(ended, seconds, finding):
    asks = checker()
    asks.ends(1, "How high?", ended, seconds, 60.0)
    asks.finish()
    assert len(asks.findings) == (finding is not None)
    assert finding is None or finding in asks.findings[0]


def test_a_question_that_ends_twice_or_never_is_noticed():
    asks = checker()
    asks.begins(2, "question 2")
    asks.ends(1, "How high?", Ended(ANSWER), 1.0, 60.0)
    asks.ends(1, "How high?", Ended(ANSWER), 1.0, 60.0)
    asks.finish()
    assert asks.findings == ["question 1 ended twice", "question 2 never ended"]


def test_a_node_that_sends_more_than_its_share_is_noticed_once():
    air = AirChecker(["A"], lambda radio: 1)

    def sends(time_s, port=256, relayed=False):
        air.see(Transmission(0, time_s, "A", 1, 2, 3, port, b"", 200, 2.0, 3, 3, 0, relayed))

    for number in range(41):
        sends(10.0 * number)
        sends(10.0 * number, relayed=True)
        sends(10.0 * number, port=1)
    assert air.findings == []
    sends(3000.0)
    sends(3001.0)
    assert len(air.findings) == 1
    assert "84.0 s within an hour, 82.0 s are its share" in air.findings[0]


def test_a_cache_that_only_says_it_keeps_is_caught(monkeypatch):
    monkeypatch.setattr(AnswerCache, "put", lambda self, key, answer: True)
    outcome = run_scenario(street(), 1)
    assert any("lost" in violation for violation in outcome.violations)


def test_an_answer_that_goes_astray_is_caught(monkeypatch):
    from nodes.inquiry import Inquiry

    really_ask = Inquiry.ask
    texts = []

    async def ask(self, wish, show):
        answer = await really_ask(self, wish, show)
        texts.append(answer.text)
        return replace(answer, text=texts[len(texts) // 2])

    monkeypatch.setattr(Inquiry, "ask", ask)
    outcome = run_scenario(street(), 1)
    assert any("another question" in violation for violation in outcome.violations)


# Power and hours


def test_a_device_that_is_off_at_that_hour_answers_nobody():
    device = DevicePlan("computer", at=("house 0",), tokens_per_s=20.0, on_hours="18-23")
    assert "answered" not in endings(run_scenario(street(devices=(device,)), 1))
    assert "answered" in endings(run_scenario(street(devices=(device,), start_hour=19.0), 1))


def test_a_device_works_for_others_only_in_its_hours_and_for_its_owner_always():
    device = DevicePlan("computer", at=("house 0",), tokens_per_s=20.0, share_hours="18-23")
    outcome = run_scenario(street(devices=(device,), people=PeoplePlan(questions_per_day=24 * 100)), 1)
    answered = {asked.station for asked in outcome.asked if asked.ending == "answered"}
    assert answered == {0}


def test_an_empty_battery_takes_a_radio_off_the_air():
    special = SpecialRadio(("house 0",), power=PowerSupply(battery_wh=1.0))
    outcome = run_scenario(street(radio=replace(street().radio, special=(special,))), 1)
    assert outcome.use[0].off_s > 1000
    assert all(use.off_s == 0 for use in outcome.use[1:])
    assert 0 < outcome.use[0].energy_wh <= 0.8


def test_a_reached_model_on_the_lan_of_the_house_answers_without_air():
    device = DevicePlan("gaming PC", at=("house 0",), tokens_per_s=40.0, has_radio=False)
    outcome = run_scenario(street(devices=(device,)), 1)
    own = [asked for asked in outcome.asked if asked.station == 0]
    assert own
    assert all(asked.ending in ("answered", "cached") for asked in own)
    assert all(asked.cost_s == 0 for asked in own)
