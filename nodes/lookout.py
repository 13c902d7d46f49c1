"""Who could answer a question now: this node's engine, and the peers heard on each bearer that can carry it.

Waits and looks around where nobody is known yet, and says in plain words why nobody can. Asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil

import trio

from nodes.admission import Admission
from nodes.offers import Offers
from nodes.pump import Pump
from nodes.router import Candidate, choose
from nodes.wishes import LookingAround, Progress, Wish
from protocol import limits
from protocol.errors import LocalError, MeshaiError, RemoteError
from protocol.peers import Peer
from protocol.sizing import AIR_BYTES_PER_BYTE, BYTES_PER_TOKEN, USUAL_TOKENS

__all__ = ["Found", "Lookout", "Search", "sizes"]

HERE_TOKENS = 512
"""Answer length on this node when the asker names none."""
AIR_QUESTION_BYTES_MAX = 1500
"""Longest conversation sent by radio: nine packets, some 20 s of air on LONG_FAST."""

_LOOKS = 4
_LOOK_S_MAX = 50.0
"""Looking around ends within this: who waits longer should hear that nobody is there."""
_LOOK_SLACK_S = 4.0
_BEARER_PATIENCE_S = 15.0
"""How long a question waits for a radio that is away."""


@dataclass(frozen=True, slots=True)
class Found:
    """Somebody who could answer, and the way there."""

    candidate: Candidate
    pump: Pump | None
    """None for this node itself."""

    @property
    def key(self) -> tuple[Pump | None, str]:
        """The same for the same place, whatever is known of it by now."""
        return self.pump, self.candidate.address


@dataclass(slots=True)
class Search:
    """One question's search for somebody to answer it."""

    wish: Wish
    until: float
    """When the answer is of no use any more."""
    excluded: set[tuple[Pump | None, str]]
    """Who gave no answer already."""


def question_bytes(wish: Wish) -> int:
    """UTF-8 bytes of the conversation."""
    return sum(len(turn.text.encode()) for turn in wish.turns)


def _air_bytes(pump: Pump, wish: Wish) -> int:
    """What the conversation takes on the air, about."""
    return ceil(question_bytes(wish) * (AIR_BYTES_PER_BYTE if pump.compact else 1.0))


def sizes(wish: Wish, *, here: bool) -> dict[str, int]:
    """What the question takes of a model, as the router wants it; `here`: of this node's own."""
    prompt_tokens = question_bytes(wish) // BYTES_PER_TOKEN + 1
    return {"prompt_tokens": prompt_tokens, "answer_tokens": wish.max_tokens or (HERE_TOKENS if here else USUAL_TOKENS)}


