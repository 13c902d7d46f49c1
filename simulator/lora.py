"""The physics of one LoRa link, as formulas: noise, sensitivity, path loss, hills in the way, rejection of others.

Pure arithmetic. Distances are metres, frequencies hertz, levels dBm or dB. Time on air is `protocol.airtime`; who
hears whom is `simulator.links`, and what overlaps is `simulator.medium`: none of them is known here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from protocol.airtime import PREAMBLE_SYMBOLS, Preset
from protocol.errors import LocalError
from simulator.channels import REGIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "CAPTURE_DB",
    "DETECTION_MARGIN_DB",
    "EARTH_RADIUS_M",
    "HIGH_RANGE_M",
    "LOW_RANGE_M",
    "NOISE_FIGURE_DB",
    "PATH_LOSS_MODELS",
    "PREAMBLE_NEEDED_SYMBOLS",
    "PREAMBLE_SPARE_SYMBOLS",
    "REGION_POWER_DBM",
    "REJECTION_DB",
    "PathLoss",
    "default_power_dbm",
    "detection_dbm",
    "diffraction_db",
    "diffraction_losses_db",
    "distance_for_loss_m",
    "edge_parameter",
    "free_space_db",
    "frequency_hz",
    "knife_edge_db",
    "log_distance_db",
    "noise_floor_dbm",
    "path_loss",
    "region_power_dbm",
    "required_snr_db",
    "sensitivity_dbm",
]

SPEED_OF_LIGHT_M_S = 299_792_458.0

EARTH_RADIUS_M = 6_371_000.0 * 4 / 3
"""As radio waves see it: four thirds of the real one, since the air bends them down (ITU-R P.526)."""

NOISE_FIGURE_DB = 6.0
"""Noise that a usual receiver adds (Semtech AN1200.22)."""

DETECTION_MARGIN_DB = 3.0
"""Channel-activity detection notices signals that much below the sensitivity."""

CAPTURE_DB = 6.0
"""Of two overlapping packets of one spreading factor, the one that is so much stronger survives (Bor et al., 2016)."""

PREAMBLE_NEEDED_SYMBOLS = 5
"""A receiver needs the last five symbols of a preamble (Bor et al., 2016)."""

PREAMBLE_SPARE_SYMBOLS = PREAMBLE_SYMBOLS - PREAMBLE_NEEDED_SYMBOLS
"""A packet survives an overlap that ends within so many symbols of its start."""

REJECTION_DB: dict[int, dict[int, float]] = {
    wanted: dict(zip(range(7, 13), row, strict=True))
    for wanted, row in {
        7: (6, -16, -18, -19, -19, -20),
        8: (-24, 6, -20, -22, -22, -22),
        9: (-27, -27, 6, -23, -25, -25),
        10: (-30, -30, -30, 6, -26, -28),
        11: (-33, -33, -33, -33, 6, -29),
        12: (-36, -36, -36, -36, -36, 6),
    }.items()
}
"""Spreading factor wanted -> that of the other signal -> dB by which the wanted one must be above it to survive.

From Goursaud and Gorce, "Dedicated networks for IoT: PHY / MAC state of the art and challenges", 2015. For who wants
spreading factors that are not quite orthogonal, at one bandwidth.
"""

_POWER_USUAL_MAX_DBM = 27.0
"""What common boards can give."""

REGION_POWER_DBM: dict[str, float] = {
    "US": 30,
    "EU_433": 10,
    "EU_868": 27,
    "CN": 19,
    "JP": 13,
    "ANZ": 30,
    "ANZ_433": 14,
    "RU": 20,
    "KR": 23,
    "TW": 27,
    "IN": 30,
    "NZ_865": 36,
    "TH": 27,
    "UA_433": 10,
    "UA_868": 14,
    "MY_433": 20,
    "MY_919": 27,
    "SG_923": 20,
    "PH_433": 10,
    "PH_868": 14,
    "PH_915": 24,
    "KZ_433": 10,
    "KZ_863": 30,
    "NP_865": 30,
    "BR_902": 30,
    "LORA_24": 10,
    "EU_866": 27,
    "UNSET": 30,
}
"""Region -> the most that the firmware lets a radio send, dBm (its region table in `RadioInterface.cpp`).

