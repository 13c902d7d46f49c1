"""What a virtual radio does with its client's AdminMessages: questions answered, settings written, restarts.

The order of things follows firmware `AdminModule.cpp`: a write takes effect with a restart soon after it, but between
`begin_edit_settings` and `commit_edit_settings` only then, and channels at once. 2.8 alone takes a new LoRa
configuration without a restart, outside such an edit; here it restarts, as older ones do, for clients must stand both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshtastic.protobuf import admin_pb2, channel_pb2, config_pb2, module_config_pb2

from protocol.errors import LocalError
from simulator.channels import CHANNELS_MAX
from simulator.clients import configuration
from simulator.firmware.settings import KnownNode, RadioSettings
from simulator.packet import RoutingError

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from simulator.device import VirtualRadio

__all__ = ["AdminAnswer", "Administrator"]

AdminAnswer = bytes | RoutingError
"""An encoded AdminMessage, or the verdict on a write."""

_RESTART_AFTER_S = 2.0
"""Time to finish talking; real radios give seven."""
_SESSION_KEY_BYTES = 8
_KEY_BYTES = 32
_PASSED_OVER = frozenset(
    ("set_time_only", "set_favorite_node", "remove_favorite_node", "set_ignored_node", "remove_ignored_node")
)
"""Writes that are accepted and change nothing here."""


class Administrator:
    """Administers one radio for its client."""

    def __init__(self, radio: VirtualRadio) -> None:
        self._radio = radio
        self._editing = False

    def answer(self, payload: bytes) -> AdminAnswer:
        """Answer one AdminMessage.

        Raises google.protobuf.message.DecodeError for what is none.
        """
        request = admin_pb2.AdminMessage.FromString(payload)
        kind = request.WhichOneof("payload_variant") or ""
        if kind.endswith("_request"):
            return self._look_up(kind, request)
        return self._write(kind, request)

    def _look_up(self, kind: str, request: admin_pb2.AdminMessage) -> AdminAnswer:
        radio = self._radio
        answer = admin_pb2.AdminMessage(session_passkey=radio.node_number.to_bytes(_SESSION_KEY_BYTES, "big"))
        match kind:
            case "get_owner_request":
                answer.get_owner_response.CopyFrom(configuration.own_user(radio))
            case "get_channel_request" if 1 <= request.get_channel_request <= CHANNELS_MAX:
                answer.get_channel_response.CopyFrom(configuration.channel(radio, request.get_channel_request - 1))
            case "get_config_request" if request.get_config_request < len(configuration.CONFIG_SECTIONS):
                section = configuration.CONFIG_SECTIONS[request.get_config_request]
                answer.get_config_response.CopyFrom(configuration.config(radio, section))
            case "get_module_config_request" if request.get_module_config_request < len(configuration.MODULE_SECTIONS):
                section = configuration.MODULE_SECTIONS[request.get_module_config_request]
                answer.get_module_config_response.CopyFrom(configuration.module_config(radio, section))
            case "get_device_metadata_request":
                answer.get_device_metadata_response.CopyFrom(configuration.metadata(radio))
            case "get_canned_message_module_messages_request":
                answer.get_canned_message_module_messages_response = ""
            case "get_ringtone_request":
                answer.get_ringtone_response = ""
            case "get_device_connection_status_request":
                answer.get_device_connection_status_response.SetInParent()
            case _:
                return RoutingError.BAD_REQUEST
        return bytes(answer.SerializeToString())

    def _write(self, kind: str, request: admin_pb2.AdminMessage) -> RoutingError:
        radio, settings = self._radio, self._radio.settings
        match kind:
            case "set_owner":
                owner = request.set_owner
                if any(name and not name.strip() for name in (owner.long_name, owner.short_name)):
                    return RoutingError.BAD_REQUEST
                self._change(configuration.with_owner(settings, owner))
            case "set_channel":
                return self._set_channel(request.set_channel)
            case "set_config":
                return self._set_config(request.set_config)
            case "set_module_config":
                return self._store("module", request.set_module_config)
            case "begin_edit_settings":
                self._editing = True
            case "commit_edit_settings":
                self._editing = False
                radio.restart(_RESTART_AFTER_S)
            case "set_ham_mode":
                licensed = replace(settings, long_name=request.set_ham_mode.call_sign, licensed=True)
                channels = tuple(replace(channel, key=b"") for channel in settings.channels)
                self._change(replace(licensed, channels=channels, rebroadcast_mode="LOCAL_ONLY"))
            case "add_contact":
                user = request.add_contact.user
                node = radio.known_nodes.setdefault(
                    request.add_contact.node_num, KnownNode(request.add_contact.node_num)
                )
                node.long_name, node.short_name = user.long_name, user.short_name
                if len(user.public_key) == _KEY_BYTES:
                    node.public_key = user.public_key
            case "remove_by_nodenum":
                radio.known_nodes.pop(request.remove_by_nodenum, None)
            case "nodedb_reset":
                radio.known_nodes.clear()
                radio.restart(_RESTART_AFTER_S)
            case "factory_reset_config" | "factory_reset_device":
                radio.stored.clear()
                radio.known_nodes.clear()
                radio.configure(RadioSettings(region="UNSET", firmware=settings.firmware, has_pkc=settings.has_pkc))
                radio.restart(_RESTART_AFTER_S)
            case "reboot_seconds" if request.reboot_seconds >= 0:
                radio.restart(request.reboot_seconds)
            case _:
                return RoutingError.NONE if kind in _PASSED_OVER else RoutingError.NOT_AUTHORIZED
        return RoutingError.NONE

    def _set_channel(self, channel: channel_pb2.Channel) -> RoutingError:
        if not 0 <= channel.index < CHANNELS_MAX:
            return RoutingError.BAD_REQUEST
        try:
            settings = configuration.with_channel(self._radio.settings, channel)
        except LocalError:
            return RoutingError.BAD_REQUEST
        self._radio.stored[f"channel.{channel.index}"] = channel.settings.SerializeToString()
        self._radio.configure(settings)
        return RoutingError.NONE

    def _set_config(self, config: config_pb2.Config) -> RoutingError:
        radio = self._radio
        match config.WhichOneof("payload_variant"):
            case "device":
                changed = configuration.with_device(radio.settings, config.device)
            case "lora":
                changed = configuration.with_lora(radio.settings, config.lora)
            case "security":
                private_key = config.security.private_key
                if len(private_key) == _KEY_BYTES and private_key != radio.private_key:
                    radio.set_private_key(private_key)
                changed = radio.settings
            case _:
                return self._store("config", config)
        self._change(changed)
        return self._store("config", config)

    def _store(self, kind: str, message: config_pb2.Config | module_config_pb2.ModuleConfig) -> RoutingError:
        """Keep a section as it was written."""
        section = message.WhichOneof("payload_variant")
        if section is None:
            return RoutingError.BAD_REQUEST
        kept: Message = message
        self._radio.stored[f"{kind}.{section}"] = kept.SerializeToString()
        self._restart()
        return RoutingError.NONE

    def _change(self, settings: RadioSettings) -> None:
        """Take new settings; if they are any, the radio restarts."""
        if settings != self._radio.settings:
            self._radio.configure(settings)
            self._restart()

    def _restart(self) -> None:
        if not self._editing:
            self._radio.restart(_RESTART_AFTER_S)
