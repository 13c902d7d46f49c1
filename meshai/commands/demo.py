"""`meshai demo`: shows a question crossing the air to a real model, its answer, and its cost."""

from __future__ import annotations

import re
import sys
from functools import partial
from shutil import get_terminal_size
from typing import Any

import click
import trio

from meshai.air import Flight, airtime_at, cost_of
from meshai.commands.options import json_option
from meshai.demo import ASKER, HOUSE, RADIOS, RELAY, Neighbourhood, neighbourhood
from meshai.run import StdinLines, run, tell, tell_json
from meshai.words import clean, cost_line
from nodes.wishes import Chosen, LookingAround, Progress, Promised, Restarted, Text
from protocol.airtime import DEFAULT_PRESET, PRESETS, Preset, preset_named
from protocol.errors import MeshaiError

__all__ = ["command"]

_QUESTION = "Why is the sky blue?"
_MODEL = "smollm2-135m"
_NODES = {RADIOS[0]: ASKER, RADIOS[-1]: HOUSE}
_HEAR_S = 20.0
"""How long the demonstration waits for a beacon before it asks anyway."""


@click.command("demo")
@click.option("--question", default=_QUESTION, show_default=True, help="What to ask.")
@click.option("--preset", default="SHORT_FAST", show_default=True, help=f"One of {', '.join(PRESETS)}.")
@click.option("--model", default=_MODEL, show_default=True, help="The model of the answering node.")
@click.option("--without-relay", is_flag=True, help=f"Switch radio {RELAY} off: nobody is in reach.")
@json_option
def command(question: str, preset: str, model: str, without_relay: bool, as_json: bool) -> None:
    """Watch a question cross three virtual radios to a real model.

    A node without a model asks, a node two hops away answers, every packet is shown. Nothing real is transmitted.
    """
    run(partial(_demo, question, preset, model, without_relay, as_json), as_json=as_json)


async def _demo(question: str, preset_name: str, model: str, without_relay: bool, as_json: bool) -> None:
    show = _Show(as_json)
    preset = preset_named(preset_name)
    async with neighbourhood(preset, model, without_relay=without_relay, tell=show.step, hear=show.flight) as here:
        ports = ", ".join(f"{name} 127.0.0.1:{port}" for name, port in here.ports.items())
        show.step(f"watch radio {RELAY} meanwhile with: meshtastic --host 127.0.0.1:{here.ports[RELAY]} --info")
        show.step(f"radios: {ports}")
        if not without_relay:
            await _hear_house(here, show)
        result = await _ask_twice(here, question, preset, show)
        if as_json:
            tell_json(result)
        elif sys.stdin is not None and sys.stdin.isatty():
            await _ask_person(here, show)


async def _hear_house(here: Neighbourhood, show: _Show) -> None:
    with trio.move_on_after(_HEAR_S):
        while True:
            for peer in await here.mesh.peers():
                models = ", ".join(f"{m['name']} at {m['tokens_per_s']} tokens/s" for m in peer["models"])
                show.step(f"{ASKER} hears {clean(peer['name'], lines=False)}, {peer['hops']} hops away: {models}")
                return
            await trio.sleep(0.2)


async def _ask_twice(here: Neighbourhood, question: str, preset: Preset, show: _Show) -> dict[str, Any]:
    show.question(f"{ASKER} asks: {question}")
    answer, flights = await here.ask(question, show.progress)
    cost = cost_of(flights)
    show.end_answer()
    show.step(
        f"answered by {clean(answer.answered_by, lines=False)} with {clean(answer.model, lines=False)}, "
        f"{answer.hops} hops, "
        f"{answer.seconds:.1f} s{' (cut at the token limit)' if answer.truncated else ''}; "
        f"{cost_line(cost, estimated=False)}, counted on the air, relay included"
    )
    if preset != DEFAULT_PRESET:
        show.step(
            f"{DEFAULT_PRESET.name}, which reaches farther, takes {airtime_at(flights, DEFAULT_PRESET):.1f} s of air"
        )
    show.question(f"{ASKER} asks the same again")
    again, flights_again = await here.ask(question, show.progress)
    show.end_answer()
    show.step(
        f"answered from {'its cache' if again.source == 'cache' else again.answered_by} "
        f"in {again.seconds * 1000:.0f} ms; {cost_line(cost_of(flights_again), estimated=False)}"
    )
    return {
        "question": question,
        "answer": answer.text,
        "model": answer.model,
        "answered_by": answer.answered_by,
        "hops": answer.hops,
        "preset": preset.name,
        "truncated": answer.truncated,
        "first": {
            "source": answer.source,
            "packets": cost.packets,
            "bytes_on_air": cost.bytes_on_air,
            "airtime_s": round(cost.airtime_s, 3),
            "airtime_s_long_fast": round(airtime_at(flights, DEFAULT_PRESET), 3),
            "seconds": round(answer.seconds, 2),
        },
        "second": {"source": again.source, "packets": len(flights_again), "seconds": round(again.seconds, 4)},
    }


