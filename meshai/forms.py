"""What meshai's programs tell one another and print with `--json`: plain dictionaries from and to the nodes' data.

The same forms serve the control socket, `--json` and the Python API, so there is one spelling of every field.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nodes.interfaces import Cost
from nodes.node import NodeStatus
from nodes.router import Candidate
from nodes.trace import Fact
from nodes.wishes import Answer, Chosen, LookingAround, Progress, Promised, Restarted, Text, Wish
from protocol.errors import LocalError, MeshaiError, RefuseCode, RemoteError
from protocol.messages import Role, Turn
from protocol.peers import Peer

__all__ = [
    "answer_form",
    "answer_from",
    "error_form",
    "error_from",
    "fact_form",
    "peer_form",
    "progress_form",
    "progress_from",
    "status_form",
    "wish_form",
    "wish_from",
]

Form = dict[str, Any]

_PROGRESS: dict[str, type[Progress]] = {
    "text": Text,
    "restarted": Restarted,
    "looking_around": LookingAround,
    "chosen": Chosen,
    "promised": Promised,
}
_PROGRESS_NAMES = {kind: name for name, kind in _PROGRESS.items()}


def wish_form(wish: Wish) -> Form:
    """The form of a wish."""
    form = asdict(wish)
    form["turns"] = [[int(turn.role), turn.text] for turn in wish.turns]
    return form


def wish_from(form: Form) -> Wish:
    """Read a wish; raises LocalError when it is none."""
    try:
        turns = tuple(Turn(Role(role), str(text)) for role, text in form["turns"])
        return Wish(
            turns, str(form["model"]), int(form["max_tokens"]), int(form["deadline_s"]), fresh=bool(form["fresh"])
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise LocalError(
            "the request can't be read", str(error), "use the same version of meshai on both sides"
        ) from error


def answer_form(answer: Answer) -> Form:
    """The form of an answer."""
    return asdict(answer)


def answer_from(form: Form) -> Answer:
    """Read an answer."""
    return Answer(**{**form, "cost": Cost(**form["cost"])})


def progress_form(progress: Progress) -> Form:
    """The form of a progress report."""
    return {"progress": _PROGRESS_NAMES[type(progress)], **asdict(progress)}


def progress_from(form: Form) -> Progress:
    """Read a progress report."""
    fields = dict(form)
    kind = _PROGRESS[fields.pop("progress")]
    if kind is Chosen:
        return Chosen(Candidate(**fields["candidate"]), fields["expected_s"])
    return kind(**fields)


def error_form(error: MeshaiError) -> Form:
    """The form of an error."""
    form = {"error": error.what, "why": error.why, "fix": error.fix, "remote": isinstance(error, RemoteError)}
    return {**form, "code": error.code.name} if isinstance(error, RemoteError) else form


def error_from(form: Form) -> MeshaiError:
    """Read an error."""
    if form["remote"]:
        return RemoteError(form["error"], form["why"], form["fix"], code=RefuseCode[form["code"]])
    return LocalError(form["error"], form["why"], form["fix"])


def peer_form(peer: Peer, now: float) -> Form:
    """The form of a peer as heard up to `now` (trio's clock)."""
    return {
        "name": peer.beacon.name,
        "address": peer.address,
        "hops": peer.hops,
        "models": [
            {"name": offer.name, "tokens_per_s": offer.tokens_per_s, "context_tokens": offer.context_tokens}
            for offer in peer.beacon.models
        ],
        "backlog_s": round(peer.backlog_s(now)),
        "heard_s_ago": round(now - peer.heard_at, 1),
        "fresh": peer.fresh(now),
    }


def status_form(status: NodeStatus) -> Form:
    """The form of a node's status."""
    return asdict(status)


def fact_form(fact: Fact) -> Form:
    """The form of a traced fact."""
    return {"fact": fact.name, "at_s": round(fact.time_s, 3), **fact.fields}
