"""A sweep as a picture: one panel for each figure, one line for each combination, a point with its interval on it.

Makes one SVG, or a page around it, that need nothing else. Pure functions from rows to text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from simulator.sweep import FIGURES, INTERVAL, Estimate, Figure, Row

__all__ = ["sweep_html", "sweep_svg"]

_PANEL_PX, _GAP_PX, _ROW_PX, _EDGE_PX = 170, 36, 24, 16
_TOP_PX, _FOOT_PX = 84, 58
_LETTER_PX = 6.6
_LABEL_CHARS_MAX = 60
_INK, _GREY, _LINE, _POINT = "#222", "#777", "#ddd", "#1f6f8b"


def sweep_html(title: str, names: Sequence[str], rows: Sequence[Row]) -> str:
    """A page that holds the picture."""
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>body{{margin:1em;background:#fff}}svg{{max-width:100%;height:auto}}</style>\n"
        f"{sweep_svg(title, names, rows)}</html>\n"
    )


def sweep_svg(title: str, names: Sequence[str], rows: Sequence[Row]) -> str:
    """The picture: `names` of the combinations, in the order of `rows`."""
    labels = [name if len(name) <= _LABEL_CHARS_MAX else f"{name[: _LABEL_CHARS_MAX - 1]}…" for name in names]
    left_px = _EDGE_PX + _LETTER_PX * max(map(len, labels), default=0) + _GAP_PX / 2
    width_px = max(left_px + len(FIGURES) * (_PANEL_PX + _GAP_PX), 2 * _EDGE_PX + _LETTER_PX * len(INTERVAL))
    height_px = _TOP_PX + _ROW_PX * len(rows) + _FOOT_PX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px:.0f} {height_px}" width="{width_px:.0f}" '
        f'height="{height_px}" font-family="sans-serif" font-size="12" fill="{_INK}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width_px:.0f}" height="{height_px}" fill="#fff"/>',
        _text(_EDGE_PX, 26, title, size=16),
        *(_text(_EDGE_PX, _middle_px(number) + 4, label) for number, label in enumerate(labels)),
    ]
    for number, figure in enumerate(FIGURES):
        parts += _panel(figure, [row.figures[figure.name] for row in rows], left_px + number * (_PANEL_PX + _GAP_PX))
    runs = max((row.runs for row in rows), default=0)
    parts.append(_text(_EDGE_PX, height_px - 12, f"{runs} seeds each. Lines: {INTERVAL}.", colour=_GREY, size=11))
    return "\n".join([*parts, "</svg>\n"])


def _panel(figure: Figure, found: Sequence[Estimate | None], left_px: float) -> list[str]:
    most = max((one.mean if one.high is None else one.high for one in found if one), default=0.0)
    step = 25.0 if figure.name == "answered_percent" else _step(most)
    end = 100.0 if figure.name == "answered_percent" else step * max(1, math.ceil(most / step - 1e-9))
    bottom_px = _TOP_PX + _ROW_PX * len(found)

    def x_px(value: float) -> float:
        return left_px + _PANEL_PX * value / end

    parts = [_text(left_px, _TOP_PX - 18, f"{figure.title}, {figure.unit}", weight="bold")]
    for tick in range(round(end / step) + 1):
        at_px = x_px(tick * step)
        parts.append(
            f'<line x1="{at_px:.1f}" x2="{at_px:.1f}" y1="{_TOP_PX - 6}" y2="{bottom_px}" stroke="{_LINE}"/>'
            f"{_text(at_px, bottom_px + 14, f'{tick * step:g}', colour=_GREY, size=10, anchor='middle')}"
        )
    for number, one in enumerate(found):
        if one is None:
            parts.append(_text(left_px + 2, _middle_px(number) + 4, "no answers", colour=_GREY, size=10))
            continue
        y_px = _middle_px(number)
        told = f"{one.mean:.1f} {figure.unit}"
        if one.low is not None and one.high is not None:
            told += f", {one.low:.1f} to {one.high:.1f}"
            low_px, high_px = x_px(one.low), x_px(one.high)
            parts.append(
                f'<path d="M{low_px:.1f} {y_px}H{high_px:.1f}M{low_px:.1f} {y_px - 4}v8M{high_px:.1f} {y_px - 4}v8" '
                f'stroke="{_POINT}" stroke-width="1.5" fill="none"/>'
            )
        parts.append(
            f'<circle cx="{x_px(one.mean):.1f}" cy="{y_px}" r="4" fill="{_POINT}"><title>{told}</title></circle>'
        )
    return parts


def _middle_px(number: int) -> float:
    return _TOP_PX + _ROW_PX * (number + 0.5)


def _step(most: float) -> float:
    """A round distance between marks, such that two to five of them are enough."""
    if most <= 0:
        return 1.0
    decade = 10.0 ** math.floor(math.log10(most))
    return next(decade * part for part in (0.2, 0.25, 0.5, 1.0, 2.0, 2.5) if most / (decade * part) <= 5)


def _text(
    x_px: float, y_px: float, text: str, *, colour: str = _INK, size: int = 12, anchor: str = "start", weight: str = ""
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    place = f'x="{x_px:.1f}" y="{y_px:.1f}"'
    return f'<text {place} fill="{colour}" font-size="{size}" text-anchor="{anchor}"{bold}>{escape(text)}</text>'
