"""What the air shows to people: each transmission by its name, and what a question cost."""

from __future__ import annotations

import json

import pytest
import trio
from mesh_world import cabin_and_house, until_heard, wish

from meshai.air import Air, airtime_at, cost_of, transmission_form
from nodes.bearers.radio import number_of
from protocol.airtime import PRESETS
from simulator.frame_names import FrameNames


async def test_a_question_and_its_answer_are_named_counted_and_told_from_the_rest(autojump_clock):
    async with cabin_and_house() as (cabin, _, here):
        air = Air(lambda flight: None)
        here.air.medium.observe(
            lambda sent: air.take(json.loads(json.dumps({"transmission": transmission_form(sent)})))
        )
        await until_heard(cabin)
        answer = await cabin.ask(wish("Tell me a long story", max_tokens=120))
        await trio.sleep(2)
        a, c = (number_of(here.address(radio)) for radio in "AC")
        flights = air.between(a, c, since=0)
    total = answer.cost.packets // 2 - 1
    assert [flight.what for flight in flights if not flight.relayed] == [
        "question",
        *(f"answer {number + 1}/{total}" for number in range(total)),
    ]
    assert "beacon" in {flight.what for flight in air.flights}
    cost = cost_of(flights)
    assert (cost.packets, cost.bytes_on_air) == (answer.cost.packets, answer.cost.bytes_on_air)
    assert cost.airtime_s == pytest.approx(answer.cost.airtime_s)
    assert airtime_at(flights, PRESETS["LONG_FAST"]) > 5 * cost.airtime_s


async def test_packets_that_are_not_ours_are_named_too(autojump_clock):
    names, seen = FrameNames(), []
    async with cabin_and_house() as (_, _, here):
        here.air.medium.observe(lambda sent: seen.append(names.name(sent)) if sent.radio == "B" else None)
        from simulator.radio import VirtualRadioPort

        port = VirtualRadioPort(here.air.radio("B"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.run, lambda event: None)
            await trio.sleep(20)
            seen.clear()
            for number, payload in ((1, b"hello"), (256, b"hello"), (300, b"hello")):
                await port.transmit(payload, to=0xFFFFFFFF, port=number)
                await trio.sleep(5)
            nursery.cancel_scope.cancel()
    assert seen[::2] == ["text", "not meshai's", "port 300"]
