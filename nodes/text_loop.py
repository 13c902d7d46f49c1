"""The text model's inner loop, compiled where a C compiler is there: the same bytes as the Python, thirty times sooner.

Builds `text_loop.c` once into the cache folder and calls it through ctypes. Everything works without it; nothing is
compiled unless `compiled_loop` is called.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from array import array
from functools import cache
from pathlib import Path
from typing import Any, Final

import platformdirs

from protocol.errors import LocalError, RemoteError
from protocol.text.numbers import KIND_OF_STATE, QUANTUM, SQUASH, STRETCH
from protocol.text.pack import CONTEXTS_MAX, LOCALS_MAX, Pack

__all__ = ["CompiledLoop", "compiled_loop"]

_SOURCE: Final = Path(__file__).with_name("text_loop.c")
_FLAGS: Final = ("-O2", "-shared", "-fPIC", "-fvisibility=hidden")
_COMPILE_S: Final = 120


class _Pack(ctypes.Structure):
    _fields_ = (
        ("numbers", ctypes.c_void_p),
        ("contexts", ctypes.c_int32),
        ("locals", ctypes.c_int32),
        ("kinds", ctypes.c_int32 * CONTEXTS_MAX),
        ("local_contexts", ctypes.c_int32 * LOCALS_MAX),
        ("buckets", ctypes.c_uint32 * CONTEXTS_MAX),
        ("entries", ctypes.c_uint32 * CONTEXTS_MAX),
        ("offsets_at", ctypes.c_uint64 * CONTEXTS_MAX),
        ("entries_at", ctypes.c_uint64 * CONTEXTS_MAX),
        ("alphabet", ctypes.c_uint64),
        ("pairs", ctypes.c_uint64),
        ("states", ctypes.c_uint64),
        ("local_states", ctypes.c_uint64),
        ("weights", ctypes.c_uint64 * 3),
        ("final", ctypes.c_uint64),
        ("map", ctypes.c_uint64),
    )


class CompiledLoop:
    """The compiled inner loop: codes like `protocol.text.coder`, and does the heavy parts of training."""

    def __init__(self, library: Path) -> None:
        self._library = library_ = ctypes.CDLL(str(library))
        for name in ("tl_encode", "tl_decode", "tl_follow", "tl_count", "tl_lay_out", "tl_learn"):
            getattr(library_, name).restype = ctypes.c_long
        library_.tl_numbers(
            (ctypes.c_int32 * len(SQUASH))(*SQUASH),
            (ctypes.c_int32 * len(STRETCH))(*STRETCH),
            bytes(QUANTUM),
            bytes(KIND_OF_STATE),
        )

    def encode(self, pack: Pack, text: bytes, *, about: bytes = b"", bytes_max: int) -> bytes | None:
        """As `protocol.text.coder.encode`."""
        out = ctypes.create_string_buffer(2 * len(text) + 64)
        packed, keep = _described(pack)
        size = self._library.tl_encode(
            ctypes.byref(packed), about, ctypes.c_long(len(about)), text, ctypes.c_long(len(text)), out,
            ctypes.c_long(bytes_max),
        )  # fmt: skip
        del keep
        if size == -2:
            raise MemoryError
        return out.raw[:size] if size >= 0 else None

    def decode(self, pack: Pack, data: bytes, *, about: bytes = b"", bytes_max: int) -> bytes:
        """As `protocol.text.coder.decode`."""
        out = ctypes.create_string_buffer(bytes_max + 1)
        packed, keep = _described(pack)
        size = self._library.tl_decode(
            ctypes.byref(packed), about, ctypes.c_long(len(about)), data, ctypes.c_long(len(data)), out,
            ctypes.c_long(bytes_max),
        )  # fmt: skip
        del keep
        if size >= 0:
            return out.raw[:size]
        if size == -1:
            raise RemoteError("a coded text is too long", f"it holds more than {bytes_max} bytes")
        if size == -2:
            raise MemoryError
        raise RemoteError(
            "a coded text is damaged", "it ends before its end mark" if size == -3 else "bytes follow its end mark"
        )

    def table(
        self, data: bytes, offsets: array[int], left_out: bytes, kind: int, ranks: bytes, room: int
    ) -> tuple[array[int], array[int]]:
        """As `nodes.pack_training.table`."""
        keys, spare = array("Q", bytes(8 * len(data))), array("Q", bytes(8 * len(data)))
        pieces = ctypes.c_long(len(offsets) - 1)
        n = self._library.tl_follow(data, _at(offsets), pieces, left_out, kind, ranks, _at(keys))
        counts = array("I", bytes(4 * max(1, n)))
        n = ctypes.c_long(self._library.tl_count(_at(keys), _at(spare), _at(counts), ctypes.c_long(n)))
        arguments = (_at(keys), _at(counts), n, ctypes.c_long(room))
        total = self._library.tl_lay_out(*arguments, 1, ctypes.c_long(0), None, None)
        buckets = total // 8 + 1
        table, entries = array("H", bytes(2 * (buckets + 1))), array("H", bytes(2 * max(1, total)))
        if self._library.tl_lay_out(*arguments, buckets, ctypes.c_long(total), _at(table), _at(entries)) < 0:
            raise LocalError("a pack can't be built", "its contexts are too uneven", "train it from more varied text")
        return table, entries[:total]

    def learn(
        self, pack: Pack, data: bytes, offsets: array[int], left_out: bytes, cut: int, rate: int,
        weights: array[int], states: array[int], seen: array[int],
    ) -> None:  # fmt: skip
        """As `nodes.pack_training.learn`; `pack` lies over a buffer that may be written."""
        packed, keep = _described(pack)
        if self._library.tl_learn(
            ctypes.byref(packed), data, _at(offsets), ctypes.c_long(len(offsets) - 1), left_out,
            ctypes.c_long(cut), rate, _at(weights), _at(states), _at(seen),
        ) < 0:  # fmt: skip
            raise MemoryError
        del keep


@cache
def compiled_loop(*, build: bool = True) -> CompiledLoop | None:
    """The compiled loop; built where it isn't there yet and `build` is set.

    None where it isn't there, there is no compiler or it fails, or the machine is big-endian.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or sys.byteorder == "big":
        return None
    digest = hashlib.sha256(_SOURCE.read_bytes() + repr((compiler, _FLAGS, sys.platform)).encode()).hexdigest()[:16]
    folder = Path(platformdirs.user_cache_dir("meshai"))
    library = folder / f"text_loop-{digest}.so"
    try:
        if not library.exists():
            if not build:
                return None
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                built = Path(scratch) / library.name
                subprocess.run(
                    [compiler, *_FLAGS, "-o", str(built), str(_SOURCE)],
                    check=True, capture_output=True, timeout=_COMPILE_S,
                )  # fmt: skip
                for old in folder.glob("text_loop-*.so"):
                    old.unlink()
                built.replace(library)
        return CompiledLoop(library)
    except (OSError, subprocess.SubprocessError):
        return None


