"""How the learning rate moves over a run.

SCHEDULES["cosine"](0.5)          # the share of the highest rate, 0 to 1, half way
"""

import math


def cosine(progress: float) -> float:
    """Warm up, then fade along a cosine (Loshchilov and Hutter, "SGDR", 2017, section 3)."""
    warm_up = 0.06
    if progress < warm_up:
        return 0.05 + 0.95 * progress / warm_up
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def cyclical(progress: float) -> float:
    """Go up and down in straight lines three times (Smith 2017, section 3.1, "triangular")."""
    place = (3 * progress) % 1.0
    return 0.1 + 0.9 * (1.0 - abs(2.0 * place - 1.0))


def stepped(progress: float) -> float:
    """Halve the rate after each quarter of the run."""
    return 0.5 ** min(3, int(4 * progress))


def constant(progress: float) -> float:
    """Keep the rate to the end."""
    return 1.0


# Each takes how far a run has come, 0 to 1, and returns a share of the highest rate, 0 to 1.
SCHEDULES = {each.__name__: each for each in (cosine, cyclical, stepped, constant)}
