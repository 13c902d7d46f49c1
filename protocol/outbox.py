"""The frames waiting to be sent, most urgent first, and the sent ones kept in case a peer lacks some.

Knows nothing of what the messages mean beyond how urgent their kind is.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from protocol import limits
from protocol.codec import encode
from protocol.fragments import split
from protocol.messages import AnswerDone, AnswerPiece, Ask, Beacon, Message

__all__ = ["Outbox", "Packet"]

_URGENT, _QUESTION, _ANSWER, _NEWS = range(4)
_RANKS: dict[type[Message], int] = {Ask: _QUESTION, AnswerPiece: _ANSWER, AnswerDone: _ANSWER, Beacon: _NEWS}


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame to send."""

    peer: str | None
    """The peer's address, or None for everyone."""
    frame: bytes
    kind: str
    """Name of the message that it carries, or a part of."""
    ask_id: int | None
    transfer: int
    index: int
    total: int

    @property
    def last(self) -> bool:
        """Whether it is the message's last frame."""
        return self.index == self.total - 1


class Outbox:
    """Queues messages as packets and remembers the transfers of late."""

    def __init__(self, first_transfer: int) -> None:
        """`first_transfer` (0 to 255) should differ from one start of the node to the next."""
        self._next_transfer = first_transfer & 255
        self._queues: tuple[deque[Packet], ...] = tuple(deque() for _ in range(4))
        self._sent: OrderedDict[tuple[str | None, int], tuple[int, tuple[Packet, ...]]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues)

    def queue(self, message: Message, peer: str | None) -> int:
        """Queue `message` and return its transfer number; raises LocalError when it breaks a limit."""
        frames = split(encode(message), self._next_transfer)
        transfer = self._next_transfer
        self._next_transfer = transfer + 1 & 255
        rank = _RANKS.get(type(message), _URGENT)
        ask_id = getattr(message, "ask_id", None)
        packets = tuple(
            Packet(peer, frame, type(message).__name__, ask_id, transfer, index, len(frames))
            for index, frame in enumerate(frames)
        )
        self._queues[rank].extend(packets)
        self._sent[peer, transfer] = (rank, packets)
        self._sent.move_to_end((peer, transfer))
        if len(self._sent) > limits.OUTGOING_TRANSFERS_MAX:
            self._sent.popitem(last=False)
        return transfer

    def queue_again(self, peer: str, transfer: int, missing: Iterable[int]) -> bool:
        """Queue the named frames of a transfer again (all when none is named), unless they still wait.

        Returns False when the transfer is no longer held.
        """
        held = self._sent.get((peer, transfer))
        if held is None:
            return False
        rank, packets = held
        wanted = frozenset(missing) or frozenset(range(len(packets)))
        waiting = set(self._queues[rank])
        self._queues[rank].extend(p for p in packets if p.index in wanted and p not in waiting)
        return True

    def drop(self, peer: str, ask_id: int) -> None:
        """Forget everything about one question: what waits and what is held."""
        for queue in self._queues:
            kept = [p for p in queue if (p.peer, p.ask_id) != (peer, ask_id)]
            queue.clear()
            queue.extend(kept)
        for key in [key for key, (_, held) in self._sent.items() if (held[0].peer, held[0].ask_id) == (peer, ask_id)]:
            del self._sent[key]

    def next(self) -> Packet | None:
        """Take the most urgent packet, or None."""
        for queue in self._queues:
            if queue:
                return queue.popleft()
        return None
