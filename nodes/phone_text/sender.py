"""Sends letters to phones: one packet at a time, well apart, each when the air is ours and the last was acknowledged.

Knows no question and no person's memory. What waits, and in which order, is `letters`' business.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

import trio

from nodes.bearers.deliveries import Fate
from nodes.bearers.radio import TEXT_PORT, RadioBearer
from nodes.phone_text.letters import Letter, Tray
from nodes.pump import Pump
from nodes.trace import Trace
from protocol.errors import LocalError

__all__ = ["Sender"]

_GAP_S = 2.5
"""Between any two texts of ours: firmware silently drops a client's second text within 2 s."""
_RADIO_REST_S = 2.0


class Sender:
    """Sends what is posted, over one radio."""

    def __init__(self, pump: Pump, bearer: RadioBearer, trace: Trace, sent: Callable[[Letter, str], None]) -> None:
        """`sent` hears of every chunk that was sent, delivered or not."""
        self._pump = pump
        self._bearer = bearer
        self._trace = trace
        self._sent = sent
        self._tray = Tray()
        self._sent_at = float("-inf")
        self._posted = trio.Event()
        self._waiting_for_air: trio.CancelScope | None = None

    @property
    def waiting(self) -> int:
        """How many letters wait."""
        return len(self._tray)

    def post(self, letter: Letter) -> bool:
        """Take a letter; False when too many wait already."""
        if not self._tray.put(letter):
            return False
        self._posted.set()
        if letter.urgent and self._waiting_for_air is not None:
            self._waiting_for_air.cancel()  # it goes first
        return True

    async def run(self) -> None:
        """Send letters until cancelled."""
        while True:
            letter = self._tray.first(trio.current_time())
            if letter is None:
                self._posted = trio.Event()
                await self._posted.wait()
            elif self._pump.problem:
                await trio.sleep(_RADIO_REST_S)
            else:
                try:
                    await self._send_chunk(letter)
                except LocalError as error:
                    self._trace.note("phone.not_sent", peer=letter.person, why=str(error))
                    await trio.sleep(_RADIO_REST_S)

    async def _send_chunk(self, letter: Letter) -> None:
        """Send a letter's next chunk and wait for what becomes of it, unless something urgent comes before."""
        chunk = letter.chunks[0]
        payload = chunk.encode()
        await trio.sleep_until(self._sent_at + _GAP_S)
        async with AsyncExitStack() as stack:
            with trio.CancelScope(deadline=letter.expires_at) as waiting:
                self._waiting_for_air = waiting
                try:
                    airtime_s = self._bearer.cost(len(payload)).airtime_s
                    turn = self._pump.turn(airtime_s, asker=letter.person, hops=letter.hops, urgent=letter.urgent)
                    await stack.enter_async_context(turn)
                finally:
                    self._waiting_for_air = None
            if waiting.cancelled_caught:
                return
            self._sent_at = trio.current_time()
            delivery = await self._bearer.deliver(
                payload,
                letter.person if letter.is_direct else None,
                port=TEXT_PORT,
                channel=letter.channel,
                reply_id=letter.reply_id,
                hops=letter.hops,
            )
        self._trace.note(
            "phone.sent", peer=letter.person, bytes=len(payload), fate=delivery.fate.name, why=delivery.why
        )
        self._sent(letter, chunk)
        self._tray.sent(letter, delivered=delivery.fate is Fate.DELIVERED or not letter.is_direct)
