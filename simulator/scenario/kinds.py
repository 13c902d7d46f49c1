"""Kinds of values that a scenario file may hold: each takes what the file says, or says what it expected.

And the one function that reads a table of them. Knows neither which keys there are nor what they mean.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from nodes.sharing import Hours
from protocol.errors import LocalError
from simulator.scenario.locating import Lines, Path
from simulator.scenario.trouble import Troubles, did_you_mean, shown

__all__ = [
    "Kind",
    "Section",
    "Source",
    "choice",
    "clock",
    "flag",
    "hours_of_day",
    "number",
    "patterns",
    "points",
    "read_table",
    "share",
    "shares",
    "text",
    "whole",
]

_CLOCK = re.compile(r"(\d{1,2})(?::(\d\d))?(?: ?h)?")
_LIST_MAX = 5000
_POINTS_MAX = 500
_FARTHEST_M = 1e6


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value."""

    expected: str
    """Such as `a whole number from 0 to 7`."""
    take: Callable[[Any], Any]
    """Returns the value as the program wants it; raises ValueError, with a better hint where there is one."""


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the file, or a list of such tables, and what is made of each."""

    make: Callable[..., Any]
    """Called with the values found, by name; its own defaults stand for the others."""
    keys: Mapping[str, Kind | Section]
    required: Collection[str] = ()
    many: bool = False
    """Whether it is a list of tables, written `[[name]]`; one table alone will do as well."""
    called: Mapping[str, str] | None = None
    """Key in the file -> parameter of `make`, where they differ."""


@dataclass(frozen=True, slots=True)
class Source:
    """The file that is being read."""

    file: str
    """As messages name it."""
    lines: Lines
    troubles: Troubles

    def note(self, path: Path, what: str, expected: str) -> None:
        """Note a mistake at a key."""
        self.troubles.note(self.file, self.lines.of(path), what, expected)


def read_table(source: Source, section: Section, found: Any, path: Path) -> Any:
    """What `section` makes of the value at `path`; mistakes are noted, and their keys left out.

    Returns None where nothing can be made: no table, or something required is missing or wrong.
    """
    if not isinstance(found, dict):
        source.note(path, f"{_name(path)} is {shown(found)}", f"expected a table, written [{_dotted(path)}]")
        return None
    values: dict[str, Any] = {}
    called = section.called or {}
    for key, value in found.items():
        kind = section.keys.get(key)
        here = (*path, key)
        if kind is None:
            where = f" in [{_dotted(path)}]" if path else ""
            source.note(here, f"unknown key {shown(key)}{where}", did_you_mean(key, section.keys))
            continue
        taken = (
            _take_kind(source, kind, value, here)
            if isinstance(kind, Kind)
            else _take_section(source, kind, value, here)
        )
        if taken is not None:
            values[called.get(key, key)] = taken
    for key in section.required:
        if key not in found:
            wanted = section.keys[key]
            hint = f", {wanted.expected}" if isinstance(wanted, Kind) else ""
            source.note(path, f"[{_dotted(path)}] has no {shown(key)}", f"expected it{hint}")
    if any(called.get(key, key) not in values for key in section.required):
        return None
    return section.make(**values)


def _take_kind(source: Source, kind: Kind, value: Any, path: Path) -> Any:
    try:
        return kind.take(value)
    except ValueError as error:
        told = (
            f"{_name(path)} can't be so"
            if str(error) and isinstance(value, dict)
            else f"{_name(path)} is {shown(value)}"
        )
        source.note(path, told, str(error) or f"expected {kind.expected}")
        return None


def _take_section(source: Source, section: Section, value: Any, path: Path) -> Any:
    if not section.many:
        return read_table(source, section, value, path)
    if isinstance(value, dict):
        made = read_table(source, section, value, path)
        return () if made is None else (made,)
    if not isinstance(value, list):
        source.note(path, f"{_name(path)} is {shown(value)}", f"expected tables, each written [[{_dotted(path)}]]")
        return None
    if len(value) > _LIST_MAX:
        source.note(path, f"{len(value)} times {_name(path)}", f"at most {_LIST_MAX} are read")
        return None
    made = [read_table(source, section, each, (*path, number)) for number, each in enumerate(value)]
    return None if None in made else tuple(made)


def _name(path: Path) -> str:
    """A key as a message names it."""
    names = [part for part in path if isinstance(part, str)]
    inside = f" in [{'.'.join(names[:-1])}]" if len(names) > 1 else ""
    return f"{names[-1]}{inside}" if names else "the file"


def _dotted(path: Path) -> str:
    return ".".join(part for part in path if isinstance(part, str))


def number(low: float, high: float, *, above: bool = False) -> Kind:
    """A number from `low` to `high`; `above`: more than `low`."""

    def take(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        if not low <= value <= high or (above and value == low):
            raise ValueError
        return float(value)

    return Kind(f"a number {'above' if above else 'from'} {low:,g} {'and up ' if above else ''}to {high:,g}", take)


def share() -> Kind:
    """A share of a whole."""
    return Kind("a share from 0 to 1, such as 0.3 for 30 %", number(0, 1).take)


def whole(low: int, high: int) -> Kind:
    """A whole number from `low` to `high`."""

    def take(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return Kind(f"a whole number from {low} to {high}", take)


def flag() -> Kind:
    """Yes or no."""

    def take(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return Kind("true or false", take)


def text(chars_max: int) -> Kind:
    """Some text."""

    def take(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError
        if len(value) > chars_max:
            raise ValueError(f"expected at most {chars_max} characters, not {len(value)}")
        return value.strip()

    return Kind('text in quotes, such as "words"', take)


def choice(*options: str) -> Kind:
    """One of a few words, in capitals or not."""
    folded = {option.casefold(): option for option in options}

    def take(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError
        if value.casefold() not in folded:
            raise ValueError(did_you_mean(value, options))
        return folded[value.casefold()]

    return Kind(f"one of {', '.join(options)}", take)


def clock() -> Kind:
    """A time of the day, in hours."""

    def take(value: Any) -> float:
        if isinstance(value, datetime.time):
            return value.hour + value.minute / 60
        if isinstance(value, str):
            found = _CLOCK.fullmatch(value.strip())
            if not found or int(found[1]) > 23 or int(found[2] or 0) > 59:
                raise ValueError
            return int(found[1]) + int(found[2] or 0) / 60
        hour = number(0, 24).take(value)
        if hour == 24:
            raise ValueError
        return float(hour)

    return Kind('a time of the day such as "06:00", or its hour, 0 to below 24', take)


def hours_of_day() -> Kind:
    """Hours at which something is so, as `nodes.sharing` reads them."""

    def take(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError
        try:
            Hours.parse(value)
        except LocalError as error:
            raise ValueError(f"{error.fix or error.why or error.what}") from None
        return value

    return Kind('hours in quotes, such as "18-23" or "mon-fri 18-23, sat 8-12"', take)


def patterns() -> Kind:
    """Names of places, `*` standing for anything; one alone needs no brackets."""

    def take(value: Any) -> tuple[str, ...]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names or len(names) > _LIST_MAX:
            raise ValueError
        if not all(isinstance(name, str) and name.strip() for name in names):
            raise ValueError
        return tuple(name.strip() for name in names)

    return Kind('names of places, such as ["house 3", "hill*"]', take)


def points() -> Kind:
    """Points on the map, metres east and north of its origin."""

    def take(value: Any) -> tuple[tuple[float, float], ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= _POINTS_MAX:
            raise ValueError
        if not all(isinstance(point, list) and len(point) == 2 for point in value):
            raise ValueError
        metres = number(-_FARTHEST_M, _FARTHEST_M)
        return tuple((metres.take(east), metres.take(north)) for east, north in value)

    return Kind("points in metres east and north, such as [[0, 0], [400, 250]]", take)


def shares(*options: str) -> Kind:
    """Shares of several things that together make a whole, such as `{ en = 0.4, sw = 0.6 }`."""

    def take(value: Any) -> dict[str, float]:
        if not isinstance(value, dict) or not value:
            raise ValueError
        for name, part in value.items():
            if name not in options:
                raise ValueError(f"{shown(name)} is unknown; {did_you_mean(name, options)}")
            if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part <= 1:
                raise ValueError(f"{name} is {shown(part)}; expected a share from 0 to 1")
        if not math.isclose(total := sum(value.values()), 1.0, abs_tol=0.011):
            raise ValueError(f"the shares make {total:g} together; expected 1")
        return {name: float(part) for name, part in value.items()}

    return Kind("shares that make 1 together, such as { en = 0.4, sw = 0.6 }", take)
