"""Messages to bytes and back: message number, question's id if any, a msgpack map with integer keys, text if any.

Text is the rest of the message, outside the map, so that it can be coded compactly and shown while later fragments are
still on their way. Fields at their default are left out; unknown keys are ignored; every size is checked against
`protocol.limits`. What can't be read raises RemoteError and is the caller's to drop and trace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack

from protocol import limits
from protocol.coded import NOTHING_READABLE, read_beginning, read_text, write_text
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

__all__ = [
    "BeginningReader",
    "TextReader",
    "TextWriter",
    "UnknownMessageError",
    "decode",
    "decode_answer_prefix",
    "encode",
    "from_bitmap",
    "to_bitmap",
]

TextWriter = Callable[[str], bytes]
"""Codes a message's text."""
TextReader = Callable[[type, int, bytes, int], str | None]
"""Reads a message's text: message type, question's id, coded text, bytes at most. None where nobody wants it.

Raises RemoteError.
"""
BeginningReader = Callable[[type, int, bytes], str]
"""Reads as much as is certain of an answer's text: message type, question's id, first bytes of the coded text."""

_TYPES = {number: kind for kind, number in NUMBERS.items()}
_REQUIRED: Any = object()
_TEXT_AFTER = (Ask, AnswerPiece, AnswerDone)
_ABOUT_A_QUESTION = (Ask, Accept, Busy, AnswerPiece, AnswerDone, Refuse, Cancel)
_ID_BYTES = 4
_ONE_USER_TURN = ((Role.USER, -1),)
"""The shape of nearly every question: one turn, as long as the text is."""


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
_packs = _uint((1 << 63) - 1)
_role = _uint(max(Role))


def _models(value: Any) -> tuple[ModelOffer, ...]:
    offers = []
    for item in _list(value, limits.BEACON_MODELS_MAX):
        fields = _list(item, limits.LIST_ITEMS_MAX)
        if len(fields) < 3:
            raise _bad("a model without name, speed or context")
        offers.append(ModelOffer(_name(fields[0]), max(1, _uint16(fields[1])), _uint32(fields[2])))
    return tuple(offers)


def _shape(value: Any) -> tuple[tuple[Role, int], ...]:
    shape = []
    for item in _list(value, limits.TURNS_MAX):
        fields = _list(item, limits.LIST_ITEMS_MAX)
        if len(fields) < 2:
            raise _bad("a turn without a speaker and a length")
        shape.append((Role(_role(fields[0])), _uint(limits.QUESTION_BYTES_MAX)(fields[1])))
    return tuple(shape)


def _shape_of(turns: tuple[Turn, ...]) -> tuple[tuple[Role, int], ...]:
    if len(turns) == 1 and turns[0].role is Role.USER:
        return _ONE_USER_TURN
    return tuple((turn.role, len(turn.text)) for turn in turns)


def _turns(shape: tuple[tuple[Role, int], ...], text: str | None) -> tuple[Turn, ...]:
    """Cut the conversation's text into its turns; one that nobody wants to read is an empty one."""
    if shape == _ONE_USER_TURN or text is None:
        return (Turn(Role.USER, text or ""),)
    if sum(chars for _, chars in shape) != len(text):
        raise _bad("turns that are not as long as their text")
    turns, start = [], 0
    for role, chars in shape:
        turns.append(Turn(role, text[start : start + chars]))
        start += chars
    return tuple(turns)


def _same(value: Any) -> Any:
    return value


_seconds = _uint(limits.DEADLINE_S_MAX)

_FIELDS: dict[type, tuple[_Field, ...]] = {
    Beacon: (
        _Field(1, "name", _same, _name),
        _Field(2, "models", lambda models: [[m.name, m.tokens_per_s, m.context_tokens] for m in models], _models, ()),
        _Field(3, "backlog_s", _same, _uint16, 0),
        _Field(4, "valid_s", _same, _uint16),
        _Field(5, "version_min", _same, _uint16, 1),
        _Field(6, "version_max", _same, _uint16, 1),
        _Field(7, "packs", _same, _packs, limits.PACKS_USUAL),
    ),
    Who: (),
    Ask: (
        _Field(2, "model", _same, _name, ""),
        _Field(3, "deadline_s", _same, _seconds, limits.DEADLINE_S_USUAL),
        _Field(4, "max_tokens", _same, _uint(limits.TOKENS_MAX), 0),
        _Field(5, "turns", lambda shape: [[int(role), chars] for role, chars in shape], _shape, _ONE_USER_TURN),
        _Field(6, "have", to_bitmap, _bitmap(limits.PIECES_MAX), None),
        _Field(7, "run", _same, _uint16, 0),
        _Field(8, "packs", _same, _packs, limits.PACKS_USUAL),
    ),
    Accept: (_Field(2, "wait_s", _same, _seconds),),
    Busy: (_Field(2, "retry_after_s", _same, _uint16), _Field(3, "backlog_s", _same, _uint16)),
    AnswerPiece: (
        _Field(2, "number", _same, _uint(limits.PIECES_MAX - 1)),
        _Field(3, "run", _same, _uint16, 0),
    ),
    AnswerDone: (
        _Field(2, "number", _same, _uint(limits.PIECES_MAX - 1), 0),
        _Field(3, "model", _same, _name, ""),
        _Field(4, "tokens", _same, _uint32, 0),
        _Field(5, "truncated", _same, _flag, False),
        _Field(6, "run", _same, _uint16, 0),
    ),
    Refuse: (
        _Field(2, "code", int, lambda value: RefuseCode.from_wire(_uint16(value))),
        _Field(3, "reason", _same, _text(limits.REASON_BYTES_MAX), ""),
    ),
    Cancel: (),
    Gap: (
        _Field(1, "transfer", _same, _uint(255)),
        _Field(2, "missing", to_bitmap, _bitmap(limits.FRAGMENTS_MAX), frozenset()),
    ),
}


