"""Meshtasticator's default scenes with its own contention rules: its published figures among those of twenty seeds."""

from random import Random
from statistics import quantiles

import pytest
from crowd import Crowd, meshtasticator_gaps, meshtasticator_places

from simulator.firmware.settings import RadioSettings

SEEDS = range(1, 21)
ITS_RULES = RadioSettings(has_pkc=False, firmware="2.1")


def figures(nodes, seed):
    counts = Crowd(meshtasticator_places(nodes, Random(seed)), ITS_RULES, seed, meshtasticator_gaps).run()
    return {
        "messages": counts.messages,
        "packets": counts.packets,
        "reach": 100 * counts.reach,
        "collided": 100 * counts.collided,
        "delay_s": counts.delay_s,
    }


@pytest.mark.parametrize(
    ("nodes", "published"),
    [
        (10, {"messages": 163, "packets": 859, "collided": 12.0, "delay_s": 5.1}),
        (30, {"messages": 444, "packets": 3549, "reach": 67.9, "collided": 18.4, "delay_s": 38.0}),
    ],
)
def test_published_figures_lie_within_ninety_percent_of_the_seeds(nodes, published):
    runs = [figures(nodes, seed) for seed in SEEDS]
    for name, value in published.items():
        twentieths = quantiles([run[name] for run in runs], n=20, method="inclusive")
        assert twentieths[0] <= value <= twentieths[-1], f"{name} of {nodes} nodes: {twentieths[0]} to {twentieths[-1]}"


def test_ten_nodes_reach_as_many_as_published_in_the_best_seeds_only():
    # 96.7 % are published. Of eighty seeds here, nine tenths lie between 69.8 and 96.3 %, and the best at 99.5 %: it
    # hangs on where the ten stand.
    reach = sorted(figures(10, seed)["reach"] for seed in range(1, 81))
    assert reach[3] < 96.7 < reach[-1]
