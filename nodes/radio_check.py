"""What is to be said about a radio's settings, and whether meshai may send by it: pure judgement, nothing is changed.

Knows the firmware's rules (`NodeDB::installRoleDefaults`, `NextHopRouter::relayOpaquePacket`, `Router::perhapsEncode`)
but no radio, no file and no command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from nodes.interfaces import ChannelKey, RadioChannel, RadioInfo, RadioNode, RadioRoute
from protocol.airtime import PRESETS

__all__ = [
    "FIRMWARE_MIN",
    "UNSET",
    "Finding",
    "Judgement",
    "SetUp",
    "Severity",
    "check",
    "dropping_router",
    "firmware_version",
    "is_virtual",
    "judge",
]

UNSET = "UNSET"
"""Meshtastic's name for no region."""
FIRMWARE_MIN = (2, 7, 15)
"""Older firmware has cloned keys (CVE-2025-52464) and lets sealed messages be downgraded (CVE-2025-53627)."""

_FLASHER = "flash a newer one with https://flasher.meshtastic.org"
_RELAYING_ROLES = frozenset({"ROUTER", "ROUTER_LATE", "REPEATER"})
_ROLE_MODES = {"ROUTER": "CORE_PORTNUMS_ONLY", "REPEATER": "CORE_PORTNUMS_ONLY", "CLIENT_HIDDEN": "LOCAL_ONLY"}
"""Role -> the rebroadcast mode that choosing it installs, where that is not ALL."""
_MODE_WORDS = {
    "CORE_PORTNUMS_ONLY": "which relays only what Meshtastic's own programs send, and nothing that it can't read",
    "LOCAL_ONLY": "which relays only what comes on its own channels",
}
_HOPS_MAX = 4
"""More hops than this seldom reach more people, and each multiplies the air that a packet takes."""


class Severity(StrEnum):
    """How bad a finding is."""

    STOP = "stop"
    """Nothing is sent until it is mended."""
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know about a radio, in plain phrases without full stop."""

    severity: Severity
    what: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class SetUp:
    """What was settled when a radio was set up for meshai."""

    node_number: int
    region: str
    channel_index: int
    channel_name: str
    public: bool
    """Whether its owner said that everyone may read along."""
    at_s: float
    """Wall time."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether meshai may send by a radio, and where."""

    silence: str
    """Why it may not, in plain words; empty when it may."""
    channel: int
    """Index of the channel for our frames."""
    findings: tuple[Finding, ...]


def is_virtual(info: RadioInfo) -> bool:
    """True for meshai's own virtual radios, which have no antenna; real firmware ends in a commit, in hex."""
    return info.firmware.endswith(".virtual")


def firmware_version(firmware: str) -> tuple[int, ...] | None:
    """The numbers of a version such as `2.7.15.567b8ea`; None when it is none."""
    parts = firmware.split(".")[:3]
    if len(parts) < 3 or not all(part.isdecimal() and part.isascii() and len(part) < 6 for part in parts):
        return None
    return tuple(int(part) for part in parts)


def judge(info: RadioInfo, set_up: SetUp | None, *, command: str, over_network: bool = False) -> Judgement:
    """Decide whether and where meshai may send by a radio.

    `set_up` is what was settled for this radio's number, `command` what its owner would type to settle it. A virtual
    radio may always send: nothing of it leaves the computer.
    """
    channel = None if set_up is None else _chosen(info, set_up)
    findings = tuple(check(info, channel, over_network=over_network and not is_virtual(info)))
    silence = "" if is_virtual(info) else _silence(info, set_up, channel, findings, command)
    return Judgement(silence, 0 if channel is None else channel.index, findings)


def check(info: RadioInfo, channel: RadioChannel | None = None, *, over_network: bool = False) -> Iterator[Finding]:
    """Everything that its owner should know of a radio's settings; `channel` is the one chosen for our frames."""
    yield from _law(info)
    yield from _firmware(info)
    yield from _role(info)
    yield from _privacy(info, channel)
    if info.hop_limit > _HOPS_MAX:
        what = f"the hop limit is {info.hop_limit}"
        why = "every hop takes the air of one more place, and more than 3 or 4 seldom reach more people"
        yield Finding(Severity.NOTE, what, why, "set it to 3 in the Meshtastic app, under LoRa")
    if over_network:
        yield Finding(
            Severity.WARNING,
            "the radio is reached over the network",
            "whoever reaches its port gets its private key and reads everything that it hears and sends",
            "prefer a USB cable, or keep strangers out of that network",
        )