The firmware takes it as the radio's own power, whether the law counts it as ERP or EIRP; so do we.
"""


def required_snr_db(spreading_factor: int) -> float:
    """Smallest SNR at which a spreading factor is received: -7.5 dB at SF7, 2.5 dB less for each step.

    SX1276 and SX1262 datasheets, table "LoRa demodulator SNR"; SF5 to SF12, else LocalError.
    """
    if not 5 <= spreading_factor <= 12:
        raise LocalError(f"there is no spreading factor {spreading_factor}", "LoRa has 5 to 12")
    return -7.5 - 2.5 * (spreading_factor - 7)


def noise_floor_dbm(bandwidth_hz: float, noise_figure_db: float = NOISE_FIGURE_DB) -> float:
    """Thermal noise at room temperature in that bandwidth, and what the receiver adds (Semtech AN1200.22)."""
    return -174 + 10 * math.log10(bandwidth_hz) + noise_figure_db


def sensitivity_dbm(preset: Preset, noise_figure_db: float = NOISE_FIGURE_DB) -> float:
    """Weakest signal that is received: -131.5 dBm for LONG_FAST."""
    return noise_floor_dbm(preset.bandwidth_hz, noise_figure_db) + required_snr_db(preset.spreading_factor)


def detection_dbm(preset: Preset, noise_figure_db: float = NOISE_FIGURE_DB) -> float:
    """Weakest signal that channel-activity detection notices."""
    return sensitivity_dbm(preset, noise_figure_db) - DETECTION_MARGIN_DB


def frequency_hz(region: str) -> float:
    """Centre of a region's band; raises LocalError for a region that the firmware has not."""
    low_mhz, high_mhz, _ = REGIONS[_known(region)]
    return (low_mhz + high_mhz) / 2 * 1e6


def region_power_dbm(region: str) -> float:
    """The most that a radio may send there; raises LocalError for a region that the firmware has not."""
    return REGION_POWER_DBM[_known(region)]


def default_power_dbm(region: str) -> float:
    """What a radio sends there unless somebody sets it: what the region allows, 27 dBm at most."""
    return min(region_power_dbm(region), _POWER_USUAL_MAX_DBM)


def _known(region: str) -> str:
    if region not in REGIONS or region not in REGION_POWER_DBM:
        raise LocalError(f"unknown region {region!r}", "the firmware has none of that name", f"use one of {_names()}")
    return region


def _names() -> str:
    return ", ".join(name for name in REGIONS if name != "UNSET")


HIGH_RANGE_M = (1.0, 200.0)
"""Heights that path-loss models are used with, of a pair's higher antenna: others count as the nearest of them."""

LOW_RANGE_M = (1.0, 10.0)
"""The same for the lower one."""

_NEAREST_M = 1.0
"""Nothing is nearer than this."""


@dataclass(frozen=True, slots=True)
class PathLoss:
    """A path-loss model at one frequency, as the five numbers by which all of them differ.

    `at_km_db + high_db * log10(high) + low_db * low + (slope_db + slope_high_db * log10(high)) * log10(km)`,
    with the heights of the pair's higher and lower antenna in metres; never less than in free space.
    """

    frequency_hz: float
    at_km_db: float
    """Loss at one kilometre, with antennas of no account."""
    slope_db: float
    """Loss for each tenfold distance."""
    high_db: float = 0.0
    """What each tenfold height of the higher antenna adds; negative."""
    low_db: float = 0.0
    """What each metre of the lower antenna adds; negative."""
    slope_high_db: float = 0.0
    """What each tenfold height of the higher antenna adds to the slope; negative."""

    def loss_db(self, distance_m: float, one_m: float = 1.0, other_m: float = 1.0) -> float:
        """Loss between two antennas at these heights above ground; the same both ways.

        The higher one counts as the base station of the model. Heights are taken as 1 to 200 m for the higher and 1 to
        10 m for the lower antenna, distances as 1 m at least.
        """
        log_km = math.log10(max(distance_m, _NEAREST_M) / 1000)
        log_high = math.log10(min(max(one_m, other_m, HIGH_RANGE_M[0]), HIGH_RANGE_M[1]))
        low_m = min(max(min(one_m, other_m), LOW_RANGE_M[0]), LOW_RANGE_M[1])
        return float(max(self._model_db(log_km, log_high, low_m), self._free_space_db(log_km)))

    def losses_db(self, distance_m: Floats, high_m: Floats, low_m: Floats) -> Floats:
        """The same for many pairs at once, as arrays with the higher and the lower antenna of each."""
        import numpy as np

        log_km = np.log10(np.maximum(distance_m, _NEAREST_M) / 1000)
        log_high = np.log10(np.clip(high_m, *HIGH_RANGE_M))
        model_db = self._model_db(log_km, log_high, np.clip(low_m, *LOW_RANGE_M))
        return np.asarray(np.maximum(model_db, self._free_space_db(log_km)))

    def _model_db(self, log_km: Any, log_high: Any, low_m: Any) -> Any:
        """The formula itself, for numbers as for arrays."""
        slope_db = self.slope_db + self.slope_high_db * log_high
        return self.at_km_db + self.high_db * log_high + self.low_db * low_m + slope_db * log_km

    def _free_space_db(self, log_km: Any) -> Any:
        return 20 * log_km + free_space_db(1000, self.frequency_hz)


