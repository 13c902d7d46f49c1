"""The airtime budget: what may be sent now, how long to wait for more, and which limit says so."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.budget import DUTY_CYCLE, AirtimeBudget, Limit
from protocol.errors import LocalError

HOUR_S = 3600


def limit_of(budget, airtime_s, now, **how):
    hindrance = budget.hindrance(airtime_s, now, **how)
    return hindrance and hindrance.limit


# This node's share


def test_at_every_start_there_is_air_for_one_answer_and_no_more():
    budget = AirtimeBudget(0, share=0.02)
    assert budget.left_s(0) == 10
    assert budget.hindrance(10, 0) is None
    assert budget.wait_s(11, 0) == pytest.approx(50, rel=0.02)
    assert limit_of(budget, 11, 0) is Limit.OWN


def test_air_comes_back_at_the_share_up_to_an_hours():
    budget = AirtimeBudget(0, share=0.02)
    budget.spend(10, 0)
    assert budget.left_s(100) == pytest.approx(2, rel=0.02)
    assert budget.left_s(1e6) == pytest.approx(72)
    budget.spend(72, 1e6)
    assert budget.left_s(1e6) == pytest.approx(0)


def test_waiting_as_long_as_told_is_enough():
    budget = AirtimeBudget(0, share=0.02)
    budget.spend(10, 0)
    wait_s = budget.wait_s(2.157, 0)
    assert budget.wait_s(2.157, wait_s) == 0
    assert budget.wait_s(2.157, wait_s - 1) == pytest.approx(1)


def test_what_was_sent_in_spite_of_the_budget_is_paid_back():
    budget = AirtimeBudget(0, share=0.1)
    budget.spend(15, 0)
    assert budget.left_s(0) == -5
    assert budget.wait_s(1, 100) == pytest.approx(0)
    assert budget.wait_s(6, 100) == pytest.approx(10, rel=0.3)


def test_an_hours_air_at_once_is_followed_by_an_hour_of_silence():
    budget = AirtimeBudget(0, share=0.02)
    budget.spend(72, 5000)
    assert budget.left_s(8000) == 0
    assert budget.wait_s(1, 8000) == pytest.approx(660)
    assert budget.wait_s(1, 8660) == 0


def test_more_than_an_hours_air_can_never_be_sent():
    assert AirtimeBudget(0, share=0.001).wait_s(4, 0) == inf
    assert AirtimeBudget(0, share=0).wait_s(0.1, 0) == inf
    assert AirtimeBudget(0, share=0).wait_s(0, 0) == 0


def test_a_small_share_starts_with_no_more_than_an_hours():
    assert AirtimeBudget(0, share=0.001).left_s(0) == pytest.approx(3.6)


def test_answers_leave_a_reserve_for_replies():
    budget = AirtimeBudget(0, share=0.02)
    assert budget.left_s(0, bulk=True) == 7
    assert budget.wait_s(7, 0, bulk=True) == 0
    assert limit_of(budget, 8, 0, bulk=True) is Limit.OWN
    assert budget.hindrance(8, 0) is budget.hindrance(8, 0, bulk=True, begun=True) is None
    assert budget.wait_s(72, 0, bulk=True) < inf
    budget.heard(355, 0)
    assert limit_of(budget, 3, 100, bulk=True) is Limit.SHARED
    assert budget.hindrance(3, 100) is None


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_an_impossible_share_is_explained(share):
    with pytest.raises(LocalError, match="Use 0 to 1"):
        AirtimeBudget(0, share=share)


sends = st.lists(st.tuples(st.floats(0.0, 2000.0), st.floats(0.01, 40.0), st.floats(1.0, 5.0)), max_size=60)


@given(sends=sends, share=st.sampled_from([0.001, 0.01, 0.02, 0.5]), others=st.integers(0, 4))
def test_no_hour_ever_holds_more_than_the_shares_however_impatient_the_sender(sends, share, others):
    budget, now, log = AirtimeBudget(0, share=share), 0.0, []
    budget.share_with(others)
    for pause_s, airtime_s, transmissions in sends:
        now += pause_s
        wait_s = budget.wait_s(airtime_s, now, transmissions=transmissions)
        if wait_s < 100:
            now += wait_s
        if budget.wait_s(airtime_s, now, transmissions=transmissions) == 0:
            budget.spend(airtime_s, now, transmissions=transmissions)
            log.append((now, airtime_s, transmissions))
    for end, *_ in log:
        hour = [(own_s, times) for at, own_s, times in log if end - HOUR_S <= at <= end]
        assert sum(own_s for own_s, _ in hour) <= share * HOUR_S + 1e-3
        assert sum(own_s * times for own_s, times in hour) <= 0.1 * HOUR_S / (others + 1) + 1e-3


# All nodes' share


def test_what_was_sent_to_us_and_all_relays_count_against_the_shared_air():
    budget = AirtimeBudget(0, share=0.5)
    budget.heard(100, 0, transmissions=3)
    budget.spend(10, 0, transmissions=3)
    assert budget.used_s(0) == 330
    assert budget.left_s(1000, transmissions=3) == pytest.approx(10)
    assert limit_of(budget, 11, 1000, transmissions=3) is Limit.SHARED
    assert budget.wait_s(11, 1000, transmissions=3) == pytest.approx(2660)
    assert budget.wait_s(11, 3660, transmissions=3) == 0
    assert budget.wait_s(121, 1000, transmissions=3) == inf
    assert budget.most_s(transmissions=3) == pytest.approx(120)


def test_the_shared_air_is_divided_equally_among_the_nodes_that_answer():
    budget = AirtimeBudget(0)
    assert budget.shared_hour_s == 360
    budget.share_with(2)
    assert 0.8 * 120 < budget.shared_hour_s < 120, "what nobody counts is left out"
    budget.share_with(0)
    assert budget.shared_hour_s == 360


# A busy channel


def test_nothing_is_sent_while_the_radio_says_that_the_channel_is_busy():
    budget = AirtimeBudget(0)
    budget.told_load(25, 0, 100)
    assert limit_of(budget, 1, 110) is Limit.BUSY
    assert budget.wait_s(1, 110) == 50
    assert budget.wait_s(1, 170) == 5  # the next figure is late
    budget.told_load(20, 0, 172)
    assert budget.wait_s(1, 172) == 0


def test_what_was_sent_since_the_figure_counts_too():
    budget = AirtimeBudget(0)
    budget.told_load(15, 0, 100)
    budget.spend(2, 101, transmissions=2)
    budget.spend(1, 102, transmissions=2)
    assert budget.utilisation_percent(103) == pytest.approx(25)
    assert limit_of(budget, 1, 103) is Limit.BUSY
    budget.told_load(15, 0, 111)
    assert budget.utilisation_percent(111) == pytest.approx(15 + 2 / 60 * 100)  # it may still wait in the radio
    budget.told_load(15, 0, 160)
    assert budget.utilisation_percent(160) == 15


def test_a_message_begins_when_its_last_packet_may_be_expected_to_leave_too():
    budget = AirtimeBudget(0)
    budget.told_load(20, 0, 0)
    assert budget.hindrance(3, 0, run_up_s=2) is None
    assert limit_of(budget, 5, 0, run_up_s=4) is Limit.BUSY
    budget.told_load(12, 0, 0)
    assert budget.hindrance(9.9, 0, run_up_s=7.8) is None
    assert limit_of(budget, 9.9, 0, run_up_s=7.8, transmissions=2) is budget.hindrance(9.9, 0) is None


def test_a_figure_is_not_believed_for_ever():
    budget = AirtimeBudget(0)
    budget.told_load(90, 99, 0)
    budget.move_to("EU_868")
    assert budget.wait_s(1, 299) > 0
    assert budget.wait_s(1, 300) == 0


def test_without_a_figure_our_own_sends_of_the_last_minute_count():
    budget = AirtimeBudget(0, share=0.5)
    budget.spend(8, 1000, transmissions=2)
    assert budget.wait_s(1, 1000) == 5
    assert budget.wait_s(1, 1060) == 0


def test_the_air_is_crowded_for_minutes_after_others_used_much_of_it_and_while_nothing_is_known():
    budget = AirtimeBudget(0)
    assert budget.is_crowded(0)
    budget.told_load(5, 0, 10)
    assert not budget.is_crowded(10)
    budget.spend(4, 30, transmissions=2)
    budget.told_load(22, 0, 50)
    assert not budget.is_crowded(50)  # what is not ours is 9 %
    budget.told_load(22, 0, 110)
    budget.told_load(3, 0, 170)
    assert budget.is_crowded(400)
    budget.told_load(3, 0, 400)
    assert not budget.is_crowded(410)


# The law


def test_the_law_of_the_region_caps_the_share():
    for region, duty in DUTY_CYCLE.items():
        assert AirtimeBudget(0, share=1, region=region).hour_s == pytest.approx(duty * HOUR_S)
    assert AirtimeBudget(0, share=0.005, region="EU_868").hour_s == 18
    assert AirtimeBudget(0, share=0.5, region="US").hour_s == 1800


def test_who_moves_takes_its_account_along():
    budget = AirtimeBudget(0, share=0.5)
    budget.spend(9, 0)
    budget.move_to("EU_866")
    assert budget.hour_s == 90
    assert budget.left_s(0) == 1


def test_what_the_radio_sends_for_others_counts_against_the_duty_cycle():
    budget = AirtimeBudget(0, region="EU_868")
    budget.told_load(0, 9.9, 0)
    assert budget.wait_s(3.5, 0) == 0
    assert limit_of(budget, 4, 0) is Limit.LAW
    budget.spend(3, 1)
    assert limit_of(budget, 1, 1) is Limit.LAW
    assert budget.wait_s(1, 1) == 59


# In words


def test_the_state_is_told_in_plain_words():
    budget = AirtimeBudget(0, region="EU_868")
    assert budget.words(0) == "72 s of air per hour, 10 left"
    assert budget.words(1e6) == "72 s of air per hour, 72 left"
    budget.spend(41, 1e6)
    assert budget.words(1e6 + 60) == "72 s of air per hour, 31 left"
    budget.heard(300, 1e6)
    shared = "72 s of air per hour, 19 left; neighbours' questions and answers use the shared 10 %"
    assert budget.words(1e6 + 60) == shared
    budget.told_load(31, 2, 1e6 + 60)
    assert budget.words(1e6 + 60) == "72 s of air per hour, 19 left; the channel is busy (31 %): waiting"
    budget.told_load(31, 10, 1e6 + 60)
    assert "the radio has sent as much this hour as the law of EU_868 allows: waiting" in budget.words(1e6 + 60)
    budget.spend(60, 1e6 + 61)
    assert "72 s of air per hour, 0 left" in budget.words(1e6 + 61)