class Lookout:
    """Knows who could answer."""

    def __init__(
        self,
        *,
        name: str,
        has_engine: bool,
        offers: Offers,
        admission: Admission,
        pumps: Sequence[Pump],
        look_around: Callable[[], None],
    ) -> None:
        """`look_around` sends a Who on every bearer, at a bounded rate."""
        self._name = name
        self._has_engine = has_engine
        self._offers = offers
        self._admission = admission
        self._pumps = pumps
        self._look_around = look_around
        self._changed = trio.lowlevel.ParkingLot()

    def look_again(self) -> None:
        """A beacon came, or a bearer is up: whoever waits for a peer looks again."""
        self._changed.unpark_all()

    def best(self, search: Search, *, stale: bool = False) -> Found | None:
        """The place that should be done first, as far as is known now; `stale`: also by beacons that are too old."""
        found = self._found(search, stale)
        here = any(one.pump is None for one in found)
        best = choose(
            (one.candidate for one in found),
            model=search.wish.model,
            asker=self._name,
            **sizes(search.wish, here=here),
        )
        return next((one for one in found if one.candidate is best), None)

    async def find(self, search: Search, show: Callable[[Progress], None]) -> Found | None:
        """As `best`, but where nobody is known, wait a little for a radio that is away and ask around who is there.

        Whoever was heard long ago is the last resort: on a lossy path beacons get lost too.
        """
        looking_s = 0.0
        for _ in range(_LOOKS):
            if self.best(search) is None:
                await self._radio_back(search)
            usable = [pump for pump in self._pumps if self._hindrance(pump, search) is None]
            if self.best(search) is not None or not usable or self._busy(search):
                break
            slowest_s = max(pump.bearer.path_time_s(limits.FRAME_BYTES_MAX, limits.HOPS_ASSUMED) for pump in usable)
            wait_s = min(slowest_s * 2 + _LOOK_SLACK_S, _LOOK_S_MAX, search.until - trio.current_time())
            looking_s += wait_s
            if wait_s <= 0 or looking_s > _LOOK_S_MAX:
                break
            show(LookingAround(wait_s))
            self._look_around()
            with trio.move_on_after(wait_s):
                while self.best(search) is None:
                    await self._changed.park()
        return self.best(search) or self.best(search, stale=True)

    async def _radio_back(self, search: Search) -> None:
        """Wait a little for a radio that is away, where that could help."""
        if self._pumps and _too_long_for_radio(search.wish) is None:
            with trio.move_on_at(min(search.until, trio.current_time() + _BEARER_PATIENCE_S)):
                while not any(pump.bearer.connected for pump in self._pumps):
                    await self._changed.park()

    def nobody(self, search: Search) -> MeshaiError:
        """Why nobody can answer."""
        hindrances = [hindrance for pump in self._pumps if (hindrance := self._hindrance(pump, search)) is not None]
        if not self._pumps:
            return self._not_here(search.wish)
        if len(hindrances) == len(self._pumps):
            return hindrances[0]
        model = f" with the model {search.wish.model}" if search.wish.model else ""
        if busy := self._busy(search):
            wait_s, name = min(busy)
            why = f"it is busy and asks to wait {ceil(wait_s)} s"
            return RemoteError(f"no answer from {name}", why, "try again then")
        if any(pump.peers.fresh(trio.current_time()) for pump in self._pumps):
            return RemoteError(
                f"nobody in reach answers{model}",
                "the nodes heard have other models or too little room",
                "see `meshai peers`, ask something shorter, or let the model open",
            )
        return RemoteError(
            f"nobody in reach{model}",
            "no node that answers was heard",
            "check the antenna, move the radio higher, or wait: nodes announce themselves every few minutes",
        )

    def _busy(self, search: Search) -> list[tuple[float, str]]:
        """Who could answer, but not soon: seconds until it makes sense to ask, and the name."""
        now = trio.current_time()
        return [
            (wait_s, peer.beacon.name)
            for pump in self._pumps
            for peer in pump.peers.fresh(now)
            if peer.offer(search.wish.model) and (wait_s := pump.peers.ask_wait_s(peer, search.until - now, now)) > 0
        ]

    def _found(self, search: Search, stale: bool = False) -> list[Found]:
        now = trio.current_time()
        backlog_s = self._admission.backlog_s(now)
        found = [
            Found(
                Candidate("", self._name, offer.name, offer.tokens_per_s, offer.context_tokens, backlog_s, 0.0),
                None,
            )
            for offer in self._offers.at(now)
        ]
        for pump in self._pumps:
            if self._hindrance(pump, search) is None:
                peers = pump.peers.all(now) if stale else pump.peers.fresh(now)
                able = (peer for peer in peers if not pump.peers.ask_wait_s(peer, search.until - now, now))
                found += self._candidates(pump, able, search.wish, now)
        return [one for one in found if one.key not in search.excluded]

    def _candidates(self, pump: Pump, peers: Iterable[Peer], wish: Wish, now: float) -> list[Found]:
        found = []
        air_wait_s = pump.air_wait_s(_air_bytes(pump, wish))
        for peer in peers:
            offer = peer.offer(wish.model)
            if offer is not None:
                hops = peer.hops or limits.HOPS_ASSUMED
                candidate = Candidate(
                    peer.address,
                    peer.beacon.name,
                    offer.name,
                    offer.tokens_per_s,
                    offer.context_tokens,
                    peer.backlog_s(now),
                    air_wait_s + 4 * pump.bearer.path_time_s(limits.FRAME_BYTES_MAX, hops),
                    peer.hops,
                )
                found.append(Found(candidate, pump))
        return found

    def _hindrance(self, pump: Pump, search: Search) -> LocalError | None:
        """Why the question can't travel on this bearer."""
        too_long = _too_long_for_radio(search.wish)
        if too_long is not None:
            return too_long
        if pump.problem:
            fix = "`meshai quiet --off` lets it speak" if pump.silent else "see `meshai radio check`"
            return LocalError("the question can't leave this device", pump.problem, fix)
        wait_s = pump.air_wait_s(_air_bytes(pump, search.wish))
        if wait_s > 0 and trio.current_time() + wait_s > search.until:
            return LocalError(
                "this node has used up its airtime",
                f"the question could leave in {wait_s:.0f} s"
                if wait_s < float("inf")
                else "it may never send that much",
                "ask later, wait longer with --deadline, or allow it more with --airtime-share",
            )
        return None

    def _not_here(self, wish: Wish) -> LocalError:
        offers = self._offers.at(trio.current_time())
        model = f" with the model {wish.model}" if wish.model else ""
        if not self._has_engine:
            return LocalError(
                f"nobody can answer{model}",
                "this node has no model and no radio",
                "fetch a model with `meshai models get smollm2-135m`, or name a radio with --radio",
            )
        if not offers:
            return LocalError(f"nobody can answer{model}", "its model is not ready", "ask again in a minute")
        if wish.model not in ("", *(offer.name for offer in offers)):
            names = ", ".join(offer.name for offer in offers)
            return LocalError(f"nobody can answer{model}", f"this node has {names}", "let the model open")
        needed = sum(sizes(wish, here=True).values())
        return LocalError(
            "the question and its answer are too long for this node's model",
            f"together they may take {needed} tokens, and it holds {max(offer.context_tokens for offer in offers)}",
            "shorten it, start a new conversation, or ask for a shorter answer with --max-tokens",
        )


def _too_long_for_radio(wish: Wish) -> LocalError | None:
    size = question_bytes(wish)
    if size > AIR_QUESTION_BYTES_MAX:
        return LocalError(
            f"the question has {size} bytes, too many for the radio",
            f"{AIR_QUESTION_BYTES_MAX} are the most",
            "shorten it, or start a new conversation",
        )
    if len(wish.turns) > limits.TURNS_MAX:
        return LocalError(
            f"the conversation has {len(wish.turns)} turns, too many for the radio",
            f"{limits.TURNS_MAX} are the most",
            "start a new conversation",
        )
    return None
