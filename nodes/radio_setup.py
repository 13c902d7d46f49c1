"""What has to change in a radio before meshai may use it: a pure plan from what it is and what its owner wants.

Nothing is read or written here; `nodes.bearers.meshtastic_admin` does that. A plan either holds in full or is not made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from nodes.interfaces import ChannelKey
from nodes.radio_check import UNSET
from nodes.radio_law import REGIONS, law_line
from protocol.airtime import PRESETS
from protocol.errors import LocalError

__all__ = [
    "CHANNEL_NAME",
    "KEY_BYTES",
    "NAME_BYTES_MAX",
    "ChannelSlot",
    "Plan",
    "Settings",
    "SharedChannel",
    "Wishes",
    "check_kept",
    "plan_setup",
]

CHANNEL_NAME = "serial"
"""What goes out on a channel of this name, firmware never seals for its receiver alone (`Router.cpp`). So relays that
share the channel can read a direct message, repeat it once instead of once per copy, and stop when another did."""
NAME_BYTES_MAX = 11
"""Longest channel name that a radio keeps."""
KEY_BYTES = 32
"""AES-256."""

_RESERVED = frozenset({"admin", "gpio"})
"""Names that the firmware's own modules listen on (`Channels.cpp`)."""


@dataclass(frozen=True, slots=True)
class ChannelSlot:
    """One of a radio's eight places for a channel."""

    index: int
    name: str = ""
    key: bytes = field(default=b"", repr=False)
    worth: ChannelKey = ChannelKey.NONE
    used: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What a radio is set to, as far as meshai cares."""

    region: str
    """Meshtastic's name, `UNSET`, or empty for one that this version does not know."""
    preset: str
    """Empty for a custom setting."""
    transmits: bool
    """Whether its transmitter is switched on."""
    ok_to_mqtt: bool
    licensed: bool
    serial_module: bool
    """Whether its Serial module is on, which sends what comes in by wires on the channel called `serial`."""
    slots: tuple[ChannelSlot, ...]
    """By index; the first is the primary channel."""


