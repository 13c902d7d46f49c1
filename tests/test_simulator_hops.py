"""Small meshes that only the right rule passes: next hops, hops that favourites save, repeats, windows that grow."""

from dataclasses import replace

import pytest
import trio
from radio_world import PLAIN, diamond, mesh, number

from simulator.firmware.mac import PRESENT
from simulator.firmware.nexthop import ROUTE_KEPT_S
from simulator.firmware.settings import RadioSettings
from simulator.packet import ROUTING_PORT, RoutingError
from simulator.topology import full, line

ROUTER = replace(PLAIN, role="ROUTER", rebroadcast_mode="ALL")
BASE = replace(PLAIN, role="CLIENT_BASE")
FLOODING = "2.5.0"
"""The last firmware that knows no next hops."""


async def say_hello(phones):
    """Each radio is heard by its neighbours."""
    for phone in phones.values():
        phone.send(port=1, payload=b"hello")
        await trio.sleep(30)


async def message(phones, flown, to, **how):
    """A direct message from A and what it costs: [(radio, whether it was aimed at one relay)]."""
    began = len(flown)
    sent = phones["A"].send(to=number(phones, to), **({"want_ack": True} | how))
    await trio.sleep(60)
    flights = sorted(flown[began:], key=lambda flight: flight.time_s)
    return [(flight.radio, bool(flight.next_hop)) for flight in flights if flight.packet_id == sent]


@pytest.mark.parametrize(("firmware", "learns"), [("2.8.0", True), ("2.7.26", True), (FLOODING, False)])
async def test_the_second_message_is_aimed_at_the_relay_that_carried_the_first_and_its_answer(
    autojump_clock, firmware, learns
):
    async with mesh(line(3), replace(PLAIN, firmware=firmware)) as (_, phones, flown):
        await say_hello(phones)
        assert await message(phones, flown, "C") == [("A", False), ("B", False)]
        assert await message(phones, flown, "C") == [("A", learns), ("B", learns)]
        assert len(phones["C"].packets) == 2 + 2


async def test_only_the_named_relay_passes_a_message_on(autojump_clock):
    relays = set()
    for seed in range(12):
        async with mesh(diamond(3), PLAIN, seed=seed) as (_, phones, flown):
            await say_hello(phones)
            for _ in range(6):
                hops = await message(phones, flown, "Z")
                if hops[0] == ("A", True):
                    assert len(hops) == 2, (seed, hops)
                    relays.add(hops[1][0])
    assert len(relays) >= 2


async def test_a_neighbour_is_no_next_hop_until_it_was_heard_itself_and_when_it_was_not_for_two_hours(autojump_clock):
    async with mesh(line(3), PLAIN) as (_, phones, flown):
        for _ in range(2):
            assert await message(phones, flown, "C") == [("A", False), ("B", False)]
        phones["B"].send(port=1)
        await trio.sleep(30)
        assert (await message(phones, flown, "C"))[0] == ("A", True)
        for _ in range(7):  # answers confirm the way, but B itself says nothing
            await trio.sleep(1000)
            hops = await message(phones, flown, "C")
        assert hops[0] == ("A", False)


async def test_a_way_that_nothing_confirmed_for_half_an_hour_is_forgotten(autojump_clock):
    async with mesh(line(3), PLAIN) as (_, phones, flown):
        await say_hello(phones)
        await message(phones, flown, "C")
        await trio.sleep(ROUTE_KEPT_S - 120)
        assert (await message(phones, flown, "C"))[0] == ("A", True)
        await trio.sleep(ROUTE_KEPT_S)
        assert (await message(phones, flown, "C"))[0] == ("A", False)


async def test_older_firmware_keeps_a_way_for_ever(autojump_clock):
    async with mesh(line(3), replace(PLAIN, firmware="2.7.26")) as (_, phones, flown):
        await message(phones, flown, "C")
        await trio.sleep(10 * 3600)
        assert (await message(phones, flown, "C"))[0] == ("A", True)


async def test_a_dead_next_hop_costs_two_tries_and_the_last_one_floods_around_it(autojump_clock):
    async with mesh(diamond(2), PLAIN, seed=3) as (world, phones, flown):
        await say_hello(phones)
        while (hops := await message(phones, flown, "Z"))[0] == ("A", False):
            pass
        dead = hops[1][0]
        other = "C" if dead == "B" else "B"
        world.radios[dead].switch_off()
        assert await message(phones, flown, "Z") == [("A", True), ("A", True), ("A", False), (other, False)]
        assert (await message(phones, flown, "Z"))[:2] == [("A", True), (other, True)]


async def test_a_message_that_wants_no_acknowledgement_is_tried_twice_once_it_is_aimed(autojump_clock):
    async with mesh(line(3), PLAIN) as (world, phones, flown):
        await say_hello(phones)
        assert await message(phones, flown, "C", want_ack=False) == [("A", False), ("B", False)]
        await message(phones, flown, "C")
        world.radios["B"].switch_off()
        assert await message(phones, flown, "C", want_ack=False) == [("A", True), ("A", False)]
        assert phones["A"].acks[-1][1:3] == ("implicit", RoutingError.MAX_RETRANSMIT)


