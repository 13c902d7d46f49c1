"""Airtime is money: what this node may send, so that the neighbourhood keeps its air.

Four limits hold at once: this node's own share, the share of all meshai nodes together, a stop while the channel is
busy, and the region's duty cycle. Pure: `now` and what was sent, heard and told come in, decisions go out. All amounts
are seconds of air; `transmissions` says how often a packet goes on the air, relays included.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from math import inf

from protocol.errors import LocalError

__all__ = ["BUSY_PERCENT", "DEFAULT_SHARE", "DUTY_CYCLE", "SHARED_SHARE", "AirtimeBudget", "Hindrance", "Limit"]

DEFAULT_SHARE = 0.02
"""Our sends, as a share of the time."""
SHARED_SHARE = 0.10
"""The sends of all meshai nodes here, relays included, as a share of the time."""
BUSY_PERCENT = 25.0
"""Channel utilisation at which we stop, as the firmware's own modules do (`airtime.cpp`, polite)."""
DUTY_CYCLE = {
    "EU_868": 0.10,
    "EU_866": 0.025,
    "EU_433": 0.10,
    "EU_N_868": 0.10,
    "TH": 0.10,
    "UA_433": 0.10,
    "UA_868": 0.01,
}
"""Region -> the share of an hour that the law, and so the firmware, lets one radio send."""

_COUNTED_SHARE = 0.88
"""Of all that may be sent, what is divided where several answer: relays are estimated, and lost questions counted by
nobody. More broke the limit in one hour of sixty."""
_HOUR_S = 3600.0
_WINDOW_S = _HOUR_S + 60.0
"""An hour, and what a packet may wait in the radio: no hour of the air then holds more than this window."""
_ROUNDING_S = 1e-6
_START_S = 10.0
"""What the bucket holds at every start: enough for one answer, never an hour's."""
_SHARED_START_S = 40.0
"""The same of the shared air: a minute in which ten neighbours ask uses half of it."""
_MINUTE_S = 60.0
"""The time that a utilisation figure covers, and after which the radio tells the next."""
_LOAD_BELIEVED_S = 300.0
_ON_ITS_WAY_S = 10.0
"""What was given to the radio so shortly before a figure may have left after it."""
_CROWDED_PERCENT, _CROWDED_S = 10.0, 300.0
"""What others use of a minute, meshai nodes that we can't hear included, for us to be patient, and for how long: who
has to be silent makes the next figure small."""
_LOOK_AGAIN_S = 5.0
_RESERVE_SHARE, _RESERVE_S_MAX = 0.05, 3.0
"""Of our hour, what answers leave for short replies: who hears nothing asks again, which costs more."""
_SHARED_RESERVE_SHARE = 0.08
"""The same of our part of the shared air, which others' questions use too."""
_RUN_UP_PERCENT_MAX = BUSY_PERCENT / 2
"""A message begins when its last packet may be expected to leave too; a longer one, when the channel has this room."""


class Limit(Enum):
    """What keeps this node from sending."""

    OWN = auto()
    """This node's share of the hour."""
    SHARED = auto()
    """This node's part of what all meshai nodes may send."""
    BUSY = auto()
    """The channel is in use."""
    LAW = auto()
    """The region's duty cycle."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why something may not be sent now."""

    limit: Limit
    wait_s: float
    """Until it may, as far as is known now; infinity for never."""


class _Window:
    """What was added within the last so many seconds."""

    def __init__(self, length_s: float) -> None:
        self._length_s = length_s
        self._entries: deque[tuple[float, float]] = deque()
        self._sum_s = 0.0

    def add(self, seconds: float, now: float) -> None:
        self._entries.append((now, seconds))
        self._sum_s += seconds

    def total_s(self, now: float) -> float:
        while self._entries and self._entries[0][0] <= now - self._length_s:
            self._sum_s -= self._entries.popleft()[1]
        return self._sum_s

    def since_s(self, start: float, now: float) -> float:
        self.total_s(now)
        return sum(seconds for at, seconds in self._entries if at > start)

    def wait_s(self, lacking_s: float, now: float) -> float:
        """Seconds until so much has left the window; infinity when there is not so much in it."""
        wait_s = 0.0
        for at, seconds in self._entries:
            if lacking_s <= _ROUNDING_S:
                return wait_s
            lacking_s -= seconds
            wait_s = at + self._length_s - now
        return wait_s if lacking_s <= _ROUNDING_S else inf


class _Bucket:
    """What has come in evenly over the hours and was not taken yet."""

    def __init__(self, level_s: float, now: float) -> None:
        self._level_s = level_s
        self._at = now

    def level_s(self, hour_s: float, now: float) -> float:
        """What is in it now, if `hour_s` come in each hour; never more than that."""
        return min(hour_s, self._level_s + (now - self._at) * hour_s / _WINDOW_S)

    def take(self, seconds: float, hour_s: float, now: float) -> None:
        self._level_s, self._at = self.level_s(hour_s, now) - seconds, now

    def wait_s(self, seconds: float, hour_s: float, now: float) -> float:
        """Seconds until so much is in it; infinity when it never holds that."""
        lacking_s = seconds - self.level_s(hour_s, now)
        if lacking_s <= _ROUNDING_S:
            return 0.0
        return inf if seconds > hour_s else lacking_s * _WINDOW_S / hour_s


