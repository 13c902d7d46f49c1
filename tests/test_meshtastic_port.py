"""The port over the real `meshtastic` library, against virtual radios on TCP and on a pseudo-terminal, in real time."""

import os
import threading
import tty
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import pytest
import trio
from meshtastic.protobuf import mesh_pb2
from radio_ports import Listener, running, served

from nodes.bearers import meshtastic_port, supervised_port
from nodes.bearers.attached import AttachedRadio
from nodes.bearers.meshtastic_port import MeshtasticPort
from nodes.interfaces import RadioAck, RadioDown, RadioPacket, RadioUp
from nodes.trace import Trace
from protocol.errors import LocalError
from simulator.clients import phoneapi
from simulator.clients.streamapi import frame
from simulator.neighbourhood import Neighbourhood
from simulator.radio import VirtualRadioPort
from simulator.topology import line

pytestmark = pytest.mark.realtime


def tcp(address, trace=None):
    return MeshtasticPort.tcp(address.host, address.port, trace or Trace())


@asynccontextmanager
async def scripted_radio(*messages, config_id=True):
    """A TCP server that answers every client with these messages, after a virtual radio's configuration if wanted."""
    radio = Neighbourhood(line(1), seed=1).radios["A"]

    async def serve(stream):
        if config_id:
            while b"\x94\xc3" not in (heard := await stream.receive_some(4096)):
                pass
            asked = mesh_pb2.ToRadio.FromString(heard[heard.index(b"\x94\xc3") + 4 :])
            for message in phoneapi.configuration(radio, asked.want_config_id):
                await stream.send_all(frame(message.SerializeToString()))
        for message in messages:
            await stream.send_all(message)
        while await stream.receive_some(4096):
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield MeshtasticPort.tcp(*listener.socket.getsockname(), Trace())
        nursery.cancel_scope.cancel()


async def test_the_radio_introduces_itself():
    async with served(1, "MEDIUM_FAST") as (neighbourhood, addresses), running(tcp(addresses["A"])) as (_, heard):
        up = await heard.until_kind(RadioUp)
        assert heard.events[0] is up
        assert up.info.node_number == neighbourhood.radios["A"].node_number
        assert (up.info.long_name, up.info.firmware) == ("Virtual A", "2.8.0.virtual")
        assert (up.info.region, up.info.preset, up.info.hop_limit) == ("US", "MEDIUM_FAST", 3)


async def test_a_custom_setting_has_no_preset_name():
    async with served(1, "TINY_FAST") as (_, addresses), running(tcp(addresses["A"])) as (_, heard):
        assert (await heard.until_kind(RadioUp)).info.preset == ""


async def test_a_packet_crosses_a_relay_sealed_and_its_receiver_acknowledges_it():
    async with (
        served(3) as (neighbourhood, addresses),
        running(tcp(addresses["A"])) as (a, heard_a),
        running(tcp(addresses["C"])) as (_, heard_c),
    ):
        await heard_a.until_kind(RadioUp)
        await heard_c.until_kind(RadioUp)
        number_a, number_c = (neighbourhood.radios[name].node_number for name in "AC")
        packet_id = await a.transmit(b"\x00\xff?", to=number_c, port=256, want_ack=True)
        packet = await heard_c.until_kind(RadioPacket)
        assert packet == RadioPacket(number_a, number_c, 256, b"\x00\xff?", packet_id, 3, 2, 6.0, pkc=True)
        await heard_a.until(lambda event: event == RadioAck(packet_id, number_c, 0))
        assert RadioAck(packet_id, number_a, 0) not in heard_a.events


async def test_our_packets_are_sent_behind_peoples():
    async with served(2) as (neighbourhood, addresses), running(tcp(addresses["A"])) as (port, heard):
        await heard.until_kind(RadioUp)
        submitted = []
        take = neighbourhood.radios["A"].submit
        neighbourhood.radios["A"].submit = lambda packet: submitted.append(packet) or take(packet)
        await port.transmit(b"?", to=7, port=256, hop_limit=1)
        await port.transmit(b"?", to=7, port=256)
        with trio.fail_after(5):
            while len(submitted) < 2:  # noqa: ASYNC110  the radio has no event for this
                await trio.sleep(0.01)
        assert [packet.priority for packet in submitted] == [mesh_pb2.MeshPacket.BACKGROUND] * 2
        assert [packet.hop_limit for packet in submitted] == [1, 3]


async def test_a_refused_packet_is_reported():
    async with served(2) as (neighbourhood, addresses), running(tcp(addresses["A"])) as (port, heard):
        await heard.until_kind(RadioUp)
        packet_id = await port.transmit(bytes(233), to=0xFFFFFFFF, port=256)
        own = neighbourhood.radios["A"].node_number
        assert await heard.until_kind(RadioAck, 2) == RadioAck(packet_id, own, mesh_pb2.Routing.TOO_LARGE)


