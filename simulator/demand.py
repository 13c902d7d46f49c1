"""What the evening's questions ask of models and of the air: round figures to plan with, before anything is run.

Pure arithmetic over a scenario's parts. A run tells better; this tells how many models it is worth trying with.
"""

from __future__ import annotations

import math

from nodes.bearers.radio import PRIVATE_PORT
from protocol.airtime import Preset, data_bytes_on_air, time_on_air_s, transmissions
from protocol.budget import DEFAULT_SHARE, SHARED_SHARE
from simulator.people import level
from simulator.scenario.plan import DevicePlan, PeoplePlan

__all__ = ["air_questions_per_hour", "answer_s", "models_needed", "questions_at_peak"]

_BUSY_MODEL, _BUSY_AIR = 0.6, 0.6
"""A model, and the air that its node may use, shall not be busier than that in the evening."""
_EVENING_HOUR, _NOON_HOUR = 20.0, 12.0
_CHARS_A_TOKEN = 4.0
_QUESTION_BYTES, _CONTROL_BYTES = 40, 12
"""Usual payloads of a question and of what is said beside it (`docs/compact-text.md`, `docs/protocol.md`)."""
_BYTES_A_CHAR = 0.35
_PACKET_BYTES = 200


def questions_at_peak(people: PeoplePlan) -> float:
    """Questions in the busiest hour of the day, on average."""
    day = math.fsum(level(tenth / 10, people.evening_peak) for tenth in range(240)) / 10
    most = max(level(hour, people.evening_peak) for hour in (_EVENING_HOUR, _NOON_HOUR))
    return people.questions_per_day * most / day


def answer_s(people: PeoplePlan, device: DevicePlan) -> float:
    """Seconds of a device's whole time that a usual answer takes."""
    return people.answer_chars / _CHARS_A_TOKEN / device.tokens_per_s / device.slots


def models_needed(people: PeoplePlan, device: DevicePlan, preset: Preset) -> int:
    """How many devices the busiest hour needs: by their speed, and by what each node may send."""
    peak = questions_at_peak(people)
    by_speed = peak * answer_s(people, device) / (3600 * _BUSY_MODEL)
    by_air = peak * _sent_s(people, preset) / (3600 * DEFAULT_SHARE * _BUSY_AIR)
    return max(1, math.ceil(max(by_speed, by_air)))


def air_questions_per_hour(people: PeoplePlan, preset: Preset, mean_transmissions: float) -> float:
    """About so many questions an hour the air lets pass, by what all meshai nodes together may use of it.

    `mean_transmissions` is how often a packet is sent on its way, the first time included.
    """
    each_s = _packet_s(preset, _QUESTION_BYTES) + _packet_s(preset, _CONTROL_BYTES) + _sent_s(people, preset)
    return 3600 * SHARED_SHARE / (each_s * transmissions(mean_transmissions))


def _sent_s(people: PeoplePlan, preset: Preset) -> float:
    """Seconds that the answering node itself sends for one answer, and for what is said beside it."""
    full, rest = divmod(max(1, round(people.answer_chars * _BYTES_A_CHAR)), _PACKET_BYTES)
    answer = full * _packet_s(preset, _PACKET_BYTES) + (_packet_s(preset, rest) if rest else 0.0)
    return _packet_s(preset, _CONTROL_BYTES) + answer


def _packet_s(preset: Preset, payload_bytes: int) -> float:
    return time_on_air_s(preset, data_bytes_on_air(payload_bytes, PRIVATE_PORT))
