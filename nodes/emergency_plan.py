"""Whom to call here: the numbers and people that a device's owner wrote down for emergencies, in one small file.

Reads and writes that file and knows its form. What is said with it is the business of `nodes.emergency`.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nodes.languages import KINDS, languages
from protocol.errors import LocalError

__all__ = ["EmergencyPlan", "load_plan", "plan_from", "plan_text", "save_plan"]

_LINE_BYTES_MAX = 60
_LINES_MAX = 4
"""Numbers for one kind, or people: what fits into two packets."""
_HEAD = """\
# Whom to call in an emergency here. `meshai emergency set` writes this file; editing it by hand is fine too.
# numbers: such as "Ambulance 112". people: who helps, where they live, their radio. [kinds]: numbers for one kind
# of emergency, told before the others: poison, injury, fire, drowning, violence.
"""


@dataclass(frozen=True, slots=True)
class EmergencyPlan:
    """Whom to call here."""

    language: str = ""
    """Code of the language that people here speak; empty for the one they write in."""
    numbers: tuple[str, ...] = ()
    """Such as `Ambulance 112`, the most useful first."""
    people: tuple[str, ...] = ()
    """Such as `Amina, nurse, blue house by the well, radio !1a2b3c4d`."""
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Kind of emergency -> numbers for it, told before the others."""

    def __post_init__(self) -> None:
        """Raises LocalError for what can't be told by radio."""
        if self.language and self.language not in languages():
            raise LocalError(f"no language {self.language!r}", "", f"use one of {', '.join(languages())}")
        for kind in self.kinds:
            if kind not in KINDS:
                raise LocalError(f"no kind of emergency {kind!r}", "", f"use one of {', '.join(KINDS)}")
        for lines in (self.numbers, self.people, *self.kinds.values()):
            if len(lines) > _LINES_MAX:
                raise LocalError(f"{len(lines)} lines are too many", f"{_LINES_MAX} of each are told", "keep the best")
            for line in lines:
                if not line.strip() or not line.isprintable() or len(line.encode()) > _LINE_BYTES_MAX:
                    raise LocalError(
                        f"{line!r} can't be told", f"it must be plain text of at most {_LINE_BYTES_MAX} bytes"
                    )

    @property
    def is_set(self) -> bool:
        """Whether there is anybody to call."""
        return bool(self.numbers or self.people)

    def numbers_for(self, kinds: tuple[str, ...]) -> tuple[str, ...]:
        """The numbers for these kinds of emergency, then those for all."""
        special = (number for kind in kinds for number in self.kinds.get(kind, ()))
        return tuple(dict.fromkeys((*special, *self.numbers)))


def plan_from(text: str) -> EmergencyPlan:
    """Read a plan; raises LocalError when it is none."""
    try:
        form = tomllib.loads(text)
        kinds = {str(kind): _lines(lines) for kind, lines in dict(form.get("kinds", {})).items()}
        return EmergencyPlan(
            str(form.get("language", "")), _lines(form.get("numbers", [])), _lines(form.get("people", [])), kinds
        )
    except (tomllib.TOMLDecodeError, TypeError, ValueError) as error:
        raise LocalError("the emergency numbers can't be read", str(error), "see docs/phones.md") from error


def plan_text(plan: EmergencyPlan) -> str:
    """The file's text for this plan."""
    lines = [
        _HEAD + f"language = {_toml(plan.language)}",
        f"numbers = {_toml(plan.numbers)}",
        f"people = {_toml(plan.people)}",
    ]
    if plan.kinds:
        lines += ["", "[kinds]", *(f"{kind} = {_toml(numbers)}" for kind, numbers in plan.kinds.items())]
    return "\n".join(lines) + "\n"


def load_plan(path: Path) -> EmergencyPlan:
    """The plan in the file at `path`, an empty one when there is none; raises LocalError when it can't be read."""
    try:
        return plan_from(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return EmergencyPlan()
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"{path} can't be read", str(error), "mend or remove it") from error


def save_plan(path: Path, plan: EmergencyPlan) -> None:
    """Keep the plan at `path`, whole or not at all; raises LocalError when it can't be written."""
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new.write_text(plan_text(plan), encoding="utf-8")
        os.replace(new, path)
    except OSError as error:
        raise LocalError(f"{path} can't be written", str(error), "free some space, or choose another folder") from error


def _lines(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("a list of texts is needed")
    return tuple(values)


def _toml(value: str | tuple[str, ...]) -> str:
    # What JSON writes for a text or a list of texts is TOML too.
    return json.dumps(value, ensure_ascii=False)