def free_space_db(distance_m: float, frequency: float) -> float:
    """Loss in free space (ITU-R P.525)."""
    return 20 * math.log10(4 * math.pi * distance_m * frequency / SPEED_OF_LIGHT_M_S)


def log_distance_db(distance_m: float, reference_db: float, reference_m: float, exponent: float) -> float:
    """Loss that grows by `10 * exponent` with each tenfold distance, from what was measured at `reference_m`."""
    return reference_db + 10 * exponent * math.log10(distance_m / reference_m)


_BOR = (127.41, 40.0, 2.08)
"""Loss in dB at so many metres and exponent, measured at 868 MHz among houses (Bor et al., 2016)."""

PATH_LOSS_MODELS = ("free-space", "log-distance", "hata-open", "hata-suburban", "hata-urban", "suburban", "urban")
"""Names of the models, as in `RadioPlan.path_loss`."""


def path_loss(model: str, frequency: float) -> PathLoss:
    """The path-loss model of that name at a frequency in Hz; raises LocalError for an unknown name.

    - `free-space`: nothing in the way. Heights don't count.
    - `log-distance`: as measured among houses at 868 MHz by Bor et al., 2016. Neither heights nor frequency count.
    - `hata-open`, `hata-suburban`, `hata-urban`: Okumura-Hata, small and medium city (Hata, 1980; also ITU-R P.529).
      It was fitted for base stations of 30 to 200 m, 1 to 20 km and 150 to 1500 MHz, and is extended to lower antennas,
      shorter distances and 2.4 GHz as it stands, which gives more loss for a lower antenna, as it should be.
    - `suburban`, `urban`: 3GPP macro cells (TR 25.996, a form of COST 231 Hata), extended in the same way.
    """
    log_mhz = math.log10(frequency / 1e6)
    match model:
        case "free-space":
            return PathLoss(frequency, free_space_db(1000, frequency), 20)
        case "log-distance":
            return PathLoss(frequency, log_distance_db(1000, *_BOR), 10 * _BOR[2])
        case "hata-open" | "hata-suburban" | "hata-urban":
            land_db = {
                "hata-open": -4.78 * log_mhz**2 + 18.33 * log_mhz - 40.94,
                "hata-suburban": -2 * math.log10(frequency / 28e6) ** 2 - 5.4,
                "hata-urban": 0.0,
            }[model]
            at_km_db = 69.55 + 26.16 * log_mhz + 1.56 * log_mhz - 0.8 + land_db
            return PathLoss(frequency, at_km_db, 44.9, -13.82, 0.7 - 1.1 * log_mhz, -6.55)
        case "suburban" | "urban":
            at_km_db = 45.5 + 35.46 * log_mhz + (3 if model == "urban" else 0)
            return PathLoss(frequency, at_km_db, 44.9, -13.82, 0.7 - 1.1 * log_mhz, -6.55)
        case _:
            raise LocalError(f"unknown path loss {model!r}", "", f"use one of {', '.join(PATH_LOSS_MODELS)}")


def distance_for_loss_m(model: PathLoss, loss_db: float, one_m: float = 1.0, other_m: float = 1.0) -> float:
    """Largest distance at which the model loses no more than that; 0 where it loses more even next to each other.

    By bisection of the logarithm, to a millionth. Knows no horizon: beyond some tens of kilometres the Earth is in the
    way, which `diffraction_db` is for.
    """
    if model.loss_db(_NEAREST_M, one_m, other_m) > loss_db:
        return 0.0
    near, far = math.log10(_NEAREST_M), 9.0
    while far - near > 4e-7:
        middle = (near + far) / 2
        if model.loss_db(10**middle, one_m, other_m) > loss_db:
            far = middle
        else:
            near = middle
    return float(10**near)


