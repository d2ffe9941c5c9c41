"""What happened to a reviewer, and which stars follow: the part of the world that is known exactly.

A reviewer lives a visit and *tells* some of it: events (an aspect and a level from -2 to 2) and,
mostly, an overall impression. Stars follow from what is told through an ordered model:

    score = mean of the events, and the overall impression where told
    stars = which interval of CUTS holds score + SPREAD * logistic noise
            (and once in 1 / SLIP reviews any star at all: people mis-click)

The noise is the reviewer's temper; the text does not show it. The text is written from the telling
and from dice that know nothing of the stars, so stars - telling - text is a Markov chain, and by
the data processing inequality nobody who reads the text, person or machine, predicts the stars
better than somebody who knows the telling. For that one P(class | telling) is exact, and the mean
of its maximum is the best possible accuracy.

    told = live(quality, aspects, rng)
    class_probabilities(told.score)      # (P(bad), P(average), P(good))
"""

import itertools
import math
import random
from dataclasses import dataclass

from starwise.practice.grammar import pick

# Score, from -2 to 2, below which a star is (mostly) not given: 1|2, 2|3, 3|4, 4|5.
CUTS = (-1.15, -0.62, 0.38, 1.05)
SPREAD = 0.16  # scale of the logistic noise, in units of the score
SLIP = 0.025  # share of stars that have nothing to do with what happened
OVERALL_WEIGHT = 0.6  # of the overall impression; the events share the rest

MOODS = ("bad", "mixed", "good")
# Chances of each mood for a middling company, and how a company's quality moves them (log-odds).
_MOOD_BASE = (0.19, 0.225, 0.585)
_MOOD_SLOPE = (-1.0, -0.1, 0.6)
# Chances of the levels -2, -1, 0, 1, 2 of one event, and of the overall impression.
_EVENTS = {
    "bad": (0.56, 0.31, 0.05, 0.06, 0.02),
    "mixed": (0.04, 0.28, 0.31, 0.25, 0.12),
    "good": (0.01, 0.05, 0.05, 0.35, 0.54),
}
_OVERALL = {
    "bad": (0.72, 0.24, 0.03, 0.01, 0.0),
    "mixed": (0.01, 0.12, 0.76, 0.11, 0.0),
    "good": (0.0, 0.01, 0.04, 0.30, 0.65),
}
_LEVELS = (-2, -1, 0, 1, 2)


@dataclass(frozen=True)
class Telling:
    """What one review tells; the text is written from this and nothing else of what happened."""

    events: tuple[tuple[str, int], ...]  # (aspect, level)
    overall: int | None  # the overall impression, where it is told
    turn: str  # "better" or "worse" than expected, or ""
    length: int  # sentences, about

    @property
    def score(self) -> float:
        """How good it was, from -2 to 2: all that the stars depend on."""
        levels = [level for _, level in self.events]
        if self.overall is None:
            return sum(levels) / len(levels)
        if not levels:
            return float(self.overall)
        mean = sum(levels) / len(levels)
        return OVERALL_WEIGHT * self.overall + (1 - OVERALL_WEIGHT) * mean


def live(
    quality: dict[str, float], overall_quality: float, aspects: tuple[str, ...], rng: random.Random
) -> Telling:
    """Return what a customer of a company with this quality (about -2 to 2) has to tell."""
    weights = [
        base * math.exp(slope * overall_quality)
        for base, slope in zip(_MOOD_BASE, _MOOD_SLOPE, strict=True)
    ]
    mood = _draw(MOODS, weights, rng)
    # Trouble makes people write longer.
    middle = {"bad": 4.6, "mixed": 4.4, "good": 3.7}[mood]
    length = max(1, min(40, round(rng.lognormvariate(math.log(middle), 0.82))))
    overall = _draw(_LEVELS, _OVERALL[mood], rng)
    if length == 1:
        if rng.random() < 0.6:
            return Telling((), overall, "", 1)
        return Telling(_events(mood, quality, aspects, 1, rng), None, "", 1)
    told = 1 + int(rng.random() * (length - 0.3)) if length < 5 else 2 + int(length * 0.45)
    events = _events(mood, quality, aspects, told, rng)
    # Who is torn between good and bad sums it up less often.
    silent = rng.random() < (0.35 if mood == "mixed" else 0.12)
    turn = ""
    if not silent and overall and rng.random() < 0.16:
        turn = "better" if overall > 0 else "worse"
    return Telling(events, None if silent else overall, turn, length)


def _events(mood, quality, aspects, count, rng) -> tuple[tuple[str, int], ...]:
    found = []
    names = list(dict.fromkeys(rng.sample(aspects, len(aspects))))
    for number in range(count):
        name = names[number % len(names)]
        tilted = [
            chance * math.exp(0.35 * quality.get(name, 0.0) * level)
            for level, chance in zip(_LEVELS, _EVENTS[mood], strict=True)
        ]
        found.append((name, _draw(_LEVELS, tilted, rng)))
    return tuple(found)


def _draw(options, weights, rng: random.Random):
    mark = rng.random() * sum(weights)
    for option, weight in zip(options, weights, strict=True):
        mark -= weight
        if mark < 0:
            return option
    return options[-1]


def star_probabilities(score: float) -> tuple[float, ...]:
    """Return P(1 star) ... P(5 stars) for a telling with this score."""
    below = [1 / (1 + math.exp(-(cut - score) / SPREAD)) for cut in CUTS]
    edges = [0.0, *below, 1.0]
    return tuple((1 - SLIP) * (high - low) + SLIP / 5 for low, high in itertools.pairwise(edges))


def class_probabilities(score: float) -> tuple[float, float, float]:
    """Return P(bad), P(average), P(good): 1-2, 3 and 4-5 stars."""
    one, two, three, four, five = star_probabilities(score)
    return one + two, three, four + five


def draw_stars(score: float, rng: random.Random) -> int:
    """Return the stars that a reviewer of random temper gives, 1 to 5."""
    if rng.random() < SLIP:
        return pick((1, 2, 3, 4, 5), rng)
    chance = min(max(rng.random(), 1e-12), 1 - 1e-12)
    felt = score + SPREAD * math.log(chance / (1 - chance))
    return 1 + sum(felt > cut for cut in CUTS)
