"""The part that runs in a process of its own: prints as JSON what a GGUF file, or this device's processor, is.

`python -m nodes.models.probe describe PATH` or `… device`. Prints one object; a failure is `{"error": [what, why,
fix]}`. The `gguf` library gives the format's numbers their names and sizes; its own reader is not used, because it
builds a Python object for each vocabulary entry (SmolLM2: 2.1 s and 189 MB, Gemma 3 270M: 9.2 s and 718 MB, more than
the model itself takes) and follows counts of any size.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from nodes.models.describe import Description
from nodes.models.header import Header, Skipped, read_header
from protocol.errors import LocalError

__all__ = ["describe_header", "processor"]

_OTHER_KINDS = {
    "adapter": "it is an adapter, which changes another model",
    "vocab": "it is a vocabulary without a model",
    "mmproj": "it is the eyes or ears of another model",
    "imatrix": "it holds statistics for making models smaller",
}


def describe_header(header: Header, path: Path) -> Description:
    """Return what `header`, read from `path`, says of its model.

    Raises LocalError when the file holds no language model or less data than the header promises.
    """
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    architecture = _text(header, "general.architecture")
    if not architecture or not header.tensors:
        raise LocalError(f"{path} holds no model", "its header names no architecture or no tensors")
    kind = _text(header, "general.type") or "model"
    if kind != "model" or architecture == "clip":
        raise LocalError(f"{path} holds no language model", _OTHER_KINDS.get(kind, f"it is of the kind {kind!r}"))
    if f"{architecture}.pooling_type" in header.metadata and "tokenizer.chat_template" not in header.metadata:
        raise LocalError(f"{path} holds no language model", "it turns text into vectors and writes none")
    if _number(header, "split.count") > 1:
        raise LocalError(
            f"{path} is one piece of a model in several files",
            fix="Join them with `llama-gguf-split --merge FIRST_PIECE WHOLE.gguf` and name the whole",
        )
    elements: dict[str, int] = {}
    for tensor in header.tensors:
        try:
            stored_as = GGMLQuantizationType(tensor.kind)
        except ValueError:
            raise LocalError(
                f"{path} is newer than this meshai", f"it stores numbers in a way (type {tensor.kind}) unknown here"
            ) from None
        block, block_bytes = GGML_QUANT_SIZES[stored_as]
        if header.data_start + tensor.offset + tensor.elements // block * block_bytes > header.file_bytes:
            raise LocalError(
                f"{path} is cut short", "its header promises more data than the file holds", "Fetch it again"
            )
        elements[stored_as.name] = elements.get(stored_as.name, 0) + tensor.elements
    return Description(
        title=_text(header, "general.name"),
        architecture=architecture,
        parameters=sum(elements.values()),
        quantisation=_quantisation(header, elements),
        context_tokens=_number(header, f"{architecture}.context_length"),
        size_bytes=header.file_bytes,
        chats=bool(header.metadata.get("tokenizer.chat_template")),
        licence=_text(header, "general.license"),
        languages=_texts(header, "general.languages"),
        vocabulary=_length(header, "tokenizer.ggml.tokens"),
        cache_bytes_per_token=_cache_bytes(header, architecture),
    )


def processor() -> dict[str, Any]:
    """Return `{"kind": "CPU" or "GPU", "name": …}` for what the engine would run a model on.

    Asks xllamacpp, whose build decides: a graphics card that it can't drive doesn't count.
    """
    from xllamacpp import get_device_info, ggml_backend_dev_type

    kinds = ggml_backend_dev_type
    for device in get_device_info():
        if device["type"] in (kinds.GGML_BACKEND_DEVICE_TYPE_GPU, kinds.GGML_BACKEND_DEVICE_TYPE_IGPU):
            return {"kind": "GPU", "name": device["description"] or device["name"]}
    return {"kind": "CPU", "name": ""}


def _quantisation(header: Header, elements: dict[str, int]) -> str:
    from gguf import LlamaFileType

    if "general.file_type" in header.metadata:
        try:
            name = LlamaFileType(_number(header, "general.file_type")).name
        except ValueError:
            pass
        else:
            return name.removeprefix("MOSTLY_").removeprefix("ALL_")
    return max(elements, key=lambda name: elements[name])


def _cache_bytes(header: Header, architecture: str) -> int:
    layers = _number(header, f"{architecture}.block_count")
    heads = _number(header, f"{architecture}.attention.head_count")
    embedding = _number(header, f"{architecture}.embedding_length")
    if not 0 < layers <= 10_000:
        return 0
    per_layer = header.metadata.get(f"{architecture}.attention.head_count_kv", heads)
    if isinstance(per_layer, tuple):
        heads_in_all = sum(count for count in per_layer if isinstance(count, int))
    else:
        heads_in_all = layers * per_layer if isinstance(per_layer, int) else 0
    default = embedding // heads if heads else 0
    key = _number(header, f"{architecture}.attention.key_length") or default
    value = _number(header, f"{architecture}.attention.value_length") or default
    return heads_in_all * (key + value) * 2


def _text(header: Header, key: str) -> str:
    value = header.metadata.get(key, "")
    return value if isinstance(value, str) else ""


def _texts(header: Header, key: str) -> tuple[str, ...]:
    value = header.metadata.get(key, ())
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, tuple) else ()


def _number(header: Header, key: str) -> int:
    value = header.metadata.get(key, 0)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _length(header: Header, key: str) -> int:
    value = header.metadata.get(key, ())
    if isinstance(value, Skipped):
        return value.length
    return len(value) if isinstance(value, tuple) else 0


def _main(arguments: list[str]) -> dict[str, Any]:
    try:
        if arguments[0] == "device":
            return processor()
        path = Path(arguments[1])
        return describe_header(read_header(path), path).to_json()
    except LocalError as error:
        return {"error": [error.what, error.why, error.fix]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_main(sys.argv[1:])))
