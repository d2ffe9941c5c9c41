"""What a model folder reads rightly of reviews that were never trained on, for the model card.

by_part(Scorer.load(folder).probabilities, test_rows(reviews))     # a row a part
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from starwise.chance import intervals
from starwise.classes import CLASS_OF_STARS, CLASSES, class_numbers
from starwise.evaluate import measures
from starwise.sampling import with_random_case, with_typos
from starwise.stress import length_part

Predict = Callable[[Sequence[str]], np.ndarray]  # texts -> probabilities (texts, 3)
TYPO_SHARES = (0.05, 0.1, 0.2)
SPOILT = 6  # times: of a thousand reviews, chance alone moves the points of one time by a half


def test_rows(folder: Path) -> pd.DataFrame:
    """Return the rows of test.parquet that have a text: split, source, domain, text, label."""
    frame = pd.read_parquet(Path(folder) / "test.parquet")
    frame = frame[frame["text"].str.strip() != ""].reset_index(drop=True)
    return frame.assign(label=frame["rating"].map(CLASS_OF_STARS))


def by_part(predict: Predict, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row a part of the test rows: the splits, within "test" the domains, else lengths.

    Columns: part, rows, the ends of the 95% interval of the accuracy, and those of
    starwise.evaluate.measures. Parts without all three classes (films) are left out.
    """
    probabilities = predict(frame["text"].tolist())
    parts = {}
    for name, split in frame.sort_values("text", key=lambda texts: texts.str.len()).groupby(
        "split"
    ):
        by_domain = name == "test"
        of = split["domain"] if by_domain else length_part(split["text"]) + " characters"
        parts[name] = split.index
        for each, rows in split.groupby(of, sort=by_domain).groups.items():
            parts[f"{name}, {each}"] = rows
    rows = []
    for name, chosen in parts.items():
        labels, found = frame.loc[chosen, "label"], probabilities[frame.index.get_indexer(chosen)]
        if labels.nunique() == len(CLASSES):
            low, high = intervals(labels, found)["accuracy"]
            rows.append(
                {"part": name, "rows": len(chosen), "low": low, "high": high}
                | measures(labels, found)
            )
    return pd.DataFrame(rows).round(4)


def accuracy(labels: Sequence[str], probabilities: np.ndarray) -> float:
    return float((probabilities.argmax(1) == class_numbers(labels)).mean())


def binary_accuracy(labels: Sequence[str], probabilities: np.ndarray) -> float:
    """Return how many bad and good reviews are told apart, average ones left out of both sides."""
    truth = class_numbers(labels)
    rows = truth != 1
    return float(((probabilities[:, 2] > probabilities[:, 0]) == (truth == 2))[rows].mean())


def points_lost(predict: Predict, frame: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Yield how many points of accuracy are lost to typos and to letters of random case.

    Each is the mean of `SPOILT` times.
    """
    texts = frame["text"].tolist()
    whole = accuracy(frame["label"], predict(texts))
    rng = np.random.default_rng(0)

    def lost(spoil: Callable[[str], str]) -> float:
        found = [
            accuracy(frame["label"], predict([spoil(text) for text in texts]))
            for _ in range(SPOILT)
        ]
        return 100 * (whole - float(np.mean(found)))

    for share in TYPO_SHARES:
        yield f"{share:.0%} typos", lost(lambda text, share=share: with_typos(text, share, rng))
    yield "random case", lost(lambda text: with_random_case(text, rng))


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
