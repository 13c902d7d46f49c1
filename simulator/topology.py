"""Which radio hears which: named radios, directed links, and node numbers drawn from a seed.

Small shapes only, as data; how well a link carries is the medium's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random

from protocol.errors import LocalError

__all__ = ["Topology", "full", "line", "node_numbers"]

_FIRST_NODE_NUMBER = 4
"""Meshtastic reserves 0 to 3."""
_LAST_NODE_NUMBER = 0xFFFFFFFE


@dataclass(frozen=True, slots=True)
class Topology:
    """Radios by name, and who reaches whom."""

    names: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    """Directed: (sender, receiver)."""

    def __post_init__(self) -> None:
        if not self.names or len(set(self.names)) != len(self.names):
            raise LocalError("a neighbourhood needs at least one radio, each with a name of its own")
        if strangers := {name for link in self.links for name in link} - set(self.names):
            raise LocalError(f"links name radios that are not there: {', '.join(sorted(strangers))}")

    @classmethod
    def both_ways(cls, names: tuple[str, ...], pairs: tuple[tuple[str, str], ...]) -> Topology:
        """Radios whose links all work in both directions."""
        return cls(names, tuple(link for one, other in pairs for link in ((one, other), (other, one))))

    def hops(self, sender: str) -> dict[str, int]:
        """Fewest transmissions from `sender` to each radio it can reach at all; itself 0."""
        hops = {sender: 0}
        reached = [sender]
        for name in reached:
            for one, other in self.links:
                if one == name and other not in hops:
                    hops[other] = hops[name] + 1
                    reached.append(other)
        return hops


def line(length: int) -> Topology:
    """`length` radios A, B, C …, each hearing only its neighbours in the row."""
    names = _names(length)
    return Topology.both_ways(names, tuple(pairwise(names)))


def full(size: int) -> Topology:
    """`size` radios A, B, C … that all hear one another."""
    names = _names(size)
    return Topology.both_ways(names, tuple((one, other) for i, one in enumerate(names) for other in names[i + 1 :]))


def node_numbers(names: tuple[str, ...], seed: int) -> dict[str, int]:
    """Draw a node number for each name: never reserved, last bytes never 0 and distinct while 255 suffice."""
    rng = Random(f"node numbers {seed}")
    numbers: dict[str, int] = {}
    bytes_left: set[int] = set()
    for name in names:
        bytes_left = bytes_left or set(range(1, 256))
        number = 0
        while number & 0xFF not in bytes_left or number in numbers.values():
            number = rng.randint(_FIRST_NODE_NUMBER, _LAST_NODE_NUMBER)
        bytes_left.discard(number & 0xFF)
        numbers[name] = number
    return numbers


def _names(size: int) -> tuple[str, ...]:
    if size < 1:
        raise LocalError(f"a neighbourhood needs at least one radio, not {size}")
    return tuple(_name(index) for index in range(size))


def _name(index: int) -> str:
    prefix, letter = divmod(index, 26)
    return (_name(prefix - 1) if prefix else "") + chr(ord("A") + letter)
