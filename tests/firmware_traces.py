"""Reads the recorded runs of the native firmware and repeats them on virtual radios. Imported by tests, holds no test.

Both sides end in the same `Outcome`, so that a test compares like with like.
"""

import json
import lzma
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import trio
from radio_world import PLAIN, mesh

from simulator.channels import Channel
from simulator.firmware.settings import RadioSettings
from simulator.kernel import run as run_in_virtual_time
from simulator.packet import BROADCAST, RoutingError
from simulator.topology import Topology

TRACES = Path(__file__).parent / "data" / "traces"
PORTS = {"TEXT_MESSAGE_APP": 1, "ROUTING_APP": 5, "ADMIN_APP": 6, "TELEMETRY_APP": 67, "PRIVATE_APP": 256}

_MEMBER = (Channel(), Channel("secret", bytes(range(16))))
_LASTS_S = 150.0


@dataclass(frozen=True)
class Outcome:
    """What became of one packet."""

    sent: dict[str, int]
    """Radio -> how often it transmitted the packet."""
    delivered: frozenset[str]
    """Radios whose client got it."""
    verdicts: tuple[tuple[str, int], ...]
    """What the sender's client was told: implicit or real, and the error number."""
    verdicts_s: tuple[float, ...]
    """When, in seconds after the client's send."""
    tries_s: tuple[float, ...]
    """When the sender transmitted."""
    waits_s: tuple[tuple[str, float], ...]
    """Relays that sent once, and how long after the sender's only transmission was over."""

    @property
    def transmissions(self):
        """All transmissions of the packet."""
        return sum(self.sent.values())


@dataclass(frozen=True)
class Recorded:
    """One recorded run."""

    file: str
    experiment: str
    rep: int
    topology: Topology
    roles: dict[str, str]
    stack: str
    cut: str
    port: int
    payload_bytes: int
    broadcast: bool
    want_ack: bool
    channel: int
    rows: tuple[dict, ...]
    outcome: Outcome

    @property
    def is_readable(self):
        """Whether every radio could read the packet."""
        return not any(row.get("what") == "no_channel" for row in self.rows)

    @property
    def is_blurred(self):
        """Whether the recording itself shows in it.

        The native program looked at its simulated radio every tenth of a second, so that two radios sent over one
        another far more often than those that detect a transmission after 20 ms; one could send a copy a moment after
        the copy arrived that should have stopped it (or, where relays can't read it, started another one); and now and
        then a radio sent two packets at once.
        """
        all_flights = [row for row in self.rows if row["ev"] == "tx"]
        for row in (flight for flight in all_flights if flight["id"] == self.rows[0]["id"]):
            for other in all_flights:
                since_end_s = row["t"] - other["t"] - other["airtime_ms"] / 1000
                if row is other or row["t"] < other["t"]:
                    continue
                if row["node"] == other["node"] and since_end_s < 0:
                    return True
                late_s = 0.1 if self.is_readable else 0.0
                heard = (other["node"], row["node"]) in self.topology.links
                if row["id"] == other["id"] and heard and since_end_s < late_s:
                    return True
        return False


def rows(file):
    """The lines of one trace."""
    with lzma.open(TRACES / f"{file}.jsonl.xz", "rt") as lines:
        return [json.loads(line) for line in lines]


@cache
def recorded_runs(file):
    """The runs of one trace of the air, in order."""
    runs, current = [], []
    verdicts = defaultdict(list)
    for row in rows(file):
        if row["ev"] == "run":
            current = []
        if row.get("implicit") is not None:
            verdicts[row["request_id"]].append(row)
        current.append(row)
        if row["ev"] == "summary":
            runs.append(current)
    return tuple(_recorded(file, run, verdicts) for run in runs)


def experiments(file):
    """Experiment -> its recorded runs."""
    groups = defaultdict(list)
    for run in recorded_runs(file):
        groups[run.experiment].append(run)
    return groups


def _recorded(file, rows, verdicts):
    """One run; `verdicts` are those of the whole trace, since some came after the next run had begun."""
    head, summary = rows[0], rows[-1]
    send = next(row for row in rows if row["ev"] == "client_send")
    names = tuple(head["roles"])
    links = tuple((one, other) for one, others in head["links"].items() for other in others)
    flights = [row for row in rows if row["ev"] == "tx" and row["id"] == head["id"]]
    outcome = Outcome(
        {name: summary["nodes"][name]["sent"] for name in names},
        frozenset(name for name in names if summary["nodes"][name]["delivered_to_client"]),
        tuple(
            ("implicit" if row["implicit"] else "real", RoutingError[row["error"]].value)
            for row in verdicts[head["id"]]
            if row["node"] == names[0]
        ),
        tuple(ack["t"] for ack in summary["origin_acks"]),
        tuple(row["t"] for row in flights if row["node"] == names[0]),
        _waits([(row["node"], row["t"], row["airtime_ms"] / 1000) for row in flights], names[0]),
    )
    return Recorded(
        file,
        head["experiment"],
        head["rep"],
        Topology(names, links),
        head["roles"],
        head["stack"],
        head.get("cut") or "",
        PORTS[send["port"]],
        send["payload_bytes"],
        send["to"] == "ALL",
        send["want_ack"],
        send["channel"],
        tuple(rows),
        outcome,
    )


