"""The numbers of the page as bars: where each lies in a drawing of fixed units.

for bar in stacked(days): f'<rect class="{bar.kind}" x="{bar.x}" .../>'

The template writes the SVG; colours come from the style sheet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from starwise.admin.questions import Day

WIDTH, HEIGHT = 600, 120  # units of the drawing, which is stretched to the page
GAP = 0.2  # of a day's width


@dataclass(frozen=True)
class Bar:
    kind: str  # bad, average or good
    x: float
    y: float
    width: float
    height: float


def stacked(days: Sequence[Day]) -> list[Bar]:
    """Return the bars of all days, good reviews at the bottom."""
    highest = max((day.all for day in days), default=0)
    if not highest:
        return []
    step, bars = WIDTH / len(days), []
    for place, day in enumerate(days):
        top = float(HEIGHT)
        for kind in ("good", "average", "bad"):
            height = HEIGHT * getattr(day, kind) / highest
            if height:
                top -= height
                x = step * (place + GAP / 2)
                size = (x, top, step * (1 - GAP), height)
                bars.append(Bar(kind, *(round(number, 2) for number in size)))
    return bars
