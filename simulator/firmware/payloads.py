"""The few protobuf payloads that a radio's own firmware writes and reads: NodeInfo, position, traceroute, telemetry.

Coded by hand because `meshtastic.protobuf` is slow and large to import, and virtual time needs nothing else of it.
Field numbers are those of `mesh.proto` and `telemetry.proto`. What is no such message reads as None.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from simulator.firmware.settings import ROLES

__all__ = ["DeviceMetrics", "NodeInfo", "Position", "Route", "read_metrics", "read_node_info", "read_route"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ROUTE_MAX = 8
_FROM_RECEIVER = 2
"""`LocSource` of a place that the radio's own satellite receiver found."""
_USUAL_DILUTION, _USUAL_SATELLITES = 150, 9
_PRECISION_BITS = 32
_PORTDUINO = 37
"""`HardwareModel` of radios that are programs."""
_ROLE_NUMBERS = {
    "CLIENT": 0,
    "CLIENT_MUTE": 1,
    "ROUTER": 2,
    "TRACKER": 5,
    "SENSOR": 6,
    "TAK": 7,
    "CLIENT_HIDDEN": 8,
    "LOST_AND_FOUND": 9,
    "TAK_TRACKER": 10,
    "ROUTER_LATE": 11,
    "CLIENT_BASE": 12,
}
_ROLE_NAMES = {number: name for name, number in _ROLE_NUMBERS.items()}
assert _ROLE_NUMBERS.keys() == ROLES.keys()

_Value = int | bytes


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node's introduction of itself (`User`)."""

    number: int
    long_name: str
    short_name: str
    role: str = "CLIENT"
    public_key: bytes = b""
    licensed: bool = False

    def encode(self) -> bytes:
        """Its bytes in a NODEINFO_APP packet."""
        return b"".join(
            (
                _bytes_field(1, f"!{self.number:08x}".encode()),
                _bytes_field(2, self.long_name.encode()),
                _bytes_field(3, self.short_name.encode()),
                _varint_field(5, _PORTDUINO),
                _varint_field(6, int(self.licensed)),
                _varint_field(7, _ROLE_NUMBERS[self.role]),
                _bytes_field(8, self.public_key),
            )
        )


@dataclass(frozen=True, slots=True)
class Route:
    """The way of a traceroute so far (`RouteDiscovery`); SNRs in quarters of a dB."""

    towards: tuple[int, ...] = ()
    """Node numbers of the relays on the way there."""
    snr_towards: tuple[int, ...] = ()
    back: tuple[int, ...] = ()
    snr_back: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """Its bytes in a TRACEROUTE_APP packet."""
        return b"".join(
            (
                _bytes_field(1, struct.pack(f"<{len(self.towards)}I", *self.towards)),
                _bytes_field(2, b"".join(_varint(snr & 0xFFFFFFFFFFFFFFFF) for snr in self.snr_towards)),
                _bytes_field(3, struct.pack(f"<{len(self.back)}I", *self.back)),
                _bytes_field(4, b"".join(_varint(snr & 0xFFFFFFFFFFFFFFFF) for snr in self.snr_back)),
            )
        )

    def with_hop(self, number: int, snr_db: float, *, returning: bool, at_end: bool) -> Route:
        """Add how a node heard it, and the node itself unless the way ends there."""
        route, snrs = (self.back, self.snr_back) if returning else (self.towards, self.snr_towards)
        snrs = (*snrs, int(snr_db * 4))[:_ROUTE_MAX]
        route = route if at_end else (*route, number)[:_ROUTE_MAX]
        return (
            Route(self.towards, self.snr_towards, route, snrs)
            if returning
            else Route(route, snrs, self.back, self.snr_back)
        )


