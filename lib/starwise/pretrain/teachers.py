"""Teachers: what stronger or other models make of each training review, as targets for the network.

soft = soft_targets(frame, held, teachers=("words", "sentences"), report=print)   # (rows, 3)

A star is a noisy thing: the same words come with three stars and with four. A network that has only
the stars to go by learns the noise by heart (Hinton et al. 2015, "Distilling the Knowledge in a
Neural Network": soft targets tell how average a review is).
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier

from starwise.classes import class_numbers
from starwise.pretrain.reviews import draws, folds
from starwise.train import device_of_choice

FOLDS = 4
SENTENCES = 56_000  # reviews that the sentence teacher is fine-tuned on


def soft_targets(
    frame: pd.DataFrame,
    held: np.ndarray,
    teachers: Sequence[str],
    report: Callable[[str], None] = print,
    sentences: int = SENTENCES,
) -> np.ndarray:
    """Return P(bad), P(average), P(good) of every row, (rows, 3), as the teachers together see it.

    held: rows that no teacher is trained on, (rows,), bool; on them the teachers' scores are
    weighed against each other. teachers: of "words" and "sentences".
    """
    scores = []
    if "words" in teachers:
        scores.append(word_scores(frame, held, report))
    if "sentences" in teachers:
        scores.append(sentence_scores(frame, held, sentences, report))
    scores = np.concatenate(scores, axis=1)
    labels = class_numbers(frame["label"])
    judge = LogisticRegression(class_weight="balanced", C=0.1, max_iter=1_000)
    judge.fit(scores[held], labels[held])
    report(f"the teachers together: {judge.score(scores[held], labels[held]):.3f} of held-out rows")
    return judge.predict_proba(scores)


def word_scores(
    frame: pd.DataFrame, held: np.ndarray, report: Callable[[str], None] = print
) -> np.ndarray:
    """Return the scores (rows, 3) of TF-IDF over one to three words and a linear model.

    Each training row is scored by a model that was fitted without its company, since such a
    model knows the rows it was fitted on by heart.
    """
    labels = class_numbers(frame["label"])
    fitted = frame[~held].reset_index(drop=True)
    weight = np.zeros(len(frame))
    weight[~held] = draws(fitted, 150_000, most=4)
    vectors = TfidfVectorizer(
        ngram_range=(1, 3),
        min_df=min(3, 1 + len(fitted) // 1_000),
        sublinear_tf=True,
        strip_accents="unicode",
        token_pattern=r"(?u)\b\w[\w']*\b|[!?]",
        max_features=600_000,
        dtype=np.float32,
    ).fit_transform(frame["text"].str.slice(0, 900))

    def fit(rows: np.ndarray) -> SGDClassifier:
        linear = SGDClassifier(
            loss="log_loss", alpha=1e-5, max_iter=6, tol=None, average=True, random_state=0
        )
        return linear.fit(vectors[rows], labels[rows], sample_weight=weight[rows])

    fold = np.where(held, -1, folds(frame, FOLDS))
    scores = np.zeros((len(frame), 3))
    for left_out in (-1, *range(FOLDS)):
        rows = np.flatnonzero(fold == left_out)
        if len(rows):
            others = np.flatnonzero((fold != left_out) & ~held)
            scores[rows] = fit(others).decision_function(vectors[rows])
        report(f"word teacher: {left_out + 2} of {FOLDS + 1} parts scored")
    return scores


def sentence_scores(
    frame: pd.DataFrame, held: np.ndarray, reviews: int, report: Callable[[str], None] = print
) -> np.ndarray:
    """Return the logits (rows, 3) of a small transformer, fine-tuned once on `reviews` rows.

    It has read a training row at most three times and does not know it by heart.
    """
    from starwise.pretrain import sentences

    rng = np.random.default_rng(0)
    fitted = frame[~held].reset_index(drop=True)
    expected = draws(fitted, reviews, most=3)
    rows = rng.permutation(np.repeat(np.arange(len(fitted)), rng.poisson(expected).clip(max=3)))
    encoder = sentences.SentenceEncoder.installed().to(device_of_choice())
    labels = class_numbers(fitted["label"])[rows]
    texts = [_half_written(fitted["text"][row], rng) for row in rows]
    sentences.fine_tune(encoder, texts, labels, report)
    report("sentence teacher: scoring all rows")
    return sentences.answers(encoder, frame["text"].tolist())


def _half_written(text: str, rng: np.random.Generator) -> str:
    """Return the text, or in one case of seven its beginning."""
    cut, share = rng.random(2)
    return text[: int(len(text) * (0.3 + 0.7 * share))] if cut < 0.15 and len(text) > 60 else text