def dropping_router(route: RadioRoute, nodes: Mapping[int, RadioNode]) -> Finding | None:
    """Name the relay that lets a traceroute pass and drops our messages, and what its owner can change.

    `nodes` are the radios that ours knows, by number. None when no relay of the route is known to be so inclined: the
    message was then lost as any may be.
    """
    for number in route.relays:
        node = nodes.get(number)
        mode = "" if node is None else _ROLE_MODES.get(node.role, "")
        if node is None or not mode:
            continue
        name = f"{node.long_name} (!{number:08x})" if node.long_name else f"!{number:08x}"
        return Finding(
            Severity.WARNING,
            f"the relay {name} seems to drop our messages",
            f"a traceroute passes it and our message did not: it is a {node.role}, and unless its owner chose "
            f"otherwise its rebroadcast mode is {mode}, {_MODE_WORDS[mode]}",
            "ask its owner to set the rebroadcast mode to ALL in the Meshtastic app, under Device, or look for a way "
            "around it",
        )
    return None


def _silence(
    info: RadioInfo, set_up: SetUp | None, channel: RadioChannel | None, findings: tuple[Finding, ...], command: str
) -> str:
    stops = [finding for finding in findings if finding.severity is Severity.STOP]
    name = f"the radio !{info.node_number:08x}"
    if stops:
        return f"{stops[0].what}: {stops[0].why}; run `{command}`"
    if set_up is None:
        return f"{name} was not set up for meshai yet, so it only listens; run `{command}`"
    if set_up.region != info.region:
        return f"{name} was set up for {set_up.region} and is in {info.region} now; run `{command}`"
    if channel is None:
        return f"{name} lost the channel {set_up.channel_name!r} that it was set up with; run `{command}`"
    return ""


def _chosen(info: RadioInfo, set_up: SetUp) -> RadioChannel | None:
    """The channel that was settled, also when it moved; none when it is gone, or lost its key."""
    return next(
        (
            channel
            for channel in sorted(info.channels, key=lambda channel: channel.index != set_up.channel_index)
            if channel.name == set_up.channel_name and (set_up.public or channel.key is ChannelKey.OWN)
        ),
        None,
    )


def _law(info: RadioInfo) -> Iterator[Finding]:
    if info.region == UNSET:
        why = "it may not send until it knows whose law to follow: frequencies and sending times differ by country"
        yield Finding(Severity.STOP, "the radio has no region", why, "choose one with `meshai radio setup --region`")
    elif not info.region:
        why = "it told none, or one that this version does not know, and the law differs by region"
        yield Finding(Severity.STOP, "the radio's region is unknown", why, "update meshai, or the radio's firmware")
    elif info.preset not in PRESETS:
        why = "its modem setting is none of Meshtastic's presets, so the air that a packet takes can't be counted"
        yield Finding(
            Severity.STOP, "the radio has no known preset", why, "choose one with `meshai radio setup --preset`"
        )


def _firmware(info: RadioInfo) -> Iterator[Finding]:
    version = firmware_version(info.firmware)
    oldest = ".".join(map(str, FIRMWARE_MIN))
    if version is None:
        why = f"it may be older than {oldest}, which has known security holes"
        yield Finding(Severity.WARNING, "the radio does not tell its firmware's version", why, _FLASHER)
    elif version < FIRMWARE_MIN:
        why = "strangers can pretend to be other radios, or read sealed messages (CVE-2025-52464, CVE-2025-53627)"
        yield Finding(Severity.WARNING, f"the firmware {info.firmware} is older than {oldest}", why, _FLASHER)


def _role(info: RadioInfo) -> Iterator[Finding]:
    if info.role in _RELAYING_ROLES:
        why = "it relays before everybody else, which helps on a hilltop only, and in its usual setting drops questions"
        fix = "set it to CLIENT in the Meshtastic app, under Device, unless it stands on a hilltop"
        yield Finding(Severity.WARNING, f"the radio's role is {info.role}", why, fix)


def _privacy(info: RadioInfo, channel: RadioChannel | None) -> Iterator[Finding]:
    if info.licensed:
        why = "the law of amateur radio forbids secrets: nothing is encrypted or sealed, so everyone reads along"
        fix = "switch it off in the Meshtastic app, under User, to ask in private"
        yield Finding(Severity.WARNING, "the radio is in amateur radio (ham) mode", why, fix)
    elif channel is not None and channel.key is not ChannelKey.OWN:
        why = "its key is published, or there is none: everyone with such a radio can read questions and answers"
        fix = "let `meshai radio setup` make a channel of your own"
        yield Finding(Severity.WARNING, "messages go out on a public channel", why, fix)
    if info.ok_to_mqtt:
        why = "it allows gateways nearby to put its messages on the internet"
        yield Finding(
            Severity.WARNING, "the radio's `OK to MQTT` is on", why, "clear it with `meshai radio setup --clear-mqtt`"
        )
    if channel is not None and channel.uplink:
        why = "a gateway that shares it puts its messages on the internet"
        fix = "switch its uplink off in the Meshtastic app, under Channels"
        yield Finding(Severity.WARNING, f"the channel {channel.name!r} is uplinked", why, fix)
