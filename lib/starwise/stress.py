"""Where reading gets harder: typos, half-written texts, length, subject, few reviews to learn from.

typo_curve(scorer.probabilities, test)             # a row a share of mistyped letters
prefix_curve(scorer.probabilities, test)           # a row a share of the text that is there
by_part(test, probabilities, test["category"])     # a row a category
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from starwise.chance import intervals, wilson
from starwise.classes import CLASSES, class_numbers
from starwise.evaluate import expected_calibration_error, measures
from starwise.sampling import with_typos
from starwise.score import Scorer
from starwise.train import Settings
from starwise.train import train as train_network

Predict = Callable[[list[str]], np.ndarray]  # texts to probabilities (rows, 3)


def typo_curve(
    predict: Predict,
    frame: pd.DataFrame,
    shares: Sequence[float] = (0.0, 0.05, 0.1, 0.2),
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row a share of letters with a typo: share, balanced_accuracy."""
    rows = []
    for share in shares:
        rng = np.random.default_rng(seed)
        texts = [with_typos(text, share, rng) for text in frame["text"]]
        found = measures(frame["label"], predict(texts))
        rows.append({"share": share, "balanced_accuracy": found["balanced_accuracy"]})
    return pd.DataFrame(rows)


def prefix_curve(
    predict: Predict,
    frame: pd.DataFrame,
    shares: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row a share of the text that is there, as while somebody types.

    share, balanced_accuracy, ece, and luck: the ece that perfectly calibrated probabilities like
    these stay under in 95 of 100 samples of this size. An ece below it is no sign of dishonesty.
    """
    rows = []
    for share in shares:
        texts = [text[: max(1, round(len(text) * share))] for text in frame["text"]]
        probabilities = predict(texts)
        found = measures(frame["label"], probabilities)
        rows.append(
            {
                "share": share,
                "balanced_accuracy": found["balanced_accuracy"],
                "ece": found["ece"],
                "luck": _ece_of_luck(frame["label"], probabilities, seed),
            }
        )
    return pd.DataFrame(rows)


def _ece_of_luck(labels: Sequence[str], probabilities: np.ndarray, seed: int) -> float:
    """Return the 95th of 100 calibration errors, had each truth been drawn as forecast."""
    truth = class_numbers(labels)
    shares = np.bincount(truth, minlength=len(CLASSES)) / len(truth)
    # The forecasts are of a world of equal classes; the rows come from one of these shares.
    forecast = probabilities * shares
    edges = (forecast / forecast.sum(1, keepdims=True)).cumsum(1)
    rng = np.random.default_rng(seed)
    errors = [
        expected_calibration_error(
            (rng.random((len(edges), 1)) > edges[:, :2]).sum(1), probabilities
        )
        for _ in range(100)
    ]
    return float(np.quantile(errors, 0.95))


def by_part(frame: pd.DataFrame, probabilities: np.ndarray, part: pd.Series) -> pd.DataFrame:
    """Return a row a value of `part`: reviews, accuracy, low, high (95%), balanced_accuracy."""
    rows = {}
    for name, places in frame.groupby(part.to_numpy(), sort=False).indices.items():
        labels, found = frame["label"].iloc[places], probabilities[places]
        told = measures(labels, found)
        low, high = wilson(round(told["accuracy"] * len(places)), len(places))
        rows[name] = {
            "reviews": len(places),
            "accuracy": told["accuracy"],
            "low": low,
            "high": high,
            "balanced_accuracy": told["balanced_accuracy"],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def length_part(texts: pd.Series, parts: int = 4) -> pd.Series:
    """Return for each text the range of lengths it falls in, "1-95"; ranges of like many texts."""
    lengths = texts.str.len()
    number = pd.qcut(lengths, parts, labels=False, duplicates="drop")
    ends = lengths.groupby(number).agg(["min", "max"])
    return number.map(ends["min"].astype(str) + "-" + ends["max"].astype(str))


def learning_curve(
    fits: dict[str, Callable[[pd.DataFrame], np.ndarray]],
    train: pd.DataFrame,
    test: pd.DataFrame,
    sizes: Sequence[int],
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row a size and model: reviews, model, balanced_accuracy, low, high.

    fits: for each model a function from training rows to probabilities of the rows of `test`. A
    smaller sample is part of a larger one, and all have the shares of classes of `train`. low and
    high as in `curve_point`: they tell nothing of which reviews were drawn to learn from.
    """
    shuffled = train.sample(frac=1.0, random_state=seed)
    rows = [
        curve_point(size, name, test, fit(shuffled.head(size)), seed)
        for size in sizes
        for name, fit in fits.items()
    ]
    return pd.DataFrame(rows, columns=["reviews", "model", "balanced_accuracy", "low", "high"])


def curve_point(
    reviews: int, name: str, test: pd.DataFrame, probabilities: np.ndarray, seed: int = 0
) -> dict:
    """Return a row of a learning curve; low, high: 95%, a bootstrap over companies of `test`."""
    low, high = intervals(test["label"], probabilities, test["company"], seed)["balanced_accuracy"]
    found = measures(test["label"], probabilities)["balanced_accuracy"]
    row = {"reviews": reviews, "model": name, "balanced_accuracy": found}
    return {**row, "low": low, "high": high}


def tuned(
    start: Path, train: pd.DataFrame, validation: pd.DataFrame, seed: int = 0, draws: int = 800
) -> Scorer:
    """Return the model of folder `start`, tuned to `train` in some seconds.

    It goes through `draws` reviews at most, in equal parts from the three classes.
    """
    settings = Settings(
        start_from=str(start),
        epochs=1,
        reviews_per_epoch=min(draws, 2 * len(train)),
        learning_rate=2e-3,
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        few = validation.sample(min(200, len(validation)), random_state=seed)
        train_network(train, few, settings, Path(folder), report=lambda line: None)
        return Scorer.load(Path(folder))
