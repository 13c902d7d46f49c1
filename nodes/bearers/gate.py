"""A RadioPort that listens always and sends only where its radio may: whatever sends passes this one gate.

Asks for a judgement each time a radio comes up, passes it on with the RadioUp, and traces what the owner should know.
Knows no settings and no files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

from nodes.interfaces import OutgoingPacket, RadioDown, RadioEvent, RadioInfo, RadioPort, RadioUp
from nodes.radio_check import Finding, Judgement
from nodes.trace import Trace
from protocol.errors import LocalError

__all__ = ["GatedPort"]


class GatedPort(RadioPort):
    """The port of a radio that is judged before anything is sent by it."""

    def __init__(self, port: RadioPort, judge: Callable[[RadioInfo], Judgement], trace: Trace) -> None:
        """`judge` may raise LocalError, which ends `run`."""
        self._port = port
        self._judge = judge
        self._trace = trace
        self._silence = "the radio has not answered yet"
        self._told: frozenset[Finding] = frozenset()

    async def run(self, deliver: Callable[[RadioEvent], None]) -> None:
        """Own the radio; see RadioPort. Each RadioUp says whether and where may be sent."""

        def take(event: RadioEvent) -> None:
            match event:
                case RadioUp(info):
                    judgement = self._judge(info)
                    self._silence = judgement.silence
                    self._tell(judgement)
                    event = replace(event, silence=judgement.silence, channel=judgement.channel)
                case RadioDown(reason):
                    self._silence = reason
            deliver(event)

        await self._port.run(take)

    async def hand_over(self, packet: OutgoingPacket) -> int:
        """Hand one packet to the radio; see RadioPort. Raises LocalError where nothing may be sent."""
        self._check()
        return await self._port.hand_over(packet)

    async def request_node_info(self, number: int, *, channel: int = 0) -> None:
        """Exchange node information; see RadioPort. Raises LocalError where nothing may be sent."""
        self._check()
        await self._port.request_node_info(number, channel=channel)

    async def trace_route(self, number: int, *, channel: int = 0) -> None:
        """Look for the way to a radio; see RadioPort. Raises LocalError where nothing may be sent."""
        self._check()
        await self._port.trace_route(number, channel=channel)

    def _check(self) -> None:
        if self._silence:
            raise LocalError("nothing may be sent by this radio", self._silence)

    def _tell(self, judgement: Judgement) -> None:
        """Trace what is new since the radio was last up, and that it is silent if it is."""
        for finding in judgement.findings:
            if finding not in self._told:
                self._trace.note("radio.finding", **asdict(finding))
        self._told = frozenset(judgement.findings)
        if judgement.silence:
            self._trace.note("radio.silent", why=judgement.silence)
