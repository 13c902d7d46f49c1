"""The frames waiting to be sent, most urgent first, and the sent ones kept in case a peer lacks some.

Knows nothing of what the messages mean beyond how urgent their kind is and which of them says the same thing anew.
Holds a bounded number of messages, however many a peer asks for and however seldom something may be sent.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from protocol import limits
from protocol.fragments import split
from protocol.messages import AnswerDone, AnswerPiece, Ask, Beacon, Message, Who

__all__ = ["Outbox", "Packet"]

_REPLY, _QUESTION, _ANSWER = range(3)
_RANKS: dict[type[Message], int] = {
    Who: _QUESTION,
    Ask: _QUESTION,
    AnswerPiece: _ANSWER,
    AnswerDone: _ANSWER,
    Beacon: _QUESTION,
}
"""Every other kind is a reply: one packet, wanted at once. Whoever hears no beacon asks Who, which costs more."""
_NUMBERS = 256
"""Transfer numbers are one byte."""


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


@dataclass(frozen=True, slots=True)
class _Transfer:
    """A message, as the packets that carry it."""

    message: Message
    rank: int
    packets: tuple[Packet, ...]
    waiting: deque[int]
    """Indices of the packets still to be sent, in order."""

    @property
    def peer(self) -> str | None:
        return self.packets[0].peer

    @property
    def ask_id(self) -> int | None:
        return self.packets[0].ask_id

    @property
    def untouched(self) -> bool:
        return len(self.waiting) >= len(self.packets)


class Outbox:
    """Queues messages as packets and remembers the transfers of late."""

    def __init__(self, first_transfer: int, encode: Callable[[Message, str | None], bytes]) -> None:
        """`first_transfer` (0 to 255) should differ from one start of the node to the next.

        `encode(message, peer)` gives a message's bytes as that peer reads them, None being everyone.
        """
        self._encode = encode
        self._next_number = first_transfer % _NUMBERS
        self._held: OrderedDict[int, _Transfer] = OrderedDict()
        self._queues: tuple[OrderedDict[int, None], ...] = tuple(OrderedDict() for _ in range(3))
        """Per rank, the transfers with packets waiting."""
        self._leaving: int | None = None
        """The transfer whose packet was taken last."""

    def __len__(self) -> int:
        return sum(len(self._held[number].waiting) for queue in self._queues for number in queue)

    def queue(self, message: Message, peer: str | None, copies: int = 1) -> bool:
        """Queue `message`, in place of one that says the same and has not begun to leave; False when there is no room.

        It is sent so many times, one after the other. Raises LocalError when it breaks a limit.
        """
        data = self._encode(message, peer)
        rank = _RANKS.get(type(message), _REPLY)
        self._withdraw(message, peer)
        if (rank == _REPLY and not self._room_for_reply(peer)) or not self._make_room():
            return False
        number = self._take_number()
        frames = split(data, number)
        ask_id: int | None = getattr(message, "ask_id", None)
        packets = tuple(
            Packet(peer, frame, type(message).__name__, ask_id, number, index, len(frames))
            for index, frame in enumerate(frames)
        )
        self._held[number] = _Transfer(message, rank, packets, deque(tuple(range(len(packets))) * copies))
        self._queues[rank][number] = None
        return True

    def repeat(self, message: Message, peer: str, copies: int = 1) -> bool:
        """Queue the packets of `message` again, under their old number if it is still held; False without room."""
        for number, transfer in self._held.items():
            if transfer.message is message:
                self._requeue(number, transfer, (), copies)
                return True
        return self.queue(message, peer, copies)

    def queue_again(self, peer: str, number: int, missing: Iterable[int]) -> bool:
        """Queue the named packets of a transfer again (all when none is named), unless they still wait.

        Returns False when the transfer is no longer held.
        """
        transfer = self._held.get(number)
        if transfer is None or transfer.peer != peer:
            return False
        self._requeue(number, transfer, missing)
        return True

    def drop(self, peer: str, ask_id: int) -> None:
        """Forget everything about one question: what waits and what is held."""
        for number, transfer in list(self._held.items()):
            if (transfer.peer, transfer.ask_id) == (peer, ask_id):
                self._forget(number)

    def peek(self, used: Callable[[str | None], float] = lambda peer: 0.0) -> Packet | None:
        """The most urgent packet, or None.

        Among equally urgent messages one that has begun to leave goes on, else the turn is of the peer for whom `used`
        gives least.
        """
        number = self._first(used)
        return None if number is None else self._held[number].packets[self._held[number].waiting[0]]

    def next(self, used: Callable[[str | None], float] = lambda peer: 0.0) -> Packet | None:
        """Take the most urgent packet, or None; see `peek`."""
        number = self._first(used)
        if number is None:
            return None
        transfer = self._held[number]
        packet = transfer.packets[transfer.waiting.popleft()]
        self._leaving = number if transfer.waiting else None
        if not transfer.waiting:
            del self._queues[transfer.rank][number]
        return packet

    def _first(self, used: Callable[[str | None], float]) -> int | None:
        for queue in self._queues:
            if queue:
                return min(queue, key=lambda number: (number != self._leaving, used(self._held[number].peer)))
        return None

    def waiting(self) -> Iterator[Packet]:
        """The packets still to be sent, in no order that means anything."""
        for queue in self._queues:
            for number in queue:
                transfer = self._held[number]
                yield from (transfer.packets[index] for index in transfer.waiting)

    def waits(self, number: int) -> bool:
        """Whether packets of the transfer with this number are still to be sent."""
        return number in self._held and bool(self._held[number].waiting)

    def _withdraw(self, message: Message, peer: str | None) -> None:
        for number, transfer in self._held.items():
            if transfer.peer == peer and transfer.untouched and _subject(transfer.message) == _subject(message):
                self._forget(number)
                return

    def _room_for_reply(self, peer: str | None) -> bool:
        waiting = [self._held[number].peer for number in self._queues[_REPLY]]
        return len(waiting) < limits.REPLIES_WAITING_MAX and waiting.count(peer) < limits.REPLIES_WAITING_PER_PEER_MAX

    def _make_room(self) -> bool:
        if len(self._held) < limits.OUTGOING_TRANSFERS_MAX:
            return True
        for number, transfer in self._held.items():
            if not transfer.waiting:
                self._forget(number)
                return True
        return False

    def _take_number(self) -> int:
        while self._next_number in self._held:
            self._next_number = (self._next_number + 1) % _NUMBERS
        number = self._next_number
        self._next_number = (number + 1) % _NUMBERS
        return number

    def _requeue(self, number: int, transfer: _Transfer, missing: Iterable[int], copies: int = 1) -> None:
        wanted = frozenset(missing) or frozenset(range(len(transfer.packets)))
        again = sorted(wanted.intersection(range(len(transfer.packets))).difference(transfer.waiting))
        transfer.waiting.extend(again * copies)
        if again:
            self._queues[transfer.rank][number] = None

    def _forget(self, number: int) -> None:
        transfer = self._held.pop(number)
        self._queues[transfer.rank].pop(number, None)


def _subject(message: Message) -> tuple[type[Message], object, object]:
    """What a message is about: a later one of the same subject makes an earlier one needless."""
    return (
        type(message),
        getattr(message, "ask_id", None),
        getattr(message, "number", getattr(message, "transfer", None)),
    )
