"""`meshai chat`: a conversation in the terminal. Ctrl-C stops the answer, not the program."""

from __future__ import annotations

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
    chat = _Chat(how, as_json)
    run(partial(chat.hold, radio, state), as_json=as_json, interrupted=chat.interrupted)


class _Chat:
    """One conversation."""

    def __init__(self, how: dict[str, Any], as_json: bool) -> None:
        self._how = how
        self._as_json = as_json
        self._turns: tuple[Turn, ...] = ()
        self._last: Answer | None = None
        self._answering: trio.CancelScope | None = None
        self._begun = False

    def interrupted(self) -> bool:
        """Ctrl-C: stop the answer, if one is on its way. Returns False while there is nothing to go on with."""
        if self._answering is not None:
            dim("\nstopped")
            self._answering.cancel()
        elif self._begun:
            dim("\n/quit or Ctrl-D leaves")
        return self._begun

    async def hold(self, radio: str, state: Path | None) -> None:
        lines = StdinLines()
        async with a_mesh(state, radio) as mesh:
            self._begun = True
            if not self._as_json:
                dim(_HELP)
            while (line := await lines.next("" if self._as_json else "> ")) is not None:
                match line.strip():
                    case "":
                        continue
                    case "/quit":
                        return
                    case "/help":
                        dim(_HELP)
                    case "/new":
                        self._turns, self._last = (), None
                        dim("forgotten")
                    case "/who":
                        await self._who(mesh)
                    case question:
                        await self._ask(mesh, _MORE if question == "/more" else question)

    async def _ask(self, mesh: Mesh, question: str) -> None:
        """Ask and show the answer. A question that is stopped or fails is no part of the conversation."""
        self._last = None
        show = (lambda progress: None) if self._as_json else show_progress
        try:
            with trio.CancelScope() as self._answering:
                async with mesh.ask(question, earlier=self._turns, on_progress=show, **self._how) as stream:
                    async for piece in stream:
                        if not self._as_json:
                            tell(clean(piece), end="")
                self._last = stream.result
        except MeshaiError as error:
            tell_json(error_form(error)) if self._as_json else tell(f"meshai: {clean(str(error))}")
        finally:
            self._answering = None
        if self._last is None:
            return
        self._turns = (
            *self._turns,
            Turn(Role.USER, question),
            Turn(Role.ASSISTANT, self._last.text.removeprefix(self._last.notice)),
        )
        if self._as_json:
            tell_json({"question": question, **answer_form(self._last)})
        else:
            tell("")
            dim(f"— {origin_line(self._last)}")

    async def _who(self, mesh: Mesh) -> None:
        peers = await mesh.peers()
        if self._as_json:
            tell_json({"peers": peers})
            return
        status = await mesh.status()
        if status["models"]:
            tell(f"this node: {', '.join(status['models'])}")
        for peer in peers:
            models = ", ".join(model["name"] for model in peer["models"])
            tell(clean(f"{peer['name']}: {models}, {peer['hops']} hops, heard {ago(peer['heard_s_ago'])}", lines=False))
        if self._last is not None:
            dim(f"last answer: {origin_line(self._last)}")
