"""How a radio is described to a person: what it is, its channels, what needs care, and a link as a QR code.

Pure functions from data to strings; prints nothing.
"""

from __future__ import annotations

from io import StringIO

from meshai.words import clean
from nodes.bearers.radio import address_of
from nodes.interfaces import ChannelKey, RadioChannel, RadioInfo
from nodes.radio_check import Finding, Severity

__all__ = ["channel_line", "finding_line", "info_line", "qr_text"]

_KEYS = {
    ChannelKey.NONE: "without a key: everyone reads along",
    ChannelKey.DEFAULT: "public: everyone with such a radio reads along",
    ChannelKey.OWN: "private: who has its link reads along",
}
_HEADS = {Severity.STOP: "Stop", Severity.WARNING: "Warning", Severity.NOTE: "Note"}


def info_line(info: RadioInfo) -> str:
    """Such as `Roof !1a2b3c4d: firmware 2.7.15, CLIENT, EU_868, LONG_FAST, hop limit 3`."""
    parts = (
        f"firmware {info.firmware or 'unknown'}",
        info.role or "unknown role",
        info.region or "unknown region",
        info.preset or "custom modem setting",
        f"hop limit {info.hop_limit}",
        *(["amateur radio"] if info.licensed else []),
    )
    return clean(f"{info.long_name} {address_of(info.node_number)}: {', '.join(parts)}".strip(), lines=False)


def channel_line(channel: RadioChannel) -> str:
    """Such as `channel 1 'serial', private: who has its link reads along`."""
    name = f" {clean(channel.name, lines=False)!r}" if channel.name else ""
    return f"channel {channel.index}{name}, {_KEYS[channel.key]}"


def finding_line(finding: Finding) -> str:
    """A finding in one line."""
    return f"{_HEADS[finding.severity]}: {finding.what}: {finding.why}; {finding.fix}."


def qr_text(link: str, *, colours: bool) -> str:
    """A QR code in half blocks; with `colours` white on black whatever the terminal's own are, as scanners need."""
    import segno

    out = StringIO()
    segno.make(link, error="l", micro=False).terminal(out, compact=True)
    lines = out.getvalue().rstrip("\n").split("\n")
    return "\n".join(f"\x1b[97;40m{line}\x1b[0m" if colours else line for line in lines)
