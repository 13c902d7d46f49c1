"""What must hold in every run, whatever goes wrong: watched from outside, on the air and at the asking person's side.

A checker never helps a node and never asks it. What it finds is told in plain words; a run without findings is sound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable

from nodes.bearers.radio import PRIVATE_PORT
from protocol.budget import DEFAULT_SHARE
from simulator.medium import Transmission
from simulator.world.household import Device, Ended

__all__ = ["AirChecker", "AskChecker", "check_kept"]

_HOUR_S = 3600.0
_START_S = 10.0
"""Seconds of air that a node may send at once when it starts (`protocol.budget`)."""
_GRACE_S = 1.0
"""Past the deadline, for what was heard until then to be said (`nodes.inquiry`)."""
_TOLERANCE_S = 0.01
_FINDINGS_MAX = 20


class AskChecker:
    """Every question ends in exactly one answer or one plain error by its deadline, and the answer is to it."""

    def __init__(self, script: Callable[[str], str], nodes: Collection[str]) -> None:
        """`script` gives the answer of every engine, `nodes` are the names of all."""
        self.findings: list[str] = []
        self._script = script
        self._nodes = nodes
        self._open: dict[int, str] = {}

    def begins(self, number: int, what: str) -> None:
        """A question is asked; `what` names it in a finding."""
        self._open[number] = what

    def ends(self, number: int, question: str, ended: Ended, seconds: float, patience_s: float) -> None:
        """A question ended."""
        what = self._open.pop(number, None)
        if what is None:
            self._find(f"question {number} ended twice")
            return
        if seconds > patience_s + _GRACE_S + _TOLERANCE_S:
            self._find(f"{what} ended after {seconds:.2f} s, {patience_s:.0f} s were asked for")
        if ended.answer is None:
            if not ended.why.strip():
                self._find(f"{what} ended without an answer and without a reason")
            return
        answer = ended.answer
        text = answer.text.removeprefix(answer.notice).strip()
        if not answer.text.strip():
            self._find(f"{what} was answered with nothing")
        elif answer.source != "fixed" and not _fold(self._script(question)).startswith(_fold(text)):
            self._find(f"{what} got the answer to another question")
        if answer.source == "model" and answer.answered_by not in self._nodes:
            self._find(f"{what} was answered by somebody unknown, {answer.answered_by!r}")

    def finish(self) -> None:
        """The run is over: nothing may be open any more."""
        for what in self._open.values():
            self._find(f"{what} never ended")

    def _find(self, finding: str) -> None:
        if len(self.findings) < _FINDINGS_MAX:
            self.findings.append(finding)


class AirChecker:
    """No node sends more than its share of any hour, restarts aside, which each bring a little."""

    def __init__(self, node_radios: Iterable[str], starts: Callable[[str], int]) -> None:
        """`starts(radio)`: how often that radio's node started again so far."""
        self.findings: list[str] = []
        self._starts = starts
        self._sent: dict[str, deque[tuple[float, float]]] = {name: deque() for name in node_radios}
        self._found: set[str] = set()

    def see(self, transmission: Transmission) -> None:
        """Something is on the air."""
        hour = self._sent.get(transmission.radio)
        if transmission.ended or transmission.relayed or transmission.port != PRIVATE_PORT or hour is None:
            return
        hour.append((transmission.time_s, transmission.airtime_s))
        while hour[0][0] <= transmission.time_s - _HOUR_S:
            hour.popleft()
        allowed_s = DEFAULT_SHARE * _HOUR_S + _START_S * self._starts(transmission.radio)
        sent_s = sum(airtime_s for _, airtime_s in hour)
        if sent_s > allowed_s + _TOLERANCE_S and transmission.radio not in self._found:
            self._found.add(transmission.radio)
            self.findings.append(
                f"the node at {transmission.radio} sent {sent_s:.1f} s within an hour, {allowed_s:.1f} s are its share"
            )


def check_kept(device: Device) -> list[str]:
    """Whether everything that a device's cache said it kept is there after all that happened."""
    lost = device.lost_entries()
    return [f"{device.setup.name} lost {lost} answers that it had kept"] if lost else []


def _fold(text: str) -> str:
    return " ".join(text.split())
