"""A real Meshtastic radio as a RadioPort, through the `meshtastic` library.

The library opens the link, frames, and downloads the configuration. Some of its methods are replaced on the instance,
so that it neither reconnects nor waits nor sends nor prints on its own. It blocks and has threads of its own; bridging
them to trio and watching over the connection is `nodes.bearers.supervised_port`.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from nodes.bearers.attached import attached_radios
from nodes.bearers.meshtastic_events import info_from, load_from, node_from, packet_events
from nodes.bearers.supervised_port import (
    Configured,
    Driver,
    Lost,
    QueueReport,
    Report,
    SupervisedPort,
    Unread,
)
from nodes.interfaces import OutgoingPacket
from nodes.trace import Trace
from protocol.errors import LocalError

__all__ = ["MeshtasticPort"]

_CONNECT_S = 10.0


class MeshtasticPort(SupervisedPort):
    """A radio on a serial port or on TCP."""

    @classmethod
    def tcp(cls, host: str, port: int, trace: Trace) -> MeshtasticPort:
        """The radio at this host. It serves one client: whoever connects later takes it from us."""
        name = f"the radio at {host} port {port}"
        return cls(partial(_MeshtasticDriver, name, partial(_tcp_interface, host, port)), trace)

    @classmethod
    def serial(cls, path: str | None, trace: Trace) -> MeshtasticPort:
        """The radio on this serial port; None for the only one that looks like a radio's."""
        name = f"the radio on {path or 'USB'}"
        return cls(partial(_MeshtasticDriver, name, partial(_serial_interface, path)), trace)


