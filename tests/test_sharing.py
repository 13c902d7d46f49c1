"""When a device works for others: the rules by themselves, and nodes on virtual radios that keep them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from mesh_world import sent, until_heard, wish, world

from nodes.cache import AnswerCache
from nodes.engines.scripted import ScriptedEngine
from nodes.node import Node, NodeSettings
from nodes.sharing import ALWAYS, IDLE_S, WEEKDAYS, Hours, SharingRules, Situation, Verdict, verdict
from nodes.trace import Trace
from protocol.errors import LocalError, RemoteError
from simulator.topology import full, line

MON, FRI, SAT, SUN = (WEEKDAYS.index(day) for day in ("mon", "fri", "sat", "sun"))
BATTERY = Situation(mains=False, battery_percent=50)


def judged(rules=ALWAYS, situation=BATTERY, weekday=MON, hour=12.0):
    return verdict(rules, situation, weekday=weekday, hour=hour)


# Hours


@pytest.mark.parametrize(
    ("text", "weekday", "hour", "holds", "change_h"),
    [
        ("18-23", MON, 17.5, False, 0.5),
        ("18-23", MON, 18, True, 5),
        ("18-23", MON, 23, False, 19),
        ("8-12, 18-23", MON, 13, False, 5),
        ("22-6", SUN, 23, True, 7),
        ("22-6", MON, 5, True, 1),
        ("fri 22-6", SAT, 5.5, True, 0.5),
        ("fri 22-6", FRI, 5.5, False, 16.5),
        ("mon-fri 18-23", FRI, 23.5, False, 66.5),
        ("sat-mon 6-7", SUN, 6, True, 1),
        ("sun", SAT, 23, False, 1),
        ("SUN", SUN, 0, True, 24),
        ("sat, sun", SAT, 1, True, 47),
        ("18:30-18:45", MON, 18.5, True, 0.25),
        ("0-24", MON, 5, True, None),
        ("mon-sun", MON, 5, True, None),
        ("", MON, 5, True, None),
        ("20-24, 0-4", MON, 21, True, 7),
    ],
)
def test_hours_hold_when_they_say_and_tell_when_that_changes(text, weekday, hour, holds, change_h):
    hours = Hours.parse(text)
    assert hours.holds(weekday, hour) is holds
    change_s = hours.change_s(weekday, hour)
    assert change_s == (None if change_h is None else pytest.approx(change_h * 3600))


@pytest.mark.parametrize(
    "text", ["18", "25-26", "24-3", "18-18", "18:60-19", "mon18-23", "mon 18-", "evening", "18-23,", "-", "1-2," * 200]
)
def test_hours_that_cannot_be_read_are_named_with_an_example(text):
    with pytest.raises(LocalError, match="mon-fri 18-23"):
        Hours.parse(text)


@given(
    spans=st.lists(
        st.tuples(st.sampled_from(["", "mon", "fri-mon", "tue-thu"]), st.integers(0, 23), st.integers(0, 23)),
        min_size=1,
        max_size=4,
    ),
    at_h=st.integers(0, 7 * 24 * 4 - 1),
)
def test_nothing_changes_before_the_told_time_and_something_does_then(spans, at_h):
    text = ", ".join(f"{days} {begin}-{end if end != begin else end + 1}".strip() for days, begin, end in spans)
    hours, at_h = Hours.parse(text), at_h / 4
    holds = hours.holds(int(at_h // 24), at_h % 24)
    quarters = 7 * 24 * 4
    later = [(at_h + quarter / 4) % 168 for quarter in range(1, quarters + 1)]
    first = next((n + 1 for n, h in enumerate(later) if hours.holds(int(h // 24), h % 24) is not holds), None)
    assert hours.change_s(int(at_h // 24), at_h % 24) == (None if first is None else pytest.approx(first * 900))


# Rules


def test_a_device_without_rules_shares_always():
    assert judged().shares
    assert judged(situation=replace(BATTERY, battery_percent=1)).shares
    assert judged(situation=replace(BATTERY, battery_percent=None)).shares


def test_what_its_owner_does_comes_before_all_rules():
    assert judged(situation=Situation(paused=True, paused_for_s=60)) == Verdict(False, "its owner paused it", 60)
    assert judged(situation=Situation(paused=True)).until_s is None
    assert judged(situation=Situation(own_work=True)).why == "it works for its owner"


def test_outside_its_hours_it_tells_when_they_begin():
    rules = SharingRules(Hours.parse("18-23"))
    refused = judged(rules, hour=17)
    assert (refused.shares, refused.until_s) == (False, 3600)
    assert "hours" in refused.why
    assert judged(rules, hour=22) == Verdict(True, "all its owner's rules allow it", 3600)


def test_it_is_idle_after_three_minutes_without_its_owner():
    rules = SharingRules(idle_s=IDLE_S)
    assert judged(rules, Situation(unused_s=60)) == Verdict(False, "its owner is using it", 120)
    assert judged(rules, Situation(unused_s=180)).shares
    assert judged(rules, Situation(unused_s=None)).shares


def test_a_battery_at_its_floor_must_recover_a_little_before_it_shares_again():
    rules = SharingRules(battery_above_percent=30)
    assert judged(rules, replace(BATTERY, battery_percent=31)).shares
    fallen = judged(rules, replace(BATTERY, battery_percent=30))
    assert not fallen.shares
    assert "30 %" in fallen.why
    assert not judged(rules, replace(BATTERY, battery_percent=33, was_sharing=False)).shares
    assert judged(rules, replace(BATTERY, battery_percent=36, was_sharing=False)).shares
    high = SharingRules(battery_above_percent=97)
    assert judged(high, replace(BATTERY, battery_percent=100, was_sharing=False)).shares


def test_power_rules_ask_for_mains_a_known_battery_or_the_sun():
    assert judged(SharingRules(mains_only=True)).why == "it runs on battery"
    assert judged(SharingRules(mains_only=True), Situation()).shares
    assert "how full" in judged(SharingRules(), replace(BATTERY, battery_percent=None)).why
    sun = SharingRules(surplus_above_w=20)
    assert judged(sun, replace(BATTERY, surplus_w=21)).shares
    assert "8 W" in judged(sun, replace(BATTERY, surplus_w=8)).why
    assert "nothing tells" in judged(sun, BATTERY).why


def test_of_several_reasons_the_first_is_told_and_the_last_known_time():
    rules = SharingRules(Hours.parse("18-23"), idle_s=IDLE_S)
    situation = Situation(paused=True, paused_for_s=60, unused_s=0)
    assert judged(rules, situation, hour=17) == Verdict(False, "its owner paused it", 3600)


@pytest.mark.parametrize(
    "values", [{"battery_above_percent": 100}, {"battery_above_percent": -1}, {"idle_s": -1}, {"surplus_above_w": -1}]
)
def test_rules_that_cannot_be_meant_are_refused(values):
    with pytest.raises(LocalError, match="impossible"):
        SharingRules(**values)


# Nodes


class Owner:
    """Decides whether a node shares."""

    def __init__(self, shares=True, until_s=None):
        self.shares, self.until_s = shares, until_s

    def __call__(self):
        return Verdict(self.shares, "the owner says so", self.until_s)


def sharing_node(here, owner, **how):
    """A node on radio B that shares as `owner` says."""
    trace = Trace()
    plain = here.node("B", "unused")
    return Node(
        NodeSettings("house", frozenset(here.address(radio) for radio in how.pop("serves", "A")), 0.5),
        engine=how.pop("engine", None) or ScriptedEngine({"Why?": "Because."}),
        bearers=[pump.bearer for pump in plain._pumps],
        cache=AnswerCache(None, trace),
        rng=plain._rng,
        trace=trace,
        sharing=owner,
    )


async def test_who_stops_sharing_says_so_once_and_then_sends_nothing_at_all(autojump_clock):
    owner = Owner()
    async with world(line(2)) as (here, nursery):
        cabin, house = here.node("A", "cabin"), sharing_node(here, owner)
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        await until_heard(cabin)
        assert (await cabin.ask(wish("Why?"))).text == "Because."
        await trio.sleep(1000)
        before = len(sent(house, "Beacon"))
        owner.shares = False
        await trio.sleep(60)
        assert len(sent(house, "Beacon")) == before + 1
        (peer,) = cabin.known_peers()
        assert peer.beacon.models == ()
        asked = len(sent(cabin, "Ask"))
        with pytest.raises(RemoteError, match="Nobody in reach answers"):
            await cabin.ask(wish("Why now?", deadline_s=60))
        assert len(sent(cabin, "Ask")) == asked
        await trio.sleep(6 * 3600)
        assert len(sent(house, "Beacon")) == before + 1
        assert house.trace.facts[-1].name != "node.shares"


async def test_who_shares_again_is_asked_again_soon(autojump_clock):
    owner = Owner(shares=False)
    async with world(line(2)) as (here, nursery):
        cabin, house = here.node("A", "cabin"), sharing_node(here, owner)
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        await trio.sleep(3600)
        assert sent(house, "Beacon") == []
        assert cabin.known_peers() == ()
        owner.shares = True
        await trio.sleep(20)
        assert (await cabin.ask(wish("Why?"))).text == "Because."
        assert [fact.name for fact in house.trace.facts if fact.name in ("node.rests", "node.shares")] == [
            "node.rests",
            "node.shares",
        ]


@pytest.mark.parametrize(("until_s", "told_s"), [(1000.2, 1001), (None, 600), (90_000, 3600), (0, 1)])
async def test_a_peer_that_missed_the_news_hears_when_to_ask_again(autojump_clock, until_s, told_s):
    owner = Owner()
    async with world(line(2)) as (here, nursery):
        cabin, house = here.node("A", "cabin"), sharing_node(here, owner)
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        await until_heard(cabin)
        await trio.sleep(100)
        owner.shares, owner.until_s = False, until_s
        with pytest.raises(RemoteError, match=f"busy and asks to wait {told_s} s"):
            await cabin.ask(wish("Why?", deadline_s=int(min(told_s, 60))))


async def test_the_owner_is_answered_while_nobody_else_is(autojump_clock):
    async with world(line(2)) as (here, nursery):
        house = sharing_node(here, Owner(shares=False))
        await nursery.start(house.run)
        assert (await house.ask(wish("Why?"))).text == "Because."


async def test_what_was_begun_for_a_peer_is_finished(autojump_clock):
    owner = Owner()
    engine = ScriptedEngine(lambda question: " ".join(["word"] * 40), tokens_per_s=1)
    async with world(line(2)) as (here, nursery):
        cabin, house = here.node("A", "cabin"), sharing_node(here, owner, engine=engine)
        await nursery.start(cabin.run)
        await nursery.start(house.run)
        await until_heard(cabin)
        async with trio.open_nursery() as asking:

            async def ask():
                assert len((await cabin.ask(wish("Why?", max_tokens=40))).text.split()) == 40

            asking.start_soon(ask)
            await trio.sleep(20)
            owner.shares = False


async def test_the_owners_work_waits_for_no_peer_in_the_queue(autojump_clock):
    order = []

    def script(question):
        order.append(question)
        return " ".join(["word"] * 20)

    engine = ScriptedEngine(script, tokens_per_s=1)
    async with world(full(3)) as (here, nursery):
        house = sharing_node(here, Owner(), engine=engine, serves="AC")
        cabins = [here.node(radio, f"cabin {radio}") for radio in "AC"]
        for node in (house, *cabins):
            await nursery.start(node.run)
        for cabin in cabins:
            await until_heard(cabin)
        async with trio.open_nursery() as asking:
            asking.start_soon(cabins[0].ask, wish("first", max_tokens=20))
            await trio.sleep(3)
            asking.start_soon(cabins[1].ask, wish("second", max_tokens=20))
            await trio.sleep(5)
            asking.start_soon(house.ask, wish("mine", max_tokens=20))
        assert order == ["first", "mine", "second"]
