"""What this device can carry: its memory, and whether a model would run on the CPU or on a GPU.

Facts about the machine only; whether a model fits is one pure comparison.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from nodes.models.describe import run_probe
from protocol.errors import LocalError

__all__ = ["Device", "fits", "memory_bytes", "this_device"]

_SHARE_FOR_MODEL = 0.8
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Device:
    """This device, as far as models care."""

    memory_bytes: int
    processor: str
    """`CPU` or `GPU`: what the engine would run a model on."""
    processor_name: str
    """The GPU's name, or why the processor couldn't be asked; empty otherwise."""


def memory_bytes() -> int:
    """Return this device's memory, or its container's limit where that is less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def fits(needed_bytes: int, device_bytes: int) -> bool:
    """Tell whether a model that needs `needed_bytes` fits, leaving a fifth of the memory to everything else."""
    return needed_bytes <= device_bytes * _SHARE_FOR_MODEL


async def this_device() -> Device:
    """Look at this device. Never fails: a binding that can't be asked can't drive a GPU either, and `CPU` is said."""
    try:
        found = await run_probe("device")
    except LocalError as error:
        return Device(memory_bytes(), "CPU", str(error))
    return Device(memory_bytes(), found["kind"], found["name"])
