"""How far luck goes: intervals of a measure, and whether one model really reads better.

intervals(labels, probabilities, test["company"])["balanced_accuracy"]   # (0.81, 0.86)
mcnemar(labels, network, bag_of_words)    # {"only_first": 214, "only_second": 131, "p": 1e-05}
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from starwise.classes import CLASSES, class_numbers

ROUNDS = 1_000  # of the bootstrap


def wilson(right: int, rows: int) -> tuple[float, float]:
    """Return the 95% interval of a share of which `right` of `rows` were seen.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927): unlike
    the textbook's plus and minus it stays within 0 and 1, and it works for few rows.
    """
    low, high = binomtest(right, rows).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


def intervals(
    labels: Sequence[str],
    probabilities: np.ndarray,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Return 95% intervals of accuracy, balanced_accuracy, macro_f1 and bad_good.

    A bootstrap (Efron 1979) over groups, such as the companies: reviews of one company are alike,
    so that fifty of them tell less than fifty of fifty companies. Without groups, over rows.
    """
    truth, found = class_numbers(labels), probabilities.argmax(1)
    groups = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
    size = len(CLASSES)
    # A measure depends on the confusion matrix only, and matrices of groups add up.
    matrices = np.zeros((groups.max() + 1, size * size))
    np.add.at(matrices, (groups, truth * size + found), 1)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(matrices), np.full(len(matrices), 1 / len(matrices)), ROUNDS)
    resampled = (draws @ matrices).reshape(ROUNDS, size, size)
    return {
        name: tuple(map(float, np.nanquantile(values, [0.025, 0.975])))
        for name, values in _measures(resampled).items()
    }


def mean_intervals(values: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95% intervals, low and high, of the mean of each column; values: (rows, columns).

    A bootstrap over the rows. Each column's interval is its own: rows are drawn together.
    """
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), ROUNDS)
    low, high = np.quantile(draws @ values / len(values), [0.025, 0.975], axis=0)
    return low, high


def _measures(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """Return the measures of many confusion matrices, (rounds, 3, 3), a value a round."""
    right = np.diagonal(matrices, axis1=1, axis2=2)
    rows, columns, total = matrices.sum(2), matrices.sum(1), matrices.sum((1, 2))
    with np.errstate(invalid="ignore"):
        recall, f1 = right / rows, 2 * right / (rows + columns)
    return {
        "accuracy": right.sum(1) / total,
        "balanced_accuracy": np.nanmean(recall, axis=1),
        "macro_f1": np.nanmean(f1, axis=1),
        "bad_good": (matrices[:, 0, 2] + matrices[:, 2, 0]) / total,
    }


def mcnemar(labels: Sequence[str], first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Return on how many rows only one of two models is right, and how easily luck does that.

    McNemar, "Note on the Sampling Error of the Difference between Correlated Proportions" (1947),
    exact and two-sided: were the two equally good, each row that only one of them reads rightly
    would be a toss of a coin. p is the chance of tosses at least as lopsided as these.
    """
    truth = class_numbers(labels)
    one, other = first.argmax(1) == truth, second.argmax(1) == truth
    only_first, only_second = int((one & ~other).sum()), int((other & ~one).sum())
    tosses = only_first + only_second
    p = binomtest(only_first, tosses).pvalue if tosses else 1.0
    return {"only_first": only_first, "only_second": only_second, "p": float(p)}