@dataclass(frozen=True, slots=True)
class DeviceMetrics:
    """How busy a radio finds the channel (`Telemetry.device_metrics`)."""

    channel_utilisation_percent: float
    air_util_tx_percent: float
    uptime_s: int
    time_s: int = 0
    """The radio's clock; 0 while it is not set."""

    def encode(self) -> bytes:
        """Its bytes in a TELEMETRY_APP packet; the radio has no battery, as one on mains."""
        metrics = b"".join(
            (
                _varint_field(1, 101),
                _float_field(3, self.channel_utilisation_percent),
                _float_field(4, self.air_util_tx_percent),
                _key(5, _VARINT) + _varint(self.uptime_s),
            )
        )
        return _fixed32_field(1, self.time_s) + _bytes_field(2, metrics)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a radio is (`Position`), with what the firmware adds by default."""

    latitude: int
    """In 1e-7 degrees, as `longitude`."""
    longitude: int
    altitude_m: int
    time_s: int
    """The radio's clock."""

    def encode(self) -> bytes:
        """Its bytes in a POSITION_APP packet."""
        return b"".join(
            (
                _key(1, _FIXED32) + struct.pack("<i", self.latitude),
                _key(2, _FIXED32) + struct.pack("<i", self.longitude),
                _key(3, _VARINT) + _varint(self.altitude_m),
                _fixed32_field(4, self.time_s),
                _varint_field(5, _FROM_RECEIVER),
                _varint_field(11, _USUAL_DILUTION),
                _key(15, _VARINT) + _varint(0),
                _varint_field(19, _USUAL_SATELLITES),
                _varint_field(23, _PRECISION_BITS),
            )
        )


def read_node_info(payload: bytes, number: int) -> NodeInfo | None:
    """Read the NodeInfo that node `number` sent."""
    try:
        fields = dict(_fields(payload))
    except ValueError:
        return None
    long_name, short_name, public_key = (fields.get(field, b"") for field in (2, 3, 8))
    if not (isinstance(long_name, bytes) and isinstance(short_name, bytes) and isinstance(public_key, bytes)):
        return None
    role = fields.get(7, 0)
    return NodeInfo(
        number,
        long_name.decode(errors="replace"),
        short_name.decode(errors="replace"),
        _ROLE_NAMES.get(role, "CLIENT") if isinstance(role, int) else "CLIENT",
        public_key if len(public_key) == 32 else b"",
        fields.get(6) == 1,
    )


def read_route(payload: bytes) -> Route | None:
    """Read a traceroute."""
    try:
        fields = dict(_fields(payload))
        packed = [value if isinstance(value := fields.get(field, b""), bytes) else b"" for field in (1, 2, 3, 4)]
        towards, back = (struct.unpack(f"<{len(part) // 4}I", part) for part in (packed[0], packed[2]))
        snr_towards, snr_back = (tuple(_signed(value) for value in _varints(part)) for part in (packed[1], packed[3]))
    except (ValueError, struct.error):
        return None
    if max(len(towards), len(back), len(snr_towards), len(snr_back)) > _ROUTE_MAX:
        return None
    return Route(towards, snr_towards, back, snr_back)


def read_metrics(payload: bytes) -> DeviceMetrics | None:
    """Read a radio's own figures; None for telemetry of other kinds."""
    try:
        metrics = dict(_fields(payload)).get(2)
        if not isinstance(metrics, bytes):
            return None
        fields = dict(_fields(metrics))
        utilisation, air_util_tx = (
            struct.unpack("<f", struct.pack("<I", value))[0] if isinstance(value := fields.get(field, 0), int) else 0.0
            for field in (3, 4)
        )
    except (ValueError, struct.error):
        return None
    uptime = fields.get(5, 0)
    return DeviceMetrics(utilisation, air_util_tx, uptime if isinstance(uptime, int) else 0)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _key(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _varint_field(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _varint(value) if value else b""


def _bytes_field(field: int, value: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(value)) + value if value else b""


def _fixed32_field(field: int, value: int) -> bytes:
    return _key(field, _FIXED32) + struct.pack("<I", value) if value else b""


def _float_field(field: int, value: float) -> bytes:
    return _key(field, _FIXED32) + struct.pack("<f", value)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _read_varint(data: bytes, start: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[start : start + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, start + place + 1
    raise ValueError("a number without end")


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _read_varint(data, at)
        yield value


def _fields(data: bytes) -> Iterator[tuple[int, _Value]]:
    """The fields of a protobuf message, in order; ValueError for what is none."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        if key & 7 == _VARINT:
            value, at = _read_varint(data, at)
            yield key >> 3, value
            continue
        if key & 7 == _BYTES:
            length, at = _read_varint(data, at)
        elif key & 7 in (_FIXED32, _FIXED64):
            length = 4 if key & 7 == _FIXED32 else 8
        else:
            raise ValueError("an unknown wire type")
        if at + length > len(data):
            raise ValueError("cut short")
        part = data[at : at + length]
        yield key >> 3, part if key & 7 == _BYTES else int.from_bytes(part, "little")
        at += length
