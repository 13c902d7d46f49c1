"""How small short text becomes for the air, that every text comes back, and what a byte costs in pure Python.

Prints one JSON object. `ratio.LANG.KIND` is the median of coded bytes (codec byte included, check sum not) over UTF-8
bytes, on texts that no pack was made from. The peers code the same texts: brotli, unishox2, and zstd with a dictionary
made from the text that the language's pack was made from; `make peers` installs them.

    python tests/benchmarks/text.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from nodes.packs import load_packs, pack_files
from protocol.errors import RemoteError
from protocol.text import BROTLI, RAW, REGISTERED, Pack, TextCoder

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PEERS = ROOT / ".venv-peers"
LANGUAGES = sorted(path.name.partition(".")[0] for path in (HERE / "data").glob("*.dev.jsonl"))
TEXT_BYTES_MAX = 65536
CODECS = {RAW: "raw", BROTLI: "brotli"} | {number: pack.name for number, pack in REGISTERED.items()}

PROMPT_AND_ANSWER_GOALS = {
    "en": (0.26, 0.24),
    "sw": (0.24, 0.21),
    "ha": (0.27, 0.235),
    "yo": (0.23, 0.185),
    "zu": (0.28, 0.23),
    "xh": (0.26, 0.245),
    "es": (0.225, 0.22),
    "fr": (0.255, 0.19),
    "pt": (0.25, 0.21),
    "hi": (0.113, 0.112),
    "ar": (0.178, 0.17),
    "code": (0.225, 0.235),
}
GOALS = {
    "wrong_decodes": 0,
    "ms_per_byte": 0.5,
    **{
        f"ratio.{language}.{kind}": goal
        for language, goals in PROMPT_AND_ANSWER_GOALS.items()
        for kind, goal in zip(("prompt", "answer"), goals, strict=True)
    },
}
"""The most that each figure should be."""


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def held_out(language: str, each: int | None) -> list[dict]:
    """The texts of a language; with `each`, that many of a kind, spread evenly over its lengths."""
    texts = [json.loads(line) for line in (HERE / f"data/{language}.dev.jsonl").read_text().splitlines()]
    if each is None:
        return texts
    chosen = []
    for kind in sorted({one["kind"] for one in texts}):
        by_size = sorted((one for one in texts if one["kind"] == kind), key=lambda one: len(one["text"].encode()))
        chosen += [by_size[(2 * at + 1) * len(by_size) // (2 * each)] for at in range(each)]
    return chosen


def medians(language: str, texts: list[dict], coded_bytes: list[int]) -> dict[str, float]:
    """`ratio.LANG.KIND` of each kind of text."""
    ratios: dict[str, list[float]] = {}
    for one, size in zip(texts, coded_bytes, strict=True):
        ratios.setdefault(one["kind"], []).append(size / len(one["text"].encode()))
    return {f"ratio.{language}.{kind}": round(statistics.median(found), 4) for kind, found in sorted(ratios.items())}


def packs() -> dict[int, Pack]:
    """The packs that come with meshai."""
    return {number: pack for number, pack in load_packs().items() if number in REGISTERED}


def code(texts: list[str]) -> tuple[list[int], list[str], int]:
    """Coded bytes and codec of each text, and how many came back as something else."""
    coder = TextCoder(packs())
    sizes, codecs, wrong = [], [], 0
    for text in texts:
        coded = coder.encode(text, readable=coder.bitmap)
        sizes.append(len(coded))
        codecs.append(CODECS.get(coded[0], "unknown"))
        try:
            wrong += coder.decode(coded, max_bytes=TEXT_BYTES_MAX) != text
        except RemoteError as error:
            tell(f"{text!r} can't be decoded: {error}")
            wrong += 1
    return sizes, codecs, wrong


def code_by_peers(language: str, texts: list[str], dictionary_bytes: int, training_bytes: int) -> dict:
    """What `peers/text_coders.py` makes of the texts."""
    work = {
        "texts": texts,
        "corpus": str(ROOT / f"nodes/packs_corpus/{language}.train.txt.xz"),
        "dictionary_bytes": dictionary_bytes,
        "training_bytes": training_bytes,
    }
    script = [PEERS / "bin/python", "-P", HERE / "peers/text_coders.py"]
    done = subprocess.run(script, input=json.dumps(work), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def ms_per_byte(each: int) -> dict[str, float]:
    """CPU time for a UTF-8 byte with one pack in plain Python, by direction: the median over texts of all packs."""
    found: dict[str, list[float]] = {"encode": [], "decode": []}
    for number, pack in packs().items():
        language = REGISTERED[number].name
        coder = TextCoder({number: pack})
        for one in held_out(language, each) if language in LANGUAGES else ():
            plain_bytes = len(one["text"].encode())
            started = time.process_time()
            coded = coder.encode(one["text"], readable=coder.bitmap)
            encoded = time.process_time()
            coder.decode(coded, max_bytes=TEXT_BYTES_MAX)
            decoded = time.process_time()
            found["encode"].append(1000 * (encoded - started) / plain_bytes)
            found["decode"].append(1000 * (decoded - encoded) / plain_bytes)
    return {way: round(statistics.median(times), 3) for way, times in found.items()}


def peer_figures(texts: dict[str, list[dict]], results: dict[str, dict]) -> dict[str, float]:
    """`ratio.LANG.KIND.PEER` of each peer, and `ratio.LANG.KIND` of the best of them."""
    figures: dict[str, float] = {}
    for language, result in results.items():
        plain_bytes = [len(one["text"].encode()) for one in texts[language]]
        for name, coded_bytes in result["coded_bytes"].items():
            # As ours: a byte names the codec, and what would grow is sent raw.
            sent = [1 + min(sizes) for sizes in zip(coded_bytes, plain_bytes, strict=True)]
            for figure, ratio in medians(language, texts[language], sent).items():
                figures[f"{figure}.{name}"] = ratio
                figures[figure] = min(ratio, figures.get(figure, ratio))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="How small short text becomes for the air.")
    parser.add_argument("--quick", action="store_true", help="5 texts of each kind, a small dictionary for zstd")
    quick = parser.parse_args().quick
    with_peers = (PEERS / ".ready").exists()
    if not with_peers:
        tell("The peers are not installed, so `peer` stays empty. `make peers` installs them.")
    pack_bytes = {file.name: file.size_bytes for file in pack_files() if file.number in REGISTERED}
    dictionary_bytes, training_bytes = (112_640, 1_000_000) if quick else (max(pack_bytes.values()), -1)
    texts = {language: held_out(language, 5 if quick else None) for language in LANGUAGES}

    figures: dict[str, float] = {}
    codecs_used: dict[str, dict[str, int]] = {}
    wrong = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        plain = {language: [one["text"] for one in texts[language]] for language in LANGUAGES}
        ours = {language: pool.submit(code, plain[language]) for language in LANGUAGES}
        theirs = {
            language: pool.submit(code_by_peers, language, plain[language], dictionary_bytes, training_bytes)
            for language in (LANGUAGES if with_peers else ())
        }
        for language, future in ours.items():
            tell(f"coding {language}, {len(texts[language])} texts")
            sizes, used, wrong_here = future.result()
            figures |= medians(language, texts[language], sizes)
            codecs_used[language] = {codec: used.count(codec) for codec in sorted(set(used))}
            wrong += wrong_here
        results = {}
        for language, future in theirs.items():
            tell(f"peers coding {language}")
            results[language] = future.result()

    tell("timing one pack")
    times = ms_per_byte(1 if quick else 3)
    figures |= {"wrong_decodes": wrong, "ms_per_byte": max(times.values())}
    settings = {
        "goals": GOALS,
        "missed_by": {name: round(figures[name] - goal, 4) for name, goal in GOALS.items() if figures[name] > goal},
        "texts": {language: len(texts[language]) for language in LANGUAGES},
        "codecs_used": codecs_used,
        "pack_bytes": pack_bytes,
        "ms_per_byte": {**times, "clock": "CPU time", "python": platform.python_version()},
        "peer": {
            "brotli": "quality 11, text mode",
            "zstd": f"level 19, a dictionary of up to {dictionary_bytes} bytes from the language's corpus",
            "unishox2": "its default preset, the length it needs not counted",
            "counted": "a codec byte besides, raw where smaller, no headers; a figure without a name is the best",
            "versions": sorted({version for result in results.values() for version in result["versions"].values()}),
        },
        "quick": quick,
    }
    print(json.dumps({"figures": figures, "peer": peer_figures(texts, results), "settings": settings}))


if __name__ == "__main__":
    main()
