"""The airtime budget: what may be sent now, and how long to wait for more."""

from __future__ import annotations

import pytest

from protocol.budget import DUTY_CYCLE, AirtimeBudget
from protocol.errors import LocalError


def test_at_every_start_there_is_air_for_one_answer_and_no_more():
    budget = AirtimeBudget(0, share=0.02)
    assert budget.left_s(0) == 10
    assert budget.wait_s(10, 0) == 0
    assert budget.wait_s(11, 0) == pytest.approx(50)


def test_air_comes_back_at_the_share_up_to_an_hours():
    budget = AirtimeBudget(0, share=0.02)
    budget.spend(10, 0)
    assert budget.left_s(100) == pytest.approx(2)
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
    assert budget.wait_s(1, 0) == pytest.approx(60)


def test_more_than_an_hours_air_can_never_be_sent():
    assert AirtimeBudget(0, share=0.001).wait_s(4, 0) == float("inf")
    assert AirtimeBudget(0, share=0).wait_s(0.1, 0) == float("inf")
    assert AirtimeBudget(0, share=0).wait_s(0, 0) == 0


def test_a_small_share_starts_with_no_more_than_an_hours():
    assert AirtimeBudget(0, share=0.001).left_s(0) == pytest.approx(3.6)


def test_the_law_of_the_region_caps_the_share():
    for region, duty in DUTY_CYCLE.items():
        assert AirtimeBudget(0, share=1, region=region).share == duty
    assert AirtimeBudget(0, share=0.005, region="EU_868").share == 0.005
    assert AirtimeBudget(0, share=0.5, region="US").share == 0.5


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_an_impossible_share_is_explained(share):
    with pytest.raises(LocalError, match="Use 0 to 1"):
        AirtimeBudget(0, share=share)
