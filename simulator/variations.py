"""Scenarios that differ from one in a few values: what `--vary hop_limit=3,5` means, and all combinations.

Keys and kinds of values are those of a scenario file, see `simulator.scenario.sections`. Knows nothing of runs.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from protocol.airtime import PRESETS
from protocol.errors import LocalError
from simulator.channels import REGIONS
from simulator.lora import region_power_dbm
from simulator.scenario.kinds import Kind, Section
from simulator.scenario.plan import Scenario
from simulator.scenario.sections import ROOT
from simulator.scenario.trouble import did_you_mean, shown

__all__ = ["COMBINATIONS_MAX", "Axis", "Variation", "axes_from", "known_keys", "value_words", "variations"]

COMBINATIONS_MAX = 2000
"""More of them nobody could read."""
_TEXT_CHARS_MAX = 4000
_FIXED = ("title", "about", "terrain", "places", "name", "path")
"""Keys whose change makes another scenario rather than a variation; the name of a device is how it is found."""

Step = str | int


@dataclass(frozen=True, slots=True)
class Axis:
    """A key that is varied, and its values."""

    key: str
    """In full, such as `radio.preset` or `devices.0.count`."""
    label: str
    """As the person wrote it."""
    path: tuple[Step, ...]
    """Fields and indices that lead to it from the scenario."""
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Variation:
    """One combination, and the scenario with it."""

    changes: tuple[tuple[str, Any], ...]
    """Key as the person wrote it, and value; empty for the scenario as it is."""
    scenario: Scenario

    @property
    def name(self) -> str:
        """Such as `preset LONG_FAST, hop_limit 3`."""
        return ", ".join(f"{label} {value_words(value)}" for label, value in self.changes) or "as it is"


@dataclass(frozen=True, slots=True)
class _Key:
    """Something that can be varied."""

    full: str
    kind: Kind
    path: tuple[Step, ...]
    spellings: tuple[str, ...]
    """Ways to write it in full: with a device's number, and with its name."""


def axes_from(scenario: Scenario, wishes: Sequence[str]) -> tuple[Axis, ...]:
    """What each `KEY=VALUE,VALUE…` asks for; raises LocalError for keys and values that a scenario file can't hold.

    A key may be shortened to its last parts while only one is meant. Values are written as in the file; text needs no
    quotes unless it has commas in it.
    """
    axes: list[Axis] = []
    for wish in wishes:
        if len(wish) > _TEXT_CHARS_MAX:
            raise LocalError("too much to vary at once", f"{_TEXT_CHARS_MAX} characters are read", "write less")
        label, equals, text = wish.partition("=")
        if not equals or not label.strip() or not text.strip():
            raise LocalError(f"{shown(wish)} varies nothing", "", "write KEY=VALUE,VALUE such as hop_limit=3,5")
        key = _find(scenario, label.strip())
        if any(axis.key == key.full for axis in axes):
            raise LocalError(f"two wishes vary {key.full}", "", "name each key once, with all its values")
        axes.append(Axis(key.full, label.strip(), key.path, _values(key, text)))
    if math.prod(len(axis.values) for axis in axes) > COMBINATIONS_MAX:
        raise LocalError("that is too many combinations", f"{COMBINATIONS_MAX} are the most", "vary less at once")
    return tuple(axes)


def variations(scenario: Scenario, axes: Sequence[Axis]) -> tuple[Variation, ...]:
    """All combinations, the last axis changing fastest; raises LocalError for one that can't be."""
    made = []
    for values in itertools.product(*(axis.values for axis in axes)):
        varied = scenario
        for axis, value in zip(axes, values, strict=True):
            varied = _with(varied, axis.path, value)
        variation = Variation(tuple((axis.label, value) for axis, value in zip(axes, values, strict=True)), varied)
        _check(variation)
        made.append(variation)
    return tuple(made)


def known_keys(scenario: Scenario) -> tuple[str, ...]:
    """Everything that can be varied in it, in full."""
    return tuple(key.full for key in _keys(ROOT, scenario, (), ()))


