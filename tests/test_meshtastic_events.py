"""What a radio's protobuf messages mean to a node."""

import pytest
from google.protobuf.message import DecodeError
from meshtastic.protobuf import mesh_pb2, telemetry_pb2

from nodes.bearers.meshtastic_events import channel_key, node_from, packet_events
from nodes.interfaces import ChannelKey, RadioAck, RadioLoad, RadioNode, RadioPacket, RadioRoute

OWN, OTHER = 0x1000, 0x2000


def events(port, payload, *, sender=OTHER, to=OWN, **fields):
    """What a packet of `sender` on `port` tells."""
    packet = mesh_pb2.MeshPacket(to=to, id=5, hop_start=3, hop_limit=2, rx_snr=6.5)
    setattr(packet, "from", sender)
    packet.decoded.CopyFrom(mesh_pb2.Data(portnum=port, payload=payload, **fields))
    return list(packet_events(packet, OWN))


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (b"", ChannelKey.NONE),
        (b"\x00", ChannelKey.NONE),
        (b"\x01", ChannelKey.DEFAULT),
        (b"\x0a", ChannelKey.DEFAULT),
        (bytes(16), ChannelKey.OWN),
        (bytes(range(32)), ChannelKey.OWN),
    ],
)
def test_a_channels_key_is_worth_what_who_has_it_says(key, kind):
    assert channel_key(key) is kind


def test_a_secondary_channel_without_a_key_has_the_primarys():
    assert channel_key(b"", b"\x01") is ChannelKey.DEFAULT
    assert channel_key(b"", bytes(32)) is ChannelKey.OWN
    assert channel_key(b"\x00", bytes(32)) is ChannelKey.NONE


def test_the_radios_own_measurements_tell_how_busy_the_channel_is():
    metrics = telemetry_pb2.DeviceMetrics(channel_utilization=12.5, air_util_tx=1.25)
    payload = telemetry_pb2.Telemetry(device_metrics=metrics).SerializeToString()
    assert events(67, payload, sender=OWN, to=0xFFFFFFFF) == [RadioLoad(12.5, 1.25)]


def test_another_radios_measurements_say_nothing_of_our_air():
    payload = telemetry_pb2.Telemetry(device_metrics={"channel_utilization": 90}).SerializeToString()
    assert [type(event) for event in events(67, payload)] == [RadioPacket]


def test_own_telemetry_of_another_kind_is_no_load():
    payload = telemetry_pb2.Telemetry(environment_metrics={"temperature": 20}).SerializeToString()
    assert events(67, payload, sender=OWN) == []


def test_a_node_that_introduces_itself_is_told_with_role_and_key():
    user = mesh_pb2.User(long_name="Hill", role=2, public_key=bytes(32))
    packet, node = events(4, user.SerializeToString(), to=0xFFFFFFFF)
    assert isinstance(packet, RadioPacket)
    assert node == RadioNode(OTHER, "Hill", "ROUTER", True)


def test_a_role_that_a_newer_firmware_added_has_no_name():
    assert node_from(OTHER, mesh_pb2.User(role=99)) == RadioNode(OTHER, "", "", False)


def test_the_answer_to_a_traceroute_names_the_relays_in_order():
    route = mesh_pb2.RouteDiscovery(route=[7, 0xFFFFFFFF, 9]).SerializeToString()
    assert RadioRoute(OTHER, (7, 0xFFFFFFFF, 9)) in events(70, route, request_id=3)


def test_a_direct_neighbours_answer_to_a_traceroute_is_an_empty_route():
    assert events(70, b"", request_id=3) == [RadioRoute(OTHER, ())]


def test_a_traceroute_that_asks_or_that_others_asked_for_is_no_answer_to_us():
    route = mesh_pb2.RouteDiscovery(route=[7]).SerializeToString()
    assert [type(event) for event in events(70, route)] == [RadioPacket]
    assert [type(event) for event in events(70, route, request_id=3, to=0x3000)] == [RadioPacket]


def test_an_acknowledgement_carries_its_error():
    assert events(5, b"\x18\x09", request_id=3) == [RadioAck(3, OTHER, 9)]
    assert events(5, b"\x18\x00") == []


def test_what_came_over_the_internet_or_sealed_is_told_as_such():
    packet = mesh_pb2.MeshPacket(to=OWN, id=5, channel=3, pki_encrypted=True, via_mqtt=True)
    setattr(packet, "from", OTHER)
    packet.decoded.CopyFrom(mesh_pb2.Data(portnum=256, payload=b"?", reply_id=8))
    (event,) = packet_events(packet, OWN)
    assert (event.channel, event.pkc, event.via_mqtt, event.reply_id, event.snr_db) == (0, True, True, 8, None)


@pytest.mark.parametrize("port", [4, 70])
def test_nonsense_in_meshtastics_own_ports_is_refused(port):
    with pytest.raises(DecodeError):
        events(port, b"\xff\xff\xff", request_id=3)
