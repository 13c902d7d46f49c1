"""Power in a simulated village: what radios and devices draw, batteries that run dry, hours, and who works for others.

Switches radios and devices off and on, and judges sharing by the node's own rules (`nodes.sharing`). What a battery
holds is `simulator.energy`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

import trio

from nodes.sharing import Hours, SharingRules, Situation, Verdict, verdict
from simulator.energy import ESP32, Sky, Supply
from simulator.medium import Transmission
from simulator.outcome import StationUse
from simulator.scenario.plan import DevicePlan, PowerSupply
from simulator.world.household import Device
from simulator.world.village import Village

__all__ = ["Power"]

_LOOK_S = 900.0
"""At least so often a battery is looked at: what hangs on it draws more or less than before."""
_DAY_H = 24.0


class Power:
    """The power of a whole village."""

    def __init__(self, village: Village, seed: int, *, start_s: float) -> None:
        """`start_s`: when the scenario begins, on trio's clock."""
        self._village = village
        self._start_s = start_s
        scenario = village.scenario
        rng = Random(f"sky {seed}")
        days = math.ceil((scenario.start_hour + scenario.hours) / _DAY_H) + 1
        supplies = [special.power for special in scenario.radio.special if special.power is not None]
        cloudy = max((supply.cloudy for supply in supplies), default=PowerSupply().cloudy)
        self._sky = Sky.drawn(scenario.start_hour, days, cloudy, rng)
        self._supplies = [self._supply_of(index) for index in range(len(village.radios))]
        self._rules: dict[DevicePlan, SharingRules] = {}
        self._shared: dict[tuple[int, DevicePlan], bool] = {}
        self._index = {radio.name: index for index, radio in enumerate(village.radios)}
        self._before: list[tuple[float, float]] = []
        village.medium.observe(self._see)

    async def run(self) -> None:
        """Keep everything with a battery or with hours on or off, as it has to be."""
        for index, supply in enumerate(self._supplies):
            supply.draw("radio", ESP32.receive_w, self._now())
            for number, device in enumerate(self._village.devices.get(index, ())):
                plan = self._village.plan_of(index, number)
                if plan is not None:
                    supply.draw(device.setup.name, plan.idle_w, self._now())
                    device.works = self._works(supply, device, plan)
        async with trio.open_nursery() as nursery:
            for index, supply in enumerate(self._supplies):
                if not supply.is_mains:
                    nursery.start_soon(self._watch, index, supply)
            for index, devices in self._village.devices.items():
                for number, device in enumerate(devices):
                    plan = self._village.plan_of(index, number)
                    if plan is not None and plan.on_hours:
                        nursery.start_soon(self._keep_hours, device, Hours.parse(plan.on_hours))

    def begin(self) -> None:
        """From now on it counts."""
        now = self._now()
        self._before = [(supply.used_wh(now), supply.off_s(now)) for supply in self._supplies]

    def write_down(self, use: Sequence[StationUse]) -> None:
        """Tell what was used since, and how long batteries were empty."""
        now = self._now()
        for one, supply, (used_wh, off_s) in zip(use, self._supplies, self._before, strict=True):
            one.energy_wh = round(supply.used_wh(now) - used_wh, 4)
            one.off_s = round(supply.off_s(now) - off_s, 1)

    def sharing(self, place: int, plan: DevicePlan) -> Verdict:
        """Whether a device works for others now, by its owner's rules."""
        if plan not in self._rules:
            hours = Hours.parse(plan.share_hours)
            self._rules[plan] = SharingRules(hours, battery_above_percent=plan.share_above_percent)
        supply = self._supplies[place]
        situation = Situation(
            mains=supply.is_mains,
            battery_percent=supply.percent(self._now()),
            was_sharing=self._shared.get((place, plan), True),
        )
        weekday, hour = self._local()
        judged = verdict(self._rules[plan], situation, weekday=weekday, hour=hour)
        self._shared[place, plan] = judged.shares
        return judged

    def _now(self) -> float:
        return trio.current_time() - self._start_s

    def _local(self) -> tuple[int, float]:
        """Weekday and hour; a run begins on a Monday."""
        days, hour = divmod(self._village.scenario.start_hour + self._now() / 3600, _DAY_H)
        return int(days) % 7, hour

    def _supply_of(self, index: int) -> Supply:
        """A place's supply: its radio's own where that is told, else that of the first device with a battery."""
        village = self._village
        power = next(
            (special.power for special in reversed(village.special_of(village.radios[index].name)) if special.power),
            None,
        )
        if power is None:
            plan = next((plan for plan in village.plans[index] if plan.battery_wh), None)
            power = PowerSupply(plan.battery_wh, plan.solar_w) if plan else PowerSupply()
        return Supply(self._sky, battery_wh=power.battery_wh, solar_w=power.solar_w, now=self._now())

    def _works(self, supply: Supply, device: Device, plan: DevicePlan) -> Callable[[int], None]:
        def works(slots: int) -> None:
            watts = plan.idle_w + (plan.busy_w - plan.idle_w) * slots / plan.slots
            supply.draw(device.setup.name, watts, self._now())

        return works

    def _see(self, sent: Transmission) -> None:
        if not sent.ended:
            extra_wh = (ESP32.send_w - ESP32.receive_w) * sent.airtime_s / 3600
            self._supplies[self._index[sent.radio]].take(extra_wh, self._now())

    async def _watch(self, index: int, supply: Supply) -> None:
        while True:
            now = self._now()
            is_on = supply.is_on(now)
            self._switch(index, on=is_on)
            due = supply.when_empty(now) if is_on else supply.when_back(now)
            wait_s = _LOOK_S if due is None else min(max(due - now, 1.0), _LOOK_S)
            await trio.sleep(wait_s)

    def _switch(self, index: int, *, on: bool) -> None:
        radio = self._village.radios[index]
        if on:
            radio.switch_on()
        else:
            radio.switch_off("its battery is empty")
        for device in self._village.devices.get(index, ()):
            device.power(on=on)

    async def _keep_hours(self, device: Device, hours: Hours) -> None:
        while True:
            weekday, hour = self._local()
            device.switch(on=hours.holds(weekday, hour))
            change_s = hours.change_s(weekday, hour)
            if change_s is None:
                return
            await trio.sleep(max(change_s, 1.0))
