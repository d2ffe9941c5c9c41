"""Measures, the ladder of baselines, calibration, and the verdict which model serves.

    ladder = [majority(train, test), lexicon(test), bag_of_words(train, test)]
    measures(test["label"], probabilities)["macro_f1"]

Probabilities are always an array (rows, 3) in the order bad, average, good.
"""

import json
import tempfile
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from starwise.classes import CLASSES, balancing_weights, class_numbers
from starwise.paths import Outputs, whole_file


def measures(labels: Sequence[str], probabilities: np.ndarray) -> dict[str, float]:
    """Return accuracy, balanced_accuracy, macro_f1, bad_good and ece of predictions.

    balanced_accuracy: mean recall of the three classes, so that the plentiful good reviews do not
    decide alone; bad_good: share of bad reviews called good or good ones called bad, of all rows;
    ece: expected calibration error, see `reliability`.
    """
    truth = class_numbers(labels)
    found = probabilities.argmax(1)
    return {
        "accuracy": float(accuracy_score(truth, found)),
        "balanced_accuracy": float(balanced_accuracy_score(truth, found)),
        "macro_f1": float(f1_score(truth, found, average="macro")),
        "bad_good": float((np.abs(truth - found) == 2).mean()),
        "ece": expected_calibration_error(truth, probabilities),
    }


def per_class(labels: Sequence[str], probabilities: np.ndarray) -> pd.DataFrame:
    """Return a row a class: precision, recall, f1, and reviews (how many there are)."""
    columns = precision_recall_fscore_support(
        class_numbers(labels), probabilities.argmax(1), labels=range(len(CLASSES)), zero_division=0
    )
    names = ["precision", "recall", "f1", "reviews"]
    return pd.DataFrame(dict(zip(names, columns, strict=True)), index=CLASSES)


def confusion(labels: Sequence[str], probabilities: np.ndarray) -> np.ndarray:
    """Return how many reviews of each class (row) were given each class (column), (3, 3)."""
    truth = class_numbers(labels)
    return confusion_matrix(truth, probabilities.argmax(1), labels=range(len(CLASSES)))


def reliability(labels: Sequence[str], probabilities: np.ndarray, bins: int = 15) -> pd.DataFrame:
    """Return a row a bin of confidence: confidence, accuracy (means), share (of all, sums to 1).

    Guo et al., "On Calibration of Modern Neural Networks" (2017), section 2. The classes weigh the
    same here, as they do in training: the probabilities are those of a world in which bad, average
    and good reviews are equally frequent, since nobody knows how often a visitor is content.
    """
    return _bins(class_numbers(labels), probabilities, bins)


