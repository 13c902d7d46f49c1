"""What may stand in a scenario file: every section with its keys, and what each key may be. Data, nearly all of it.

The defaults are those of `simulator.scenario.plan` and of the shapes. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol.airtime import PRESETS
from simulator.channels import REGIONS
from simulator.firmware.settings import MAX_HOP_LIMIT, REBROADCAST_MODES, ROLES
from simulator.lora import PATH_LOSS_MODELS
from simulator.people import LANGUAGES
from simulator.scenario.kinds import (
    Kind,
    Section,
    choice,
    clock,
    flag,
    hours_of_day,
    number,
    patterns,
    points,
    share,
    shares,
    text,
    whole,
)
from simulator.scenario.plan import (
    DevicePlan,
    Emergency,
    FaultPlan,
    PeoplePlan,
    PowerSupply,
    RadioPlan,
    SpecialRadio,
    Walk,
)
from simulator.scenario.shapes import SHAPES
from simulator.scenario.spots import KINDS, NAME_CHARS_MAX

__all__ = ["HOURS_MAX", "PLACES", "ROOT", "SHAPE_KEYS", "Barrier", "Extra", "Head", "PlacesTable"]

HOURS_MAX = 24 * 31
"""Longest run."""
FIRMWARE = ("2.8.0", "2.7.26", "2.5.20", "2.0.0")
"""Versions whose behaviour differs: 2.0.0 contends for the air as Meshtasticator has it."""
_PER_DAY_MAX = 1_000_000
_FAULTS_MAX = 100_000
_PATH_CHARS = 500


@dataclass(frozen=True, slots=True)
class Extra:
    """A place that the file tells of itself, on top of a map."""

    name: str
    x_m: float | None = None
    y_m: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    antenna_m: float | None = None
    ground_m: float | None = None
    kind: str = "relay"


@dataclass(frozen=True, slots=True)
class Barrier:
    """Something between places: each that the first name means is blocked from each that the second means."""

    between: tuple[str, ...]
    loss_db: float = 1000.0


@dataclass(frozen=True, slots=True)
class PlacesTable:
    """The section [places]."""

    shape: str = ""
    file: str = ""
    blocked_file: str = ""
    layout_seed: int = 1
    latitude: float | None = None
    longitude: float | None = None
    listener: str = ""
    leave_out_incomplete: bool = False
    extra: tuple[Extra, ...] = ()
    blocked: tuple[Barrier, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """What the shape is told: see `SHAPE_KEYS`."""


@dataclass(frozen=True, slots=True)
class Head:
    """The whole file."""

    title: str = ""
    about: str = ""
    terrain: str = ""
    hours: float = 24.0
    start_hour: float = 6.0
    radio: RadioPlan = field(default_factory=RadioPlan)
    devices: tuple[DevicePlan, ...] = ()
    people: PeoplePlan = field(default_factory=PeoplePlan)
    faults: FaultPlan = field(default_factory=FaultPlan)
    walks: tuple[Walk, ...] = ()
    places: Any = None
    """As it stands in the file: what is in it depends on the shape, see `simulator.scenario.mapping`."""


_ANTENNA = number(0.1, 1000)
_GROUND = number(-500, 9000)
_LOSS = number(0, 1000)
_LENGTH = number(1, 100_000)
_HOUSES = whole(2, 5000)
_FEWER_HOUSES = whole(2, 500)
_RELAYS = whole(0, 200)
_PRESET = choice(*PRESETS)
_ROLE = choice(*ROLES)
_POWER = number(-10, 36)
_GAIN = number(-20, 40)
_HOPS = whole(0, MAX_HOP_LIMIT)
_BATTERY = number(0, 1_000_000)
_COUNT = whole(0, _FAULTS_MAX)

_ANY_SHAPE: dict[str, Kind] = {"antenna_m": _ANTENNA, "relays": _RELAYS, "relay_antenna_m": _ANTENNA}

SHAPE_KEYS: dict[str, Mapping[str, Kind]] = {
    "line": {"houses": _HOUSES, "spacing_m": _LENGTH, **_ANY_SHAPE},
    "grid": {"houses": _HOUSES, "spacing_m": _LENGTH, "columns": whole(1, 5000), **_ANY_SHAPE},
    "ring": {"houses": _HOUSES, "radius_m": _LENGTH, **_ANY_SHAPE},
    "disc": {"houses": _HOUSES, "radius_m": _LENGTH, **_ANY_SHAPE},
    "village": {
        "houses": _HOUSES,
        "hamlets": whole(1, 200),
        "radius_m": _LENGTH,
        "hamlet_m": _LENGTH,
        **_ANY_SHAPE,
    },
    "hill": {
        "houses": _FEWER_HOUSES,
        "radius_m": _LENGTH,
        "hill_m": number(0, 3000),
        "hill_loss_db": _LOSS,
        **_ANY_SHAPE,
    },
    "two-valleys": {
        "houses": _FEWER_HOUSES,
        "radius_m": _LENGTH,
        "between_m": _LENGTH,
        "ridge_m": number(0, 3000),
        "ridge_loss_db": _LOSS,
        **_ANY_SHAPE,
    },
    "block": {
        "floors": whole(1, 60),
        "flats": whole(2, 40),
        "flat_m": number(2, 50),
        "floor_m": number(2, 10),
        "floor_loss_db": _LOSS,
        "wall_loss_db": _LOSS,
        "relays": _RELAYS,
        "relay_antenna_m": _ANTENNA,
    },
}
"""Shape -> its own keys in [places]; a test keeps them equal to the parameters of the shapes' functions."""

