"""What a radio's owner can set, as one frozen value: role, rebroadcast mode, channels, region, firmware version.

Data and its checks only. A radio whose settings change restarts with the new value; what they do is told in
`simulator.firmware.relaying`, `simulator.firmware.sealing` and `simulator.firmware`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from protocol.airtime import Preset
from protocol.errors import LocalError
from simulator.channels import CHANNELS_MAX, REGIONS, Channel, expanded_key

__all__ = [
    "DEFAULT_HOP_LIMIT",
    "MAX_HOP_LIMIT",
    "REBROADCAST_MODES",
    "ROLES",
    "KnownNode",
    "RadioSettings",
    "key_pair",
    "public_key",
    "release",
]

DEFAULT_HOP_LIMIT = 3
MAX_HOP_LIMIT = 7

ROLES = {
    "CLIENT": "ALL",
    "CLIENT_MUTE": "ALL",
    "ROUTER": "CORE_PORTNUMS_ONLY",
    "TRACKER": "ALL",
    "SENSOR": "ALL",
    "TAK": "ALL",
    "CLIENT_HIDDEN": "LOCAL_ONLY",
    "LOST_AND_FOUND": "ALL",
    "TAK_TRACKER": "ALL",
    "ROUTER_LATE": "ALL",
    "CLIENT_BASE": "ALL",
}
"""Role -> the rebroadcast mode that choosing it installs (firmware `NodeDB::installRoleDefaults`)."""

_VERSION = re.compile(r"[0-9]+(\.[0-9]+)+")

REBROADCAST_MODES = ("ALL", "ALL_SKIP_DECODING", "LOCAL_ONLY", "KNOWN_ONLY", "NONE", "CORE_PORTNUMS_ONLY")


@dataclass(frozen=True, slots=True)
class RadioSettings:
    """One radio's settings; the defaults are those of a radio out of the box with its region set."""

    role: str = "CLIENT"
    rebroadcast_mode: str = ""
    """Empty for the one that the role installs."""
    firmware: str = "2.8.0"
    """Before 2.8, packets that a relay can't read are relayed once and give implicit acknowledgements.

    Before 2.6, direct messages flood, and radios contend as told in `simulator.firmware.mac`: 2.0 is Meshtasticator's.
    """
    channels: tuple[Channel, ...] = (Channel(),)
    """The primary one first."""
    region: str = "US"
    """`UNSET` transmits nothing."""
    preset: Preset | None = None
    """None for the one that the air around uses."""
    slot: int = 0
    """Part of the region's band, from 1; 0 for the one that the primary channel's name gives."""
    hop_limit: int = DEFAULT_HOP_LIMIT
    licensed: bool = False
    """Amateur radio: nothing is encrypted."""
    ok_to_mqtt: bool = False
    has_pkc: bool = True
    """Whether it has a key pair, seals direct messages for their receiver, and refuses texts that are not."""
    signs: bool = False
    """Whether broadcasts carry a signature of 66 bytes, where it fits, as builds of 2.8 with XEdDSA do."""
    chatter: bool = False
    """Whether it tells by itself who it is (every three hours), where, and how it fares (hourly)."""
    long_on: bool = False
    """Whether it was switched on long before the run: its first NodeInfo comes any time, not after half a minute."""
    kept_packets: int = 32
    """How many packets it keeps for a client that is away; small boards 8."""
    long_name: str = ""
    short_name: str = ""

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise LocalError(f"unknown role {self.role!r}", "", f"use one of {', '.join(ROLES)}")
        if self.rebroadcast_mode and self.rebroadcast_mode not in REBROADCAST_MODES:
            raise LocalError(
                f"unknown rebroadcast mode {self.rebroadcast_mode!r}", "", f"use one of {', '.join(REBROADCAST_MODES)}"
            )
        if not _VERSION.fullmatch(self.firmware):
            raise LocalError(f"{self.firmware!r} is no firmware version", "", "write it as 2.8.0")
        if self.region not in REGIONS:
            raise LocalError(f"unknown region {self.region!r}", "", f"use one of {', '.join(REGIONS)}")
        if not 1 <= len(self.channels) <= CHANNELS_MAX:
            raise LocalError(f"a radio has 1 to {CHANNELS_MAX} channels, not {len(self.channels)}")
        if not 0 <= self.hop_limit <= MAX_HOP_LIMIT:
            raise LocalError(f"the hop limit {self.hop_limit} is impossible", "", f"use 0 to {MAX_HOP_LIMIT}")

    @property
    def mode(self) -> str:
        """The rebroadcast mode in force."""
        return self.rebroadcast_mode or ROLES[self.role]

    @property
    def relays_repeats(self) -> bool:
        """True for firmware that relays every copy of what it can't read (2.8.0)."""
        return release(self.firmware) >= (2, 8)

    @property
    def learns_routes(self) -> bool:
        """True for firmware that aims direct messages at a next hop (2.6 and later)."""
        return release(self.firmware) >= (2, 6)

    @property
    def doubts_routes(self) -> bool:
        """True for firmware that trusts a next hop only while it is fresh and can mean no other node (2.8)."""
        return release(self.firmware) >= (2, 8)

    @property
    def transmits(self) -> bool:
        """False while no region is set."""
        return self.region != "UNSET"

    def key_of(self, index: int) -> bytes:
        """The expanded key of a channel; none in licensed mode."""
        if self.licensed:
            return b""
        return expanded_key(self.channels[index].key or self.channels[0].key)


@dataclass(slots=True)
class KnownNode:
    """What a radio knows of a node: its node database, which it shows to clients."""

    number: int
    long_name: str = ""
    short_name: str = ""
    hops_away: int = 0
    """As Meshtastic counts: 0 for a direct neighbour."""
    snr_db: float = 0.0
    role: str = "CLIENT"
    public_key: bytes = b""
    """Empty until its NodeInfo was heard: nothing can be sealed for it."""
    licensed: bool = False
    channel: int = 0
    """Index of our channel on which its NodeInfo came."""
    via_mqtt: bool = False
    heard_s: float | None = None
    """When a packet of its own last arrived, on the radio's clock; None while none has since it was switched on."""
    favourite: bool = False
    """Whether the owner marked it: routers and base stations treat such nodes better."""

    @property
    def has_user(self) -> bool:
        """True once its NodeInfo was heard."""
        return bool(self.long_name)


@cache
def release(firmware: str) -> tuple[int, int]:
    """Major and minor number of a firmware version such as `2.8.0`."""
    major, minor, *_ = (int(part) for part in firmware.split("."))
    return major, minor


def key_pair(node_number: int) -> tuple[bytes, bytes]:
    """A private and a public key for a node: stable, of the real length, and no cryptography at all."""
    private = sha256(b"virtual radio %d" % node_number).digest()
    return private, public_key(private)


def public_key(private: bytes) -> bytes:
    """The public key that goes with a private one here."""
    return sha256(b"public" + private).digest()
