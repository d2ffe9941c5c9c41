"""The three classes, and which stars mean which.

CLASS_OF_STARS[4]                     # 'good'
class_numbers(["good", "bad"])        # array([2, 0])
"""

from collections.abc import Sequence

import numpy as np

CLASSES = ("bad", "average", "good")  # in this order wherever probabilities are an array
ADDED = (*CLASSES, "sentiment", "stars")  # the columns that scoring adds to a table
CLASS_OF_STARS = {1: "bad", 2: "bad", 3: "average", 4: "good", 5: "good"}


def class_numbers(labels: Sequence[str]) -> np.ndarray:
    """Return the place of each label in CLASSES, shape (len(labels),), int64."""
    number = {name: place for place, name in enumerate(CLASSES)}
    return np.array([number[label] for label in labels], dtype=np.int64)


def balancing_weights(labels: np.ndarray) -> np.ndarray:
    """Return a weight for each row, (rows,), summing to 1, with every class weighing the same."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    present = int((counts > 0).sum())
    return 1.0 / (present * counts[labels])