async def test_a_full_queue_makes_transmit_wait_on_trios_side_and_nothing_is_refused():
    async with served(2, "LONG_FAST") as (neighbourhood, addresses), running(tcp(addresses["A"])) as (port, heard):
        await heard.until_kind(RadioUp)
        flown = []
        neighbourhood.medium.observe(flown.append)
        sent = 0
        with trio.move_on_after(5) as fill:
            while True:
                await port.transmit(bytes(200), to=0xFFFFFFFF, port=256)
                sent += 1
        assert fill.cancelled_caught
        own = [transmission for transmission in flown if not transmission.relayed and not transmission.ended]
        assert sent == 16 + len(own) - neighbourhood.radios["A"].free_places
        assert not any(isinstance(event, RadioAck) and event.error for event in heard.events)


async def test_a_radio_that_vanishes_is_down_and_comes_back_up():
    async with served(2) as (neighbourhood, addresses), running(tcp(addresses["A"])) as (port, heard):
        await heard.until_kind(RadioUp)
        neighbourhood.radios["A"].switch_off()
        down = await heard.until_kind(RadioDown)
        assert "closed the connection" in down.reason
        with pytest.raises(LocalError, match="radio is gone"):
            await port.transmit(b"?", to=0xFFFFFFFF, port=256)
        await heard.until(lambda event: isinstance(event, RadioDown) and "refuses the connection" in event.reason)
        neighbourhood.radios["A"].switch_on()
        await heard.until_kind(RadioUp, 2)
        await port.transmit(b"again", to=0xFFFFFFFF, port=256, want_ack=True)
        assert (await heard.until_kind(RadioAck)).error == 0


async def test_a_radio_that_is_not_there_is_told_once_and_used_when_it_appears():
    neighbourhood = Neighbourhood(line(1), seed=1)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, number = listener.socket.getsockname()
    await listener.aclose()
    async with running(MeshtasticPort.tcp(host, number, Trace())) as (port, heard), trio.open_nursery() as nursery:
        down = await heard.until_kind(RadioDown)
        assert down.reason == f"the radio at {host} port {number} refuses the connection: nothing listens there"
        with pytest.raises(LocalError, match="radio is gone"):
            await port.transmit(b"?", to=0xFFFFFFFF, port=256)
        await trio.sleep(1.5)
        assert heard.events == [down]
        nursery.start_soon(neighbourhood.run)
        await nursery.start(partial(neighbourhood.serve, ports={"A": number}))
        await heard.until_kind(RadioUp)
        nursery.cancel_scope.cancel()


async def test_a_port_that_nobody_runs_says_so():
    with pytest.raises(LocalError, match="not connected"):
        await MeshtasticPort.tcp("127.0.0.1", 1, Trace()).transmit(b"?", to=7, port=256)


async def test_a_radio_taken_by_another_client_is_down_and_taken_back():
    async with served(1) as (_, addresses), running(tcp(addresses["A"])) as (_, heard):
        await heard.until_kind(RadioUp)
        async with await trio.open_tcp_stream(addresses["A"].host, addresses["A"].port) as other:
            await heard.until_kind(RadioDown)
            await heard.until_kind(RadioUp, 2)
            assert await other.receive_some(1) == b""


async def test_what_says_nothing_is_no_radio(monkeypatch):
    monkeypatch.setattr(supervised_port, "_CONFIGURE_S", 0.5)
    async with scripted_radio(config_id=False) as port, running(port) as (_, heard):
        assert "does not answer like a Meshtastic radio" in (await heard.until_kind(RadioDown)).reason


async def test_a_radio_that_falls_silent_is_given_up(monkeypatch):
    monkeypatch.setattr(supervised_port, "_HEARTBEAT_S", 0.2)
    monkeypatch.setattr(supervised_port, "_SILENCE_S", 0.8)
    async with scripted_radio() as port, running(port) as (_, heard):
        await heard.until_kind(RadioUp)
        assert "silent" in (await heard.until_kind(RadioDown)).reason


async def test_a_quiet_radio_that_answers_heartbeats_is_kept(monkeypatch):
    monkeypatch.setattr(supervised_port, "_HEARTBEAT_S", 0.2)
    monkeypatch.setattr(supervised_port, "_SILENCE_S", 0.8)
    async with served(1) as (_, addresses), running(tcp(addresses["A"])) as (_, heard):
        await heard.until_kind(RadioUp)
        await trio.sleep(2)
        assert len(heard.events) == 1


async def test_nonsense_from_the_radio_is_traced_and_dropped(capfd):
    good = mesh_pb2.MeshPacket(to=7, id=5, decoded=mesh_pb2.Data(portnum=256, payload=b"good"))
    from_nobody = mesh_pb2.FromRadio(packet=good).SerializeToString()
    setattr(good, "from", 9)
    encrypted = mesh_pb2.MeshPacket(to=7, id=6, encrypted=b"?")
    setattr(encrypted, "from", 9)
    async with (
        scripted_radio(
            b"Debug output of the radio\r\n",
            Random(2).randbytes(64).replace(b"\x94", b""),
            frame(b"\xff\xff\xff"),
            frame(b"\x12\x03abc"),
            frame(from_nobody),
            frame(mesh_pb2.FromRadio(packet=encrypted).SerializeToString()),
            frame(mesh_pb2.FromRadio(log_record=mesh_pb2.LogRecord(message="noise")).SerializeToString()),
            frame(mesh_pb2.FromRadio(packet=good).SerializeToString()),
        ) as port,
        running(port) as (_, heard),
    ):
        packet = await heard.until_kind(RadioPacket)
        assert (packet.sender, packet.payload, packet.hops, packet.snr_db) == (9, b"good", 1, None)
        assert [type(event) for event in heard.events] == [RadioUp, RadioPacket]
        assert {fact.name for fact in port._trace.facts} == {"radio.unread"}
    assert capfd.readouterr() == ("", "")


