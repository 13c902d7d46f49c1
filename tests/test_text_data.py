"""The corpus behind the text packs, and the texts that measure them: whole, attributed, apart from each other."""

from __future__ import annotations

import json
import lzma
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORPUS = ROOT / "nodes" / "packs_corpus"
HELD_OUT = ROOT / "tests" / "benchmarks" / "data"
LANGUAGES = sorted(path.name.partition(".")[0] for path in CORPUS.glob("*.train.txt.xz"))
SHARED = 60  # characters in a row that a held-out text and the corpus may not share


def corpus(language: str) -> list[str]:
    return lzma.decompress((CORPUS / f"{language}.train.txt.xz").read_bytes()).decode().split("\0")


def sources(language: str) -> list[list[str]]:
    text = lzma.decompress((CORPUS / f"{language}.train.src.txt.xz").read_bytes()).decode()
    return [line.split("\t") for line in text.splitlines()]


def held_out(language: str) -> list[dict]:
    return [json.loads(line) for line in (HELD_OUT / f"{language}.dev.jsonl").read_text().splitlines()]


def folded(text: str) -> str:
    return " ".join(text.casefold().split())


def shared_windows(texts: list[str], pieces: list[str]) -> set[str]:
    """Every window of SHARED characters that both hold, folded.

    Such a window covers one of the blocks of half its size into which the pieces are cut, so only the blocks that occur
    in `texts` need a look around them.
    """
    windows = {text[at : at + SHARED] for text in map(folded, texts) for at in range(len(text) - SHARED + 1)}
    half = SHARED // 2
    halves = {window[at : at + half] for window in windows for at in range(half + 1)}
    whole = "\0".join(map(folded, pieces))
    return {
        whole[start : start + SHARED]
        for block in range(0, len(whole), half)
        if whole[block : block + half] in halves
        for start in range(max(0, block - half), block + 1)
    } & windows


def test_a_shared_window_is_found_wherever_it_stands():
    pieces = ["".join(chr(0x4E00 + (7 * at * at + at) % 5000) for at in range(300)), "another piece"]
    for start in range(240):
        assert len(shared_windows([f"x {pieces[0][start : start + SHARED]} y"], pieces)) == 1
        assert shared_windows([f"x {pieces[0][start : start + SHARED - 1]} y"], pieces) == set()


def test_every_corpus_has_its_held_out_texts():
    assert len(LANGUAGES) == 13
    assert sorted(path.name.partition(".")[0] for path in HELD_OUT.glob("*.dev.jsonl")) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_held_out_texts_are_not_in_the_corpus(language):
    texts = [one["text"] for one in held_out(language)]
    assert shared_windows(texts, corpus(language)) == set()
    assert set(map(folded, texts)).isdisjoint(map(folded, corpus(language)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_names_its_kind_and_a_source_that_is_attributed(language):
    attributed = set(re.findall(r"^\[(\w+)\]", (CORPUS / "ATTRIBUTION.txt").read_text(), re.MULTILINE))
    lines = sources(language)
    assert len(lines) == len(corpus(language))
    labels = {(source, kind) for source, kind in lines} | {(one["src"], one["kind"]) for one in held_out(language)}
    assert {source for source, _ in labels} <= attributed
    assert {kind for _, kind in labels} <= {"prompt", "answer", "chat"}
