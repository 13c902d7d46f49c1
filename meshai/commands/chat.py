"""`meshai chat`: a conversation in the terminal. Ctrl-C stops the answer, not the program."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import Any

import click
import trio

from meshai.api import Mesh
from meshai.commands.ask import a_mesh, show_progress
from meshai.commands.options import ask_options, json_option, state_option
from meshai.forms import answer_form, error_form
from meshai.run import StdinLines, dim, run, tell, tell_json
from meshai.words import ago, clean, origin_line
from nodes.wishes import Answer
from protocol.errors import MeshaiError
from protocol.messages import Role, Turn

__all__ = ["command"]

_HELP = "/more goes on, /who lists who answers, /new forgets the conversation, /quit leaves"
_MORE = "Go on."


@click.command("chat")
@ask_options
@state_option
@json_option
def command(
    model: str, max_tokens: int | None, deadline: int, fresh: bool, radio: str, state: Path | None, as_json: bool
) -> None:
    """Hold a conversation; each line is a question.

    /more goes on, /who lists who answers, /new forgets the conversation, /quit leaves. Ctrl-C stops an answer.
    """
    how: dict[str, Any] = {"model": model, "max_tokens": max_tokens or 0, "deadline_s": deadline, "fresh": fresh}
    run(partial(_chat, how, radio, state, as_json), as_json=as_json, interruptible=False)


async def _chat(how: dict[str, Any], radio: str, state: Path | None, as_json: bool) -> None:
    turns: tuple[Turn, ...] = ()
    last: Answer | None = None
    lines = StdinLines()
    async with a_mesh(state, radio) as mesh:
        if not as_json:
            dim(_HELP)
        while (line := await _read_line(lines, "" if as_json else "> ")) is not None:
            match line.strip():
                case "":
                    continue
                case "/quit":
                    return
                case "/help":
                    dim(_HELP)
                case "/new":
                    turns, last = (), None
                    dim("forgotten")
                case "/who":
                    await _who(mesh, last, as_json)
                case question:
                    question = _MORE if question == "/more" else question
                    last = await _ask(mesh, turns, question, how, as_json)
                    if last is not None:
                        turns = (*turns, Turn(Role.USER, question), Turn(Role.ASSISTANT, last.text))


async def _read_line(lines: StdinLines, prompt: str) -> str | None:
    """The next line, or None at the end of input. Ctrl-C at the prompt only tells how to leave."""
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        async with trio.open_nursery() as nursery:

            async def hint() -> None:
                async for _ in interrupts:
                    dim("\n/quit or Ctrl-D leaves")

            nursery.start_soon(hint)
            line = await lines.next(prompt)
            nursery.cancel_scope.cancel()
    return line


async def _ask(mesh: Mesh, turns: tuple[Turn, ...], question: str, how: dict[str, Any], as_json: bool) -> Answer | None:
    """Ask and show the answer; None when it was stopped or failed."""
    answer: Answer | None = None
    try:
        with trio.open_signal_receiver(signal.SIGINT) as interrupts:
            async with trio.open_nursery() as nursery:

                async def stop() -> None:
                    async for _ in interrupts:
                        dim("\nstopped")
                        nursery.cancel_scope.cancel()

                nursery.start_soon(stop)
                show = (lambda progress: None) if as_json else show_progress
                async with mesh.ask(question, earlier=turns, on_progress=show, **how) as stream:
                    async for piece in stream:
                        if not as_json:
                            tell(clean(piece), end="")
                answer = stream.result
                nursery.cancel_scope.cancel()
    except* MeshaiError as group:
        error = group.exceptions[0]
        if isinstance(error, MeshaiError):
            tell_json(error_form(error)) if as_json else tell(f"meshai: {error}")
    if answer is not None:
        if as_json:
            tell_json({"question": question, **answer_form(answer)})
        else:
            tell("")
            dim(f"— {origin_line(answer)}")
    return answer


async def _who(mesh: Mesh, last: Answer | None, as_json: bool) -> None:
    peers = await mesh.peers()
    if as_json:
        tell_json({"peers": peers})
        return
    status = await mesh.status()
    if status["models"]:
        tell(f"this node: {', '.join(status['models'])}")
    for peer in peers:
        models = ", ".join(model["name"] for model in peer["models"])
        tell(clean(f"{peer['name']}: {models}, {peer['hops']} hops, heard {ago(peer['heard_s_ago'])}", lines=False))
    if last is not None:
        dim(f"last answer: {origin_line(last)}")