def edge_parameter(above_m: float, before_m: float, behind_m: float, frequency: float) -> float:
    """The parameter of an edge that stands `above_m` over the line of sight, so far from both ends (ITU-R P.526)."""
    return float(_edge_parameters(above_m, before_m, behind_m, frequency))


def knife_edge_db(parameter: float) -> float:
    """Loss by diffraction over one sharp edge; 6 dB where it touches the line of sight (ITU-R P.526, 4.1)."""
    return float(_knife_edges_db(parameter))


def diffraction_db(ground_m: Sequence[float], step_m: float, one_m: float, other_m: float, frequency: float) -> float:
    """Loss by hills between two antennas: Deygout's method with three edges at most.

    `ground_m` are heights of the ground at equal steps from one end to the other, `one_m` and `other_m` the antennas
    above it. The worst edge counts, then the worst one on either side of it, seen from there. An edge counts for what
    it adds to even ground, which path-loss models contain already: level land and even slopes lose nothing. The Earth's
    curvature counts as a hill, by four thirds of its radius.
    """
    import numpy as np

    ground, *numbers = (np.array([value], dtype=np.float64) for value in (ground_m, step_m, one_m, other_m))
    return float(diffraction_losses_db(ground, numbers[0], numbers[1], numbers[2], frequency)[0])


def diffraction_losses_db(ground_m: Floats, step_m: Floats, one_m: Floats, other_m: Floats, frequency: float) -> Floats:
    """The same for many paths at once: a row of `ground_m` and an entry of the others for each."""
    import numpy as np

    last = ground_m.shape[1] - 1
    steps = np.arange(last + 1)
    curved_m = ground_m + steps * (last - steps) * step_m[:, None] ** 2 / (2 * EARTH_RADIUS_M)
    worst, losses_db = _worst_edges(curved_m, 0, last, step_m, one_m, other_m, frequency)
    rows = np.flatnonzero(losses_db > 0)
    for start, end, before_m, behind_m in ((0, worst[rows], one_m[rows], 0.0), (worst[rows], last, 0.0, other_m[rows])):
        losses_db[rows] += _worst_edges(curved_m[rows], start, end, step_m[rows], before_m, behind_m, frequency)[1]
    return losses_db


def _worst_edges(
    ground_m: Floats, first: Any, last: Any, step_m: Floats, one_m: Any, other_m: Any, frequency: float
) -> tuple[Any, Floats]:
    """Where between two points the ground is most in the way, and what that loses beyond what even ground does."""
    import numpy as np

    rows = np.arange(len(ground_m))
    first, last = np.broadcast_to(first, rows.shape), np.broadcast_to(last, rows.shape)
    from_m, to_m = ground_m[rows, first] + one_m, ground_m[rows, last] + other_m
    before = np.arange(ground_m.shape[1]) - first[:, None]
    behind = (last - first)[:, None] - before
    between = (before > 0) & (behind > 0)
    slope_m = (to_m - from_m) / np.maximum(last - first, 1)
    above_m = ground_m - from_m[:, None] - slope_m[:, None] * before
    badness = np.where(between, above_m * np.abs(above_m) / np.where(between, before * behind, 1), -np.inf)
    worst = badness.argmax(axis=1)
    met = between[rows, worst] & (step_m > 0)
    before_m = np.where(met, before[rows, worst] * step_m, 1.0)
    behind_m = np.where(met, behind[rows, worst] * step_m, 1.0)
    even_m = -(one_m + (other_m - one_m) * before_m / (before_m + behind_m))
    here_db, even_db = (
        _knife_edges_db(_edge_parameters(edge_m, before_m, behind_m, frequency))
        for edge_m in (above_m[rows, worst], even_m)
    )
    return worst, np.where(met, np.maximum(here_db - even_db, 0.0), 0.0)


def _edge_parameters(above_m: Any, before_m: Any, behind_m: Any, frequency: float) -> Any:
    return above_m * (2 * frequency / SPEED_OF_LIGHT_M_S * (1 / before_m + 1 / behind_m)) ** 0.5


def _knife_edges_db(parameter: Any) -> Any:
    import numpy as np

    shifted = np.maximum(parameter, -0.78) - 0.1
    return np.where(parameter > -0.78, 6.9 + 20 * np.log10(np.sqrt(shifted * shifted + 1) + shifted), 0.0)
