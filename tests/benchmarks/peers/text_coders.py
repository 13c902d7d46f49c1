"""What other coders make of short texts: brotli, zstd with a dictionary of the language, unishox2.

Runs in .venv-peers (`make peers`), so it knows nothing of meshai. Reads {"texts", "corpus", "dictionary_bytes",
"training_bytes"} as JSON on stdin, where "corpus" is an .xz of pieces with a NUL byte between two; prints
{"coded_bytes": {coder: [bytes per text]}, "dictionary_bytes", "versions"}. Each text is coded by itself, decoded
again and compared. What a coder could leave out is left out: frame headers, checksums, the text's length.
"""

from __future__ import annotations

import json
import lzma
import sys
from collections.abc import Callable
from importlib.metadata import version

import brotli
import unishox2
import zstandard

Coder = tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]


def brotli_11() -> Coder:
    def encode(text: bytes) -> bytes:
        return brotli.compress(text, mode=brotli.MODE_TEXT, quality=11)

    return encode, lambda coded, _: brotli.decompress(coded)


def zstd_19(dictionary: zstandard.ZstdCompressionDict) -> Coder:
    settings = zstandard.ZstdCompressionParameters.from_level(
        19,
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        window_log=23,
        write_checksum=False,
        write_content_size=False,
        write_dict_id=False,
    )
    compressor = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=settings)
    decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS)
    return compressor.compress, lambda coded, size: decompressor.decompress(coded, max_output_size=size)


def unishox() -> Coder:
    def encode(text: bytes) -> bytes:
        return unishox2.compress(text.decode())[0]

    return encode, lambda coded, size: unishox2.decompress(coded, size).encode()


def main() -> None:
    work = json.load(sys.stdin)
    with lzma.open(work["corpus"]) as corpus:
        pieces = corpus.read(work["training_bytes"]).split(b"\0")
    # k and d given spare the search for them, which takes minutes and gains 1 to 3 % here.
    dictionary = zstandard.train_dictionary(work["dictionary_bytes"], pieces, k=200, d=8, level=19)
    coders = {"brotli": brotli_11(), "zstd": zstd_19(dictionary), "unishox2": unishox()}
    coded_bytes: dict[str, list[int]] = {}
    for name, (encode, decode) in coders.items():
        coded_bytes[name] = []
        for text in (text.encode() for text in work["texts"]):
            coded = encode(text)
            if decode(coded, len(text)) != text:
                sys.exit(f"{name} decoded a text to something else: {text!r}")
            coded_bytes[name].append(len(coded))
    packages = {"brotli": "brotli", "zstd": "zstandard", "unishox2": "unishox2-py3"}
    versions = {name: f"{package} {version(package)}" for name, package in packages.items()}
    print(json.dumps({"coded_bytes": coded_bytes, "dictionary_bytes": len(dictionary), "versions": versions}))


if __name__ == "__main__":
    main()
