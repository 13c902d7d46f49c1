"""How a scenario is found, by its name among those that come with the program or by its file, and read.

The entrance to this package: `load_scenario`. What may stand in a file is known to `parsing` and what it imports.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from protocol.errors import LocalError
from simulator.scenario.parsing import Reading, parse, read
from simulator.scenario.plan import Scenario
from simulator.scenario.trouble import did_you_mean

__all__ = ["Reading", "load", "load_scenario", "names", "shipped", "shipped_text", "write_new"]

_FOLDER = Path(__file__).parent / "shipped"
_SUFFIX = ".toml"
_ORDER = ("street", "apartment-block", "village-40")
"""These first; the others behind them, by name."""


def names() -> tuple[str, ...]:
    """Names of the scenarios that come with the program, the simplest first."""
    found = sorted(path.stem for path in _FOLDER.glob(f"*{_SUFFIX}"))
    return tuple(sorted(found, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER)))


@cache
def shipped() -> dict[str, str]:
    """Name -> title of each of them."""
    return {name: str(tomllib.loads(shipped_text(name))["title"]) for name in names()}


def shipped_text(name: str) -> str:
    """The file of one of them, comments included; raises LocalError for an unknown name."""
    if name not in names():
        raise LocalError(f'no scenario is called "{name}"', "", did_you_mean(name, names()))
    return (_FOLDER / f"{name}{_SUFFIX}").read_text(encoding="utf-8")


def load_scenario(which: str) -> Scenario:
    """The scenario with that name, or in that file; see `load`."""
    return load(which).scenario


def load(which: str) -> Reading:
    """The scenario with that name, or in that file, and notes on it: what ends in `.toml`, or is a file, is one.

    Raises LocalError: a ScenarioError when there are mistakes in it.
    """
    if which.endswith(_SUFFIX) or Path(which).is_file():
        return read(which)
    if which not in names():
        expected = f"use one of {', '.join(names())}, or a file that ends in {_SUFFIX}"
        raise LocalError(f'there is no scenario and no file called "{which}"', "", expected)
    return parse(shipped_text(which), name=which, file=f"{which}{_SUFFIX}", folder=_FOLDER)


def write_new(name: str, model: str) -> Path:
    """Write the shipped scenario `model` to a file called `name`, to be changed; returns its path.

    Raises LocalError when there is such a file already, or it can't be written.
    """
    path = Path(name if name.endswith(_SUFFIX) else f"{name}{_SUFFIX}")
    text = shipped_text(model)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise LocalError(f"there is a file {path} already", "", "choose another name") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise LocalError(f"the file {path} can't be written", why, "choose another name or folder") from None
    return path