@dataclass(frozen=True, slots=True)
class SharedChannel:
    """A channel as a link carries it from radio to radio."""

    name: str
    key: bytes = field(repr=False)
    region: str
    """Empty when the link names none."""
    preset: str
    """Empty when the link names none."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the radio's owner wants; empty for what suits."""

    region: str = ""
    preset: str = ""
    channel: str = ""
    """Name of the channel to use, or to make."""
    link: tuple[SharedChannel, ...] = ()
    """The channels of a neighbour's link."""
    public: bool = False
    """Whether everyone may read along."""
    clear_mqtt: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How a radio should be."""

    region: str
    preset: str
    ok_to_mqtt: bool
    slot: ChannelSlot
    """The channel for our frames."""
    public: bool
    changes_lora: bool
    changes_channel: bool
    changes: tuple[str, ...]
    """What will be written, in plain words; empty when the radio is as it should be."""
    remarks: tuple[str, ...]
    """What its owner should know of it."""


def plan_setup(settings: Settings, wishes: Wishes, new_key: Callable[[int], bytes]) -> Plan:
    """Plan what to write; `new_key` gives so many random bytes. Raises LocalError for what can't or mustn't be."""
    region, preset = _region(settings, wishes), _preset(settings, wishes)
    slot, remarks = _slot(settings, wishes, region, preset, new_key)
    ok_to_mqtt = settings.ok_to_mqtt and not wishes.clear_mqtt
    changes = []
    if region != settings.region:
        changes.append(f"region {region} instead of {settings.region or 'an unknown one'}")
    if preset != settings.preset:
        changes.append(f"preset {preset} instead of {settings.preset or 'a custom setting'}")
    if not settings.transmits:
        changes.append("transmitter on instead of off")
    if ok_to_mqtt != settings.ok_to_mqtt:
        changes.append("`OK to MQTT` off instead of on")
    changes_lora = bool(changes)
    changes_channel = slot != settings.slots[slot.index]
    if changes_channel:
        source = "that the link gives" if wishes.link else "of its own"
        changes.append(f"channel {slot.index}: {slot.name!r}, with the key {source}")
    return Plan(region, preset, ok_to_mqtt, slot, wishes.public, changes_lora, changes_channel, tuple(changes), remarks)


def check_kept(plan: Plan, settings: Settings) -> None:
    """Raise LocalError unless a radio that was read back is as planned."""
    slot = settings.slots[plan.slot.index]
    for what, wanted, found in (
        ("region", plan.region, settings.region),
        ("preset", plan.preset, settings.preset or "a custom setting"),
        ("transmitter", "on", "on" if settings.transmits else "off"),
        ("OK to MQTT", plan.ok_to_mqtt, settings.ok_to_mqtt),
        ("channel", plan.slot.name, slot.name if slot.used else "none"),
        ("channel's key", "ours", "ours" if slot.key == plan.slot.key else "another"),
    ):
        if wanted != found:
            why = f"its {what} should be {wanted} and is {found}"
            fix = "its firmware may not allow that here: set it in the Meshtastic app, and set up again"
            raise LocalError("the radio did not keep the settings", why, fix)


def _region(settings: Settings, wishes: Wishes) -> str:
    region = wishes.region or settings.region
    if region in (UNSET, ""):
        why = "frequencies and sending times differ by country, so it may not send before its owner named one"
        raise LocalError(
            "the radio has no region", why, f"add --region, such as --region EU_868 for {law_line('EU_868')}"
        )
    if wishes.region and wishes.region not in REGIONS:
        raise LocalError(f"unknown region {wishes.region!r}", "", f"use one of {', '.join(REGIONS)}")
    return region


def _preset(settings: Settings, wishes: Wishes) -> str:
    preset = wishes.preset or settings.preset
    if not preset:
        why = "its modem has a custom setting, so the air that a packet takes can't be counted"
        raise LocalError("the radio has no preset", why, "add --preset LONG_FAST, or the one that your neighbours use")
    if preset not in PRESETS:
        raise LocalError(f"unknown preset {preset!r}", "", f"use one of {', '.join(PRESETS)}")
    return preset


def _slot(
    settings: Settings, wishes: Wishes, region: str, preset: str, new_key: Callable[[int], bytes]
) -> tuple[ChannelSlot, tuple[str, ...]]:
    """The channel to use, as it should be, and what is to be said about it."""
    if wishes.public:
        return _public_slot(settings, wishes), ()
    if settings.licensed:
        why = "the law of amateur radio forbids secrets, so the radio takes the key from every channel"
        fix = "switch ham mode off in the Meshtastic app, or add --public-channel if everyone may read along"
        raise LocalError("in amateur radio (ham) mode no channel is private", why, fix)
    if wishes.link:
        slot = _linked_slot(settings, wishes, region, preset)
    else:
        slot = _named_slot(settings, wishes.channel or CHANNEL_NAME, new_key)
    if settings.serial_module and slot.name.lower() == CHANNEL_NAME:
        remark = f"the radio's Serial module is on: what comes in by its wires is sent on the channel {slot.name!r} too"
        return slot, (remark,)
    return slot, ()


def _public_slot(settings: Settings, wishes: Wishes) -> ChannelSlot:
    if not wishes.channel:
        return settings.slots[0]
    found = next((slot for slot in settings.slots if slot.used and slot.name == wishes.channel), None)
    if found is None:
        raise LocalError(f"the radio has no channel {wishes.channel!r}", "", "leave --channel out for the primary one")
    return found


def _named_slot(settings: Settings, name: str, new_key: Callable[[int], bytes]) -> ChannelSlot:
    found = next((slot for slot in settings.slots if slot.used and slot.name == name), None)
    if found is None:
        _check_name(name)
        return _fill(settings, name, new_key(KEY_BYTES))
    if found.worth is not ChannelKey.OWN:
        why = "its key is published, or it has none, so everyone reads along"
        raise LocalError(f"the radio's channel {name!r} is public", why, "name another with --channel")
    return found


def _linked_slot(settings: Settings, wishes: Wishes, region: str, preset: str) -> ChannelSlot:
    shared = _shared(wishes)
    for what, here, there, option in (
        ("region", region, shared.region, "--region"),
        ("preset", preset, shared.preset, "--preset"),
    ):
        if there and here != there:
            why = f"its {what} is {there}, this radio's is {here}: they can't hear one another"
            raise LocalError("the link is from another air", why, f"add {option} {there}, if that is right here")
    _check_name(shared.name)
    same = (slot for slot in settings.slots if slot.used and (slot.name, slot.key) == (shared.name, shared.key))
    return next(same, None) or _fill(settings, shared.name, shared.key)


def _shared(wishes: Wishes) -> SharedChannel:
    """The link's channel that is meant."""
    private = [channel for channel in wishes.link if len(channel.key) > 1]
    if not private:
        why = "the keys of its channels are published, or they have none, so everyone reads along"
        raise LocalError("the link has only public channels", why, "ask for the link that `meshai radio setup` prints")
    for name in (wishes.channel, CHANNEL_NAME):
        if named := [channel for channel in private if channel.name == name]:
            return named[0]
    if wishes.channel or len(private) > 1:
        names = ", ".join(repr(channel.name) for channel in private)
        raise LocalError("which of the link's channels is meant is not clear", names, "name one of them with --channel")
    return private[0]


def _fill(settings: Settings, name: str, key: bytes) -> ChannelSlot:
    free = next((slot for slot in settings.slots[1:] if not slot.used), None)
    if free is None:
        why = f"all its {len(settings.slots)} places are taken"
        fix = "remove a channel in the Meshtastic app, or name a private one that it has with --channel"
        raise LocalError("the radio has no room for a channel", why, fix)
    return replace(free, name=name, key=key, worth=ChannelKey.OWN, used=True)


def _check_name(name: str) -> None:
    if not name.strip() or not name.isprintable() or len(name.encode()) > NAME_BYTES_MAX:
        raise LocalError(f"{name!r} can't be a channel's name", f"it has 1 to {NAME_BYTES_MAX} bytes of plain text")
    if name.lower() in _RESERVED:
        why = "the radio's own functions use a channel of that name"
        raise LocalError(f"{name!r} can't be meshai's channel", why, "choose another name")
