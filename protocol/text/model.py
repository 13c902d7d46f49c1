"""The model of a text: how probable a one is as the next bit, from a pack and from the message so far.

For each context of the pack the bytes that ever followed it are looked up once a byte; at each bit the counts of
those still possible become a state, the state a learned probability, and a frozen mix of all of them the answer.
Nothing learned changes within a message except which byte last followed a context. Integers only. It knows nothing
of coding; `nodes/text_loop.c` holds the same model, compiled.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from protocol.text.contexts import CHARACTERS_MAX, PREVIOUS_WORD, TWO_WORDS, WORD, History
from protocol.text.numbers import COUNT_OF_LEVEL, KIND_OF_STATE, QUANTUM, SQUASH, STRETCH
from protocol.text.pack import Pack

__all__ = ["P_MAX", "P_MIN", "Step", "predictions"]

P_MIN = 24
P_MAX = 65_512

_WORD_FLAG = {WORD: 1, PREVIOUS_WORD: 2, TWO_WORDS: 4}


@dataclass(slots=True)
class Step:
    """How one probability came about, for whoever trains a pack. Places are indices into the pack's numbers."""

    inputs: list[tuple[int, int]] = field(default_factory=list)
    """Weight within its set, stretched probability."""
    places: list[tuple[int, int]] = field(default_factory=list)
    """Where a state or local state lies, and which bit it stands for."""
    sets: tuple[int, int, int] = (0, 0, 0)
    mixed: tuple[int, int, int] = (0, 0, 0)
    final: int = 0
    x: int = 0
    map_place: int = 0