class AirtimeBudget:
    """How much this node may send."""

    def __init__(self, now: float, *, share: float = DEFAULT_SHARE, region: str = "") -> None:
        """Raises LocalError when `share` is not in 0 to 1."""
        if not 0 <= share <= 1:
            raise LocalError(f"the airtime share {share} is impossible", "it is a part of the hour", "use 0 to 1")
        self._wanted_share = share
        self.move_to(region)
        self.shared_hour_s = SHARED_SHARE * _HOUR_S
        """This node's part of what all meshai nodes may send in an hour, relays included."""
        self._own_bucket = _Bucket(_START_S, now)
        self._shared_bucket = _Bucket(_SHARED_START_S, now)
        self._own = _Window(_WINDOW_S)
        self._all = _Window(_WINDOW_S)
        self._lately = _Window(_MINUTE_S)
        self._since = _Window(_LOAD_BELIEVED_S)
        self._told_at = -inf
        self._channel_percent = 0.0
        self._sending_percent = 0.0
        self._crowded_at = -inf

    def move_to(self, region: str) -> None:
        """From now on the law of `region` binds."""
        self.region = region
        self.hour_s = min(self._wanted_share, DUTY_CYCLE.get(region, 1.0)) * _HOUR_S
        """Seconds of air per hour for this node's own sends."""

    # What happens

    def spend(self, airtime_s: float, now: float, *, transmissions: float = 1.0) -> None:
        """Note that a packet of `airtime_s` was sent, allowed or not."""
        self._own_bucket.take(airtime_s, self.hour_s, now)
        self._own.add(airtime_s, now)
        self._since.add(airtime_s * transmissions, now)
        self.heard(airtime_s, now, transmissions=transmissions)

    def heard(self, airtime_s: float, now: float, *, transmissions: float = 1.0, part: float = 1.0) -> None:
        """Note a packet of another node, of which `part` counts as ours: all of one that was sent to us."""
        self._shared_bucket.take(part * airtime_s * transmissions, self.shared_hour_s, now)
        self._all.add(part * airtime_s * transmissions, now)
        self._lately.add(airtime_s * transmissions, now)

    def told_load(self, channel_percent: float, sending_percent: float, now: float) -> None:
        """Take the radio's figures: the last minute's channel utilisation, and its own share of the last hour."""
        if channel_percent - 100 * self._lately.total_s(now) / _MINUTE_S >= _CROWDED_PERCENT:
            self._crowded_at = now
        self._channel_percent, self._sending_percent, self._told_at = channel_percent, sending_percent, now

    def share_with(self, neighbours: int) -> None:
        """Divide the shared air equally with so many other nodes that answer here.

        What an idle one leaves stays free: lent by what beacons tell of the last hour, it was taken by several at once.
        """
        share = SHARED_SHARE * (_COUNTED_SHARE if neighbours else 1.0)
        self.shared_hour_s = share * _HOUR_S / (1 + neighbours)

    # What may be sent

    def left_s(self, now: float, *, transmissions: float = 1.0, bulk: bool = False) -> float:
        """Seconds of air that this node may send now in packets that take so many transmissions."""
        left_s = min(self._own_left_s(now), self._shared_left_s(now) / transmissions)
        if not bulk:
            return left_s
        return min(left_s, self._shared_bucket.level_s(self.shared_hour_s, now) / transmissions) - self._reserve_s

    def used_s(self, now: float) -> float:
        """What this node and those who asked it sent in the last hour, relays included."""
        return self._all.total_s(now)

    def most_s(self, *, transmissions: float = 1.0) -> float:
        """The longest message that may ever leave in one go."""
        return min(self.hour_s, self.shared_hour_s / transmissions)

    def utilisation_percent(self, now: float) -> float:
        """Channel utilisation: the radio's last figure, and what we sent since, relays included."""
        believed = now - self._told_at < _LOAD_BELIEVED_S
        since_s = self._since.since_s(self._told_at - _ON_ITS_WAY_S if believed else now - _MINUTE_S, now)
        return (self._channel_percent if believed else 0.0) + 100 * since_s / _MINUTE_S

    def is_crowded(self, now: float) -> bool:
        """Whether others used much of the air in the last minutes; True while nothing is known."""
        return now - self._told_at >= _LOAD_BELIEVED_S or now - self._crowded_at < _CROWDED_S

    def wait_s(
        self,
        airtime_s: float,
        now: float,
        *,
        transmissions: float = 1.0,
        run_up_s: float = 0.0,
        begun: bool = False,
        bulk: bool = False,
        evenly: bool = False,
    ) -> float:
        """Seconds until `airtime_s` may be sent: 0 for now, infinity for never. See `hindrance`."""
        hindrance = self.hindrance(
            airtime_s, now, transmissions=transmissions, run_up_s=run_up_s, begun=begun, bulk=bulk, evenly=evenly
        )
        return hindrance.wait_s if hindrance else 0.0

    def hindrance(
        self,
        airtime_s: float,
        now: float,
        *,
        transmissions: float = 1.0,
        run_up_s: float = 0.0,
        begun: bool = False,
        bulk: bool = False,
        evenly: bool = False,
    ) -> Hindrance | None:
        """What keeps `airtime_s` from being sent longest.

        `run_up_s`: the part of it that leaves before its last packet; `begun`: it is the rest of a message that has
        begun to leave; `bulk`: it leaves the reserve for replies alone; `evenly`: it is something to be promised, for
        which the shared air is to last the whole hour.
        How long a busy channel stays so is not known: then the time until there should be a new figure.
        """
        in_all_s, keeps = airtime_s * transmissions, bulk and not begun
        even_wait_s = (
            self._shared_bucket.wait_s(in_all_s + self._shared_reserve_s, self.shared_hour_s, now) if evenly else 0.0
        )
        waits = {
            Limit.OWN: self._own_wait_s(airtime_s, self._reserve_s if keeps else 0.0, now),
            Limit.SHARED: max(
                self._shared_wait_s(in_all_s, self._shared_reserve_s if keeps else 0.0, now), even_wait_s
            ),
            Limit.BUSY: self._busy_wait_s(run_up_s * transmissions, now),
            Limit.LAW: self._law_wait_s(airtime_s, now),
        }
        limit = max(waits, key=lambda limit: waits[limit])
        return Hindrance(limit, waits[limit]) if waits[limit] > 0 else None

    def words(self, now: float) -> str:
        """The state of the budget for a person, such as `72 s of air per hour, 31 left`."""
        own_s, shared_s = self._own_left_s(now), self._shared_left_s(now)
        words = f"{self.hour_s:.0f} s of air per hour, {max(0.0, min(own_s, shared_s)):.0f} left"
        if self._law_wait_s(0.0, now):
            return f"{words}; the radio has sent as much this hour as the law of {self.region} allows: waiting"
        if self._busy_wait_s(0.0, now):
            return f"{words}; the channel is busy ({self.utilisation_percent(now):.0f} %): waiting"
        if shared_s < own_s:
            return f"{words}; neighbours' questions and answers use the shared {SHARED_SHARE * 100:.0f} %"
        return words

    # Inside

    @property
    def _reserve_s(self) -> float:
        return min(_RESERVE_SHARE * self.hour_s, _RESERVE_S_MAX)

    @property
    def _shared_reserve_s(self) -> float:
        return _SHARED_RESERVE_SHARE * self.shared_hour_s

    def _own_left_s(self, now: float) -> float:
        return min(self._own_bucket.level_s(self.hour_s, now), self.hour_s - self._own.total_s(now))

    def _shared_left_s(self, now: float) -> float:
        return self.shared_hour_s - self.used_s(now)

    def _own_wait_s(self, airtime_s: float, reserve_s: float, now: float) -> float:
        wanted_s = max(airtime_s, min(airtime_s + reserve_s, self.hour_s))
        bucket_wait_s = self._own_bucket.wait_s(wanted_s, self.hour_s, now)
        if bucket_wait_s == inf:
            return inf
        return max(bucket_wait_s, self._own.wait_s(wanted_s + self._own.total_s(now) - self.hour_s, now))

    def _shared_wait_s(self, airtime_s: float, reserve_s: float, now: float) -> float:
        wanted_s = max(airtime_s, min(airtime_s + reserve_s, self.shared_hour_s))
        return self._all.wait_s(wanted_s - self._shared_left_s(now), now)

    def _busy_wait_s(self, run_up_s: float, now: float) -> float:
        run_up_percent = min(100 * run_up_s / _MINUTE_S, _RUN_UP_PERCENT_MAX)
        return self._next_figure_s(now) if self.utilisation_percent(now) + run_up_percent >= BUSY_PERCENT else 0.0

    def _law_wait_s(self, airtime_s: float, now: float) -> float:
        if self.region not in DUTY_CYCLE or now - self._told_at >= _LOAD_BELIEVED_S:
            return 0.0
        since_s = self._own.since_s(self._told_at, now) + airtime_s
        is_over = self._sending_percent / 100 + since_s / _HOUR_S >= DUTY_CYCLE[self.region]
        return self._next_figure_s(now) if is_over else 0.0

    def _next_figure_s(self, now: float) -> float:
        return max(self._told_at + _MINUTE_S - now, _LOOK_AGAIN_S)