def value_words(value: Any) -> str:
    """A value as people write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return " + ".join(value)
    if isinstance(value, dict):
        return " + ".join(f"{name} {share:g}" for name, share in value.items())
    return str(value) or "none"


def _keys(section: Section, made: Any, path: tuple[Step, ...], spelled: tuple[str, ...]) -> Iterator[_Key]:
    """The keys of a section of which the scenario has `made`; `spelled` are the ways to write what leads there."""
    called: Mapping[str, str] = section.called or {}
    for key, kind in section.keys.items():
        field = called.get(key, key)
        if key in _FIXED:
            continue
        spellings = tuple(f"{way}.{key}" for way in spelled) or (key,)
        here = (*path, field)
        if isinstance(kind, Kind):
            yield _Key(spellings[0], kind, here, spellings)
            continue
        inside = getattr(made, field)
        if kind.many:
            for number, each in enumerate(inside):
                names = [str(number), *([each.name] if hasattr(each, "name") else [])]
                yield from _keys(
                    kind, each, (*here, number), tuple(f"{way}.{name}" for name in names for way in spellings)
                )
        elif inside is not None:
            yield from _keys(kind, inside, here, spellings)


def _find(scenario: Scenario, label: str) -> _Key:
    """The key that a person means: written in full, or else the one closest to the top that ends so."""
    keys = list(_keys(ROOT, scenario, (), ()))
    exact = [key for key in keys if label in key.spellings]
    ending = [key for key in keys if any(way.endswith(f".{label}") for way in key.spellings)]
    depth = min((len(key.path) for key in ending), default=0)
    found = exact or [key for key in ending if len(key.path) == depth]
    if not found:
        full = [key.full for key in keys]
        close = get_close_matches(label, [*full, *dict.fromkeys(name.rpartition(".")[2] for name in full)], n=1)
        hint = f"perhaps {shown(close[0])} is meant" if close else f"use one of {', '.join(full)}"
        raise LocalError(f"nothing is called {shown(label)} in this scenario", "", hint)
    if len(found) > 1:
        ways = ", ".join(key.spellings[-1] for key in found)
        raise LocalError(f"{shown(label)} could mean several things", "", f"use one of {ways}")
    return found[0]


def _values(key: _Key, text: str) -> tuple[Any, ...]:
    values = []
    for choices in _pieces(text):
        value = _taken(key, choices)
        if value in values:
            raise LocalError(f"there is {value_words(value)} twice for {key.full}", "", "give each value once")
        values.append(value)
    return tuple(values)


def _taken(key: _Key, choices: Sequence[Any]) -> Any:
    """The first reading of a value that its kind allows."""
    hint = ""
    for choice in choices:
        try:
            return key.kind.take(choice)
        except ValueError as error:
            hint = hint or str(error)
    raise LocalError(f"can't set {key.full} to {shown(choices[0])}", "", hint or f"expected {key.kind.expected}")


def _pieces(text: str) -> list[tuple[Any, ...]]:
    """The values in a list, each with the ways in which it may be meant."""
    listed = _toml(f"[{text}]")
    if isinstance(listed, list):
        return [(value,) for value in listed]
    pieces = [piece.strip() for piece in text.split(",")]
    if not all(pieces):
        raise LocalError(f"{shown(text)} has an empty value in it", "", "write values with one comma between them")
    return [(piece, *([_toml(piece)] if _toml(piece) is not None else [])) for piece in pieces]


def _toml(text: str) -> Any:
    """A TOML value; None where it is none."""
    try:
        found = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return None
    return found["value"] if len(found) == 1 else None


def _with(made: Any, path: Sequence[Step], value: Any) -> Any:
    """A copy in which `value` stands at `path`. Of a device's `count` and `at`, setting one takes the other away."""
    step, *rest = path
    if isinstance(step, int):
        return (*made[:step], _with(made[step], rest, value), *made[step + 1 :])
    if rest:
        return replace(made, **{step: _with(getattr(made, step), rest, value)})
    changes: dict[str, Any] = {step: value}
    if hasattr(made, "at") and hasattr(made, "count"):
        emptied: dict[str, dict[str, Any]] = {"count": {"at": ()}, "at": {"count": 0}}
        changes |= emptied.get(step, {})
    return replace(made, **changes)


def _check(variation: Variation) -> None:
    """Raise LocalError for values that don't fit together and that a run would not refuse."""
    scenario, radio = variation.scenario, variation.scenario.radio
    low_mhz, high_mhz, _ = REGIONS[radio.region]
    for preset in (radio.preset, *(special.preset for special in radio.special if special.preset)):
        if PRESETS[preset].bandwidth_hz / 1e6 > high_mhz - low_mhz + 1e-9:
            raise LocalError(f"{variation.name} can't be", f"{preset} is wider than the band of {radio.region}")
    most_dbm = region_power_dbm(radio.region)
    for power_dbm in (radio.power_dbm, *(special.power_dbm for special in radio.special)):
        if power_dbm is not None and power_dbm > most_dbm:
            raise LocalError(f"{variation.name} can't be", f"{radio.region} allows {most_dbm:g} dBm at most")
    names = [place.name for place in scenario.places]
    named = [
        *(device.at for device in scenario.devices),
        *(special.at for special in radio.special),
        *(walk.at for walk in scenario.walks),
    ]
    for pattern in itertools.chain.from_iterable(named):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise LocalError(f"{shown(pattern)} is no place of the scenario", "", did_you_mean(pattern, names[:20]))