def expected_calibration_error(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Return how far confidence is from accuracy, 0 to 1; truth: class numbers, (rows,)."""
    table = _bins(truth, probabilities, bins=15)
    return float((table["share"] * (table["accuracy"] - table["confidence"]).abs()).sum())


def _bins(truth: np.ndarray, probabilities: np.ndarray, bins: int) -> pd.DataFrame:
    confidence = probabilities.max(1)
    weight = balancing_weights(truth)
    table = pd.DataFrame(
        {
            "bin": np.minimum((confidence * bins).astype(int), bins - 1),
            "confidence": confidence * weight,
            "accuracy": (probabilities.argmax(1) == truth) * weight,
            "share": weight,
        }
    )
    summed = table.groupby("bin").sum()
    return summed.div(summed["share"], axis=0).assign(share=summed["share"])


def worst_errors(frame: pd.DataFrame, probabilities: np.ndarray, rows: int) -> pd.DataFrame:
    """Return up to `rows` reviews taken for the opposite class, the surest errors first.

    frame: text, rating, label; returned: rating, label, read_as, sure (0 to 1), text.
    """
    found = probabilities.argmax(1)
    table = frame[["rating", "label"]].assign(
        read_as=np.array(CLASSES)[found], sure=probabilities.max(1).round(2), text=frame["text"]
    )
    opposite = np.abs(class_numbers(frame["label"]) - found) == 2
    return table[opposite].sort_values("sure", ascending=False).head(rows).reset_index(drop=True)


# -- the ladder of baselines


def majority(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray:
    """Return the class shares of `train` for every row of `test`: the guess that reads nothing."""
    shares = train["label"].value_counts(normalize=True).reindex(CLASSES, fill_value=0.0)
    return np.tile(shares.to_numpy(float), (len(test), 1))


def lexicon(train: pd.DataFrame, test: pd.DataFrame, seed: int = 0) -> np.ndarray:
    """Return what VADER's word list makes of `test`; only its two thresholds are fitted.

    Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis" (2014). The
    thresholds between the classes come from up to 2,000 rows of `train`, so the lexicon is
    measured at its best.
    """
    analyse = SentimentIntensityAnalyzer().polarity_scores

    def compound(frame: pd.DataFrame) -> np.ndarray:
        return np.array([[analyse(text)["compound"]] for text in frame["text"]])

    sample = train.sample(min(len(train), 2_000), random_state=seed)
    # Two thresholds on one number are a tree of three leaves.
    tree = DecisionTreeClassifier(max_leaf_nodes=3, class_weight="balanced", random_state=seed)
    tree.fit(compound(sample), sample["label"])
    return _in_order(tree.predict_proba(compound(test)), tree.classes_)


def fit_bag_of_words(train: pd.DataFrame):
    """Return a fitted TF-IDF and logistic regression pipeline over single words and pairs."""
    pipeline = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, strip_accents="unicode"),
        LogisticRegression(C=2.0, class_weight="balanced", max_iter=300),
    )
    return pipeline.fit(train["text"], train["label"])


def bag_of_words(pipeline, texts: Sequence[str]) -> np.ndarray:
    """Return the probabilities of a fitted pipeline for texts."""
    return _in_order(pipeline.predict_proba(texts), pipeline.classes_)


def fasttext(train: pd.DataFrame, texts: Sequence[str], seed: int = 0) -> np.ndarray | None:
    """Return the probabilities of a fastText classifier, or None where it is not installed.

    It weighs no classes, so the rarer ones are repeated until all three are equally frequent.
    """
    most = train["label"].value_counts().max()
    rows = [part.sample(most, replace=len(part) < most, random_state=seed)
            for _, part in train.groupby("label")]  # fmt: skip
    mixed = pd.concat(rows).sample(frac=1.0, random_state=seed)
    try:
        return fit_fasttext(mixed["text"], mixed["label"], seed=seed, minn=2)(texts)
    except ImportError:
        return None


def fit_fasttext(
    texts: Sequence[str],
    labels: Sequence[str],
    seed: int = 0,
    epoch: int = 5,
    lr: float = 0.5,
    minn: int = 0,
    bucket: int = 200_000,
) -> Callable[[Sequence[str]], np.ndarray]:
    """Return what a fastText classifier predicts: texts in, probabilities (texts, 3) out.

    Joulin et al., "Bag of Tricks for Efficient Text Classification" (2017): the mean of word, word
    pair and, with `minn` above 0, character n-gram vectors, and one linear layer. The texts are
    read in the order given. Raises ImportError where it is not installed.
    """
    import fasttext as library  # optional: `pip install fasttext-community`

    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        for label, text in zip(labels, texts, strict=True):
            file.write(f"__label__{label} {_one_line(text)}\n")
        file.flush()
        # One thread: with several, no two trainings are alike.
        fitted = library.train_supervised(
            file.name, epoch=epoch, lr=lr, dim=50, wordNgrams=2, minn=minn, maxn=5 if minn else 0,
            bucket=bucket, thread=1, seed=seed, verbose=0,
        )  # fmt: skip

    def predict(texts: Sequence[str]) -> np.ndarray:
        labels, shares = fitted.predict([_one_line(text) for text in texts], k=len(CLASSES))
        found = np.zeros((len(texts), len(CLASSES)))
        for row, (names, values) in enumerate(zip(labels, shares, strict=True)):
            found[row, class_numbers([name.removeprefix("__label__") for name in names])] = values
        return found / found.sum(1, keepdims=True)

    return predict


def _one_line(text: str) -> str:
    # fastText reads a text a line, and a lone surrogate is no UTF-8.
    return " ".join(text.lower().encode("utf-8", "replace").decode().split())


def _in_order(probabilities: np.ndarray, names: Sequence[str]) -> np.ndarray:
    columns = list(names)
    return probabilities[:, [columns.index(name) for name in CLASSES]]


# -- the verdict


def verdict(candidate: dict, bundled: dict, name: str) -> dict[str, str]:
    """Return {"serves", "reason"}: whether the candidate `name` replaces the bundled model.

    Both are measured on the same test reviews and plain sentences; the dictionaries hold
    balanced_accuracy and plain (the share of plain sentences read rightly). Visitors write about
    anything, so a candidate that loses on plain sentences does not serve, however well it does on
    the reviews it was made for.
    """
    if candidate["plain"] < bundled["plain"]:
        return {
            "serves": "bundled",
            "reason": f"{name} reads {candidate['plain']:.0%} of the plain sentences rightly, "
            f"the bundled model {bundled['plain']:.0%}",
        }
    if candidate["balanced_accuracy"] < bundled["balanced_accuracy"]:
        return {
            "serves": "bundled",
            "reason": f"on the test reviews {name} reaches a balanced accuracy of "
            f"{candidate['balanced_accuracy']:.3f}, the bundled model "
            f"{bundled['balanced_accuracy']:.3f}",
        }
    return {
        "serves": name,
        "reason": f"it reads {candidate['plain']:.0%} of the plain sentences rightly (bundled: "
        f"{bundled['plain']:.0%}) and reaches a balanced accuracy of "
        f"{candidate['balanced_accuracy']:.3f} on the test reviews (bundled: "
        f"{bundled['balanced_accuracy']:.3f})",
    }


def promote(outputs: Outputs, decided: dict[str, str]) -> None:
    """Write models/serving.json: from now on the scorer loads the model that `decided` names."""
    with whole_file(outputs.serving) as temporary:
        told = {"model": decided["serves"], "reason": decided["reason"]}
        temporary.write_text(json.dumps(told, indent=2) + "\n")
