"""How fast messages become bytes and frames become messages, next to msgpack alone on the same data.

Prints one JSON object. The messages are those of a question and its answer, a beacon included; each is checked, bounded
and read into its class, which msgpack alone does not do. Fragments are those of one long answer, put together in an
order that a mesh could bring.

    python tests/benchmarks/protocol_speed.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from random import Random

import msgpack

from protocol import limits
from protocol.codec import decode, encode
from protocol.fragments import Reassembler, read_frame, split
from protocol.messages import NUMBERS, Accept, AnswerDone, Ask, Beacon, Gap, Message, ModelOffer, Role, Turn
from protocol.version import VERSION_MAX, VERSION_MIN

ANSWER = "Sunlight holds all colours. Air scatters the short waves far more than the long ones, so blue reaches us " * 3
MESSAGES: tuple[Message, ...] = (
    Beacon("house", (ModelOffer("smollm2-135m", 105, 8192),), 12, 900, VERSION_MIN, VERSION_MAX),
    Ask(0x89ABCDEF, "", 600, 120, (Turn(Role.USER, "Why is the sky blue?"),)),
    Accept(0x89ABCDEF, 40),
    AnswerDone(0x89ABCDEF, 0, ANSWER, "smollm2-135m", 70),
    Gap(7, frozenset({1})),
)
LONG = encode(AnswerDone(1, 0, "x" * (limits.ANSWER_BYTES_MAX - 1000), "smollm2-135m", 8000))


def plain(data: bytes) -> tuple[int, dict[int, object], bytes]:
    """The same content as msgpack alone holds it: number, fields, text."""
    start = 1 if data[0] in (NUMBERS[Beacon], NUMBERS[Gap]) else 5  # behind a question's id
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(data[start:])
    fields = unpacker.unpack()
    return data[0], fields, data[start + unpacker.tell() :]


def per_second(work: Callable[[], None], items: int, seconds: float) -> float:
    """Items a second, the best of several rounds that fill `seconds` together."""
    best = 0.0
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        started = time.perf_counter()
        for _ in range(20):
            work()
        best = max(best, 20 * items / (time.perf_counter() - started))
    return best


def measure(works: dict[str, tuple[Callable[[], None], int]], seconds: float) -> dict[str, int]:
    figures = {}
    for name, (work, items) in works.items():
        print(f"measuring {name} ({work.__name__})", file=sys.stderr, flush=True)
        figures[name] = round(per_second(work, items, seconds))
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description="How fast the protocol is, next to msgpack alone.")
    arguments.add_argument("--quick", action="store_true", help="measure for a second each instead of five")
    seconds = 1.0 if arguments.parse_args().quick else 5.0

    wire = [encode(message) for message in MESSAGES]
    contents = [plain(data) for data in wire]
    packed = [msgpack.packb(content) for content in contents]
    frames = split(LONG, 7)
    Random(1).shuffle(frames)

    def encode_all() -> None:
        for message in MESSAGES:
            encode(message)

    def decode_all() -> None:
        for data in wire:
            decode(data)

    def reassemble() -> None:
        reassembler = Reassembler()
        whole = [reassembler.add("!b", read_frame(frame), 0.0) for frame in frames]
        assert whole[-1] == LONG

    def pack_all() -> None:
        for content in contents:
            msgpack.packb(content)

    def unpack_all() -> None:
        for data in packed:
            msgpack.unpackb(data, strict_map_key=False)

    ours = {
        "messages_encoded_per_s": (encode_all, len(MESSAGES)),
        "messages_decoded_per_s": (decode_all, len(MESSAGES)),
        "fragments_reassembled_per_s": (reassemble, len(frames)),
    }
    bare = {
        "messages_encoded_per_s": (pack_all, len(MESSAGES)),
        "messages_decoded_per_s": (unpack_all, len(MESSAGES)),
    }
    settings = {
        "peer": f"msgpack {'.'.join(map(str, msgpack.version))} alone, without checks and classes",
        "messages": [type(message).__name__ for message in MESSAGES],
        "fragments": len(frames),
        "seconds_each": seconds,
    }
    print(json.dumps({"figures": measure(ours, seconds), "peer": measure(bare, seconds), "settings": settings}))


if __name__ == "__main__":
    main()
