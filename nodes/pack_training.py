"""Makes a text pack from pieces of text: tables of what followed what, and the frozen mix of them.

First the tables are built without an eighth of the pieces and the mix is learned on those, in several turns where text
is scarce; then the tables are built anew from all. Integers only: the same pieces give the same bytes on every machine,
compiled or not. Reads no file and prints nothing; progress goes to whoever watches.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, groupby, islice, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from protocol.errors import LocalError
from protocol.text.contexts import PREVIOUS_WORD, SKIPPED_WORD, TWO_WORDS, WORD, History
from protocol.text.model import Step, predictions
from protocol.text.numbers import SQUASH, STRETCH, level_of
from protocol.text.pack import FINAL_SETS, MAP_SETS, Pack, Sizes, little_endian

if TYPE_CHECKING:
    from nodes.text_loop import CompiledLoop

__all__ = ["Recipe", "Watch", "learn", "recipe_for", "table", "train"]

Watch = Callable[[str, int, int], None]
"""Is told the step, how much of it is done, and of how much."""

_LEFT_OUT_SHARE: Final = 8
"""One piece of so many is what the mix is learned on."""
_CUT_BYTES: Final = 400
"""So much of each is learned on: messages are short."""
_FINAL_RATE: Final = 2
_BUCKET_ENTRIES: Final = 8
_PIECES_MIN: Final = 16
_M32: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Recipe:
    """How large a pack may become, and what it looks at."""

    room: int = 400_000
    """Entries of two bytes in each table, at most; the rarest are left out first."""
    kinds: tuple[int, ...] = (2, 3, 4, 5, 6, WORD, PREVIOUS_WORD, TWO_WORDS, SKIPPED_WORD)
    local_contexts: tuple[int, ...] = (1, 2, 4, 5)
    """Which of `kinds`, by position, are followed within the message too."""
    apart_bytes: int = 30
    """The mix is learned on pieces that share no run of so many bytes with another: messages will not either."""
    turns: tuple[tuple[int, ...], ...] = ((10, 6), (6, 3), (3,), (1,))
    """How fast each pass learns, by turn; each turn leaves other pieces out of the tables. For scarce text."""


_ONE_TURN: Final = Recipe(turns=((10, 6, 3, 1),))
_RECIPES: Final = {
    **dict.fromkeys(("sw", "zu", "es", "hi", "fr", "pt", "ar", "id"), _ONE_TURN),
    "en": replace(_ONE_TURN, room=620_000),
    "code": replace(_ONE_TURN, apart_bytes=60),
    "chat": replace(_ONE_TURN, room=200_000),
    "ha": Recipe(room=600_000),
    "xh": Recipe(room=560_000),
}


def recipe_for(name: str) -> Recipe:
    """The recipe of the pack `name`: that of a registered one, or the usual one."""
    return _RECIPES.get(name, Recipe())


def train(name: str, pieces: Sequence[bytes], recipe: Recipe, *, loop: CompiledLoop | None, watch: Watch) -> bytes:
    """Return the pack made from `pieces`, each of them text without zero bytes.

    Raises LocalError where there is too little text.
    """
    pieces = [piece for piece in pieces if piece and b"\0" not in piece]
    if len(pieces) < _PIECES_MIN:
        raise LocalError(
            "a pack can't be made of this",
            f"it is {len(pieces)} pieces of text and takes at least {_PIECES_MIN}",
            "give more text; separate pieces by an empty line or a zero byte",
        )
    offsets = array("Q", [0])
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece) + 1)
    data = b"\0".join(pieces) + b"\0"
    alphabet, ranks = _alphabet(data, offsets)
    sizes = Sizes.of(len(recipe.kinds), len(recipe.local_contexts))
    steps = (1 + len(recipe.turns)) * len(recipe.kinds) + sum(map(len, recipe.turns))
    done = 0

    def assembled(left_out: bytes, learned: array[int]) -> bytearray:
        nonlocal done
        tables = []
        for kind in recipe.kinds:
            watch("counting", done, steps)
            tables.append((loop.table if loop else table)(data, offsets, left_out, kind, ranks, recipe.room))
            done += 1
        head = Pack.header(
            name, recipe.kinds, recipe.local_contexts, [(len(starts) - 1, len(entries)) for starts, entries in tables]
        )
        sections = [_pairs(data, offsets, left_out), learned, *(numbers for table in tables for numbers in table)]
        return bytearray().join((head, alphabet, *map(little_endian, sections)))

    learned, weights, states, seen = _unlearned(sizes)
    for left_out, rates in zip(_left_out(pieces, recipe), recipe.turns, strict=True):
        pack = Pack(memoryview(assembled(left_out, learned)))
        for rate in rates:
            watch("learning", done, steps)
            (loop.learn if loop else learn)(pack, data, offsets, left_out, _CUT_BYTES, rate, weights, states, seen)
            done += 1
        learned = array("H", pack.numbers[sizes.states : sizes.tables])
    made = bytes(assembled(bytes(len(pieces)), learned))
    watch("done", steps, steps)
    return made


def table(
    data: bytes, offsets: array[int], left_out: bytes, kind: int, ranks: bytes, room: int
) -> tuple[array[int], array[int]]:
    """Return offsets and entries of the table of one context, with about `room` entries at most.

    `data` holds the pieces, each ended by a zero byte, from `offsets[i]` on; `left_out` a one for each to be skipped;
    `ranks` the rank of each byte after each.
    """
    counts: Counter[int] = Counter()
    for start, end in _used(offsets, left_out):
        history = History()
        for byte in data[start:end]:
            rank = ranks[_folded(history.last_byte) * 256 + byte]
            if rank < 64:
                counts[history.hashes((kind,))[0] << 6 | rank] += 1
            history.add(byte)
    keys = sorted(counts)
    having = Counter(min(count, 255) for count in counts.values())
    kept, limit = 0, 255
    while limit > 1 and kept + having[limit] <= room:
        kept += having[limit]
        limit -= 1
    share = 65536 * (room - kept) // having[limit] if having[limit] else 65536
    places, entries = [], array("H")
    for hashed, group in groupby(keys, lambda key: key >> 6):
        followers = list(group)
        largest = max(counts[key] for key in followers)
        rare = (hashed * 0x9E3779B1 & _M32) >> 16 >= share
        for key in followers:
            count = counts[key]
            if count < limit or (count == limit < 255 and rare):
                continue
            if largest > 100:
                count = max(1, count * 100 // largest)
            places.append(hashed)
            entries.append(level_of(count) << 13 | (key & 63) << 7 | hashed & 127)
    buckets = len(entries) // _BUCKET_ENTRIES + 1
    filled = Counter(hashed * buckets >> 32 for hashed in places)
    starts, found = array("H"), 0
    for bucket in range(buckets + 1):
        offset = found - bucket * len(entries) // buckets + 32768
        if not 0 <= offset < 65536:
            raise LocalError("a pack can't be built", "its contexts are too uneven", "train it from more varied text")
        starts.append(offset)
        found += filled[bucket]
    return starts, entries


def learn(
    pack: Pack, data: bytes, offsets: array[int], left_out: bytes, cut: int, rate: int,
    weights: array[int], states: array[int], seen: array[int],
) -> None:  # fmt: skip
    """Adapt the mix of `pack`, which lies over a buffer that may be written, to the pieces left out of its tables.

    `weights`, `states` and `seen` hold the same numbers finer and how often each state came; they go on from pass
    to pass.
    """
    numbers: Any = pack.numbers
    signed: Any = pack.signed
    first_weight, first_state = pack.sizes.weights[0], pack.sizes.states
    for index in compress(range(len(left_out)), left_out):
        step = Step()
        model = predictions(pack, step=step)
        next(model)
        for byte in data[offsets[index] : min(offsets[index + 1], offsets[index] + cut)]:
            for shift in range(7, -1, -1):
                one = byte >> shift & 1
                for place, expected in step.places:
                    at = place - first_state
                    aim = _M32 if one == expected else 0
                    states[at] += (aim - states[at]) * (655360 // (10 * seen[at] + 16)) >> 16
                    seen[at] = min(seen[at] + 1, 1000)
                    signed[place] = STRETCH[states[at] >> 20]
                for base, mixed in zip(step.sets, step.mixed, strict=True):
                    error = ((one << 16) - SQUASH[mixed + 2048]) * rate
                    for weight, stretched in step.inputs:
                        _nudge(signed, weights, base + weight, first_weight, stretched * error >> 18)
                error = ((one << 16) - SQUASH[step.x + 2048]) * _FINAL_RATE
                for place, mixed in enumerate(step.mixed, step.final):
                    _nudge(signed, weights, place, first_weight, mixed * error >> 18)
                numbers[step.map_place] += (65535 * one - numbers[step.map_place]) >> 6
                model.send(one)


def _left_out(pieces: Sequence[bytes], recipe: Recipe) -> Iterator[bytes]:
    """For each turn a one for each piece to learn on: spread over those apart from all others, if they are many."""
    apart = _apart(pieces, recipe.apart_bytes)
    wanted = len(pieces) // _LEFT_OUT_SHARE
    candidates = apart if len(apart) >= wanted * len(recipe.turns) else range(len(pieces))
    for turn in range(len(recipe.turns)):
        here = candidates[turn :: len(recipe.turns)]
        chosen = bytearray(len(pieces))
        for index in range(wanted):
            chosen[here[index * len(here) // wanted]] = 1
        yield bytes(chosen)


def _apart(pieces: Sequence[bytes], run: int) -> list[int]:
    """Which pieces share no run of `run` bytes with another, letter case aside."""
    half = run // 2
    owner: dict[int, int] = {}
    shared: set[int] = set()
    for index, piece in enumerate(pieces):
        folded = piece.lower()
        for at in range(0, len(folded) - run + 1, half):
            first = owner.setdefault(crc32(folded[at : at + run]), index)
            if first != index:
                shared |= {first, index}
    for index, piece in enumerate(pieces):
        if index not in shared:
            folded = piece.lower()
            for at in range(len(folded) - run + 1):
                if owner.get(crc32(folded[at : at + run]), index) != index:
                    shared.add(index)
                    break
    return [index for index in range(len(pieces)) if index not in shared]


def _nudge(signed: Any, weights: array[int], place: int, first: int, change: int) -> None:
    weights[place - first] += change
    signed[place] = max(-32768, min(32767, weights[place - first] + 8 >> 4))


def _unlearned(sizes: Sizes) -> tuple[array[int], array[int], array[int], array[int]]:
    """The numbers from states to map before learning, and the finer ones that learning goes on with."""
    seen_as = (0, 1, 2, 3, 4, 5, 8, 12, 20, 35, 70, 120)
    one_context = [
        min(_M32, (10 * ones + 3 << 32) // (10 * (zeros + ones) + 6))
        for _ in range(8)
        for zeros in seen_as
        for ones in seen_as
    ]
    one_local = [min(_M32, (10 * count + 6 << 32) // (10 * count + 12)) for _ in range(8) for count in range(8)]
    states = array("I", one_context * sizes.contexts + one_local * sizes.local_contexts)
    seen = array("H", [2] * len(states))
    weights = array("i", [14418] * (sizes.final - sizes.weights[0]) + [21845] * (3 * FINAL_SETS))
    learned = array("h", (STRETCH[state >> 20] for state in states))
    learned.extend(weight + 8 >> 4 for weight in weights)
    rows = array("H", (SQUASH[max(0, min(4095, 128 * knot))] for knot in range(33)))
    return array("H", learned.tobytes()) + rows * MAP_SETS, weights, states, seen


def _alphabet(data: bytes, offsets: array[int]) -> tuple[bytes, bytes]:
    """The bytes that follow each byte, commonest first, 64 of each; and the rank of each byte after each."""
    following: Counter[tuple[int, int]] = Counter()
    for start, end in pairwise(offsets):
        following.update(zip(b"\0" + data[start : end - 1].lower(), data[start:end], strict=True))
    alphabet, ranks = bytearray(256 * 64), bytearray(b"\xff" * 65536)
    for last, group in groupby(sorted(following, key=lambda pair: (pair[0], -following[pair], pair[1])), itemgetter(0)):
        for rank, (_, byte) in enumerate(islice(group, 64)):
            alphabet[last * 64 + rank] = byte
            ranks[last * 256 + byte] = rank
    return bytes(alphabet), bytes(ranks)


def _pairs(data: bytes, offsets: array[int], left_out: bytes) -> array[int]:
    """After each byte, for each beginning of the next: 12 bits of probability of a one, 3 bits of how often seen."""
    following: Counter[tuple[int, int]] = Counter()
    for start, end in _used(offsets, left_out):
        following.update(zip(b"\0" + data[start : end - 1], data[start:end], strict=True))
    seen, ones = [0] * 65536, [0] * 65536
    for (last, byte), count in following.items():
        for shift in range(8):
            at = last * 256 + ((byte | 256) >> shift + 1)
            seen[at] += count
            ones[at] += count * (byte >> shift & 1)
    return array("H", (_pair(all_, one) for all_, one in zip(seen, ones, strict=True)))


def _pair(seen: int, ones: int) -> int:
    if not seen:
        return 0
    return (
        min(4095, (2 * ones + 1) * 2048 // (seen + 1)) << 4 | sum(seen > most for most in (2, 7, 19, 59, 199, 999)) + 1
    )


def _used(offsets: array[int], left_out: bytes) -> Iterator[tuple[int, int]]:
    return (piece for piece, skipped in zip(pairwise(offsets), left_out, strict=True) if not skipped)


def _folded(byte: int) -> int:
    return byte + 32 if 65 <= byte <= 90 else byte
