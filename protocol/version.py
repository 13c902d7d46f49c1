"""Which versions of the wire protocol this code speaks, and which one two peers share.

Judged pair by pair from beacons; there is no version of the whole mesh.
"""

from __future__ import annotations

__all__ = ["VERSION_MAX", "VERSION_MIN", "common_version"]

VERSION_MIN = 1
VERSION_MAX = 1


def common_version(peer_min: int, peer_max: int) -> int | None:
    """Return the highest version that both sides speak, or None."""
    version = min(VERSION_MAX, peer_max)
    return version if version >= max(VERSION_MIN, peer_min) else None
