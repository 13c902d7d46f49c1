"""A scenario as data: where the radios stand, how they are set, who has a model, who asks, and what goes wrong.

Values and their defaults only. `simulator.scenario.reading` makes it from a file, `simulator.world` brings it to life.
Times are seconds unless the name says otherwise; hours of the day are 0 to 24, local.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "BlockedPair",
    "DevicePlan",
    "Emergency",
    "FaultPlan",
    "MeasuredLink",
    "PeoplePlan",
    "Place",
    "PowerSupply",
    "RadioPlan",
    "Scenario",
    "SpecialRadio",
    "Walk",
]


@dataclass(frozen=True, slots=True)
class Place:
    """One spot with a radio."""

    name: str
    x_m: float
    """Metres east of the map's origin."""
    y_m: float
    """Metres north of it."""
    antenna_m: float = 2.0
    """Height of the antenna above ground."""
    ground_m: float = 0.0
    """Height of the ground; 0 where unknown."""
    is_house: bool = True
    """Whether people live there; else it is a relay on its own: a radio without a node."""
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class BlockedPair:
    """Two places between which something stands in the way."""

    one: str
    other: str
    loss_db: float = 1000.0
    """By how much that weakens the link; the default lets nothing through."""


@dataclass(frozen=True, slots=True)
class MeasuredLink:
    """How well one place was really heard at another: replaces the path-loss model for this direction."""

    sender: str
    receiver: str
    snr_db: float


@dataclass(frozen=True, slots=True)
class PowerSupply:
    """A relay's or a house's power supply."""

    battery_wh: float = 0.0
    """0 for mains."""
    solar_w: float = 0.0
    """Power of the panel in full sun."""
    cloudy: float = 0.3
    """Share of days under thick cloud, drawn from the seed, on which a panel gives a fifth."""


@dataclass(frozen=True, slots=True)
class SpecialRadio:
    """Radios that differ from the rest; each value that is None is as everybody's."""

    at: tuple[str, ...]
    """Names of places; `*` for any run of characters, such as `hill*`."""
    role: str | None = None
    rebroadcast_mode: str | None = None
    power_dbm: float | None = None
    antenna_gain_db: float | None = None
    hop_limit: int | None = None
    firmware: str | None = None
    preset: str | None = None
    power: PowerSupply | None = None


@dataclass(frozen=True, slots=True)
class RadioPlan:
    """How the radios are set, and how the land treats their waves."""

    preset: str = "LONG_FAST"
    region: str = "EU_868"
    power_dbm: float | None = None
    """Transmit power at the antenna; None for what the region allows, 27 dBm at most."""
    antenna_gain_db: float = 0.0
    hop_limit: int = 3
    role: str = "CLIENT"
    firmware: str = "2.8.0"
    """`2.8.0` or `2.7.26`."""
    chatter: bool = True
    """Whether radios send their own NodeInfo, position and telemetry, as they do out of the box."""
    path_loss: str = "suburban"
    """`free-space`, `log-distance`, `hata-open`, `hata-suburban`, `hata-urban`, `suburban` or `urban` (3GPP)."""
    asymmetry_db: float = 2.0
    """Standard deviation by which the two directions of a link differ, drawn once per link."""
    shadowing_db: float = 4.0
    """Standard deviation of the loss by houses and trees, drawn once per pair, the same both ways."""
    fading_db: float = 0.0
    """Standard deviation of what changes from packet to packet."""
    noise_figure_db: float = 6.0
    other_factors_disturb: bool = False
    """Whether a strong signal spoils a weak one of another spreading factor on the same frequency and bandwidth."""
    special: tuple[SpecialRadio, ...] = ()


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """A kind of device with a model, and the houses that have one."""

    name: str
    """Such as `gaming PC`."""
    count: int = 0
    """In how many houses one stands, drawn from the seed; not together with `at`."""
    at: tuple[str, ...] = ()
    """Names of places; `*` as above."""
    model: str = "smollm2-135m"
    tokens_per_s: float = 12.0
    slots: int = 1
    has_radio: bool = True
    """Whether it holds the house's radio; else it is reached over the house's LAN."""
    battery_wh: float = 0.0
    """0 for mains."""
    solar_w: float = 0.0
    idle_w: float = 3.0
    """Power while it waits."""
    busy_w: float = 8.0
    """Power while its model works."""
    share_hours: str = ""
    """When it works for others, such as `18-23`; several joined by commas; empty for always."""
    share_above_percent: float = 30.0
    """It works for others only with that much in its battery."""
    on_hours: str = ""
    """When it is switched on at all; empty for always."""


