"""`meshai ask`: one question, streamed, with who answered and what it cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import click

from meshai.api import Mesh
from meshai.commands.options import ask_options, json_option, state_option
from meshai.control import RunningNode
from meshai.forms import answer_form
from meshai.run import StdinLines, dim, run, tell, tell_json
from meshai.setup import NodeOptions, state_dir
from meshai.words import clean, origin_line
from nodes.wishes import Chosen, LookingAround, Progress, Promised, Restarted
from protocol.errors import LocalError

__all__ = ["a_mesh", "command", "show_progress"]


@click.command("ask")
@click.argument("question", nargs=-1)
@ask_options
@state_option
@json_option
def command(
    question: tuple[str, ...],
    model: str,
    max_tokens: int | None,
    deadline: int,
    fresh: bool,
    radio: str,
    state: Path | None,
    as_json: bool,
) -> None:
    """Ask one question; `-` reads it from standard input.

    Uses the node that `meshai up` runs here, or starts one for this question.
    """
    run(
        partial(_ask, question, model, max_tokens or 0, deadline, fresh, radio, state, as_json),
        as_json=as_json,
    )


@asynccontextmanager
async def a_mesh(state: Path | None, radio: str) -> AsyncIterator[Mesh]:
    """The running node's mesh, or one of a node started here over `radio`."""
    running = radio == "none" and await RunningNode(state_dir(state)).is_there()
    if running:
        async with Mesh.connect(state) as mesh:
            yield mesh
    else:
        async with Mesh.start(NodeOptions(radio=radio, state=state)) as mesh:
            yield mesh


def show_progress(progress: Progress) -> None:
    """Tell a person, beside the answer, what is going on."""
    match progress:
        case LookingAround(seconds=seconds):
            dim(f"listening for nodes that answer, up to {seconds:.0f} s …")
        case Chosen(candidate=candidate, expected_s=expected_s):
            who = clean(candidate.name, lines=False)
            hops = f", {candidate.hops} hops away" if candidate.hops else ""
            dim(f"asking {who} ({clean(candidate.model, lines=False)}{hops}), about {expected_s:.0f} s")
        case Promised(wait_s=wait_s):
            dim(f"accepted, the answer should be ready in {wait_s} s")
        case Restarted():
            dim("\nthe answer broke off; starting anew:")


async def _ask(
    words: tuple[str, ...],
    model: str,
    max_tokens: int,
    deadline: int,
    fresh: bool,
    radio: str,
    state: Path | None,
    as_json: bool,
) -> None:
    question = await StdinLines().everything() if words == ("-",) else " ".join(words)
    if not question.strip():
        raise LocalError("there is no question", "it is empty", 'write one, such as: meshai ask "Why is the sky blue?"')
    async with (
        a_mesh(state, radio) as mesh,
        mesh.ask(
            question,
            model=model,
            max_tokens=max_tokens,
            deadline_s=deadline,
            fresh=fresh,
            on_progress=(lambda progress: None) if as_json else show_progress,
        ) as answer,
    ):
        async for piece in answer:
            if not as_json:
                tell(clean(piece), end="")
    if as_json:
        tell_json({"question": question, **answer_form(answer.result)})
    else:
        tell("")
        dim(f"— {origin_line(answer.result)}")
