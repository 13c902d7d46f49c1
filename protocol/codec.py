"""Messages to bytes and back: one byte of message number, a msgpack map with integer keys, then the text if any.

Answer text is the rest of the message, outside the map, so that it can be shown while later fragments are still on
their way. Fields at their default are left out; unknown keys are ignored; every size is checked against
`protocol.limits`. What can't be read raises RemoteError and is the caller's to drop and trace.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack

from protocol import limits
from protocol.errors import LocalError, RefuseCode, RemoteError
from protocol.messages import (
    NUMBERS,
    Accept,
    AnswerDone,
    AnswerPiece,
    Ask,
    Beacon,
    Busy,
    Cancel,
    Gap,
    Message,
    ModelOffer,
    Refuse,
    Role,
    Turn,
    Who,
)

__all__ = ["UnknownMessageError", "decode", "decode_answer_prefix", "encode", "from_bitmap", "to_bitmap"]

_TYPES = {number: kind for kind, number in NUMBERS.items()}
_REQUIRED: Any = object()
_TEXT_AFTER = (AnswerPiece, AnswerDone)


class UnknownMessageError(RemoteError):
    """The message number is one that only newer nodes know."""


@dataclass(frozen=True, slots=True)
class _Field:
    key: int
    name: str
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]
    default: Any = _REQUIRED


def _bad(why: str) -> RemoteError:
    return RemoteError("a message can't be read", why)


def to_bitmap(numbers: frozenset[int]) -> bytes:
    """Bytes in which bit `n` (little-endian) is set for each `n` in `numbers`, without trailing zero bytes."""
    bits = sum(1 << number for number in numbers)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def from_bitmap(bitmap: bytes, *, numbers_max: int) -> frozenset[int]:
    """Inverse of `to_bitmap`; raises RemoteError when a bit at or above `numbers_max` is set."""
    if len(bitmap) > (numbers_max + 7) // 8:
        raise _bad(f"a bitmap of {len(bitmap)} bytes where {numbers_max} bits are the most")
    bits = int.from_bytes(bitmap, "little")
    if bits >> numbers_max:
        raise _bad(f"a bitmap names more than {numbers_max} parts")
    return frozenset(number for number in range(bits.bit_length()) if bits >> number & 1)


def _uint(top: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= top:
            raise _bad(f"a number outside 0 to {top}")
        return value

    return check


def _text(bytes_max: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > bytes_max or len(value.encode()) > bytes_max:
            raise _bad(f"a text that is none or longer than {bytes_max} bytes")
        return value

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _bad("a flag that is neither true nor false")
    return value


def _list(value: Any, items_max: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > items_max:
        raise _bad(f"a list that is none or longer than {items_max}")
    return value


def _bitmap(numbers_max: int) -> Callable[[Any], frozenset[int]]:
    def check(value: Any) -> frozenset[int]:
        if not isinstance(value, bytes):
            raise _bad("a bitmap that is none")
        return from_bitmap(value, numbers_max=numbers_max)

    return check


_name = _text(limits.NAME_BYTES_MAX)
_uint32 = _uint(limits.UINT32_MAX)
_uint16 = _uint(0xFFFF)
_role = _uint(max(Role))


def _models(value: Any) -> tuple[ModelOffer, ...]:
    offers = []
    for item in _list(value, limits.BEACON_MODELS_MAX):
        fields = _list(item, limits.LIST_ITEMS_MAX)
        if len(fields) < 3:
            raise _bad("a model without name, speed or context")
        offers.append(ModelOffer(_name(fields[0]), max(1, _uint16(fields[1])), _uint32(fields[2])))
    return tuple(offers)


def _turns(value: Any) -> tuple[Turn, ...]:
    turns = []
    room = limits.QUESTION_BYTES_MAX
    for item in _list(value, limits.TURNS_MAX):
        fields = _list(item, limits.LIST_ITEMS_MAX)
        if len(fields) < 2:
            raise _bad("a turn without a speaker and a text")
        text = _text(room)(fields[1])
        room -= len(text.encode())
        turns.append(Turn(Role(_role(fields[0])), text))
    return tuple(turns)


def _same(value: Any) -> Any:
    return value


_ASK_ID = _Field(1, "ask_id", _same, _uint32)
_seconds = _uint(limits.DEADLINE_S_MAX)

_FIELDS: dict[type, tuple[_Field, ...]] = {
    Beacon: (
        _Field(1, "name", _same, _name),
        _Field(2, "models", lambda models: [[m.name, m.tokens_per_s, m.context_tokens] for m in models], _models, ()),
        _Field(3, "backlog_s", _same, _uint16, 0),
        _Field(4, "valid_s", _same, _uint16),
        _Field(5, "version_min", _same, _uint16, 1),
        _Field(6, "version_max", _same, _uint16, 1),
    ),
    Who: (),
    Ask: (
        _ASK_ID,
        _Field(2, "model", _same, _name, ""),
        _Field(3, "deadline_s", _same, _seconds),
        _Field(4, "max_tokens", _same, _uint(limits.TOKENS_MAX), 0),
        _Field(5, "turns", lambda turns: [[int(turn.role), turn.text] for turn in turns], _turns, ()),
        _Field(6, "have", to_bitmap, _bitmap(limits.PIECES_MAX), None),
        _Field(7, "run", _same, _uint16, 0),
    ),
    Accept: (_ASK_ID, _Field(2, "wait_s", _same, _seconds)),
    Busy: (_ASK_ID, _Field(2, "retry_after_s", _same, _uint16), _Field(3, "backlog_s", _same, _uint16)),
    AnswerPiece: (
        _ASK_ID,
        _Field(2, "number", _same, _uint(limits.PIECES_MAX - 1)),
        _Field(3, "run", _same, _uint16, 0),
    ),
    AnswerDone: (
        _ASK_ID,
        _Field(2, "number", _same, _uint(limits.PIECES_MAX - 1), 0),
        _Field(3, "model", _same, _name),
        _Field(4, "tokens", _same, _uint32, 0),
        _Field(5, "truncated", _same, _flag, False),
        _Field(6, "run", _same, _uint16, 0),
    ),
    Refuse: (
        _ASK_ID,
        _Field(2, "code", int, lambda value: RefuseCode.from_wire(_uint16(value))),
        _Field(3, "reason", _same, _text(limits.REASON_BYTES_MAX), ""),
    ),
    Cancel: (_ASK_ID,),
    Gap: (
        _Field(1, "transfer", _same, _uint(255)),
        _Field(2, "missing", to_bitmap, _bitmap(limits.FRAGMENTS_MAX), frozenset()),
    ),
}


def encode(message: Message) -> bytes:
    """Return the wire bytes of `message`; raises LocalError when a field breaks a limit."""
    kind = type(message)
    fields: dict[int, Any] = {}
    try:
        for field in _FIELDS[kind]:
            value = getattr(message, field.name)
            if field.default is not _REQUIRED and value == field.default:
                continue
            packed = field.pack(value)
            field.unpack(packed)
            fields[field.key] = packed
        tail = _text(limits.ANSWER_BYTES_MAX)(message.text).encode() if isinstance(message, _TEXT_AFTER) else b""
    except UnicodeEncodeError as error:
        raise LocalError("the text can't be sent", "it holds characters that are not Unicode text") from error
    except RemoteError as error:
        raise LocalError(f"this {kind.__name__} can't be sent", error.why) from error
    data: bytes = bytes([NUMBERS[kind]]) + msgpack.packb(fields) + tail
    return data


def decode(data: bytes) -> Message:
    """Return the message in `data`; raises UnknownMessageError for a number we don't know, RemoteError for bad data."""
    kind, fields, tail = _split(data)
    if kind in _TEXT_AFTER:
        try:
            fields["text"] = _text(limits.ANSWER_BYTES_MAX)(tail.decode())
        except UnicodeDecodeError as error:
            raise _bad("the answer's text is not UTF-8") from error
    elif tail:
        raise _bad(f"{len(tail)} bytes too many")
    message: Message = kind(**fields)
    return message


