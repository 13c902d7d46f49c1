"""Reads and writes a radio's settings, as its own owner at its own cable: Meshtastic's administration messages.

They travel over any RadioPort to the radio itself and never go on the air. What should be set is decided in
`nodes.radio_setup`. Keys pass through here: nothing of it is traced.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import trio

from nodes.bearers.meshtastic_events import channel_key
from nodes.bearers.meshtastic_link import enum_name, make_link
from nodes.interfaces import RadioAck, RadioDown, RadioEvent, RadioInfo, RadioPacket, RadioPort, RadioUp
from nodes.radio_setup import ChannelSlot, Plan, Settings
from protocol.errors import LocalError

if TYPE_CHECKING:
    from meshtastic.protobuf import admin_pb2

__all__ = ["RadioDesk", "open_desk"]

_ADMIN_PORT = 6
_SLOTS = 8
_ANSWER_S = 5.0
_WRITE_S = 15.0
_RESTART_BEGINS_S = 20.0
"""The firmware restarts 7 s after the last word of a change (`DEFAULT_REBOOT_SECONDS`)."""
_RESTART_ENDS_S = 120.0
"""A radio on Wi-Fi takes its time."""


class RadioDesk:
    """One radio whose settings are read and written. Use `open_desk`."""

    def __init__(self, port: RadioPort) -> None:
        self._port = port
        self._info: RadioInfo | None = None
        self._down = ""
        """Why the radio is away; empty while it is there, or was not there yet."""
        self._times_up = self._times_up_before = 0
        """How often it came up, so far and before the last change."""
        self._answers: dict[int, RadioAck | bytes] = {}
        """By packet id."""
        self._changed = trio.Event()
        self._lora: Any = None
        """The radio's `LoRaConfig` as last read, whole: what we don't know is written back as it was."""

    @property
    def info(self) -> RadioInfo:
        """What the radio last said of itself."""
        if self._info is None:
            raise LocalError("the radio has not answered yet")
        return self._info

    def take(self, event: RadioEvent) -> None:
        """Note what the port tells."""
        match event:
            case RadioUp(info):
                self._info, self._down = info, ""
                self._times_up += 1
            case RadioDown(reason):
                self._down = reason
                self._answers.clear()
            case RadioPacket() if event.port == _ADMIN_PORT and self._info and event.sender == self._info.node_number:
                self._answers[event.request_id] = event.payload
            case RadioAck():
                self._answers.setdefault(event.packet_id, event)
            case _:
                return
        self._changed.set()
        self._changed = trio.Event()

    async def introduced(self) -> RadioInfo:
        """Wait until the radio says what it is; raises LocalError when it can't be reached."""
        while self._info is None:
            if self._down:
                fix = "check cable, address and power, and stop what else may hold it, such as `meshai up` or an app"
                raise LocalError("the radio can't be reached", self._down, fix)
            await self._changed.wait()
        return self._info

    async def read(self) -> Settings:
        """Read the settings; raises LocalError when the radio does not tell them."""
        from meshtastic.protobuf import admin_pb2, channel_pb2
        from meshtastic.protobuf.config_pb2 import Config

        request = admin_pb2.AdminMessage
        self._lora = lora = (await self._ask(request(get_config_request=request.LORA_CONFIG))).get_config_response.lora
        modules = await self._ask(request(get_module_config_request=request.SERIAL_CONFIG))
        channels = [
            (await self._ask(request(get_channel_request=index + 1))).get_channel_response for index in range(_SLOTS)
        ]
        primary_key = channels[0].settings.psk
        return Settings(
            region=enum_name(Config.LoRaConfig.RegionCode, lora.region),
            preset=enum_name(Config.LoRaConfig.ModemPreset, lora.modem_preset) if lora.use_preset else "",
            transmits=lora.tx_enabled,
            ok_to_mqtt=lora.config_ok_to_mqtt,
            licensed=self.info.licensed,
            serial_module=modules.get_module_config_response.serial.enabled,
            slots=tuple(
                ChannelSlot(
                    index,
                    channel.settings.name,
                    channel.settings.psk,
                    channel_key(channel.settings.psk, primary_key),
                    channel.role != channel_pb2.Channel.DISABLED,
                )
                for index, channel in enumerate(channels)
            ),
        )

    async def write(self, plan: Plan) -> None:
        """Write a plan in one piece: until its last word the radio keeps nothing, and then all of it.

        Not to be cut short: a cancellation waits for its end. Raises LocalError when the radio refuses or goes away.
        """
        from meshtastic.protobuf import admin_pb2

        self._times_up_before = self._times_up
        with trio.CancelScope(shield=True):
            try:
                with trio.fail_after(_WRITE_S):
                    for message in (admin_pb2.AdminMessage(begin_edit_settings=True), *self._changes(plan)):
                        await self._tell(message)
            except (LocalError, trio.TooSlowError) as error:
                await self._discard()
                why = error.why or error.what if isinstance(error, LocalError) else "it does not answer"
                fix = "it keeps what it had: switch it off and on, and try again"
                raise LocalError("the settings were not written", why, fix) from error
            with suppress(LocalError):  # some restart before they acknowledge it; reading back tells what was kept
                await self._tell(admin_pb2.AdminMessage(commit_edit_settings=True))
        await trio.lowlevel.checkpoint_if_cancelled()

    async def restarted(self) -> RadioInfo:
        """Wait until the radio has restarted with what was written, and return what it says of itself then."""
        with trio.move_on_after(_RESTART_BEGINS_S):
            while not self._down and self._times_up == self._times_up_before:
                await self._changed.wait()
        with trio.move_on_after(_RESTART_ENDS_S):
            while self._down:
                await self._changed.wait()
        if self._down:
            why = f"{self._down}, {_RESTART_ENDS_S:.0f} s after it was told to restart"
            raise LocalError("the radio does not come back", why, "switch it off and on, and set up again")
        return self.info

    def link(self, slot: ChannelSlot) -> str:
        """The link that brings a neighbour's radio onto this channel; after `read`."""
        return make_link(slot, self._lora)

    def _changes(self, plan: Plan) -> Iterator[admin_pb2.AdminMessage]:
        from meshtastic.protobuf import admin_pb2, channel_pb2
        from meshtastic.protobuf.config_pb2 import Config

        if plan.changes_lora:
            lora = Config.LoRaConfig()
            lora.CopyFrom(self._lora)
            lora.region = _number(Config.LoRaConfig.RegionCode, plan.region)
            lora.modem_preset = _number(Config.LoRaConfig.ModemPreset, plan.preset)
            lora.use_preset = lora.tx_enabled = True
            lora.config_ok_to_mqtt = plan.ok_to_mqtt
            yield admin_pb2.AdminMessage(set_config=Config(lora=lora))
        if plan.changes_channel:
            settings = channel_pb2.ChannelSettings(name=plan.slot.name, psk=plan.slot.key)
            role = channel_pb2.Channel.SECONDARY
            channel = channel_pb2.Channel(index=plan.slot.index, settings=settings, role=role)
            yield admin_pb2.AdminMessage(set_channel=channel)

    async def _ask(self, message: admin_pb2.AdminMessage) -> admin_pb2.AdminMessage:
        """Send a request to the radio itself and return its answer."""
        from google.protobuf.message import DecodeError
        from meshtastic.protobuf import admin_pb2

        answer = await self._exchange(message, want_response=True)
        if isinstance(answer, bytes):
            with suppress(DecodeError):
                return admin_pb2.AdminMessage.FromString(answer)
        fix = "if it is managed from afar, set it up there, or switch managed mode off"
        raise LocalError("the radio does not tell its settings", "it refuses the request", fix)

    async def _tell(self, message: admin_pb2.AdminMessage) -> None:
        """Send an order to the radio itself and wait until it is acknowledged."""
        answer = await self._exchange(message, want_response=False)
        if isinstance(answer, RadioAck) and answer.error:
            raise LocalError("the radio refuses", f"its error {answer.error}")

    async def _exchange(self, message: admin_pb2.AdminMessage, *, want_response: bool) -> RadioAck | bytes:
        packet_id = await self._port.transmit(
            message.SerializeToString(),
            to=self.info.node_number,
            port=_ADMIN_PORT,
            want_ack=not want_response,
            want_response=want_response,
        )
        with trio.move_on_after(_ANSWER_S):
            while (answer := self._answers.get(packet_id)) is None or (want_response and _is_receipt(answer)):
                if self._down:
                    raise LocalError("the radio is gone", self._down)
                await self._changed.wait()
            return answer
        fix = "if it is managed from afar, set it up there, or switch managed mode off"
        raise LocalError("the radio does not answer to its own settings", f"nothing came for {_ANSWER_S:.0f} s", fix)

    async def _discard(self) -> None:
        """Have the radio forget what was begun, if it is still there: a restart reads what it kept."""
        from meshtastic.protobuf import admin_pb2

        with suppress(LocalError), trio.move_on_after(_ANSWER_S):
            await self._tell(admin_pb2.AdminMessage(reboot_seconds=1))


@asynccontextmanager
async def open_desk(port: RadioPort) -> AsyncIterator[RadioDesk]:
    """Connect to a radio; the block begins when it has said what it is. Raises LocalError when it can't be reached."""
    desk = RadioDesk(port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.run, desk.take)
        await desk.introduced()
        yield desk
        nursery.cancel_scope.cancel()


def _is_receipt(answer: RadioAck | bytes) -> bool:
    return isinstance(answer, RadioAck) and not answer.error


def _number(kind: Any, name: str) -> int:
    if name not in kind.keys():  # noqa: SIM118  a protobuf enum has no `in`
        raise LocalError(
            f"the installed meshtastic library knows no {name}", "", "update it: pip install -U meshtastic"
        )
    return int(kind.Value(name))
