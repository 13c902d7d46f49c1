"""The village of a scenario, built and not yet running: radios on one medium, links, houses with devices.

Draws from the seed what the scenario leaves open: who has a model, who has meshai at all, each radio's number.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from nodes.bearers.radio import PRIVATE_PORT, address_of
from nodes.interfaces import Bearer
from nodes.sharing import Verdict, always
from protocol.airtime import preset_named
from protocol.errors import LocalError
from simulator.acquaintance import introduce
from simulator.channels import Channel
from simulator.device import VirtualRadio
from simulator.firmware.relaying import ignores_port, is_rebroadcaster
from simulator.firmware.settings import RadioSettings
from simulator.lan import VirtualLan, VirtualLanBearer
from simulator.links import links
from simulator.lora import REJECTION_DB
from simulator.medium import Link, Medium
from simulator.outcome import Station
from simulator.scenario.plan import DevicePlan, Scenario, SpecialRadio
from simulator.topology import node_numbers
from simulator.world.household import Device, Setup
from simulator.world.ports import TroubledPort

if TYPE_CHECKING:
    from protocol.text import TextCoder

__all__ = ["Village", "matches"]

_CHANNELS = (Channel(), Channel("serial", bytes(range(32))))
"""The public channel for the radios' own chatter, and meshai's, as `meshai radio setup` makes it."""
_NODE_NAME_BYTES = 24


class Village:
    """Everything of a scenario that stands somewhere."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        *,
        script: Callable[[str], str],
        coder: TextCoder | None,
        folder: Path | None,
        sharing: Callable[[int, DevicePlan], Verdict],
    ) -> None:
        """`script` gives a question's answer; `folder` keeps the nodes' caches through crashes.

        `sharing(place, device)` tells whether a device works for others now. Raises LocalError where more devices are
        wanted than there are houses.
        """
        self.scenario = scenario
        self.seed = seed
        self._script, self._coder, self._folder, self._sharing = script, coder, folder, sharing
        rng = Random(f"village {seed}")
        plan = scenario.radio
        self.medium = Medium(
            preset_named(plan.preset),
            Random(f"medium {seed}"),
            fading_db=plan.fading_db,
            rejection=REJECTION_DB if plan.other_factors_disturb else None,
        )
        self.radios = self._radios()
        self._connect()
        self.plans = self._place_devices(rng)
        """For each place, the devices with a model that stand there."""
        self.meshai = self._choose_askers(rng)
        """Indices of the places whose people have meshai."""
        self.ports = {index: TroubledPort(self.radios[index]) for index in self.meshai}
        self.devices: dict[int, list[Device]] = {}
        """By place, the one that its people use first."""
        self.place_of: dict[str, int] = {}
        """Name of a node -> its place."""
        self._addresses = frozenset(address_of(self.radios[index].node_number) for index in self.meshai)
        for index in self.meshai:
            self.devices[index] = self._devices_of(index)

    @property
    def stations(self) -> list[Station]:
        """The radios as the outcome tells of them."""
        return [
            Station(
                place.name,
                place.x_m,
                place.y_m,
                place.ground_m + place.antenna_m,
                radio.settings.role,
                place.is_house,
                tuple(dict.fromkeys(plan.model for plan in plans)),
            )
            for place, radio, plans in zip(self.scenario.places, self.radios, self.plans, strict=True)
        ]

    def reaches(self, place: int, works: Collection[int]) -> bool:
        """Whether a place that is on, and none of `works`, has a path both ways to one of these, within its hops."""
        if place in works or self.devices[place][0].node is None or not self.radios[place].is_on:
            return False
        reached, edge = {place}, {place}
        for _ in range(self.radios[place].hop_limit + 1):
            relays = {one for one in edge if one == place or self._passes_on(one)}
            edge = {other for one in relays for other in self._neighbours[one] if self.radios[other].is_on} - reached
            reached |= edge
        return any(other in works for other in reached)

    def meet(self, place: int, neighbours: Collection[int]) -> None:
        """Note whom a place and its radio's links now join both ways."""
        for other, known in enumerate(self._neighbours):
            known.discard(place)
            if other in neighbours:
                known.add(place)
        self._neighbours[place] = set(neighbours)

    def _passes_on(self, place: int) -> bool:
        settings = self.radios[place].settings
        return is_rebroadcaster(settings) and not ignores_port(settings, PRIVATE_PORT)

    def _radios(self) -> list[VirtualRadio]:
        names = tuple(place.name for place in self.scenario.places)
        numbers = node_numbers(names, self.seed)
        return [
            VirtualRadio(name, numbers[name], self.medium, Random(f"radio {name} {self.seed}"), self._settings_of(name))
            for name in names
        ]

    def _settings_of(self, name: str) -> RadioSettings:
        plan = self.scenario.radio
        role, mode, hop_limit, firmware, preset = plan.role, "", plan.hop_limit, plan.firmware, None
        for special in self.special_of(name):
            role = special.role or role
            mode = special.rebroadcast_mode or mode
            hop_limit = special.hop_limit if special.hop_limit is not None else hop_limit
            firmware = special.firmware or firmware
            preset = preset_named(special.preset) if special.preset else preset
        return RadioSettings(
            role=role,
            rebroadcast_mode=mode,
            firmware=firmware,
            channels=_CHANNELS,
            region=plan.region,
            preset=preset,
            hop_limit=hop_limit,
            chatter=plan.chatter,
            long_on=True,
        )

    def special_of(self, name: str) -> list[SpecialRadio]:
        """What is special about the radio at a place, the last word last."""
        return [special for special in self.scenario.radio.special if matches(name, special.at)]

    def _connect(self) -> None:
        names = [radio.name for radio in self.radios]
        heard: dict[str, dict[str, float]] = {name: {} for name in names}
        hears: list[set[int]] = [set() for _ in names]
        for link in links(self.scenario, self.seed):
            sender, receiver = names[link.sender], names[link.receiver]
            self.medium.connect(sender, receiver, Link(link.snr_db, self.scenario.faults.loss))
            if link.is_audible:
                heard[receiver][sender] = link.snr_db
                hears[link.receiver].add(link.sender)
        introduce(self.radios, heard)
        self._neighbours = [{other for other in hears[one] if one in hears[other]} for one in range(len(names))]

    def _place_devices(self, rng: Random) -> list[list[DevicePlan]]:
        places = self.scenario.places
        found: list[list[DevicePlan]] = [[] for _ in places]
        houses = [index for index, place in enumerate(places) if place.is_house]
        for plan in self.scenario.devices:
            if plan.at:
                chosen = [index for index, place in enumerate(places) if matches(place.name, plan.at)]
            else:
                free = [index for index in houses if not any(other.has_radio for other in found[index])]
                if plan.count > len(free):
                    raise LocalError(
                        f"{plan.count} devices called {plan.name!r} are too many",
                        f"only {len(free)} houses have no other yet",
                        "lower the count, or add houses",
                    )
                chosen = sorted(rng.sample(free, plan.count))
            for index in chosen:
                found[index].append(plan)
        return found

    def _choose_askers(self, rng: Random) -> list[int]:
        houses = [index for index, place in enumerate(self.scenario.places) if place.is_house]
        with_model = [index for index, plans in enumerate(self.plans) if plans]
        others = [index for index in houses if index not in set(with_model)]
        wanted = round(self.scenario.people.asking_share * len(houses)) - len(with_model)
        return sorted({*with_model, *rng.sample(others, min(max(wanted, 0), len(others)))})

    def _devices_of(self, index: int) -> list[Device]:
        own = self._own_plans(index)
        lan = VirtualLan() if len(own) > 1 else None
        addresses = [f"lan-{number}" for number in range(len(own))]
        devices = []
        for number, plan in enumerate(own):
            name = self._name(index, plan, number)
            self.place_of[name] = index
            setup = Setup(
                name,
                model=plan.model if plan else "",
                tokens_per_s=plan.tokens_per_s if plan else 1.0,
                slots=plan.slots if plan else 1,
                serves=self._addresses | frozenset(addresses),
                folder=self._folder,
            )
            devices.append(
                Device(
                    setup,
                    port=self.ports[index] if number == 0 else None,
                    bearers=_lan_bearers(lan, addresses[number]),
                    script=self._script,
                    coder=self._coder,
                    sharing=self._sharing_of(index, plan),
                    seed=self.seed,
                )
            )
        return devices

    def _sharing_of(self, index: int, plan: DevicePlan | None) -> Callable[[], Verdict]:
        return always if plan is None else lambda: self._sharing(index, plan)

    def plan_of(self, index: int, number: int) -> DevicePlan | None:
        """The plan behind a place's device by its number; None for one that only asks."""
        return self._own_plans(index)[number]

    def _own_plans(self, index: int) -> list[DevicePlan | None]:
        """A place's devices, the one that holds the radio first."""
        plans = sorted(self.plans[index], key=lambda plan: not plan.has_radio)
        return list(plans) if plans and plans[0].has_radio else [None, *plans]

    def _name(self, index: int, plan: DevicePlan | None, number: int) -> str:
        """A node's name: its place's, cut to what a beacon holds, made unique."""
        place = self.scenario.places[index].name
        name = place if number == 0 else f"{place} {plan.name if plan else ''}"
        cut = name.encode()[:_NODE_NAME_BYTES].decode(errors="ignore")
        return cut if cut not in self.place_of else f"{cut[:18]} {index}.{number}"


def _lan_bearers(lan: VirtualLan | None, address: str) -> Callable[[], list[Bearer]]:
    return lambda: [VirtualLanBearer(lan, address)] if lan is not None else []


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a place's name is one that the patterns mean."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
