"""A radio's administration behind a driver: what it keeps, what is only begun, and its restart, as firmware 2.8 does.

It stands where the `meshtastic` library and a board would: `RadioDesk` and `SupervisedPort` above it are the real ones.
"""

from __future__ import annotations

from meshtastic.protobuf import admin_pb2, channel_pb2, config_pb2, mesh_pb2, module_config_pb2

from nodes.bearers.meshtastic_events import channel_key, packet_events
from nodes.bearers.meshtastic_link import enum_name
from nodes.bearers.supervised_port import Configured, Driver, Lost, QueueReport, SupervisedPort
from nodes.interfaces import RadioChannel, RadioInfo
from nodes.trace import Trace

__all__ = ["AdminRadio"]

_Lora = config_pb2.Config.LoRaConfig


def a_channel(index, role=channel_pb2.Channel.DISABLED, **settings):
    return channel_pb2.Channel(index=index, role=role, settings=channel_pb2.ChannelSettings(**settings))


class AdminRadio:
    """A board out of the box: region unset, only the public channel. `driver` is for SupervisedPort."""

    def __init__(self, number=0x1000):
        self.number, self.number_after_region = number, number
        self.firmware, self.licensed, self.serial_module = "2.7.15.567b8ea", False, False
        self.kept = (
            _Lora(use_preset=True, hop_limit=3, tx_power=30, sx126x_rx_boosted_gain=True),
            [a_channel(0, channel_pb2.Channel.PRIMARY, psk=b"\x01"), *(a_channel(index) for index in range(1, 8))],
        )
        self.present = self._copy()
        self.orders = []
        """Names of the orders that came."""
        self.answers = True
        self.vanishes_at = self.refuses = ""
        """Name of an order at which the radio is gone, or which it refuses."""
        self.restarts = 0
        self._tell = lambda report: None

    def port(self, trace=None):
        """A port whose connections all lead to this radio."""
        return SupervisedPort(lambda: _Connection(self), trace or Trace())

    @property
    def lora(self):
        """The kept LoRa settings."""
        return self.kept[0]

    @property
    def channels(self):
        """The kept channels."""
        return self.kept[1]

    def set_lora(self, **fields):
        """Keep these LoRa settings."""
        for name, value in fields.items():
            setattr(self.lora, name, value)
        self.present = self._copy()

    def set_channel(self, index, name, key, role=channel_pb2.Channel.SECONDARY):
        """Keep a channel."""
        self.channels[index].CopyFrom(a_channel(index, role, name=name, psk=key))
        self.present = self._copy()

    def info(self):
        """What it says of itself."""
        lora, channels = self.present
        used = [channel for channel in channels if channel.role != channel_pb2.Channel.DISABLED]
        return RadioInfo(
            self.number,
            "Roof",
            self.firmware,
            enum_name(_Lora.RegionCode, lora.region),
            enum_name(_Lora.ModemPreset, lora.modem_preset) if lora.use_preset else "",
            lora.hop_limit,
            channels=tuple(
                RadioChannel(c.index, c.settings.name, channel_key(c.settings.psk, channels[0].settings.psk))
                for c in used
            ),
            licensed=self.licensed,
            ok_to_mqtt=lora.config_ok_to_mqtt,
        )

    def _copy(self):
        lora, channels = _Lora(), [channel_pb2.Channel() for _ in range(8)]
        lora.CopyFrom(self.kept[0])
        for copy, channel in zip(channels, self.kept[1], strict=True):
            copy.CopyFrom(channel)
        return lora, channels

    def restart(self):
        """Begin anew with what is kept."""
        self.restarts += 1
        self.present = self._copy()
        self._tell(Lost("it restarted"))

    def connect(self, tell):
        self._tell = tell
        tell(Configured(self.info()))

    def take(self, packet):
        """Take an order or a request and say what a radio says."""
        self._tell(QueueReport(packet.packet_id, 0, 16))
        message = admin_pb2.AdminMessage.FromString(packet.payload)
        order = message.WhichOneof("payload_variant")
        self.orders.append(order)
        if not self.answers:
            return
        if order == self.vanishes_at:
            self.restart()
            return
        answer = admin_pb2.AdminMessage()
        lora, channels = self.present
        if order == self.refuses:
            self._say(packet, 5, mesh_pb2.Routing(error_reason=mesh_pb2.Routing.BAD_REQUEST).SerializeToString())
            return
        match order:
            case "get_config_request":
                answer.get_config_response.lora.CopyFrom(lora)
            case "get_module_config_request":
                serial = module_config_pb2.ModuleConfig.SerialConfig(enabled=self.serial_module)
                answer.get_module_config_response.serial.CopyFrom(serial)
            case "get_channel_request":
                answer.get_channel_response.CopyFrom(channels[message.get_channel_request - 1])
            case "set_config":
                if lora.region == _Lora.UNSET and message.set_config.lora.region != _Lora.UNSET:
                    self.number = self.number_after_region  # the firmware makes its keys now, and a number from them
                lora.CopyFrom(message.set_config.lora)
            case "set_channel":
                channels[message.set_channel.index].CopyFrom(message.set_channel)
        if packet.want_response:
            self._say(packet, 6, answer.SerializeToString())
        else:
            self._say(packet, 5, b"\x18\x00")
        if order == "commit_edit_settings":
            self.kept = self.present
            self.restart()
        elif order == "reboot_seconds":
            self.restart()

    def _say(self, packet, port, payload):
        data = mesh_pb2.Data(portnum=port, payload=payload, request_id=packet.packet_id)
        message = mesh_pb2.MeshPacket(to=self.number, id=1, decoded=data)
        setattr(message, "from", packet.to)
        for event in packet_events(message, packet.to):
            self._tell(event)


class _Connection(Driver):
    def __init__(self, radio):
        self._radio = radio
        self._ids = iter(range(1 + 1000 * radio.restarts, 1 << 32))

    def open(self, tell):
        self._radio.connect(tell)

    def close(self):
        pass

    def new_packet_id(self):
        return next(self._ids)

    def own_node_info(self):
        return b""

    def write(self, packet):
        if packet is None:
            self._radio._tell(QueueReport(0, 0, 16))
        else:
            self._radio.take(packet)