async def test_who_is_the_next_hop_itself_confirms_to_its_neighbour_over_no_hop(autojump_clock):
    async with mesh(line(2), PLAIN) as (_, phones, flown):
        await say_hello(phones)
        await message(phones, flown, "B")
        began = len(flown)
        assert await message(phones, flown, "B", want_ack=False) == [("A", True)]
        assert [(flight.radio, flight.port, flight.hop_limit) for flight in flown[began + 1 :]] == [
            ("B", ROUTING_PORT, 0)
        ]


async def test_a_relay_that_cannot_read_a_message_leaves_it_to_the_named_one(autojump_clock):
    # Sealed, on a diamond of two: 7 copies where both relays repeat what they hear, 2 where one is named.
    async with mesh(diamond(2)) as (world, phones, flown):
        radio = world.radios["A"]
        await say_hello(phones)
        await message(phones, flown, "Z", want_ack=False)
        routes = radio._firmware._delivery._routes
        assert routes.learn(number(phones, "Z"), number(phones, "B") & 0xFF, radio.now_s)
        # B leaves its own name on what it can't read, so C stays silent; A hears nothing of it: its second try floods.
        hops = await message(phones, flown, "Z", want_ack=False)
        assert hops[:3] == [("A", True), ("B", True), ("A", False)]
        assert sorted(name for name, _ in hops[3:]) == list("BBBCCC")


@pytest.mark.parametrize(("favoured", "hop_limits"), [(True, [3, 2, 2, 1, 0]), (False, [3, 2, 1, 0])])
async def test_routers_that_favour_one_another_pass_on_without_taking_a_hop_but_for_the_first(
    autojump_clock, favoured, hop_limits
):
    async with mesh(line(5), PLAIN, A=ROUTER, B=ROUTER, C=ROUTER) as (world, phones, flown):
        for one, other in ("BA", "CB"):
            world.radios[one].known_nodes[number(phones, other)].favourite = favoured
        phones["A"].send(port=1)
        await trio.sleep(60)
        assert [flight.hop_limit for flight in flown] == hop_limits
        assert [flight.radio for flight in flown] == list("ABCDE")[: len(hop_limits)]


async def test_a_base_passes_on_late_what_its_favourites_send_and_drops_its_copy_of_the_rest(autojump_clock):
    for favoured in (True, False):
        relayed = []
        for seed in range(10):
            async with mesh(full(3), PLAIN, seed=seed, C=BASE) as (world, phones, flown):
                world.radios["C"].known_nodes[number(phones, "A")].favourite = favoured
                phones["A"].send(port=1)
                await trio.sleep(60)
                relayed.append([flight.radio for flight in flown][1:])
        assert (["B", "C"] in relayed) is favoured, relayed
        assert all("C" in radios for radios in relayed) is favoured, relayed


async def test_a_sender_that_tries_again_is_passed_on_again(autojump_clock):
    async with mesh(line(3), PLAIN) as (world, phones, flown):
        world.medium.connect("B", "A", None)
        phones["A"].send(to=number(phones, "C"), want_ack=True)
        await trio.sleep(60)
        sent = [flight.radio for flight in flown if flight.port != ROUTING_PORT]
        assert sent == ["A", "B", "A", "B", "A", "B"]
        assert len(phones["C"].packets) == 1


async def test_a_copy_that_went_further_is_no_second_try(autojump_clock):
    async with mesh(line(4), PLAIN) as (_, phones, flown):
        phones["A"].send(port=1)
        await trio.sleep(60)
        assert [flight.radio for flight in flown] == ["A", "B", "C", "D"]


def test_the_window_of_own_packets_grows_with_the_channels_use():
    assert [PRESENT.own_window(percent) for percent in (0, 19, 20, 50, 99, 100)] == [3, 3, 4, 5, 7, 8]


async def test_on_a_busy_channel_an_own_packet_waits_longer(autojump_clock):
    waits_s = {}
    for busy in (False, True):
        waits_s[busy] = []
        for seed in range(20):
            async with mesh(line(1), PLAIN, seed=seed) as (world, phones, flown):
                radio = world.radios["A"]
                await trio.sleep(60)
                world.medium.catch_up()
                radio.on_noise(36.0 if busy else 0.0)
                sent_s = trio.current_time()
                phones["A"].send(port=1)
                await trio.sleep(9)
                waits_s[busy].append(flown[0].time_s - sent_s)
    assert max(waits_s[False]) <= 7 * 0.028 + 1e-9
    assert 0.5 < max(waits_s[True]) <= 63 * 0.028 + 1e-9


def test_routes_came_with_2_6():
    assert [RadioSettings(firmware=version).learns_routes for version in ("2.5.26", "2.6.0", "2.8.0")] == [
        False,
        True,
        True,
    ]