@dataclass(frozen=True, slots=True)
class Emergency:
    """Something happens, and many ask at once."""

    at_hour: float
    """Hours after the start of the run."""
    minutes: float = 20.0
    """Within that time they ask."""
    share: float = 0.7
    """Of the houses, so many ask, each once."""


@dataclass(frozen=True, slots=True)
class PeoplePlan:
    """Who asks what, and when."""

    questions_per_day: float = 100.0
    """All houses together, in a day of 24 hours."""
    evening_peak: float = 3.0
    """How many times more is asked in the evening (18 to 22 h) than at noon; 1 for a level day."""
    asking_share: float = 1.0
    """Of the houses, so many ask at all."""
    languages: dict[str, float] = field(default_factory=lambda: {"en": 1.0})
    """Language -> share of the questions."""
    alike: float = 0.3
    """Share of the questions that somebody asked before, word for word, such as the price of maize."""
    patience_s: float = 300.0
    """After this an answer is of no use."""
    answer_chars: int = 350
    """Length of a usual answer, in characters."""
    texts_per_day: float = 0.0
    """Plain text messages that people send to everybody, all houses together."""
    emergencies: tuple[Emergency, ...] = ()


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What goes wrong: each number is how often in the whole run, at times and places drawn from the seed."""

    loss: float = 0.0
    """Probability that a reception is lost for no other reason."""
    duplicate: int = 0
    """Packets that a radio hands to its client twice."""
    reorder: int = 0
    """Packets that a radio hands over late, after the next ones."""
    corrupt: int = 0
    """Packets with a flipped bit that the radio's own checks missed."""
    partition: int = 0
    """Times that the map falls into two halves for some minutes."""
    crash: int = 0
    """Nodes that end without warning and start again."""
    disk_full: int = 0
    """Times that a node can't keep anything for some minutes."""
    clock_jump: int = 0
    """Times that a node's date leaps."""
    freeze: int = 0
    """Nodes that do nothing for some minutes and go on."""
    battery_empty: int = 0
    """Radios that lose their power for some minutes."""
    radio_unplugged: int = 0
    """Times that a node loses its radio for some minutes while the radio goes on."""

    @property
    def total(self) -> int:
        """Single faults, losses not counted."""
        names = [name for name in self.__dataclass_fields__ if name != "loss"]
        return sum(getattr(self, name) for name in names)


@dataclass(frozen=True, slots=True)
class Walk:
    """Places that move, such as somebody with a radio in a pocket."""

    at: tuple[str, ...]
    """Names of places; `*` as above. Each sets out from where it stands."""
    path: tuple[tuple[float, float], ...]
    """Where it goes, one point after another: metres east and north of the map's origin."""
    speed_kmh: float = 4.0
    starts_hour: float = 8.0
    """Time of the day at which it sets out."""
    and_back: bool = False
    """Whether it returns the same way, and goes again each day; else it goes once and stays where it ends."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """All of it."""

    name: str
    title: str
    about: str
    places: tuple[Place, ...]
    terrain: str = ""
    """Folder of SRTM `.hgt` tiles; empty where hills and walls are unknown."""
    hours: float = 24.0
    """How long is simulated."""
    start_hour: float = 6.0
    """Time of the day at which that begins."""
    blocked: tuple[BlockedPair, ...] = ()
    measured: tuple[MeasuredLink, ...] = ()
    radio: RadioPlan = field(default_factory=RadioPlan)
    devices: tuple[DevicePlan, ...] = ()
    people: PeoplePlan = field(default_factory=PeoplePlan)
    faults: FaultPlan = field(default_factory=FaultPlan)
    walks: tuple[Walk, ...] = ()