def _waits(flights, origin):
    own = [flight for flight in flights if flight[0] == origin]
    if len(own) != 1:
        return ()
    over_s = own[0][1] + own[0][2]
    relays = [(name, start_s) for name, start_s, _ in flights if name != origin]
    once = [(name, start_s) for name, start_s in relays if [other for other, _ in relays].count(name) == 1]
    return tuple((name, start_s - over_s) for name, start_s in once)


def settings_of(recorded):
    """What the radios of a run were set to: for all, and for single ones."""
    usual = PLAIN if recorded.stack == "no_pkc" else RadioSettings()
    special = {name: replace(usual, role=role) for name, role in recorded.roles.items() if role != "CLIENT"}
    first, last = recorded.topology.names[0], recorded.topology.names[-1]
    if recorded.channel:
        special |= {name: replace(special.get(name, usual), channels=_MEMBER) for name in (first, last)}
    if recorded.experiment == "dm_text" and recorded.stack == "no_pkc":
        # The simulation mode seals nothing, but its receivers refuse texts that are not sealed all the same.
        special[last] = replace(usual, has_pkc=True)
    return usual, special


def replayed(recorded, seed):
    """The same packet on virtual radios."""
    return run_in_virtual_time(_replay, recorded, seed, seed=seed)


async def _replay(recorded, seed):
    usual, special = settings_of(recorded)
    async with mesh(recorded.topology, usual, seed=seed, **special) as (neighbourhood, phones, flown):
        first, last = recorded.topology.names[0], recorded.topology.names[-1]
        radios = neighbourhood.radios
        if "nokey" in recorded.file:
            radios[last].known_nodes[radios[first].node_number].public_key = b""
        await trio.sleep(1)
        return await send(recorded, phones, flown, radios)


async def send(recorded, phones, flown, radios, lasts_s=_LASTS_S):
    """Send a run's packet now and wait for what becomes of it."""
    first, last = recorded.topology.names[0], recorded.topology.names[-1]
    began_s = trio.current_time()
    before = {name: len(phone.packets) for name, phone in phones.items()}
    packet_id = phones[first].send(
        to=BROADCAST if recorded.broadcast else radios[last].node_number,
        payload=bytes(recorded.payload_bytes),
        port=recorded.port,
        want_ack=recorded.want_ack,
        channel=recorded.channel,
    )
    await trio.sleep(lasts_s)
    flights = sorted((f for f in flown if f.packet_id == packet_id), key=lambda flight: flight.time_s)
    acks = [ack for ack in phones[first].acks if ack[0] == packet_id]
    return Outcome(
        {name: sum(flight.radio == name for flight in flights) for name in recorded.topology.names},
        frozenset(
            name
            for name, phone in phones.items()
            if any(packet.packet_id == packet_id for packet in phone.packets[before[name] :])
        ),
        tuple((kind, error) for _, kind, error, _ in acks),
        tuple(time_s - began_s for *_, time_s in acks),
        tuple(flight.time_s - began_s for flight in flights if flight.radio == first),
        _waits([(flight.radio, flight.time_s, flight.airtime_s) for flight in flights], first),
    )


def recorded_aims(recorded):
    """Who sent a run's packet and at whom each aimed it, in order: [(radio, next hop or nothing)]."""
    flights = [row for row in recorded.rows if row["ev"] == "tx" and row["id"] == recorded.rows[0]["id"]]
    return [(row["node"], row["next_hop"] or "") for row in flights]


async def send_in_turn(runs, phones, flown, neighbourhood):
    """Repeat runs of one trace in one world, links cut as recorded: [(aims, outcome)]."""
    radios = neighbourhood.radios
    names = {radio.node_number & 0xFF: name for name, radio in radios.items()}
    results = []
    for run in runs:
        cut = [(run.cut[-2], run.cut[-1]), (run.cut[-1], run.cut[-2])] if run.cut else []
        links = {link: neighbourhood.medium.link(*link) for link in cut}
        for link in cut:
            neighbourhood.medium.connect(*link, None)
        began = len(flown)
        outcome = await send(run, phones, flown, radios, lasts_s=60.0)
        for link, how in links.items():
            neighbourhood.medium.connect(*link, how)
        packet_id = next(flight.packet_id for flight in flown[began:] if flight.radio == run.topology.names[0])
        flights = sorted(flown[began:], key=lambda flight: flight.time_s)
        aims = [(f.radio, names.get(f.next_hop, "")) for f in flights if f.packet_id == packet_id]
        results.append((aims, outcome))
    return results
