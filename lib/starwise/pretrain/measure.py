"""What a model folder reads rightly of reviews that were never trained on, for the model card.

for line in report(Scorer.load(folder), test_rows(reviews)): print(line)
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from starwise.classes import CLASS_OF_STARS, CLASSES, class_numbers
from starwise.evaluate import measures
from starwise.predict import PARTS
from starwise.sampling import with_random_case, with_typos

Predict = Callable[[Sequence[str]], np.ndarray]  # texts -> probabilities (texts, 3)
TYPO_SHARES = (0.05, 0.1, 0.2)


def test_rows(folder: Path) -> pd.DataFrame:
    """Return the rows of test.parquet that have a text: split, source, domain, text, label."""
    frame = pd.read_parquet(Path(folder) / "test.parquet")
    frame = frame[frame["text"].str.strip() != ""].reset_index(drop=True)
    return frame.assign(label=frame["rating"].map(CLASS_OF_STARS))


def by_part(predict: Predict, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row a part of the test rows: the splits and, within "test", the domains.

    Columns: part, rows, and those of starwise.evaluate.measures. Parts without all three classes
    (films) are left out.
    """
    probabilities = predict(frame["text"].tolist())
    parts = {name: frame["split"] == name for name in sorted(frame["split"].unique())}
    for domain in sorted(frame["domain"].unique()):
        parts[f"test, {domain}"] = (frame["split"] == "test") & (frame["domain"] == domain)
    rows = []
    for name, chosen in parts.items():
        if frame[chosen]["label"].nunique() == len(CLASSES):
            found = measures(frame[chosen]["label"], probabilities[chosen.to_numpy()])
            rows.append({"part": name, "rows": int(chosen.sum()), **found})
    return pd.DataFrame(rows).round(4)


def accuracy(labels: Sequence[str], probabilities: np.ndarray) -> float:
    return float((probabilities.argmax(1) == class_numbers(labels)).mean())


def binary_accuracy(labels: Sequence[str], probabilities: np.ndarray) -> float:
    """Return how many bad and good reviews are told apart, average ones left out of both sides."""
    truth = class_numbers(labels)
    rows = truth != 1
    return float(((probabilities[:, 2] > probabilities[:, 0]) == (truth == 2))[rows].mean())


def interval(
    labels: Sequence[str],
    probabilities: np.ndarray,
    measure: Callable[[np.ndarray, np.ndarray], float],
    rounds: int = 1_000,
) -> tuple[float, float]:
    """Return the 95% interval of a measure over `rounds` bootstrap draws of the rows."""
    rng, labels = np.random.default_rng(0), np.asarray(labels)
    found = []
    for _ in range(rounds):
        rows = rng.integers(len(labels), size=len(labels))
        found.append(measure(labels[rows], probabilities[rows]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def beginnings(predict: Predict, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row a part of the text that is read: part (0 to 1), accuracy, ece."""
    rows = []
    for part in PARTS:
        texts = [text[: max(1, round(len(text) * part))] for text in frame["text"]]
        found = measures(frame["label"], predict(texts))
        rows.append({"part": part, "accuracy": found["accuracy"], "ece": found["ece"]})
    return pd.DataFrame(rows)


def honest_ece(probabilities: np.ndarray, rounds: int = 200) -> float:
    """Return the calibration error that perfect calibration shows on so many rows, by chance."""
    rng, found = np.random.default_rng(0), []
    for _ in range(rounds):
        drawn = (probabilities.cumsum(1) < rng.random((len(probabilities), 1))).sum(1).clip(max=2)
        found.append(measures(np.array(CLASSES)[drawn], probabilities)["ece"])
    return float(np.quantile(found, 0.95))


def points_lost(predict: Predict, frame: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Yield how many points of accuracy are lost to typos and to letters of random case."""
    texts = frame["text"].tolist()
    whole = accuracy(frame["label"], predict(texts))
    rng = np.random.default_rng(0)
    for share in TYPO_SHARES:
        spoilt = predict([with_typos(text, share, rng) for text in texts])
        yield f"{share:.0%} typos", 100 * (whole - accuracy(frame["label"], spoilt))
    spoilt = predict([with_random_case(text, rng) for text in texts])
    yield "random case", 100 * (whole - accuracy(frame["label"], spoilt))


def jumps(predict: Predict, texts: Sequence[str]) -> float:
    """Return how often a review's class jumps between bad and good while it is typed, on average.

    A jump is a letter after which the most probable class is good where it was bad, or the other
    way round; "average" in between makes it no jump.
    """
    typed = [[text[:end] for end in range(1, len(text) + 1)] for text in texts]
    flat = [part for parts in typed for part in parts]
    classes = predict(flat).argmax(1)
    ends = np.cumsum([len(parts) for parts in typed])
    steps = np.abs(np.diff(classes)) == 2
    steps[ends[:-1] - 1] = False  # from one review to the next
    return float(steps.sum() / len(texts))
