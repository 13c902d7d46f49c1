"""Cuts a message into frames of at most 200 bytes, and puts frames together again whatever order they come in.

A clear frame is `type 1 | check 4 | transfer 1 | index 1 | total 1 | payload`. Every frame names its total, so one
frame is enough to know what is missing. A message of several frames starts with its CRC-16, because a sender that
restarts may give a transfer number again. Memory is bounded by `protocol.limits` whatever arrives.
"""

from __future__ import annotations

from binascii import crc32, crc_hqx
from collections import OrderedDict
from dataclasses import dataclass, field

from protocol import limits
from protocol.errors import LocalError, RemoteError

__all__ = ["CLEAR", "Fragment", "Incomplete", "Reassembler", "read_frame", "split"]

CLEAR = 1
"""Frame type of an unsealed frame."""
_CHECK_SEED = crc32(b"meshai 1")
"""Starts the check, so that frames of other programs on the same port fail it."""
_HEAD_BYTES = 1 + limits.CHECK_BYTES + limits.FRAGMENT_HEADER_BYTES


@dataclass(frozen=True, slots=True)
class Fragment:
    """One verified frame."""

    transfer: int
    index: int
    total: int
    payload: bytes
    check: int


def split(message: bytes, transfer: int) -> list[bytes]:
    """Return the frames of `message` under transfer number `transfer` (0 to 255); raises LocalError if too long."""
    size = limits.FRAGMENT_PAYLOAD_BYTES
    if len(message) > size:
        message = _crc16(message) + message
    total = max(1, -(-len(message) // size))
    if total > limits.FRAGMENTS_MAX:
        raise LocalError(
            "the message is too long to send", f"it needs {total} packets and {limits.FRAGMENTS_MAX} are the most"
        )
    frames = []
    for index in range(total):
        body = bytes((transfer, index, total)) + message[index * size : (index + 1) * size]
        frames.append(bytes((CLEAR,)) + crc32(body, _CHECK_SEED).to_bytes(limits.CHECK_BYTES, "big") + body)
    return frames


def read_frame(frame: bytes) -> Fragment:
    """Return the fragment in `frame`; raises RemoteError when it is none of ours or damaged."""
    if not _HEAD_BYTES <= len(frame) <= _HEAD_BYTES + limits.FRAGMENT_PAYLOAD_BYTES or frame[0] != CLEAR:
        raise RemoteError("a frame was dropped", "it is not one of meshai's")
    check = int.from_bytes(frame[1 : 1 + limits.CHECK_BYTES], "big")
    body = frame[1 + limits.CHECK_BYTES :]
    if crc32(body, _CHECK_SEED) != check:
        raise RemoteError("a frame was dropped", "its check does not fit: damaged on the way, or another program's")
    transfer, index, total = body[:3]
    payload = body[3:]
    last = index == total - 1
    if index >= total or (not last and len(payload) != limits.FRAGMENT_PAYLOAD_BYTES):
        raise RemoteError("a frame was dropped", f"part {index} of {total} with {len(payload)} bytes makes no sense")
    return Fragment(transfer, index, total, payload, check)


@dataclass(slots=True)
class Incomplete:
    """A transfer of which parts are missing."""

    peer: str
    transfer: int
    total: int
    quiet_since: float
    """When its newest fragment arrived, or when it was last asked about."""
    gaps: int = 0
    """Times that it was asked about since its newest fragment arrived."""
    parts: dict[int, Fragment] = field(default_factory=dict)

    @property
    def missing(self) -> frozenset[int]:
        """Indices that have not arrived."""
        return frozenset(range(self.total)) - self.parts.keys()

    @property
    def prefix(self) -> bytes:
        """The message's bytes up to the first missing part, without its checksum."""
        payloads = []
        for index in range(self.total):
            if index not in self.parts:
                break
            payloads.append(self.parts[index].payload)
        return b"".join(payloads)[0 if self.total == 1 else limits.MESSAGE_CHECK_BYTES :]

    def asked_about(self, now: float) -> None:
        """Note that the sender was asked for the missing parts."""
        self.gaps += 1
        self.quiet_since = now


class Reassembler:
    """Collects fragments by sender and transfer number."""

    def __init__(self) -> None:
        self._partial: OrderedDict[tuple[str, int], Incomplete] = OrderedDict()
        self._done: OrderedDict[tuple[str, int], frozenset[int]] = OrderedDict()

    @property
    def incomplete(self) -> tuple[Incomplete, ...]:
        """The transfers under way, the longest quiet first."""
        return tuple(self._partial.values())

    def add(self, peer: str, fragment: Fragment, now: float) -> bytes | None:
        """Take one fragment; return the message when it is whole.

        A fragment of a message that was whole already returns None. Raises RemoteError, and forgets them, when the
        parts don't make one message.
        """
        key = (peer, fragment.transfer)
        partial = self._partial.get(key)
        if partial is None and fragment.check in self._done.get(key, ()):
            return None
        if partial is not None:
            known = partial.parts.get(fragment.index)
            if partial.total != fragment.total or (known is not None and known.check != fragment.check):
                partial = None
        if partial is None:
            partial = Incomplete(peer, fragment.transfer, fragment.total, now)
            self._partial[key] = partial
        partial.parts[fragment.index] = fragment
        partial.quiet_since, partial.gaps = now, 0
        self._partial.move_to_end(key)
        if len(partial.parts) < partial.total:
            self._bound(peer)
            return None
        del self._partial[key]
        message = partial.prefix
        if partial.total > 1 and not partial.parts[0].payload.startswith(_crc16(message)):
            raise RemoteError("a message was dropped", "its parts do not fit together")
        self._done[key] = frozenset(part.check for part in partial.parts.values())
        self._done.move_to_end(key)
        if len(self._done) > limits.DONE_TRANSFERS_MAX:
            self._done.popitem(last=False)
        return message

    def forget(self, peer: str, transfer: int) -> None:
        """Give up an incomplete transfer."""
        self._partial.pop((peer, transfer), None)

    def _bound(self, peer: str) -> None:
        own = [key for key in self._partial if key[0] == peer]
        if len(own) > limits.PARTIAL_TRANSFERS_PER_PEER_MAX:
            del self._partial[own[0]]
        elif len(self._partial) > limits.PARTIAL_TRANSFERS_MAX:
            self._partial.popitem(last=False)


def _crc16(message: bytes) -> bytes:
    return crc_hqx(message, 0).to_bytes(limits.MESSAGE_CHECK_BYTES, "big")
