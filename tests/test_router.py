"""Where a question goes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nodes.router import Candidate, choose, expected_s

FAST = Candidate("!1", "fast", "tiny", 40, 2048, 0.0, 10.0, 2)
SLOW = Candidate("!2", "slow", "tiny", 2, 2048, 0.0, 10.0, 1)
SIZES = {"prompt_tokens": 20, "answer_tokens": 100}


def test_the_faster_peer_is_chosen():
    assert choose([SLOW, FAST], model="", **SIZES) is FAST


def test_a_fast_peer_with_a_long_backlog_loses():
    assert choose([SLOW, replace(FAST, backlog_s=120)], model="", **SIZES) is SLOW


def test_the_way_counts_too():
    here = replace(SLOW, address="", transfer_s=0.0, tokens_per_s=8)
    assert choose([here, FAST], model="", **SIZES) is FAST
    assert choose([here, replace(FAST, transfer_s=30.0)], model="", **SIZES) is here


def test_only_the_wanted_model_and_a_context_with_room_will_do():
    assert choose([FAST], model="big", **SIZES) is None
    assert choose([replace(FAST, context_tokens=100)], model="", **SIZES) is None
    assert choose([replace(FAST, context_tokens=0)], model="tiny", **SIZES) is not None
    assert choose([], model="", **SIZES) is None


candidates = st.builds(
    Candidate,
    address=st.text("abc", max_size=3),
    name=st.just("n"),
    model=st.sampled_from(["tiny", "big"]),
    tokens_per_s=st.integers(0, 200),
    context_tokens=st.sampled_from([0, 50, 2048]),
    backlog_s=st.floats(0, 1e4),
    transfer_s=st.floats(0, 1e3),
)


@given(st.lists(candidates, max_size=8), st.sampled_from(["", "tiny"]), st.randoms())
def test_the_choice_is_about_the_best_that_fits_whatever_the_order(found, model, random):
    chosen = choose(found, model=model, **SIZES)
    shuffled = list(found)
    random.shuffle(shuffled)
    again = choose(shuffled, model=model, **SIZES)
    fitting = [c for c in found if model in ("", c.model) and (not c.context_tokens or c.context_tokens >= 120)]
    assert (chosen is None) == (not fitting)
    if chosen is not None and again is not None:
        assert chosen in fitting
        assert expected_s(chosen, **SIZES) == expected_s(again, **SIZES)
        assert expected_s(chosen, **SIZES) <= 1.1 * min(expected_s(c, **SIZES) for c in fitting)


def test_askers_spread_over_peers_that_are_about_as_fast_and_each_stays_with_its_own():
    peers = [replace(FAST, address=f"!0000000{n}", backlog_s=0.01 * n) for n in range(4)]
    chosen = [choose(peers, model="", asker=f"house {n}", **SIZES) for n in range(200)]
    assert all(30 <= chosen.count(peer) <= 70 for peer in peers)
    assert chosen == [choose(peers[::-1], model="", asker=f"house {n}", **SIZES) for n in range(200)]


def test_nobody_is_spread_to_a_peer_that_is_clearly_slower():
    peers = [FAST, replace(FAST, address="!00000009", backlog_s=30.0)]
    assert {choose(peers, model="", asker=f"house {n}", **SIZES) for n in range(50)} == {FAST}