def _write_raw(text: str) -> bytes:
    return write_text(None, text, readable=NOTHING_READABLE)


def _read_raw(kind: type, ask_id: int, data: bytes, bytes_max: int) -> str:
    return read_text(None, data, bytes_max=bytes_max)


def _read_raw_beginning(kind: type, ask_id: int, data: bytes) -> str:
    return read_beginning(None, data, bytes_max=limits.ANSWER_BYTES_MAX)


def encode(message: Message, write: TextWriter = _write_raw) -> bytes:
    """Return the wire bytes of `message`, its text coded by `write`; raises LocalError when a field breaks a limit."""
    kind = type(message)
    fields: dict[int, Any] = {}
    data: bytes = bytes((NUMBERS[kind],))
    try:
        for field in _FIELDS[kind]:
            value = getattr(message, field.name)
            if isinstance(message, Ask) and field.name == "turns":
                value = _shape_of(message.turns)
            if field.default is not _REQUIRED and value == field.default:
                continue
            packed = field.pack(value)
            field.unpack(packed)
            fields[field.key] = packed
        if isinstance(message, _ABOUT_A_QUESTION):
            data += _uint32(message.ask_id).to_bytes(_ID_BYTES, "big")
        data += msgpack.packb(fields)
        text = _text_of(message)
        if text is not None:
            data += write(text)
    except UnicodeEncodeError as error:
        raise LocalError("the text can't be sent", "it holds characters that are not Unicode text") from error
    except RemoteError as error:
        raise LocalError(f"this {kind.__name__} can't be sent", error.why) from error
    return data


def decode(data: bytes, read: TextReader = _read_raw) -> Message:
    """Return the message in `data`; raises UnknownMessageError for a number we don't know, RemoteError for bad data.

    What `read` raises is passed on.
    """
    kind, fields, tail = _split(data)
    if kind is Ask:
        if shape := fields["turns"]:
            fields["turns"] = _turns(shape, read(kind, fields["ask_id"], tail, limits.QUESTION_BYTES_MAX))
        else:
            _nothing(tail)
    elif kind in _TEXT_AFTER:
        fields["text"] = read(kind, fields["ask_id"], tail, limits.ANSWER_BYTES_MAX) or ""
    else:
        _nothing(tail)
    message: Message = kind(**fields)
    return message


def decode_answer_prefix(data: bytes, read: BeginningReader = _read_raw_beginning) -> AnswerPiece | AnswerDone | None:
    """Read the first bytes of a message whose end is missing: an answer with the text so far, or None."""
    try:
        kind, fields, tail = _split(data)
    except RemoteError:
        return None
    if kind not in (AnswerPiece, AnswerDone):
        return None
    answer: AnswerPiece | AnswerDone = kind(**fields, text=read(kind, fields["ask_id"], tail))
    return answer


def _text_of(message: Message) -> str | None:
    """The text after a message's map; None when it has none."""
    match message:
        case Ask():
            return (
                _text(limits.QUESTION_BYTES_MAX)("".join(turn.text for turn in message.turns))
                if message.turns
                else None
            )
        case AnswerPiece() | AnswerDone():
            return _text(limits.ANSWER_BYTES_MAX)(message.text)
        case _:
            return None


def _nothing(tail: bytes) -> None:
    if tail:
        raise _bad(f"{len(tail)} bytes too many")


def _split(data: bytes) -> tuple[Any, dict[str, Any], bytes]:
    if len(data) < 2 or len(data) > limits.MESSAGE_BYTES_MAX:
        raise _bad(f"{len(data)} bytes are no message")
    kind = _TYPES.get(data[0])
    if kind is None:
        raise UnknownMessageError("a message was ignored", f"number {data[0]} is not known to this version")
    start, fields = 1, {}
    if kind in _ABOUT_A_QUESTION:
        start += _ID_BYTES
        if len(data) <= start:
            raise _bad(f"{kind.__name__} without ask_id")
        fields["ask_id"] = int.from_bytes(data[1:start], "big")
    unpacker = msgpack.Unpacker(
        strict_map_key=False,
        max_buffer_size=limits.MESSAGE_BYTES_MAX,
        max_array_len=limits.LIST_ITEMS_MAX,
        max_map_len=limits.MAP_FIELDS_MAX,
    )
    unpacker.feed(data[start:])
    try:
        raw = unpacker.unpack()
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise _bad("it is not msgpack") from error
    if not isinstance(raw, dict):
        raise _bad("its fields are no map")
    for field in _FIELDS[kind]:
        if field.key in raw:
            fields[field.name] = field.unpack(raw[field.key])
        elif field.default is _REQUIRED:
            raise _bad(f"{kind.__name__} without {field.name}")
        else:
            fields[field.name] = field.default
    return kind, fields, data[start + unpacker.tell() :]