def decode_answer_prefix(data: bytes) -> AnswerPiece | AnswerDone | None:
    """Read the first bytes of a message whose end is missing: an answer with the text so far, or None."""
    try:
        kind, fields, tail = _split(data)
        if kind not in _TEXT_AFTER:
            return None
        fields["text"] = codecs.getincrementaldecoder("utf-8")().decode(tail[: limits.ANSWER_BYTES_MAX])
    except (RemoteError, UnicodeDecodeError):
        return None
    answer: AnswerPiece | AnswerDone = kind(**fields)
    return answer


def _split(data: bytes) -> tuple[Any, dict[str, Any], bytes]:
    if len(data) < 2 or len(data) > limits.MESSAGE_BYTES_MAX:
        raise _bad(f"{len(data)} bytes are no message")
    kind = _TYPES.get(data[0])
    if kind is None:
        raise UnknownMessageError("a message was ignored", f"number {data[0]} is not known to this version")
    unpacker = msgpack.Unpacker(
        strict_map_key=False,
        max_buffer_size=limits.MESSAGE_BYTES_MAX,
        max_array_len=limits.LIST_ITEMS_MAX,
        max_map_len=limits.MAP_FIELDS_MAX,
    )
    unpacker.feed(data[1:])
    try:
        raw = unpacker.unpack()
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise _bad("it is not msgpack") from error
    if not isinstance(raw, dict):
        raise _bad("its fields are no map")
    fields = {}
    for field in _FIELDS[kind]:
        if field.key in raw:
            fields[field.name] = field.unpack(raw[field.key])
        elif field.default is _REQUIRED:
            raise _bad(f"{kind.__name__} without {field.name}")
        else:
            fields[field.name] = field.default
    return kind, fields, data[1 + unpacker.tell() :]