async def _ask_person(here: Neighbourhood, show: _Show) -> None:
    tell("\nUnplug the internet, type a question, press Enter (an empty line ends):")

    lines = StdinLines()
    while question := (await lines.next("> ") or "").strip():
        try:
            answer, flights = await here.ask(question, show.progress)
        except MeshaiError as error:
            tell(f"meshai: {clean(str(error))}")
            continue
        show.end_answer()
        show.step(f"{answer.seconds:.1f} s; {cost_line(cost_of(flights), estimated=False)}")


class _Show:
    """Tells the demonstration to a person as it happens; silent with `--json`."""

    def __init__(self, silent: bool) -> None:
        self._silent = silent
        self._grey = "\x1b[2m{}\x1b[0m" if sys.stdout.isatty() else "{}"
        self._bold = "\x1b[1m{}\x1b[0m" if sys.stdout.isatty() else "{}"
        self._in_answer = False
        self._half_word = ""
        self._column = 0

    def step(self, text: str) -> None:
        """What happened."""
        self._line(f"  {text}")

    def question(self, text: str) -> None:
        """What is asked."""
        self._line("\n" + self._bold.format(clean(text)))

    def flight(self, flight: Flight) -> None:
        """A packet flew."""
        who = "relays" if flight.relayed else f"{_NODES.get(flight.radio, '?')}:"
        size = f"{flight.phy_bytes:4} bytes {flight.airtime_s:5.2f} s"
        heard = " ".join(flight.heard_by) or "nobody"
        self._line(self._grey.format(f"    ))) {flight.radio} {who:6} {flight.what:22} {size}  heard by {heard}"))

    def progress(self, progress: Progress) -> None:
        """The answer, as it comes."""
        match progress:
            case Text(text=text):
                self._answer(text)
            case Restarted():
                self._half_word = ""
                self.step("the answer broke off; starting anew:")
            case LookingAround(seconds=seconds):
                self.step(f"listening for nodes that answer, up to {seconds:.0f} s …")
            case Chosen(candidate=candidate, expected_s=expected_s):
                name = clean(candidate.name, lines=False)
                self.step(
                    f"the router chooses {name} ({clean(candidate.model, lines=False)}), about {expected_s:.0f} s"
                )
            case Promised(wait_s=wait_s):
                self.step(f"accepted, ready in {wait_s} s")

    def end_answer(self) -> None:
        """The answer is whole."""
        self._answer("\n")
        self._in_answer = False
        self._line("")

    def _answer(self, text: str) -> None:
        """Show the answer up to its last whole word: packets end anywhere."""
        words = self._half_word + clean(text)
        cut = max(words.rfind(" "), words.rfind("\n")) + 1
        self._half_word = words[cut:]
        if cut and not self._silent:
            if not self._in_answer:
                self._column = get_terminal_size().columns  # so that the first word starts a line
                tell("")
            tell(self._wrapped(words[:cut]), end="")
            self._in_answer = True

    def _wrapped(self, words: str) -> str:
        """`words`, indented, with a new line where the terminal's would end."""
        lines = ""
        for word in re.findall(r"\S+|\n", words):
            if word == "\n" or self._column + 1 + len(word) >= get_terminal_size().columns:
                lines += "\n" if self._in_answer or lines else ""
                self._column = 0
            if word != "\n":
                lines += f" {word}" if self._column else f"  {word}"
                self._column += 1 + len(word)
        return lines

    def _line(self, text: str) -> None:
        if self._silent:
            return
        if self._in_answer:
            tell("")
            self._in_answer = False
        tell(text)
