"""The bundled network against its rivals, which learn from the same rows.

The rivals are what one would try first: logistic regression over words and pairs of words, the same
over pieces of words (two to five characters), and fastText. They get a fair chance: every row that
`starwise pretrain` trains on, weighed as often as that draws it; settings chosen on the validation
rows that decide between networks; and the shift of the three classes that `starwise pretrain` fits
on them. The test rows choose nothing. What they lack is part of the network's recipe: teachers,
spoilt and half-written texts, headlines.

The reviews lie beside the project or in the folder that STARWISE_REVIEWS names.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from starwise.bench import Measure, reviews_folder
from starwise.chance import mcnemar
from starwise.classes import CLASSES, balancing_weights, class_numbers
from starwise.evaluate import bag_of_words, fit_fasttext
from starwise.evaluate import measures as measured
from starwise.pretrain import CLOSER, ROUND, measure
from starwise.pretrain.reviews import DECIDER, draws, held_out, read_reviews
from starwise.score import BUNDLED, Scorer

DOMAINS = ("trustpilot", "products", "hotels", "restaurants")
# What is tried of each rival: how rows are weighed, and C or the number of rounds.
TRIED: dict[str, list[tuple[str, float]]] = {
    "characters + LR": [("drawn", 0.3), ("drawn", 1.0)],  # the slowest one first
    "words + LR": [("drawn", 0.3), ("drawn", 1.0), ("closer", 0.3), ("closer", 1.0)],
    "fastText": [("drawn", 3), ("closer", 3), ("closer", 5)],
}
TITLE = f"reviews that none was trained on, {', '.join(TRIED)} -> the bundled network"
FASTTEXT_ROWS = 200_000  # lines that fastText reads in a round: it knows no weights, only copies

Predict = Callable[[Sequence[str]], np.ndarray]  # texts -> probabilities (texts, 3)


@dataclass(frozen=True)
class Rival:
    """One rival with the setting that the validation rows chose."""

    name: str
    setting: str
    tried: int
    seconds: float
    plain: np.ndarray  # what it says of the test rows, (rows, 3)
    shifted: np.ndarray  # the same with the shift fitted on the validation rows


def measures(seconds: float) -> Iterator[Measure]:
    """Yield the rivals' measures and the network's; takes as long as it takes, not `seconds`."""
    folder = reviews_folder()
    if not (folder / "test.parquet").is_file():
        told = f"not measured, there are no reviews in {folder}: name a folder by STARWISE_REVIEWS"
        yield Measure("rivals", "", told)
        return
    test = test_rows(folder)
    ours = Scorer.load(BUNDLED).probabilities(test["text"])
    rivals = []
    for name, rival in _trained(folder):
        if rival is None:
            yield Measure(name, "", "left out, it is not installed: pip install fasttext-community")
            continue
        rivals.append(rival)
        told = f"{rival.setting}, the best of {rival.tried} on the validation rows"
        yield Measure(f"{name}, trained in {rival.seconds:.0f} s", "", told)
    yield from compared(test, ours, rivals)


def test_rows(folder: Path) -> pd.DataFrame:
    """Return seed_test and the four large domains of test: part, text, label."""
    rows = measure.test_rows(folder)
    part = rows["domain"].where(rows["split"] == "test", rows["split"])
    rows = rows.assign(part=part)
    return rows[part.isin(["seed_test", *DOMAINS])].reset_index(drop=True)


def compared(test: pd.DataFrame, ours: np.ndarray, rivals: list[Rival]) -> Iterator[Measure]:
    """Yield each measure of each part, rivals and network side by side, and McNemar's tests."""
    means = {"shifted": [], "plain": []}
    parts = test.groupby("part").indices
    for part in [name for name in ("seed_test", *DOMAINS) if name in parts]:
        places = parts[part]
        labels = test["label"].iloc[places]
        told = _measured(labels, ours[places])
        for kind in means:
            found = [_measured(labels, getattr(rival, kind)[places]) for rival in rivals]
            if part != "seed_test":
                means[kind].append([each["balanced accuracy"] for each in found])
            for name in told if kind == "shifted" else ["balanced accuracy"]:
                note = "" if kind == "shifted" else ", rivals not shifted"
                numbers = ", ".join(f"{each[name]:.3f}" for each in found)
                yield Measure(f"{part}, {name}{note}", numbers, f"{told[name]:.3f}")
        for rival in rivals:
            duel = mcnemar(labels, ours[places], rival.shifted[places])
            name = f"{part}, rows of {len(places):,} that only one reads rightly, {rival.name}"
            counts = f"{duel['only_second']:.0f}", f"{duel['only_first']:.0f}"
            yield Measure(name, *counts, f"p = {duel['p']:.2g}", "p under 0.05")
    if not rivals or not means["plain"]:
        return
    # Each rival at its better way, though nobody could know beforehand which one that is.
    best = np.maximum(*(np.mean(rows, axis=0) for rows in means.values()))
    mine = np.mean([_balanced(test.iloc[parts[d]], ours[parts[d]]) for d in DOMAINS if d in parts])
    lead = f"{100 * (mine - best.max()):+.1f} points"
    numbers = ", ".join(f"{value:.3f}" for value in best)
    name = "test, balanced accuracy, mean of the domains, rivals shifted or not"
    yield Measure(name, numbers, f"{mine:.3f}", lead, "at least 2 points ahead")


