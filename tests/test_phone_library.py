"""The unmodified `meshtastic` library as a neighbour's phone asks a node, which uses the library too, in real time."""

from functools import partial
from random import Random

import pytest
import trio
from test_virtual_radio_library import library, until

from nodes.bearers.meshtastic_port import MeshtasticPort
from nodes.bearers.radio import RadioBearer, address_of
from nodes.cache import AnswerCache
from nodes.engines.scripted import ScriptedEngine
from nodes.node import Node, NodeSettings
from nodes.phone_text import PhoneSettings
from nodes.trace import Trace
from protocol.airtime import PRESETS
from simulator.neighbourhood import Neighbourhood
from simulator.topology import line

pytestmark = pytest.mark.realtime

STORY = " ".join(f"word{number}" for number in range(60))


async def test_a_phone_asks_by_direct_message_and_gets_marked_chunks_that_it_acknowledges():
    air = Neighbourhood(line(2), PRESETS["SHORT_TURBO"], seed=1)
    trace = Trace()
    phone_number = air.radio("B").node_number
    async with trio.open_nursery() as nursery:
        await nursery.start(air.run)
        addresses = await nursery.start(air.serve)
        node = Node(
            NodeSettings(
                "house",
                frozenset({address_of(phone_number)}),
                0.5,
                phones=PhoneSettings(personal=False, owner="Ann"),
            ),
            engine=ScriptedEngine({"Tell me a story": STORY}, tokens_per_s=1000),
            bearers=[RadioBearer(MeshtasticPort.tcp(addresses["A"].host, addresses["A"].port, trace), trace)],
            cache=AnswerCache(None, trace),
            rng=Random(1),
            trace=trace,
        )
        await nursery.start(node.run)
        await until(lambda: any(fact.name == "radio.up" for fact in trace.facts))
        async with library(addresses["B"]) as (phone, heard):
            answered = []

            def onAckNak(packet):  # the library passes acknowledgements only to a handler of this name
                answered.append(packet["decoded"]["routing"]["errorReason"])

            def texts():
                return [packet["decoded"].get("text") for packet in heard() if "text" in packet["decoded"]]

            number = addresses["A"].node_number
            await trio.to_thread.run_sync(
                partial(phone.sendText, "Tell me a story", number, wantAck=True, onResponse=onAckNak)
            )
            await until(lambda: len(texts()) == 3)
            await until(lambda: sum(fact.name == "phone.sent" for fact in trace.facts) == 3)
        assert answered[0] == "NONE"
        assert [text.split(" ")[:2] for text in texts()] == [["AI:", "(1/3)"], ["AI:", "(2/3)"], ["AI:", "(3/3)"]]
        assert "Ann can read along. word0 word1" in texts()[0]
        assert all(len(text.encode()) <= 200 for text in texts())
        assert {fact.fields["fate"] for fact in trace.facts if fact.name == "phone.sent"} == {"DELIVERED"}
        nursery.cancel_scope.cancel()
