"""Radios plugged into this computer, found without opening them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AttachedRadio", "attached_radios"]

_USB_VENDORS = {
    0x10C4: "Silicon Labs CP210x",
    0x1A86: "WCH CH34x",
    0x303A: "Espressif",
    0x239A: "Adafruit nRF52",
    0x2886: "Seeed",
    0x2E8A: "Raspberry Pi RP2040",
}
"""USB vendors of the boards that run Meshtastic. Other devices use some of these chips too: a guess, said as one."""


@dataclass(frozen=True, slots=True)
class AttachedRadio:
    """A serial port that is probably a radio."""

    port: str
    chip: str


def attached_radios() -> tuple[AttachedRadio, ...]:
    """The serial ports that look like Meshtastic boards, by their USB vendor."""
    from serial.tools.list_ports import comports

    return tuple(
        AttachedRadio(port.device, _USB_VENDORS[port.vid]) for port in sorted(comports()) if port.vid in _USB_VENDORS
    )
