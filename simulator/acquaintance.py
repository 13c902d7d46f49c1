"""What radios know of one another before a run begins, as after a day of NodeInfo exchange.

A radio knows whom it can hear from within the hop limit, the nearest ones where its node database is too small.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from simulator.channels import shown_name
from simulator.device import VirtualRadio
from simulator.firmware.modules import NODES_MAX
from simulator.firmware.settings import MAX_HOP_LIMIT, KnownNode

__all__ = ["introduce"]


def introduce(radios: Iterable[VirtualRadio], heard: Mapping[str, Mapping[str, float]]) -> None:
    """Fill the radios' node databases.

    `heard`: name of a radio -> the radios that it hears directly, with the SNR in dB. Only who transmits on the same
    frequency, and whose primary channel the other can read, becomes known.
    """
    by_name = {radio.name: radio for radio in radios}
    for radio in by_name.values():
        for name, hops in _within_reach(radio.name, heard):
            other = by_name[name]
            if other.tuning != radio.tuning or not other.settings.transmits:
                continue
            channel = _shared_channel(other, radio)
            if channel is None or other.settings.licensed != radio.settings.licensed:
                continue
            radio.known_nodes[other.node_number] = KnownNode(
                other.node_number,
                other.long_name,
                other.short_name,
                hops_away=hops - 1,
                snr_db=heard[radio.name][name] if hops == 1 else 0.0,
                role=other.settings.role,
                public_key=b"" if other.settings.licensed else other.public_key,
                licensed=other.settings.licensed,
                channel=channel,
            )


def _within_reach(name: str, heard: Mapping[str, Mapping[str, float]]) -> list[tuple[str, int]]:
    """Whose packets get to `name`, over how many transmissions, the nearest first."""
    hops = {name: 0}
    reached = [name]
    for receiver in reached:
        if hops[receiver] > MAX_HOP_LIMIT or len(reached) > NODES_MAX + 1:
            break
        for sender in heard.get(receiver, ()):
            if sender not in hops:
                hops[sender] = hops[receiver] + 1
                reached.append(sender)
    return [(other, hops[other]) for other in reached[1 : NODES_MAX + 1]]


def _shared_channel(sender: VirtualRadio, receiver: VirtualRadio) -> int | None:
    """Index of the receiver's channel that is the sender's primary one; None when it has none."""
    primary = (shown_name(sender.settings.channels[0], sender.preset), sender.settings.key_of(0))
    for index, channel in enumerate(receiver.settings.channels):
        if channel.enabled and (shown_name(channel, receiver.preset), receiver.settings.key_of(index)) == primary:
            return index
    return None
