"""The HTTP API of a virtual radio, as Meshtastic's web client uses it, on the port that other clients use."""

from contextlib import asynccontextmanager, suppress

import httpx
import pytest
import trio
from meshtastic.protobuf import mesh_pb2

from protocol.airtime import PRESETS
from simulator.neighbourhood import Neighbourhood
from simulator.topology import line

pytestmark = pytest.mark.realtime

PAGE = {"Origin": "https://client.meshtastic.org"}


@asynccontextmanager
async def web(length=2):
    """A line of radios on TCP and an HTTP client of the first: (neighbourhood, addresses, client)."""
    neighbourhood = Neighbourhood(line(length), PRESETS["SHORT_TURBO"], seed=1)
    async with trio.open_nursery() as nursery:
        await nursery.start(neighbourhood.run)
        addresses = await nursery.start(neighbourhood.serve)
        base = f"http://127.0.0.1:{addresses['A'].port}"
        async with httpx.AsyncClient(base_url=base, headers=PAGE, timeout=5, trust_env=False) as client:
            yield neighbourhood, addresses, client
        nursery.cancel_scope.cancel()


async def put(client, **fields):
    return await client.put("/api/v1/toradio", content=mesh_pb2.ToRadio(**fields).SerializeToString())


async def fetch(client):
    """Every message that waits, one by one, as the web client does."""
    messages = []
    while content := (await client.get("/api/v1/fromradio?all=false")).content:
        messages.append(mesh_pb2.FromRadio.FromString(content))
    return messages


async def test_the_web_client_connects_downloads_the_configuration_and_sends():
    async with web() as (neighbourhood, _, client):
        greeting = await client.options("/api/v1/toradio")
        assert greeting.status_code == 204
        assert greeting.headers["access-control-allow-origin"] == PAGE["Origin"]
        await put(client, want_config_id=9)
        messages = await fetch(client)
        assert messages[0].my_info.my_node_num == neighbourhood.radios["A"].node_number
        assert messages[-1].config_complete_id == 9
        flown = []
        neighbourhood.medium.observe(flown.append)
        data = mesh_pb2.Data(portnum=1, payload=b"from the web")
        await put(client, packet=mesh_pb2.MeshPacket(to=0xFFFFFFFF, id=5, decoded=data))
        await trio.sleep(0.3)
        assert flown[0].payload == b"from the web"
        assert [message.queueStatus.mesh_packet_id for message in await fetch(client)] == [5]


async def test_everything_that_waits_can_be_fetched_at_once():
    async with web() as (_, _, client):
        await put(client, want_config_id=9)
        content = (await client.get("/api/v1/fromradio?all=true")).content
        assert mesh_pb2.FromRadio.FromString(content).config_complete_id == 9
        assert (await client.get("/api/v1/fromradio")).content == b""


async def test_another_client_takes_the_radio_and_the_page_takes_it_back_only_by_asking_anew():
    async with web() as (_, addresses, client):
        await put(client, want_config_id=9)
        async with await trio.open_tcp_stream("127.0.0.1", addresses["A"].port) as stream:
            await stream.send_all(bytes(32))
            await trio.sleep(0.3)
            assert await fetch(client) == []
            await put(client, heartbeat=mesh_pb2.Heartbeat())
            assert await fetch(client) == []
            await put(client, want_config_id=10)
            assert (await fetch(client))[-1].config_complete_id == 10
            assert await stream.receive_some(100) == b""


async def test_goodbye_ends_the_conversation():
    async with web() as (_, _, client):
        await put(client, want_config_id=9)
        await put(client, disconnect=True)
        assert await fetch(client) == []


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Origin": "http://["}]
)
async def test_a_strangers_page_is_refused(headers):
    async with web() as (neighbourhood, _, client):
        message = mesh_pb2.ToRadio(want_config_id=9).SerializeToString()
        refused = await client.put("/api/v1/toradio", content=message, headers=headers)
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
        assert neighbourhood.radios["A"]._client is None


async def test_what_is_no_message_no_address_or_too_long_changes_nothing():
    async with web() as (_, addresses, client):
        assert (await client.get("/")).status_code == 404
        assert (await client.put("/api/v1/toradio", content=b"\xff\xff")).status_code == 200
        with pytest.raises(httpx.HTTPError):
            await client.put("/api/v1/toradio", content=bytes(600))
        async with await trio.open_tcp_stream("127.0.0.1", addresses["A"].port) as stream:
            await stream.send_all(b"GET nonsense\r\n\r\n\x00" + bytes(5000))
            with trio.fail_after(5), suppress(trio.BrokenResourceError):
                while await stream.receive_some(4096):
                    pass
        await put(client, want_config_id=9)
        assert (await fetch(client))[-1].config_complete_id == 9
