"""The label audit: which labels do not fit their texts, and how many there may be.

    probabilities = out_of_fold(words, frame["rating"], frame["company"])
    found = audit(frame["label"], probabilities)
    found.noise, found.quality.nsmallest(50)

A reader that has learned from the reviews of other companies says what it would have expected
for each text. Where it is sure and the label says otherwise, one of the two is wrong. Which labels
are called wrong, and how many, is cleanlab's confident learning (Northcutt, Jiang and Chuang,
"Confident Learning: Estimating Uncertainty in Dataset Labels", 2021).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from cleanlab.count import estimate_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, KFold

from starwise.classes import CLASS_OF_STARS, CLASSES, class_numbers
from starwise.label.errors import LabelError
from starwise.label.words import Words, ngrams

FEATURES = 2**18
_AT_ONCE = 20_000  # texts


@dataclass(frozen=True)
class Audit:
    """What the audit makes of each label, and of all of them.

    `quality` (rows,): 0 the label surely does not fit its text, 1 it surely does; `suspicious`
    (rows,): the labels that confident learning calls wrong; `noise`: the estimated share of wrong
    labels; `joint` (3, 3): the estimated share of rows by given class (row) and by true class.
    """

    quality: pd.Series
    suspicious: pd.Series
    noise: float
    joint: pd.DataFrame


def audit(labels: pd.Series, probabilities: np.ndarray) -> Audit:
    """Return the audit of labels, given what a reader that never saw them expects, (rows, 3)."""
    given = class_numbers(labels)
    if len(np.unique(given)) < len(CLASSES):
        raise LabelError("an audit needs reviews of all three classes; collect more of them")
    joint = estimate_joint(given, probabilities)
    wrong = find_label_issues(given, probabilities, filter_by="both", n_jobs=1)
    quality = get_label_quality_scores(given, probabilities, method="self_confidence")
    return Audit(
        quality=pd.Series(quality.astype(np.float32), index=labels.index),
        suspicious=pd.Series(wrong, index=labels.index),
        noise=float(1 - np.trace(joint)),
        joint=pd.DataFrame(joint, index=list(CLASSES), columns=list(CLASSES)),
    )


def found_of(wrong: Sequence[bool], quality: Sequence[float]) -> pd.DataFrame:
    """Return precision and recall of looking at the labels of lowest quality first.

    wrong: which labels are really wrong. One row for each number of labels looked at.
    """
    order = np.argsort(np.asarray(quality), kind="stable")
    hits = np.asarray(wrong)[order].cumsum()
    looked = np.arange(1, len(order) + 1)
    return pd.DataFrame(
        {"looked_at": looked, "precision": hits / looked, "recall": hits / max(1, hits[-1])}
    )


def out_of_fold(
    words: Words,
    ratings: pd.Series,
    companies: pd.Series,
    folds: int = 5,
    rows: int = 60_000,
    seed: int = 0,
) -> np.ndarray:
    """Return P(bad), P(average), P(good) for each text, (rows, 3), from a reader of the others.

    Each fold's reader learns from at most `rows` reviews of the other folds' companies; with fewer
    companies than folds, from other reviews.
    """
    if len(words) < folds:
        raise LabelError(f"{len(words)} reviews are too few for an audit in {folds} folds")
    stars = ratings.to_numpy()
    labels = class_numbers([CLASS_OF_STARS[star] for star in stars])
    rng = np.random.default_rng(seed)
    found = np.zeros((len(words), len(CLASSES)))
    by_company = companies.nunique() >= folds
    splitter = GroupKFold(folds) if by_company else KFold(folds, shuffle=True, random_state=seed)
    groups = pd.factorize(companies)[0]
    for learn, read in splitter.split(stars, groups=groups):
        if len(learn) > rows:
            learn = np.sort(rng.choice(learn, rows, replace=False))
        reader = _Reader(words.take(learn), stars[learn], labels[learn])
        for start in range(0, len(read), _AT_ONCE):
            some = read[start : start + _AT_ONCE]
            found[some] = reader.probabilities(words.take(some))
    return found


class _Reader:
    """TF-IDF of words and pairs, a ridge regression on "more than 1, 2, 3, 4 stars", and on its
    four answers a logistic regression for the class.

    The stars tell more than the class does, and a ridge regression is solved in a tenth of the
    time that a logistic regression on 100,000 features takes.
    """

    def __init__(self, words: Words, stars: np.ndarray, labels: np.ndarray) -> None:
        self._weights = TfidfTransformer(sublinear_tf=True)
        table = self._weights.fit_transform(_counts(words))
        above = np.stack([stars > limit for limit in (1, 2, 3, 4)], axis=1).astype(np.float32)
        self._stars = Ridge(alpha=3.0, solver="sparse_cg", tol=1e-2, max_iter=30)
        self._stars.fit(table, above)
        answers = self._stars.predict(table)
        self._labels = labels if len(np.unique(labels)) == 1 else None
        if self._labels is None:
            self._class = LogisticRegression().fit(answers, labels)

    def probabilities(self, words: Words) -> np.ndarray:
        found = np.zeros((len(words), len(CLASSES)))
        if self._labels is not None:
            found[:, self._labels[0]] = 1.0
            return found
        answers = self._stars.predict(self._weights.transform(_counts(words)))
        found[:, self._class.classes_] = self._class.predict_proba(answers)
        return found


def _counts(words: Words) -> csr_matrix:
    """Return how often each text has each word and each pair of words, (texts, FEATURES)."""
    texts, columns = [], []
    for n in (1, 2):
        hashes, text = ngrams(words, n)
        columns.append((hashes >> np.uint64(46)).astype(np.int32))  # the upper 18 bits
        texts.append(text.astype(np.int32))
    ones = np.ones(sum(map(len, texts)), np.float32)
    place = (np.concatenate(texts), np.concatenate(columns))
    return csr_matrix((ones, place), shape=(len(words), FEATURES))