def _measured(labels: Sequence[str], probabilities: np.ndarray) -> dict[str, float]:
    found = measured(labels, probabilities)
    return {
        "accuracy": found["accuracy"],
        "balanced accuracy": found["balanced_accuracy"],
        "macro F1": found["macro_f1"],
        "bad as good or good as bad": found["bad_good"],
        "bad against good": measure.binary_accuracy(labels, probabilities),
    }


def _balanced(rows: pd.DataFrame, probabilities: np.ndarray) -> float:
    return measured(rows["label"], probabilities)["balanced_accuracy"]


# -- training the rivals


def _trained(folder: Path) -> Iterator[tuple[str, Rival | None]]:
    """Yield each rival once it is trained, two at a time, in processes of their own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=2, mp_context=context) as pool:
        yield from zip(TRIED, pool.map(trained, TRIED, [folder] * len(TRIED)), strict=True)


def trained(name: str, folder: Path) -> Rival | None:
    """Return the rival `name` at its best, or None where it is not installed."""
    start = time.perf_counter()
    training, validation = rows(folder)
    best = None
    try:
        for weight, strength, predict in _fitted(name, training):
            guessed = predict(validation["text"].tolist())
            shift, loss = fit_shift(guessed, class_numbers(validation["label"]))
            if best is None or loss < best[0]:
                best = loss, shift, predict, (weight, strength)
    except ImportError:
        return None
    seconds = time.perf_counter() - start
    _loss, shift, predict, (weight, strength) = best
    unit = "rounds" if name == "fastText" else "C"
    plain = predict(test_rows(folder)["text"].tolist())
    setting = f"{len(training):,} rows weighed as {weight}, {unit} {strength:g}"
    return Rival(name, setting, len(TRIED[name]), seconds, plain, shifted(plain, shift))


def rows(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows that the network is trained on, and those that decide between settings.

    Columns text, label, and of the training rows two weights, 1 on average: "drawn", how often
    `starwise pretrain` draws a row, and "closer", the same in its last draws.
    """
    frame = read_reviews(folder)
    held = held_out(frame)
    training, validation = frame[~held].reset_index(drop=True), frame[held]
    drawn = draws(training, ROUND, most=2)
    drawn /= drawn.mean()
    own = (training["source"] == DECIDER).to_numpy()
    more = CLOSER * len(own) / max(1, own.sum())
    closer = np.where(own, more, (1 - CLOSER) * drawn) if own.any() else drawn
    closer = closer / closer.mean()
    deciding = validation[validation["source"] == DECIDER]
    if deciding["label"].nunique() == len(CLASSES):
        validation = deciding
    return training.assign(drawn=drawn, closer=closer), validation.reset_index(drop=True)


def _fitted(name: str, training: pd.DataFrame) -> Iterator[tuple[str, float, Predict]]:
    """Yield the settings tried of a rival: the weights' name, C or rounds, and what it predicts."""
    if name == "fastText":
        rng = np.random.default_rng(0)
        for weight, rounds in TRIED[name]:
            copies = training[weight] * FASTTEXT_ROWS / len(training)
            times = np.floor(copies + rng.random(len(copies))).astype(int)
            places = rng.permutation(np.repeat(np.arange(len(training)), times))
            drawn = training.iloc[places]
            settings = {"epoch": int(rounds), "lr": 0.3, "minn": 3, "bucket": 1_000_000}
            yield weight, rounds, fit_fasttext(drawn["text"], drawn["label"], **settings)
        return
    if name == "words + LR":
        counted = {"ngram_range": (1, 2), "min_df": 3, "strip_accents": "unicode"}
    else:
        counted = {"analyzer": "char_wb", "ngram_range": (2, 5), "min_df": 20}
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **counted)
    counts = vectorizer.fit_transform(training["text"])
    for weight, strength in TRIED[name]:
        line = LogisticRegression(C=strength, max_iter=150, tol=2e-4)
        line.fit(counts, training["label"], sample_weight=training[weight])
        yield weight, strength, partial(bag_of_words, make_pipeline(vectorizer, line))


def fit_shift(probabilities: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float]:
    """Return a shift for each class and a scale, (4,), and the loss of what they give.

    As `starwise.pretrain.level` does for the network, on the same rows; truth: (rows,), 0 to 2.
    """
    weights = balancing_weights(truth)

    def loss(guess: np.ndarray) -> float:
        right = shifted(probabilities, guess)[np.arange(len(truth)), truth]
        return float(-(weights * np.log(right)).sum())

    found = minimize(loss, np.zeros(4))
    return found.x, float(found.fun)


def shifted(probabilities: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return probabilities (rows, 3) after the shift and scale (4,) of their logarithms."""
    logits = np.log(probabilities.clip(1e-6)) * np.exp(shift[3]) + shift[:3]
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)).clip(1e-12)
