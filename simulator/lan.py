"""A LAN in virtual time: the network of one house, whose nodes reach one another without any radio.

`VirtualLan` is the segment, `VirtualLanBearer` a node's socket on it. Nothing is lost and nothing is shared: frames
arrive a moment later, or the sender is told that the network is cut. Knows no radio and no question.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from nodes.interfaces import Bearer, Cost, RadioLoad, Received
from protocol import limits
from protocol.errors import LocalError, RemoteError

__all__ = ["LATENCY_S", "VirtualLan", "VirtualLanBearer"]

LATENCY_S = 0.002
"""One way through a house's Wi-Fi and both operating systems."""
_CUT = "this device is cut off from its network"


class VirtualLan:
    """One segment: everybody on it who is not cut off reaches everybody else, by address."""

    def __init__(self, *, latency_s: float = LATENCY_S) -> None:
        """Raises LocalError when `latency_s` is below 0."""
        if latency_s < 0:
            raise LocalError(f"a latency of {latency_s:g} s is impossible", "", "use 0 or more")
        self.latency_s = latency_s
        self._listening: dict[str, _Socket] = {}
        self._cut: set[str] = set()

    def cut(self, address: str, *, off: bool) -> None:
        """Pull a member's cable, or put it back. Frames that are under way then are lost."""
        if off:
            self._cut.add(address)
        else:
            self._cut.discard(address)
        if (socket := self._listening.get(address)) is not None:
            socket.changed()

    def is_cut(self, address: str) -> bool:
        """Whether that member is cut off."""
        return address in self._cut

    def join(self, address: str, deliver: Callable[[Received], None], changed: Callable[[], None]) -> None:
        """Hand frames for `address` to `deliver` from now on. Raises LocalError when somebody else has the address."""
        if address in self._listening:
            raise LocalError(f"two devices have the address {address}", "", "give each its own")
        self._listening[address] = _Socket(deliver, changed)

    def leave(self, address: str) -> None:
        """Undo `join`."""
        self._listening.pop(address, None)

    def carry(self, frame: bytes, sender: str, to: str | None) -> None:
        """Let a frame arrive that `sender` sent `latency_s` ago: at `to`, or at all others where it is None."""
        if sender in self._cut:
            return
        for address, socket in tuple(self._listening.items()):
            if address != sender and address not in self._cut and to in (None, address):
                socket.deliver(Received(frame, sender, to is None, 1))


class _Socket:
    """Where a member takes its frames."""

    def __init__(self, deliver: Callable[[Received], None], changed: Callable[[], None]) -> None:
        self.deliver = deliver
        self.changed = changed


class VirtualLanBearer(Bearer):
    """A node's place on a virtual LAN."""

    name = "lan"

    def __init__(self, lan: VirtualLan, address: str) -> None:
        """`address` is its own on that LAN, such as `lan-1`."""
        self.lan = lan
        self.address = address
        self._runs = False

    async def run(
        self,
        deliver: Callable[[Received], None],
        changed: Callable[[], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Be on the LAN until cancelled; see Bearer. Raises LocalError when the address is taken."""
        self.lan.join(self.address, deliver, changed)
        self._runs = True
        try:
            task_status.started()
            changed()
            await trio.sleep_forever()
        finally:
            self._runs = False
            self.lan.leave(self.address)

    @property
    def problem(self) -> str:
        """Why nothing can be sent now; empty when it can."""
        return "" if self.connected else _CUT

    @property
    def connected(self) -> bool:
        """Whether it is on the LAN and not cut off."""
        return self._runs and not self.lan.is_cut(self.address)

    @property
    def region(self) -> str:
        """No radio law binds a LAN."""
        return ""

    @property
    def load(self) -> RadioLoad | None:
        """A LAN tells nothing of that kind."""
        return None

    def cost(self, frame_bytes: int) -> Cost:
        """A packet, and no time on any air."""
        return Cost(1, frame_bytes, 0.0)

    def path_time_s(self, frame_bytes: int, hops: int) -> float:
        """One latency, however far: there are no relays."""
        return self.lan.latency_s

    async def send(self, frame: bytes, to: str | None, *, hops: int = 0) -> None:
        """Send one frame and wait until it has arrived. Raises LocalError when cut off; to nobody, it is just lost."""
        if len(frame) > limits.FRAME_BYTES_MAX:
            raise LocalError(f"a frame of {len(frame)} bytes is too long", f"{limits.FRAME_BYTES_MAX} are the most")
        if not self.connected:
            raise LocalError("nothing was sent", _CUT, "put its cable back")
        await trio.sleep(self.lan.latency_s)
        self.lan.carry(frame, self.address, to)

    async def diagnose(self, to: str, *, hops: int = 0) -> RemoteError | None:
        """A LAN has no relays that could be to blame."""
        return None
