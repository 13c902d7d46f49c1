"""A worker process that goes wrong on purpose, speaking the frames of `nodes.engines.llama_worker`.

`misbehaving_worker.py COUNTER_FILE MANNER…`: each life takes the next manner, the last one for good.
"""

import os
import select
import signal
import sys
import time
from pathlib import Path

from nodes.engines.frames import FrameReader, pack_frame


def main(counter: Path, manners: list[str]) -> None:
    life = len(counter.read_bytes()) if counter.exists() else 0
    with counter.open("ab") as file:
        file.write(b".")
    manner = manners[min(life, len(manners) - 1)]
    reader = FrameReader()
    while True:
        if select.select([0], [], [], 0.1)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            for frame in reader.feed(data):
                take(manner, frame)
        if manner != "silent":
            send("beat", 0 if manner == "stalls" else time.monotonic_ns())


def take(manner: str, frame: list) -> None:
    match frame:
        case ["load", _]:
            load(manner)
        case ["ask", number, *_]:
            ask(manner, number)
        case ["cancel", number]:
            send("done", number, 10, 4, True, 52.0)


def load(manner: str) -> None:
    if manner == "illegal":
        os.kill(os.getpid(), signal.SIGILL)
    if manner == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if manner == "refuses":
        os.write(2, b"0.1 E llama_model_load: error loading model: unknown model architecture: 'riddle'\n")
        send("failed", "The model can't be loaded", "no reason", "Choose another model")
    elif manner == "never ready":
        time.sleep(3600)
    else:
        send("ready", {"tokens_per_s": 42.0, "batch_tokens": 64})
        if manner == "dies idle":
            time.sleep(0.2)
            os._exit(0)


def ask(manner: str, number: int) -> None:
    if manner != "says nothing":
        send("text", number, "Once upon ")
    match manner:
        case "crashes":
            os.write(2, b"GGML_ASSERT(n > 0) failed\n")
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exits":
            os._exit(3)
        case "babbles":
            os.write(1, b"llama_print_timings: 12 ms\n" * 10)
        case "turns mute":
            os.close(1)
            time.sleep(3600)
        case "silent":
            time.sleep(3600)
        case "stalls" | "slow":
            pass
        case "fails one":
            send("error", number, "The model could not work on the question", "it is a riddle", "Ask another")
        case "says nothing":
            send("done", number, 10, 20, True, 50.0)
        case _:
            send("text", number, "a time")
            send("done", number, 10, 4, False, 52.0)


def send(*parts: object) -> None:
    os.write(1, pack_frame(*parts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