def _at(numbers: array[int]) -> ctypes.c_void_p:
    return ctypes.c_void_p(numbers.buffer_info()[0])


def _described(pack: Pack) -> tuple[_Pack, Any]:
    """What the compiled code is told of a pack, and what must live as long as it is used."""
    sizes = pack.sizes
    address, keep = _address(pack.numbers)
    packed = _Pack(
        numbers=address, contexts=sizes.contexts, locals=sizes.local_contexts, alphabet=sizes.alphabet,
        pairs=sizes.pairs, states=sizes.states, local_states=sizes.local_states, final=sizes.final, map=sizes.map,
    )  # fmt: skip
    packed.kinds[: sizes.contexts] = pack.kinds
    packed.local_contexts[: sizes.local_contexts] = pack.local_contexts
    packed.weights[:] = sizes.weights
    for index, table in enumerate(pack.tables):
        packed.buckets[index], packed.entries[index] = table.buckets, table.entries
        packed.offsets_at[index], packed.entries_at[index] = table.offsets_at, table.entries_at
    return packed, keep


def _address(numbers: Any) -> tuple[int, Any]:
    """Where a memoryview's buffer lies, also of one that can't be written."""
    view = _Buffer()
    _get_buffer(numbers, ctypes.byref(view), 0)
    return view.buf, _Release(view)


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


class _Release:
    def __init__(self, view: _Buffer) -> None:
        self._view = view

    def __del__(self) -> None:
        _release_buffer(ctypes.byref(self._view))


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = (ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int)
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = (ctypes.POINTER(_Buffer),)
_release_buffer.restype = None
