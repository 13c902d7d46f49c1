"""The regions that a radio can be set to, and what their law asks of it in one line.

Data from the firmware's table of regions (`RadioInterface.cpp`, 2.8); amateur bands are left out. No advice: the law of
the place counts, and the firmware knows only its main lines.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.budget import DUTY_CYCLE

__all__ = ["REGIONS", "Law", "law_line"]


@dataclass(frozen=True, slots=True)
class Law:
    """One region's rules."""

    where: str
    low_mhz: float
    high_mhz: float
    power_dbm: int


REGIONS = {
    "US": Law("United States and Canada", 902.0, 928.0, 30),
    "EU_868": Law("European Union and neighbours", 869.4, 869.65, 27),
    "EU_433": Law("European Union and neighbours", 433.0, 434.0, 10),
    "EU_866": Law("European Union, with the LITE presets", 865.6, 867.6, 27),
    "CN": Law("China", 470.0, 510.0, 19),
    "JP": Law("Japan", 920.5, 923.5, 13),
    "ANZ": Law("Australia and New Zealand", 915.0, 928.0, 30),
    "ANZ_433": Law("Australia and New Zealand", 433.05, 434.79, 14),
    "RU": Law("Russia", 868.7, 869.2, 20),
    "KR": Law("Korea", 920.0, 923.0, 23),
    "TW": Law("Taiwan", 920.0, 925.0, 27),
    "IN": Law("India", 865.0, 867.0, 30),
    "NZ_865": Law("New Zealand", 864.0, 868.0, 36),
    "TH": Law("Thailand", 920.0, 925.0, 27),
    "UA_433": Law("Ukraine", 433.0, 434.7, 10),
    "UA_868": Law("Ukraine", 868.0, 868.6, 14),
    "MY_433": Law("Malaysia", 433.0, 435.0, 20),
    "MY_919": Law("Malaysia", 919.0, 924.0, 27),
    "SG_923": Law("Singapore", 917.0, 925.0, 20),
    "PH_433": Law("Philippines", 433.0, 434.7, 10),
    "PH_868": Law("Philippines", 868.0, 869.4, 14),
    "PH_915": Law("Philippines", 915.0, 918.0, 24),
    "KZ_433": Law("Kazakhstan", 433.075, 434.775, 10),
    "KZ_863": Law("Kazakhstan", 863.0, 868.0, 30),
    "NP_865": Law("Nepal", 865.0, 868.0, 30),
    "BR_902": Law("Brazil", 902.0, 907.5, 30),
    "LORA_24": Law("worldwide, with boards made for 2.4 GHz", 2400.0, 2483.5, 10),
}
"""By Meshtastic's name."""


def law_line(region: str) -> str:
    """Such as `EU_868 (European Union and neighbours): 869.4 to 869.65 MHz, 27 dBm, at most 10 % of any hour`."""
    law = REGIONS.get(region)
    if law is None:
        return region
    share = DUTY_CYCLE.get(region)
    hour = f", at most {share * 100:g} % of any hour" if share else ""
    return f"{region} ({law.where}): {law.low_mhz:g} to {law.high_mhz:g} MHz, {law.power_dbm} dBm{hour}"