_EXTRA = Section(
    Extra,
    {
        "name": text(NAME_CHARS_MAX),
        "x_m": number(-1e6, 1e6),
        "y_m": number(-1e6, 1e6),
        "latitude": number(-90, 90),
        "longitude": number(-180, 180),
        "antenna_m": _ANTENNA,
        "ground_m": _GROUND,
        "kind": choice(*KINDS),
    },
    required=("name",),
    many=True,
)

_BARRIER = Section(Barrier, {"between": patterns(), "loss_db": _LOSS}, required=("between",), many=True)

PLACES: dict[str, Kind | Section] = {
    "shape": choice(*SHAPES),
    "file": text(_PATH_CHARS),
    "blocked_file": text(_PATH_CHARS),
    "layout_seed": whole(0, 2**63 - 1),
    "latitude": number(-90, 90),
    "longitude": number(-180, 180),
    "listener": text(80),
    "leave_out_incomplete": flag(),
    "extra": _EXTRA,
    "blocked": _BARRIER,
}
"""The keys of [places] that stand beside those of the shape."""

_POWER_SUPPLY = Section(PowerSupply, {"battery_wh": _BATTERY, "solar_w": number(0, 100_000), "cloudy": share()})

_SPECIAL = Section(
    SpecialRadio,
    {
        "at": patterns(),
        "role": _ROLE,
        "rebroadcast_mode": choice(*REBROADCAST_MODES),
        "power_dbm": _POWER,
        "antenna_gain_db": _GAIN,
        "hop_limit": _HOPS,
        "firmware": choice(*FIRMWARE),
        "preset": _PRESET,
        "power": _POWER_SUPPLY,
    },
    required=("at",),
    many=True,
)

_RADIO = Section(
    RadioPlan,
    {
        "preset": _PRESET,
        "region": choice(*(region for region in REGIONS if region != "UNSET")),
        "power_dbm": _POWER,
        "antenna_gain_db": _GAIN,
        "hop_limit": _HOPS,
        "role": _ROLE,
        "firmware": choice(*FIRMWARE),
        "chatter": flag(),
        "path_loss": choice(*PATH_LOSS_MODELS),
        "asymmetry_db": number(0, 30),
        "shadowing_db": number(0, 30),
        "fading_db": number(0, 30),
        "noise_figure_db": number(0, 40),
        "other_factors_disturb": flag(),
        "special": _SPECIAL,
    },
)

_DEVICES = Section(
    DevicePlan,
    {
        "name": text(NAME_CHARS_MAX),
        "count": whole(1, 5000),
        "at": patterns(),
        "model": text(60),
        "tokens_per_s": number(0, 100_000, above=True),
        "slots": whole(1, 256),
        "has_radio": flag(),
        "battery_wh": _BATTERY,
        "solar_w": number(0, 100_000),
        "idle_w": number(0, 10_000),
        "busy_w": number(0, 10_000),
        "share_hours": hours_of_day(),
        "share_above_percent": number(0, 99),
        "on_hours": hours_of_day(),
    },
    required=("name",),
    many=True,
)

_PEOPLE = Section(
    PeoplePlan,
    {
        "questions_per_day": number(0, _PER_DAY_MAX),
        "evening_peak": number(0, 100),
        "asking_share": share(),
        "languages": shares(*LANGUAGES),
        "alike": share(),
        "patience_s": number(10, 3600),
        "answer_chars": whole(1, 20_000),
        "texts_per_day": number(0, _PER_DAY_MAX),
        "emergencies": Section(
            Emergency,
            {"at_hour": number(0, HOURS_MAX), "minutes": number(0, 1440, above=True), "share": share()},
            required=("at_hour",),
            many=True,
        ),
    },
)

_FAULTS = Section(
    FaultPlan,
    {
        "loss": share(),
        "duplicate": _COUNT,
        "reorder": _COUNT,
        "corrupt": _COUNT,
        "partition": _COUNT,
        "crash": _COUNT,
        "disk_full": _COUNT,
        "clock_jump": _COUNT,
        "freeze": _COUNT,
        "battery_empty": _COUNT,
        "radio_unplugged": _COUNT,
    },
)

_WALKS = Section(
    Walk,
    {
        "at": patterns(),
        "path": points(),
        "speed_kmh": number(0, 300, above=True),
        "starts": clock(),
        "and_back": flag(),
    },
    required=("at", "path"),
    many=True,
    called={"starts": "starts_hour"},
)

ROOT = Section(
    Head,
    {
        "title": text(100),
        "about": text(2000),
        "terrain": text(_PATH_CHARS),
        "hours": number(0, HOURS_MAX, above=True),
        "start": clock(),
        "radio": _RADIO,
        "devices": _DEVICES,
        "people": _PEOPLE,
        "faults": _FAULTS,
        "walks": _WALKS,
        "places": Kind("a table, written [places]", lambda found: found),
    },
    called={"start": "start_hour"},
)
"""The whole file."""