async def test_a_radio_that_restarts_is_configured_anew():
    restarted = frame(mesh_pb2.FromRadio(rebooted=True).SerializeToString())
    async with scripted_radio(restarted) as port, running(port) as (_, heard):
        await heard.until_kind(RadioUp, 2)
        assert "restarted" in (await heard.until_kind(RadioDown)).reason


async def test_cancelling_leaves_no_thread_no_noise_and_a_free_radio(capfd):
    async with served(1) as (_, addresses):
        for _ in range(3):
            async with running(tcp(addresses["A"])) as (_, heard):
                await heard.until_kind(RadioUp)
        async with running(tcp(addresses["A"])):
            await trio.sleep(0.05)
        names = {thread.name for thread in threading.enumerate()}
        assert not {"stream reader"} & names
        assert not any(name.startswith("Timer") for name in names)
        async with running(tcp(addresses["A"])) as (_, heard):
            await heard.until_kind(RadioUp)
    assert capfd.readouterr() == ("", "")


@asynccontextmanager
async def on_a_serial_port(address):
    """The path of a pseudo-terminal behind which the radio at `address` answers."""
    master, slave = os.openpty()
    tty.setraw(slave)
    radio = await trio.open_tcp_stream(address.host, address.port)

    async def copy(source, sink):
        async for data in source:
            await sink.send_all(data)

    async with trio.lowlevel.FdStream(master) as wire, radio, trio.open_nursery() as nursery:
        nursery.start_soon(copy, wire, radio)
        nursery.start_soon(copy, radio, wire)
        yield os.ttyname(slave)
        nursery.cancel_scope.cancel()
    os.close(slave)


async def test_a_radio_on_a_serial_port_sends_and_receives():
    async with (
        served(2) as (neighbourhood, addresses),
        on_a_serial_port(addresses["A"]) as path,
        running(MeshtasticPort.serial(path, Trace())) as (port, heard),
        trio.open_nursery() as nursery,
    ):
        far_end = Listener()
        b = VirtualRadioPort(neighbourhood.radios["B"])
        nursery.start_soon(b.run, far_end)
        up = await heard.until_kind(RadioUp)
        packet_id = await port.transmit(b"over the wire", to=b.info.node_number, port=256, want_ack=True)
        assert (await far_end.until_kind(RadioPacket)).payload == b"over the wire"
        assert await heard.until_kind(RadioAck) == RadioAck(packet_id, b.info.node_number, 0)
        await b.transmit(b"and back", to=up.info.node_number, port=256)
        assert (await heard.until_kind(RadioPacket)).payload == b"and back"
        nursery.cancel_scope.cancel()


async def test_a_serial_port_held_by_another_program_is_waited_for():
    async with (
        served(1) as (_, addresses),
        on_a_serial_port(addresses["A"]) as path,
        running(MeshtasticPort.serial(path, Trace())) as (_, first),
    ):
        await first.until_kind(RadioUp)
        async with running(MeshtasticPort.serial(path, Trace())) as (_, second):
            assert "can't be opened" in (await second.until_kind(RadioDown)).reason


async def test_a_serial_port_that_is_not_there_is_an_error_with_its_fix(tmp_path):
    port = MeshtasticPort.serial(str(tmp_path / "ttyUSB7"), Trace())
    with pytest.raises(LocalError, match=r"ttyUSB7 is not there.*Plug it in"):
        await port.run(Listener())


async def test_a_file_that_is_no_serial_port_is_told(tmp_path):
    path = tmp_path / "notes.txt"
    path.touch()
    async with running(MeshtasticPort.serial(str(path), Trace())) as (_, heard):
        assert "can't be opened" in (await heard.until_kind(RadioDown)).reason


async def test_a_missing_permission_names_the_group_to_join(monkeypatch):
    from meshtastic import serial_interface

    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(serial_interface, "open", refuse, raising=False)
    with pytest.raises(LocalError, match="dialout"):
        await MeshtasticPort.serial("/dev/ttyUSB0", Trace()).run(Listener())


@pytest.mark.parametrize(
    ("attached", "message"),
    [((), "No radio is plugged in"), (("/dev/ttyUSB0", "/dev/ttyACM0"), "Several serial ports")],
)
async def test_without_a_name_there_must_be_exactly_one_radio(monkeypatch, attached, message):
    radios = tuple(AttachedRadio(port, "Espressif") for port in attached)
    monkeypatch.setattr(meshtastic_port, "attached_radios", lambda: radios)
    with pytest.raises(LocalError, match=message):
        await MeshtasticPort.serial(None, Trace()).run(Listener())