def predictions(pack: Pack, about: bytes = b"", step: Step | None = None) -> Generator[int, int, None]:
    """Yield the 16-bit probability that the next bit is a one, then take that bit, for ever.

    Bits come most significant first; `about` is text that both sides know beforehand; `step` is told each time how
    the probability came about.
    """
    numbers, signed, alphabet, sizes, kinds = pack.numbers, pack.signed, pack.alphabet, pack.sizes, pack.kinds
    width = sizes.width
    first_at, second_at, third_at = sizes.weights
    contexts = [
        (
            table.buckets,
            table.entries,
            table.offsets_at,
            table.entries_at,
            sizes.states + index * 1152,
            index * 8,
            min(kind, 7) if kind <= CHARACTERS_MAX else 0,
            _WORD_FLAG.get(kind, 0),
        )
        for index, (table, kind) in enumerate(zip(pack.tables, kinds, strict=True))
    ]
    pair_weight = 8 * sizes.contexts
    local_contexts: list[tuple[int, dict[int, tuple[int, int]], int, int]] = [
        (index, {}, sizes.local_states + slot * 64, pair_weight + 8 + 8 * slot)
        for slot, index in enumerate(pack.local_contexts)
    ]
    history = History()
    for byte in about:
        hashes = history.hashes(kinds)
        for index, seen, _, _ in local_contexts:
            _note(seen, hashes[index], byte)
        history.add(byte)
    if about:
        history = History()
    while True:
        hashes = history.hashes(kinds)
        last_byte = history.last_byte
        letters_at = (last_byte + 32 if 65 <= last_byte <= 90 else last_byte) * 64
        letters = alphabet[letters_at : letters_at + 64]
        live = []
        for hashed, (buckets, entries, offsets_at, entries_at, states, weight, order, flag) in zip(
            hashes, contexts, strict=True
        ):
            bucket = hashed * buckets >> 32
            start = entries_at + bucket * entries // buckets + numbers[offsets_at + bucket] - 32768
            bucket += 1
            end = entries_at + bucket * entries // buckets + numbers[offsets_at + bucket] - 32768
            check = hashed & 127
            followers = [
                (letters[entry >> 7 & 63], COUNT_OF_LEVEL[entry >> 13])
                for entry in numbers[start:end]
                if entry & 127 == check
            ]
            del followers[64:]
            if followers:
                live.append((followers, states, weight, order, flag))
        local = []
        for index, seen, states, weight in local_contexts:
            found = seen.get(hashes[index])
            if found:
                local.append((found[0] | 256, min(found[1], 7), states, weight))
        pairs_at = sizes.pairs + last_byte * 256
        second_base = second_at + width * 256 * ((history.word_length > 0) + 2 * (history.length >= 4))
        map_base = (last_byte * 0x9E3779B1 + history.byte_before * 0x85EBCA6B) & 0xFFFFFFFF
        node = 1
        for bit in range(8):
            shift = 7 - bit
            mask = 1 << shift
            inputs: list[tuple[int, int]] = []
            places: list[tuple[int, int]] = []
            highest = flags = agreed = 0
            state_at = bit * 144
            for followers, states, weight, order, flag in live:
                zeros = ones = 0
                for letter, count in followers:
                    if letter & mask:
                        ones += count
                    else:
                        zeros += count
                state = QUANTUM[zeros] * 12 + QUANTUM[ones]
                kind = KIND_OF_STATE[state]
                if kind < 5:
                    agreed += 1
                if order:
                    highest = order
                flags |= flag
                state += states + state_at
                places.append((state, 1))
                inputs.append((weight + kind, signed[state]))
            alive = len(live)
            pair = numbers[pairs_at + node]
            if pair:
                inputs.append((pair_weight + (pair & 7), STRETCH[pair >> 4]))
            matches = 0
            for letter, count, states, weight in local:
                if letter >> shift + 1 == node:
                    state = states + bit * 8 + count
                    expected = letter >> shift & 1
                    places.append((state, expected))
                    inputs.append((weight + count, signed[state] if expected else -signed[state]))
                    matches += 1
            first = first_at + width * (highest * 32 + min(matches, 3) * 8 + flags)
            second = second_base + width * node
            third = third_at + width * ((min(alive, 9) * 5 + (agreed * 4 // alive if alive else 0)) * 8 + bit)
            x1 = x2 = x3 = 0
            for weight, stretched in inputs:
                x1 += signed[first + weight] * stretched
                x2 += signed[second + weight] * stretched
                x3 += signed[third + weight] * stretched
            x1, x2, x3 = _clamped(x1 >> 12), _clamped(x2 >> 12), _clamped(x3 >> 12)
            final = sizes.final + (highest * 8 + bit) * 3
            x = _clamped((signed[final] * x1 + signed[final + 1] * x2 + signed[final + 2] * x3) >> 12) + 2048
            hashed = (map_base + node * 0xC2B2AE35) & 0xFFFFFFFF
            at = sizes.map + ((hashed ^ hashed >> 15) * 0x2C1B3C6D >> 20 & 4095) * 33 + (x >> 7)
            part = x & 127
            mapped = (numbers[at] * (128 - part) + numbers[at + 1] * part) >> 7
            p = (SQUASH[x] + mapped) >> 1
            if step:
                step.inputs, step.places = inputs, places
                step.sets, step.mixed, step.final = (first, second, third), (x1, x2, x3), final
                step.x, step.map_place = x - 2048, at + (part > 63)
            one = yield P_MIN if p < P_MIN else P_MAX if p > P_MAX else p
            node = node * 2 + one
            live = [
                (kept, states, weight, order, flag)
                for followers, states, weight, order, flag in live
                if (kept := [follower for follower in followers if (follower[0] & mask > 0) == one])
            ]
        byte = node & 255
        for index, seen, _, _ in local_contexts:
            _note(seen, hashes[index], byte)
        history.add(byte)


def _note(seen: dict[int, tuple[int, int]], hashed: int, byte: int) -> None:
    last, count = seen.get(hashed, (byte, 0))
    seen[hashed] = (byte, count + 1 if last == byte else 1)


def _clamped(x: int) -> int:
    return 2047 if x > 2047 else -2047 if x < -2047 else x
