"""docs/protocol.md says what the code does: its tables and vectors are read from the page and checked here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import msgpack
import pytest

from nodes.bearers.radio import PRIVATE_PORT
from nodes.packs import load_packs
from protocol import codec, limits, messages
from protocol.codec import UnknownMessageError, decode, encode, to_bitmap
from protocol.coded import NOTHING_READABLE, read_text, write_text
from protocol.errors import RefuseCode, RemoteError
from protocol.fragments import Reassembler, read_frame, split
from protocol.messages import NUMBERS, Message, ModelOffer, Role, Turn
from protocol.states import ANSWERER, ASKER, Do
from protocol.text import REGISTERED, TextCoder
from protocol.version import VERSION_MAX, VERSION_MIN

PAGE = (Path(__file__).parent.parent / "docs" / "protocol.md").read_text()
KINDS = {kind.__name__: kind for kind in NUMBERS}


def section(title: str) -> str:
    """The text under the heading `title`, up to the next heading."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/protocol.md has no heading {title!r}"
    return found[1]


def rows(title: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def vectors(title: str) -> list[dict[str, Any]]:
    """The objects of the JSON block under a heading."""
    found = re.search(r"```json\n(.*?)```", section(title), re.DOTALL)
    assert found, f"no JSON under {title!r}"
    parsed: list[dict[str, Any]] = json.loads(found[1])
    return parsed


def table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """A table as the page must show it."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ("---",) * len(head), *lines])


def transitions(of: dict[Any, tuple[Any, Any]]) -> str:
    """A transition table, in the order of the enums."""

    def order(step: tuple[Any, Any]) -> tuple[int, int]:
        (state, what), _ = step
        return state.value, what.value

    return table(
        ("state", "input", "next state", "action"),
        [
            (f"`{state.name}`", f"`{what.name}`", f"`{after.name}`", f"`{do.name}`")
            for (state, what), (after, do) in sorted(of.items(), key=order)
        ],
    )


def meanings(title: str) -> dict[str, str]:
    return dict(rows(title))


# Golden vectors


def message_of(vector: dict[str, Any]) -> Message:
    fields = dict(vector["fields"])
    if "turns" in fields:
        fields["turns"] = tuple(Turn(Role(role), text) for role, text in fields["turns"])
    if "models" in fields:
        fields["models"] = tuple(ModelOffer(*offer) for offer in fields["models"])
    for name in ("have", "missing"):
        if fields.get(name) is not None:
            fields[name] = frozenset(fields[name])
    if "code" in fields:
        fields["code"] = RefuseCode(fields["code"])
    message: Message = KINDS[vector["message"]](**fields)
    return message


@pytest.mark.parametrize("vector", vectors("Messages as bytes"), ids=lambda vector: vector["message"])
def test_a_message_has_the_bytes_that_the_page_shows(vector):
    message = message_of(vector)
    assert encode(message).hex() == vector["hex"].replace(" ", "")
    assert decode(bytes.fromhex(vector["hex"])) == message


def test_every_message_has_a_vector():
    assert {vector["message"] for vector in vectors("Messages as bytes")} == set(KINDS)


@pytest.mark.parametrize("vector", vectors("Frames as bytes"), ids=lambda vector: vector["what"])
def test_a_message_has_the_frames_that_the_page_shows(vector):
    message = bytes.fromhex(vector["message"])
    frames = [bytes.fromhex(frame) for frame in vector["frames"]]
    assert [frame.hex() for frame in split(message, vector["transfer"])] == [frame.hex() for frame in frames]
    reassembler = Reassembler()
    parts = [reassembler.add("!b", read_frame(frame), 0) for frame in reversed(frames)]
    assert parts == [None] * (len(frames) - 1) + [message]
    decode(message)


def test_the_page_shows_messages_of_one_and_of_several_frames():
    assert {len(vector["frames"]) for vector in vectors("Frames as bytes")} >= {1, 2, 3}


@pytest.mark.parametrize("vector", vectors("Bytes to drop"), ids=lambda vector: vector["why"])
def test_what_the_page_says_is_dropped_is_dropped(vector):
    read: Callable[[bytes], object] = read_frame if "frame" in vector else decode
    with pytest.raises(RemoteError) as caught:
        read(bytes.fromhex(vector["frame" if "frame" in vector else "message"]))
    assert isinstance(caught.value, UnknownMessageError) == vector["why"].startswith("a message number")


# Tables


def test_message_numbers_are_those_of_the_code():
    assert {name: int(number) for number, name, *_ in rows("Message numbers")} == {
        kind.__name__: number for kind, number in NUMBERS.items()
    }


@pytest.mark.parametrize("name", KINDS)
def test_fields_are_those_of_the_code(name):
    shown = [(int(key), field, default) for key, field, _, default, _ in rows(name) if key != "rest"]
    fields = codec._FIELDS[KINDS[name]]
    assert [(key, field) for key, field, _ in shown] == [(field.key, field.name) for field in fields]
    for (_, field, default), known in zip(shown, fields, strict=True):
        if known.default is codec._REQUIRED:
            assert default == "", f"{field} must be sent"
        elif field == "turns":
            assert default == "one of a user"
        else:
            assert json.loads(default) == json_of(known.default), f"{field} has the default {known.default!r}"
    has_text = [field for key, field, *_ in rows(name) if key == "rest"]
    assert has_text == (["text"] if name in ("Ask", "AnswerPiece", "AnswerDone") else [])


def json_of(default: Any) -> Any:
    return list(default) if isinstance(default, tuple | frozenset) else default


BOUNDED = [
    (name, int(key), kind)
    for name in KINDS
    for key, _, kind, _, _ in rows(name)
    if key != "rest" and re.match(r"(uint|text|bitmap|list) ≤ ", kind)
]


@pytest.mark.parametrize(("name", "key", "kind"), BOUNDED, ids=lambda value: str(value))
def test_a_field_may_reach_its_bound_and_not_pass_it(name, key, kind):
    what, _, top, *_ = kind.split()
    inside, outside = value_of_size(what, int(top), name), value_of_size(what, int(top) + 1, name)
    base = next(vector for vector in vectors("Messages as bytes") if vector["message"] == name)
    assert decode(with_field(base, key, inside))
    with pytest.raises(RemoteError):
        decode(with_field(base, key, outside))


def value_of_size(what: str, size: int, message: str) -> Any:
    match what:
        case "uint":
            return size
        case "text":
            return "x" * size
        case "bitmap":
            return to_bitmap(frozenset({size - 1}))
        case _:
            return [["m", 1, 1] if message == "Beacon" else [0, 0]] * size


def with_field(vector: dict[str, Any], key: int, value: Any) -> bytes:
    data = bytes.fromhex(vector["hex"])
    start = 5 if "ask_id" in vector["fields"] else 1
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(data[start:])
    fields = unpacker.unpack()
    tail = b"\0" if isinstance(value, list) and vector["message"] == "Ask" else data[start + unpacker.tell() :]
    return data[:start] + msgpack.packb({**fields, key: value}) + tail


def test_every_field_has_a_known_type():
    kinds = {kind for name in KINDS for key, _, kind, _, _ in rows(name) if key != "rest"}
    bounded = {kind for _, _, kind in BOUNDED}
    assert kinds - bounded == {"bool"}


def test_limits_are_those_of_the_code():
    shown = {name: float(value.replace(" ", "")) for name, value, _ in rows("Limits")}
    right = {name: getattr(limits, name) for name in limits.__all__}
    wrong = {name for name in shown.keys() | right.keys() if shown.get(name) != right.get(name)}
    assert not wrong, table(("name", "value"), [(f"`{name}`", str(right.get(name))) for name in sorted(wrong)])


def test_refuse_codes_are_those_of_the_code():
    assert {name: int(number) for number, name, _ in rows("Refuse codes")} == {c.name: c.value for c in RefuseCode}


def test_roles_are_those_of_the_code():
    for role in Role:
        assert f"{role.value} {role.name.lower()}" in section("Ask")


@pytest.mark.parametrize(("title", "of"), [("Asker", ASKER), ("Answerer", ANSWERER)])
def test_the_states_are_those_of_the_code(title, of):
    right = transitions(of)
    assert right in section(title), f"the table under {title!r} should be:\n\n{right}\n"


def test_every_state_input_and_action_is_explained():
    def names(*members: Enum) -> set[str]:
        return {member.name for member in members}

    for title, of in (("Asker words", ASKER), ("Answerer words", ANSWERER)):
        used = {word for (state, what), (after, do) in of.items() for word in names(state, what, after, do)}
        assert meanings(title).keys() == used
        assert all(meanings(title).values())
    assert Do.NOTHING.name not in PAGE, "a pair that is not shown means nothing happens"


def test_versions_and_port_are_those_of_the_code():
    assert f"from {VERSION_MIN} to {VERSION_MAX}" in section("Versions")
    assert f"port number {PRIVATE_PORT}" in section("Bearers")


def test_every_name_from_the_code_in_the_page_exists():
    shown = set(re.findall(r"`([A-Z][A-Z_]+_[A-Z_]+)`", PAGE))
    known = {*limits.__all__, *RefuseCode.__members__, "PRIVATE_APP"}
    known |= {word for title in ("Asker words", "Answerer words") for word in meanings(title)}
    assert shown <= known
    assert set(re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", PAGE)) <= {*messages.__all__}


@pytest.mark.parametrize("vector", vectors("Coded text as bytes"), ids=lambda vector: vector["codec"])
def test_a_text_has_the_bytes_that_the_page_shows(vector):
    data, text = bytes.fromhex(vector["hex"]), vector["text"]
    coder = TextCoder({number: pack for number, pack in load_packs().items() if number == data[0]})
    assert read_text(coder, data, bytes_max=limits.QUESTION_BYTES_MAX) == text
    assert write_text(coder, text, readable=1 << data[0] if data[0] else NOTHING_READABLE) == data
    assert vector["codec"] == {0: "raw", 1: "brotli"}.get(data[0]) or vector["codec"] == REGISTERED[data[0]].name


def test_the_packs_that_every_node_brings_along_are_those_of_the_registry():
    assert sum(1 << number for number in REGISTERED) == limits.PACKS_USUAL
