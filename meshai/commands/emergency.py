"""`meshai emergency`: whom to call here, as told to whoever asks about an emergency."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import click
import trio

from meshai.commands.options import json_option
from meshai.control import RunningNode
from meshai.run import dim, run, tell, tell_json
from meshai.setup import state_dir
from meshai.words import clean
from nodes.config import emergency_file
from nodes.emergency import Emergencies
from nodes.emergency_plan import EmergencyPlan, load_plan, save_plan
from nodes.languages import KINDS, languages

__all__ = ["command"]

_UNSET = 'No local numbers are set. Set them: meshai emergency set --number "Ambulance 112"'


@click.group("emergency")
def command() -> None:
    """Set whom to call here in an emergency.

    Questions of poison, injury, fire, drowning and violence are answered first with these numbers and people, before
    any model's words: in `meshai ask` and `chat`, and to phones.
    """


@command.command("show")
@json_option
def show_command(as_json: bool) -> None:
    """Show the numbers and people, and what is told."""
    run(partial(_show, as_json), as_json=as_json)


@command.command("set")
@click.option(
    "--number",
    multiple=True,
    metavar="TEXT",
    help='Such as "Ambulance 112"; "poison: Poison line 0800 123" for one kind of emergency. Replaces all numbers.',
)
@click.option(
    "--person",
    multiple=True,
    metavar="TEXT",
    help='Who helps, where they live, their radio: "Amina, nurse, house by the well". Replaces all people.',
)
@click.option("--language", metavar="CODE", help="Language that people here speak.")
@json_option
def set_command(number: tuple[str, ...], person: tuple[str, ...], language: str | None, as_json: bool) -> None:
    """Set numbers, people or the language; what is not named stays."""
    run(partial(_set, number, person, language, as_json), as_json=as_json)


@command.command("try")
@click.argument("question", nargs=-1, required=True)
@json_option
def try_command(question: tuple[str, ...], as_json: bool) -> None:
    """Show what would be told before the answer to a question. Asks nobody."""
    run(partial(_try, " ".join(question), as_json), as_json=as_json)


async def _show(as_json: bool) -> None:
    await trio.lowlevel.checkpoint()
    path = emergency_file()
    _tell_plan(load_plan(path), path, as_json)


async def _set(numbers: tuple[str, ...], people: tuple[str, ...], language: str | None, as_json: bool) -> None:
    path = emergency_file()
    plan = load_plan(path)
    if numbers:
        kinds: dict[str, tuple[str, ...]] = {}
        general: list[str] = []
        for number in numbers:
            kind, _, rest = number.partition(":")
            if kind.strip().lower() in KINDS and rest.strip():
                kinds[kind.strip().lower()] = (*kinds.get(kind.strip().lower(), ()), rest.strip())
            else:
                general.append(number.strip())
        plan = replace(plan, numbers=tuple(general), kinds=kinds)
    if people:
        plan = replace(plan, people=tuple(person.strip() for person in people))
    if language is not None:
        plan = replace(plan, language=language)
    save_plan(path, plan)
    _tell_plan(plan, path, as_json)
    if await RunningNode(state_dir(None)).is_there():
        dim("The node that is running here tells this after its next start.")


async def _try(question: str, as_json: bool) -> None:
    await trio.lowlevel.checkpoint()
    notice = Emergencies(load_plan(emergency_file())).notice(question)
    if as_json:
        tell_json({"question": question, "notice": None if notice is None else asdict(notice)})
    elif notice is None:
        tell("This does not sound like an emergency: it goes to the model alone.")
    else:
        tell(f"{notice.text}\n\n{notice.doubtful}\n…")


def _tell_plan(plan: EmergencyPlan, path: Path, as_json: bool) -> None:
    if as_json:
        tell_json({**asdict(plan), "file": str(path), "set": plan.is_set})
        return
    tell(f"language  {plan.language or 'that of the question'}")
    for kind, numbers in plan.kinds.items():
        tell(clean(f"{kind:9} {', '.join(numbers)}", lines=False))
    tell(clean(f"numbers   {', '.join(plan.numbers) or 'none'}", lines=False))
    tell(clean(f"people    {'; '.join(plan.people) or 'none'}", lines=False))
    tell(f"file      {path}")
    if not plan.is_set:
        dim(_UNSET)
    book = languages().get(plan.language)
    if book is not None and not book.reviewed:
        dim(f"The texts in {book.name} are a draft that nobody has reviewed: see docs/phones.md.")
