"""Which texts are meant for this node, and what they ask for: the pure decisions before anything is answered.

Knows a packet, the radio's word about itself and the owner's settings. Remembers nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nodes.bearers.radio import address_of
from nodes.interfaces import BROADCAST, ChannelKey, RadioInfo, RadioPacket
from nodes.languages import ORIGINAL, fold, languages, likely
from nodes.phone_text.settings import PhoneSettings
from nodes.phone_text.wording import MARK

__all__ = ["NOT_ALLOWED", "Heard", "command_in", "heard", "language_for", "unusable_channels"]

NOT_ALLOWED = "its owner did not allow this radio"
_TEXT_BYTES_MAX = 240
"""More than any radio carries."""
_NEVER_SEALED = ("serial", "gpio")
"""Names of channels that firmware never seals for one receiver (`Router.cpp`)."""
_MACHINES = (MARK, "🤖")
"""How machines begin their texts; a person's prefix, `ai:`, is not written so."""
_PREFIX_ENDS = " \t\n,.:;!?"


@dataclass(frozen=True, slots=True)
class Heard:
    """A text that is meant for this node, from somebody who may ask."""

    person: str
    """Address of their radio."""
    text: str
    """Without the prefix."""
    channel: int
    """Index of the channel to answer on."""
    is_direct: bool
    """Whether it was sent to our radio alone."""
    packet_id: int
    hops: int
    snr_db: float | None

    @property
    def place(self) -> int | None:
        """Where the conversation is held: a channel, or None for direct messages."""
        return None if self.is_direct else self.channel


def heard(packet: RadioPacket, info: RadioInfo, settings: PhoneSettings, allows: Callable[[str], bool]) -> Heard | str:
    """What was asked, or why it is not answered; an empty reason where nobody addressed this node.

    `allows` tells whether the owner listed a radio.
    """
    person = address_of(packet.sender)
    channel = next((channel for channel in info.channels if channel.index == packet.channel), None)
    is_direct = packet.to == info.node_number
    if packet.sender == info.node_number or packet.via_mqtt or len(packet.payload) > _TEXT_BYTES_MAX:
        return ""
    if not is_direct and (packet.to != BROADCAST or channel is None or channel.name not in settings.channels):
        return ""
    text = packet.payload.decode(errors="replace").strip()
    if text.startswith(_MACHINES):
        return "a machine wrote it"
    bare = _without_prefix(text, settings.prefix)
    if bare is None and (settings.personal or not is_direct):
        return ""
    if not settings.answered:
        return "phones are not answered here"
    if person in settings.blocked:
        return "its owner blocked this radio"
    if (settings.personal or is_direct) and not allows(person):
        return NOT_ALLOWED
    if not packet.pkc and (channel is None or channel.key is not ChannelKey.OWN):
        return "it came on a channel that anyone can read and write on"
    return Heard(
        person,
        text if bare is None else bare,
        _sealing_channel(info) if packet.pkc else packet.channel,
        is_direct,
        packet.packet_id,
        max(1, packet.hops),
        packet.snr_db,
    )


def unusable_channels(info: RadioInfo, settings: PhoneSettings) -> dict[str, str]:
    """The channels that the owner switched on and that are not answered on: name -> why."""
    reasons = {}
    for name in sorted(settings.channels):
        channel = info.channel(name)
        if channel is None:
            reasons[name] = "the radio has no such channel"
        elif channel.key is not ChannelKey.OWN:
            reasons[name] = "it has no key of its own, so anyone reads along and writes"
    return reasons


def command_in(text: str, *, preferred: tuple[str, ...] = ()) -> tuple[str, str] | None:
    """The command that a text is, such as `more`, and the language of the word; None for a question.

    A word of several languages counts as the first of `preferred` that has it.
    """
    folded = fold(text)
    codes = dict.fromkeys((*preferred, *languages()))
    for book in (languages()[code] for code in codes if code in languages()):
        for command, words in book.commands.items():
            if folded in words:
                return command, book.code
    return None


def language_for(text: str, *, configured: str, last: str) -> str:
    """The language to answer a question in: the node's, else the one it seems to be in, else the last one."""
    return configured or next(iter(likely(text)), "") or last or ORIGINAL


def _sealing_channel(info: RadioInfo) -> int:
    """Index of a channel on which firmware seals a direct message for its receiver, who refuses it otherwise."""
    return next((channel.index for channel in info.channels if channel.name.lower() not in _NEVER_SEALED), 0)


def _without_prefix(text: str, prefix: str) -> str | None:
    """`text` without the prefix; None where it has none."""
    begins = text[: len(prefix)].casefold() == prefix.casefold()
    if not begins or not text[len(prefix) :].startswith(tuple(_PREFIX_ENDS)):
        return None if not begins or len(text) > len(prefix) else ""
    return text[len(prefix) :].lstrip(_PREFIX_ENDS)
