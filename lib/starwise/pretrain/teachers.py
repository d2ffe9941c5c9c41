"""Teachers: what stronger or other models make of each training review, as targets for the network.

targets = soft_targets(frame, held, teachers=("words", "sentences"), work=folder)   # (rows, 3)

A star is a noisy thing: the same words come with three stars and with four. A network that has only
the stars to go by learns the noise by heart (Hinton et al. 2015, "Distilling the Knowledge in a
Neural Network": soft targets tell how average a review is).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier

from starwise.classes import CLASSES, class_numbers
from starwise.paths import whole_file
from starwise.predict import softmax
from starwise.pretrain.reviews import DECIDER, PIECES, draws, folds, fragments
from starwise.train import device_of_choice

FOLDS = 4
SENTENCES = 16_000  # reviews that the sentence teacher is fine-tuned on
ASKED = 200_000  # training reviews that it then answers for, those most often drawn first
JUDGED = 200  # held-out reviews of a domain and class that it answers for
OWN_WORD = 0.75  # share of the stars in what it learns; the rest is the word teacher's
FRAGMENTS = 80_000  # headlines and sentences that it answers for, too
CHUNK = 2_000  # reviews between two times that its answers are kept
TRUST = 0.7  # share of the word teacher's word in a target that only it has answered, beside stars


def soft_targets(
    frame: pd.DataFrame,
    held: np.ndarray,
    teachers: Sequence[str],
    work: Path,
    report: Callable[[str], None] = print,
    sentences: int = SENTENCES,
    asked: int = ASKED,
    pieces: int = FRAGMENTS,
) -> np.ndarray:
    """Return P(bad), P(average), P(good) of every row, (rows, 3), that the network is to answer.

    It is what the teachers together make of a review. Where the sentence teacher has not answered,
    its stars count as well.

    held: rows that no teacher is trained on, (rows,), bool; on them the teachers' scores are
    weighed against each other. teachers: of "words" and "sentences". The sentence teacher, which
    is slow, answers for `asked` rows; the others have the word of those who answer for all. It
    also says what it makes of `pieces` headlines and single sentences, which becomes a table of
    further training rows, `work`/fragments.parquet. What is done lies in the folder `work` for a
    run that goes on from it.
    """
    labels = class_numbers(frame["label"])
    scores = np.zeros((len(frame), 0))
    if "words" in teachers:
        scores = _kept(work / "words.npy", lambda: word_scores(frame, held, report))
    rows = np.ones(len(frame), dtype=bool)
    stars = np.eye(len(CLASSES))[labels]
    soft = targets = stars
    if scores.size:
        soft = _judged(scores, rows, held, frame, report)
        targets = TRUST * soft + (1 - TRUST) * stars
    if "sentences" in teachers:
        answered = sentence_scores(frame, held, soft, sentences, asked, pieces, work, report)
        rows = ~np.isnan(answered[:, 0])
        both = np.concatenate([scores, np.nan_to_num(answered)], axis=1)
        targets = np.where(rows[:, None], _judged(both, rows, held, frame, report), targets)
    return targets


def _judged(scores, rows, held, frame, report) -> np.ndarray:
    """Return what scores are worth as probabilities, learned from the held-out ones of `rows`.

    The same words come with other stars on other sites, and a long text leaves less in doubt: so
    the judge also knows what the network does not see, a row's source and its length.
    """
    length = np.log(frame["text"].str.len().clip(20, 2_000) / 150).to_numpy()[:, None]
    source = pd.get_dummies(frame["source"], dtype=float).to_numpy()
    known = np.concatenate([scores, length * scores, length, source], axis=1)
    labels = class_numbers(frame["label"])
    judge = LogisticRegression(class_weight="balanced", C=0.1, max_iter=3_000)
    judge.fit(known[rows & held], labels[rows & held])
    right = judge.score(known[rows & held], labels[rows & held])
    report(f"the teachers so far: right about {right:.3f} of {(rows & held).sum():,} held-out rows")
    return judge.predict_proba(known)


def _kept(path: Path, made: Callable[[], np.ndarray]) -> np.ndarray:
    """Return what a former run has kept, or make it and keep it."""
    if not path.is_file():
        _keep(path, made())
    return np.load(path)


def _keep(path: Path, scores: np.ndarray) -> None:
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.save(file, scores.astype(np.float32))


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
    frame: pd.DataFrame,
    held: np.ndarray,
    soft: np.ndarray,
    reviews: int,
    asked: int,
    pieces: int,
    work: Path,
    report: Callable[[str], None] = print,
) -> np.ndarray:
    """Return the logits (rows, 3) of a transformer, NaN where it was not asked.

    It is fine-tuned on about `reviews` training rows, on the stars and a little on `soft`, the word
    of other teachers (rows, 3); it reads each once, and so does not know them by heart.
    """
    from starwise.pretrain import sentences

    path = work / "sentences.npy"
    scores = _kept(path, lambda: np.full((len(frame), len(CLASSES)), np.nan))
    todo = _worth_asking(frame, held, asked)
    todo = todo[np.isnan(scores[todo, 0])]
    if not len(todo) and (work / PIECES).is_file():
        return scores
    rng = np.random.default_rng(0)
    expected = np.zeros(len(frame))
    expected[~held] = draws(frame[~held].reset_index(drop=True), reviews, most=1)
    expected[~held & (frame["source"] == DECIDER).to_numpy()] = 1
    rows = rng.permutation(np.flatnonzero(rng.random(len(frame)) < expected))
    stars = np.eye(len(CLASSES))[class_numbers(frame["label"])[rows]]
    targets = OWN_WORD * stars + (1 - OWN_WORD) * soft[rows]
    texts = [_half_written(frame["text"][row], rng) for row in rows]
    encoder = sentences.SentenceEncoder.installed().to(device_of_choice())
    sentences.fine_tune(encoder, texts, targets, report, kept=work / "sentences.safetensors")
    if not (work / PIECES).is_file():
        made = fragments(frame[~held].reset_index(drop=True), pieces)
        made[list(CLASSES)] = softmax(sentences.answers(encoder, made["text"].tolist()))
        with whole_file(work / PIECES) as temporary:
            made.to_parquet(temporary)
    for start in range(0, len(todo), CHUNK):
        chosen = todo[start : start + CHUNK]
        scores[chosen] = sentences.answers(encoder, frame["text"].iloc[chosen].tolist())
        _keep(path, scores)
        report(f"sentence teacher: {start + len(chosen):,} of {len(todo):,} reviews read")
    return scores


def _worth_asking(frame: pd.DataFrame, held: np.ndarray, asked: int) -> np.ndarray:
    """Return rows to ask about: held-out ones to judge the answers by, then training ones."""
    others = frame[held & (frame["source"] != DECIDER)]
    judged = others[others.groupby(["domain", "label"]).cumcount() < JUDGED].index
    own = np.flatnonzero(held & (frame["source"] == DECIDER))
    expected = np.zeros(len(frame))
    expected[~held] = draws(frame[~held].reset_index(drop=True), 500_000, most=10)
    # By lot, in proportion to the draws (Efraimidis and Spirakis 2006).
    lot = np.random.default_rng(0).exponential(size=len(frame)) / np.maximum(expected, 1e-9)
    training = np.argsort(np.where(held, np.inf, lot))[: min(asked, int((~held).sum()))]
    return np.concatenate([own, judged, training])


def _half_written(text: str, rng: np.random.Generator) -> str:
    """Return the text, or in one case of seven its beginning."""
    cut, share = rng.random(2)
    return text[: int(len(text) * (0.3 + 0.7 * share))] if cut < 0.15 and len(text) > 60 else text