class _MeshtasticDriver(Driver):
    """One connection through one of the library's interfaces."""

    def __init__(self, radio: str, make_interface: Callable[[], Any]) -> None:
        """`radio` names it in messages."""
        self._radio = radio
        self._make_interface = make_interface
        self._interface: Any = None
        self._tell: Callable[[Report], None] = lambda report: None
        self._is_configured = False
        self._nodes: dict[int, Any] = {}
        """The radio's node database, as `NodeInfo` messages by number."""

    def open(self, tell: Callable[[Report], None]) -> None:
        """Connect and ask for the configuration."""
        logging.getLogger("meshtastic").addHandler(logging.NullHandler())  # else its complaints go to the terminal
        self._tell = tell
        try:
            self._interface = interface = self._make_interface()
            interface._handleFromRadio = partial(self._hear, interface._handleFromRadio)
            interface._disconnected = partial(self._on_disconnected, interface._disconnected)
            interface._reconnect = lambda: setattr(interface, "_wantExit", True)
            interface._startHeartbeat = interface._waitConnected = lambda: None
            interface.connect()
        except LocalError:
            raise
        except (Exception, SystemExit) as error:  # the library, pyserial and termios raise and exit as they like
            raise self._in_plain_words(error) from error

    def close(self) -> None:
        """Let go of the link."""
        if self._interface is not None:
            with suppress(Exception):  # the radio may be gone in any way, and nothing is left to save
                self._interface.close()

    def new_packet_id(self) -> int:
        """Return a fresh packet id."""
        return int(self._interface._generatePacketId())

    def own_node_info(self) -> bytes:
        """The radio's own `User` message; empty when it told none."""
        own = self._nodes.get(self._interface.myInfo.my_node_num)
        return bytes(own.user.SerializeToString()) if own else b""

    def write(self, packet: OutgoingPacket | None) -> None:
        """Write past the library's queue: that blocks for ever when full, and repeats what got no queue status."""
        from meshtastic.protobuf import mesh_pb2

        message = mesh_pb2.ToRadio()
        if packet is None:
            message.heartbeat.SetInParent()
        else:
            data = mesh_pb2.Data(
                portnum=packet.port,
                payload=packet.payload,
                want_response=packet.want_response,
                reply_id=packet.reply_id,
            )
            head = mesh_pb2.MeshPacket(id=packet.packet_id, to=packet.to, channel=packet.channel, decoded=data)
            message.packet.CopyFrom(head)
            message.packet.want_ack = packet.want_ack
            message.packet.hop_limit = packet.hop_limit or 0
            message.packet.priority = mesh_pb2.MeshPacket.BACKGROUND  # people's messages pass ours in its queue
        try:
            self._interface._sendToRadioImpl(message)
        except Exception as error:  # sockets, pyserial and termios each have their own
            raise OSError(f"{self._radio} closed the connection") from error

    def _hear(self, configure: Callable[[bytes], None], message: bytes) -> None:
        """Take one message in the library's reader thread, which would print whatever is raised here."""
        from meshtastic.protobuf import mesh_pb2

        try:
            heard = mesh_pb2.FromRadio.FromString(message)
            match heard.WhichOneof("payload_variant"):
                case "queueStatus":
                    status = heard.queueStatus
                    self._tell(QueueReport(status.mesh_packet_id, status.res, status.free))
                case "rebooted" if self._is_configured:
                    self._tell(Lost(f"{self._radio} restarted"))
                case "rebooted":
                    self._interface._startConfig()  # opening the port restarts some boards, which forget our request
                case "packet" if self._is_configured:
                    for event in packet_events(heard.packet, self._interface.myInfo.my_node_num):
                        self._tell(event)
                case "node_info" if self._is_configured:
                    self._hear_node(heard.node_info)
                case str(kind) if not self._is_configured and kind not in ("packet", "log_record"):
                    if kind == "node_info":
                        self._nodes[heard.node_info.num] = heard.node_info
                    configure(message)
                    self._note_configured()
        except Exception as error:  # protobuf's own errors, and the library's where a radio sends nonsense
            self._tell(Unread(str(error)))

    def _note_configured(self) -> None:
        """Tell what the radio is, once it has told all of it."""
        if self._interface.isConnected.is_set():
            self._is_configured = True
            self._tell(Configured(info_from(self._interface)))
            for node in self._nodes.values():
                self._hear_node(node)

    def _hear_node(self, node: Any) -> None:
        """Remember and tell what the radio knows of a node, and of the channel by its own measure."""
        self._nodes[node.num] = node
        if node.num == self._interface.myInfo.my_node_num and node.HasField("device_metrics"):
            self._tell(load_from(node.device_metrics))
        self._tell(node_from(node.num, node.user))

    def _on_disconnected(self, disconnected: Callable[[], None]) -> None:
        self._tell(Lost(f"{self._radio} closed the connection"))
        with suppress(Exception):  # closing what an unplugged radio left behind
            disconnected()

    def _in_plain_words(self, error: BaseException) -> LocalError | OSError:
        match error:
            case PermissionError():
                fix = "add yourself to the group dialout (`sudo usermod -aG dialout $USER`) and log in again"
                return LocalError(f"no permission to open {self._radio}", str(error), fix)
            case FileNotFoundError():
                return LocalError(f"{self._radio} is not there", str(error), "plug it in, or name another port")
            case ConnectionRefusedError():
                return OSError(f"{self._radio} refuses the connection: nothing listens there")
        return OSError(f"{self._radio} can't be opened: {error or type(error).__name__}")


def _tcp_interface(host: str, port: int) -> Any:
    from meshtastic.tcp_interface import TCPInterface

    interface: Any = TCPInterface(host, connectNow=False, portNumber=port)

    def connect_in_time() -> None:
        interface.socket = socket.create_connection((host, port), timeout=_CONNECT_S)
        interface.socket.settimeout(None)
        if interface._wantExit:  # closed meanwhile
            interface.socket.close()

    interface.myConnect = connect_in_time
    return interface


def _serial_interface(path: str | None) -> Any:
    from meshtastic.serial_interface import SerialInterface

    if path is None:
        found = [radio.port for radio in attached_radios()]
        if len(found) != 1:
            what = "several serial ports may be radios" if found else "no radio is plugged in"
            raise LocalError(what, ", ".join(found), "name its port, such as serial:/dev/ttyUSB0")
        path = found[0]
    return SerialInterface(path, connectNow=False)
