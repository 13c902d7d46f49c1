"""The model engine against the bare binding: speed of 1 and 4 askers, and how soon a cancelled prompt stops.

Prints one JSON object. Both sides load the same model with the same settings, each in its own process, and take turns
on the same questions, so that what else the machine does meets both alike.

    python tests/benchmarks/engine.py [--quick] [--model FILE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import trio

from nodes.engines.binding import LoadSettings
from nodes.engines.llama import LlamaEngine
from nodes.interfaces import Prompt
from protocol.messages import Role, Turn

SLOTS = 4
CONTEXT_TOKENS = 2048
THREADS = len(os.sched_getaffinity(0))
TOPICS = ("the sea", "old trees", "trains", "bread", "mountains", "bees", "rain", "music")
LONG_PROMPT = "Repeat after me: " + "word " * 1700
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def questions(round_number: int, askers: int) -> list[str]:
    """Long answers, and no prompt twice, so that no side finds one in its cache."""
    topics = [TOPICS[(round_number + asker) % len(TOPICS)] for asker in range(askers)]
    return [f"Chapter {round_number}: write a long story about {topic}." for topic in topics]


def bare(path: str, batch_tokens: int) -> None:
    """The peer, in its own process: xllamacpp used directly. Each line in holds questions, each line out figures."""
    from nodes.engines.xllamacpp_binding import common_params

    settings = LoadSettings(Path(path).absolute(), CONTEXT_TOKENS, SLOTS, THREADS, batch_tokens)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        params = common_params(settings)
        import xllamacpp

        server = xllamacpp.Server(params)
        pool = ThreadPoolExecutor(SLOTS)

        def ask(question: str, max_tokens: int) -> tuple[int, float]:
            started, first, tokens = time.perf_counter(), 0.0, 0

            def on_chunk(chunk: dict) -> None:
                nonlocal first, tokens
                if chunk["choices"][0]["delta"].get("content") and not first:
                    first = time.perf_counter() - started
                tokens = chunk.get("timings", {}).get("predicted_n", tokens)

            messages = [{"role": "user", "content": question}]
            body = {"messages": messages, "max_tokens": max_tokens, "temperature": 0.0, "stream": True}
            server.handle_chat_completions(body, on_chunk)
            return tokens, first

        for line in sys.stdin:
            asked, max_tokens = json.loads(line)
            started = time.perf_counter()
            answers = list(pool.map(ask, asked, [max_tokens] * len(asked)))
            seconds = time.perf_counter() - started
            figures = [sum(tokens for tokens, _ in answers) / seconds, statistics.median(first for _, first in answers)]
            sys.stdout.write(json.dumps(figures) + "\n")
            sys.stdout.flush()


class Bare:
    """The bare binding's process, seen from here."""

    def __init__(self, path: Path, batch_tokens: int) -> None:
        command = [sys.executable, __file__, "--bare", str(batch_tokens), "--model", str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, asked: list[str], max_tokens: int) -> tuple[float, float]:
        self._process.stdin.write(json.dumps([asked, max_tokens]) + "\n")
        self._process.stdin.flush()
        return tuple(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()


async def ours(engine: LlamaEngine, asked: list[str], max_tokens: int) -> tuple[float, float]:
    """Return tokens/s of all askers together, and the median time to the first piece."""
    finished = []

    async def ask(question: str) -> None:
        pieces: list[str] = []
        prompt = Prompt((Turn(Role.USER, question),), max_tokens, temperature=0.0)
        finished.append(await engine.answer(prompt, pieces.append))

    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for question in asked:
            nursery.start_soon(ask, question)
    seconds = time.perf_counter() - started
    tokens = sum(each.answer_tokens for each in finished)
    return tokens / seconds, statistics.median(each.first_token_s for each in finished)


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def cancel_prefill(engine: LlamaEngine) -> float:
    """Return seconds from cancelling a long prompt until the worker's CPU time stands still, to within one tick."""
    pid = engine.worker_pid
    prompt = Prompt((Turn(Role.USER, LONG_PROMPT),), 8, temperature=0.0)
    with trio.move_on_after(0.8) as patience:
        await engine.answer(prompt, lambda _: None)
    if not patience.cancelled_caught:
        raise SystemExit("the prompt was read within 0.8 s: nothing was cancelled")
    cancelled = last_grown = time.perf_counter()
    ticks = cpu_ticks(pid)
    while time.perf_counter() - last_grown < 1.0:
        await trio.sleep(0.01)
        now_ticks = cpu_ticks(pid)
        if now_ticks > ticks + 1:
            ticks, last_grown = now_ticks, time.perf_counter()
    return last_grown - cancelled


async def measure(path: Path, quick: bool) -> dict:
    rounds, max_tokens, cancels, patience_s = (8, 64, 2, 24.0) if quick else (16, 192, 5, 600.0)
    engine = LlamaEngine(path, "model", slots=SLOTS, context_tokens=CONTEXT_TOKENS, threads=THREADS)
    runs: dict[tuple[str, int], list[tuple[float, float]]] = {}
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        batch_tokens = engine.batch_tokens
        peer = Bare(path, batch_tokens)
        started = time.perf_counter()
        try:
            for number in range(rounds + 1):
                if number > 1 and time.perf_counter() - started > patience_s:
                    break  # a busy machine: fewer rounds, and `settings` says so
                for askers in (1, SLOTS):
                    asked = questions(number, askers)
                    turns = ["ours", "bare"] if number % 2 else ["bare", "ours"]
                    for side in turns:
                        if side == "ours":
                            figures = await ours(engine, asked, max_tokens)
                        else:
                            figures = await trio.to_thread.run_sync(peer.ask, asked, max_tokens)
                        if number:  # the first round warms both up
                            runs.setdefault((side, askers), []).append(figures)
                        print(f"round {number}, {askers} askers, {side}: {figures[0]:.1f} tokens/s", file=sys.stderr)
        finally:
            peer.close()
        cancelled = [await cancel_prefill(engine) for _ in range(cancels)]
        print(f"cancel: {cancelled}", file=sys.stderr)
        nursery.cancel_scope.cancel()

    def speed(side: str, askers: int) -> float:
        return statistics.median(figures[0] for figures in runs[side, askers])

    def first(side: str, askers: int) -> float:
        return statistics.median(figures[1] for figures in runs[side, askers])

    def overhead(askers: int) -> float:
        # Of the two runs of one round, made one after the other on the same questions.
        pairs = zip(runs["bare", askers], runs["ours", askers], strict=True)
        return statistics.median(bare[0] / ours[0] for bare, ours in pairs)

    return {
        "figures": {
            "cancel_prefill_s": round(max(cancelled), 3),
            "first_token_s_1": round(first("ours", 1), 4),
            "tokens_per_s_1": round(speed("ours", 1), 1),
            "first_token_s_4": round(first("ours", SLOTS), 4),
            "tokens_per_s_4": round(speed("ours", SLOTS), 1),
            "overhead_ratio": round(max(overhead(1), overhead(SLOTS)), 4),
        },
        "peer": {
            "first_token_s_1": round(first("bare", 1), 4),
            "tokens_per_s_1": round(speed("bare", 1), 1),
            "first_token_s_4": round(first("bare", SLOTS), 4),
            "tokens_per_s_4": round(speed("bare", SLOTS), 1),
        },
        "settings": {
            "peer": "xllamacpp used directly",
            "model": path.name,
            "slots": SLOTS,
            "context_tokens": CONTEXT_TOKENS,
            "threads": THREADS,
            "batch_tokens": batch_tokens,
            "max_tokens": max_tokens,
            "rounds": len(runs["ours", 1]),
            "cancels": cancels,
            "quick": quick,
            "overhead_ratio_1": round(overhead(1), 4),
            "overhead_ratio_4": round(overhead(SLOTS), 4),
        },
    }


def model_path(named: str) -> Path:
    if named or (named := os.environ.get("MESHAI_MODEL_FILE", "")):
        return Path(named)
    from nodes.models.shelf import find_model

    return find_model("smollm2-135m").path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="end within 50 s")
    parser.add_argument("--model", default="", help="a GGUF file instead of SmolLM2 135M")
    parser.add_argument("--bare", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare(options.model, options.bare)
    else:
        print(json.dumps(trio.run(measure, model_path(options.model), options.quick)))


if __name__ == "__main__":
    main()
