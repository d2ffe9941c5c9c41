"""A teacher: what a stronger model makes of each training review, as targets for the network.

targets, pieces = lessons(frame, held, "sentences", work=folder)   # (rows, 3), a table

A star is a noisy thing: the same words come with three stars and with four. A network that has only
the stars to go by learns the noise by heart (Hinton et al. 2015, "Distilling the Knowledge in a
Neural Network": soft targets tell how average a review is). And a teacher can be asked about texts
that nobody has given stars: beginnings, single sentences, mixtures of reviews.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier

from starwise.classes import CLASSES, class_numbers
from starwise.paths import whole_file
from starwise.pretrain.reviews import DECIDER, draws, folds, pieces, some_sentences
from starwise.train import device_of_choice

TEACHERS = ("sentences", "words", "none")
FOLDS = 3  # a row is answered for by a teacher who has not seen its company
CHUNK = 4_000  # texts between two times that answers are kept
TRUST = 0.7  # share of the word teacher's word in a target, beside the stars


@dataclass(frozen=True)
class Effort:
    """How much is asked of the sentence teacher."""

    reviews: int  # that it would be fine-tuned on in an epoch if there were enough average ones
    epochs: int
    pieces: int  # of reviews, that it reads besides
    frozen: int  # layers of twelve that fine-tuning leaves alone
    batch: int
    rate: float  # the highest of the body's learning rates


# Nine minutes of a large GPU; some hours on two cores.
EFFORTS = {
    "large": Effort(reviews=200_000, epochs=3, pieces=1_150_000, frozen=0, batch=192, rate=7e-5),
    "small": Effort(reviews=25_000, epochs=1, pieces=250_000, frozen=6, batch=32, rate=5e-5),
}


def lessons(
    frame: pd.DataFrame,
    held: np.ndarray,
    teacher: str,
    work: Path,
    report: Callable[[str], None] = print,
    effort: Effort = EFFORTS["small"],
) -> tuple[np.ndarray, pd.DataFrame | None]:
    """Return what the network is to answer, (rows, 3), and a table of further rows, or None.

    They are P(bad), P(average), P(good) if the classes were equally frequent in the domain. The
    table has columns like frame's, and bad, average and good.

    held: rows that no teacher is trained on, (rows,), bool; their targets are their stars. teacher:
    of TEACHERS; "none" leaves the stars. effort: of the teacher that reads sentences. What is done
    lies in the folder `work` for a run that goes on from it.
    """
    labels = class_numbers(frame["label"])
    stars = np.eye(len(CLASSES))[labels]
    if teacher == "none":
        return stars, None
    if teacher == "words":
        path = work / "words.npy"
        if not path.is_file():
            _keep(path, word_scores(frame, held, report))
        scores = np.load(path)
        judge = Judge.fit(scores[held], frame[held])
        return TRUST * judge(scores, frame) + (1 - TRUST) * stars, None
    fold = np.where(held, -1, folds(frame, FOLDS))
    training = np.flatnonzero(~held)
    table = pieces(frame[~held].reset_index(drop=True), effort.pieces, fold[training])
    row = training[table.index]  # that a piece is of
    table = table.reset_index(drop=True)
    targets, judged = np.zeros((len(frame), len(CLASSES))), np.zeros((len(table), len(CLASSES)))
    for number in range(FOLDS):
        own, read = np.flatnonzero(fold == number), np.flatnonzero(fold[row] == number)
        asked = pd.concat([frame["text"].iloc[own], table["text"].iloc[read]])
        said = sentence_scores(frame, fold, number, asked, effort, work, report)
        of_own, of_read = said[: len(own)], said[len(own) :]
        targets[own] = Judge.fit(of_own, frame.iloc[own])(of_own, frame.iloc[own])
        right = (targets[own].argmax(1) == labels[own]).mean()
        report(f"sentence teacher {number + 1}: right about {right:.3f} of the rows it never saw")
        # Its length says something else of a sentence than of a whole review.
        whole = Judge.fit(of_own, frame.iloc[own], by_length=False)
        judged[read] = whole(of_read, table.iloc[read])
        # What follows a beginning may turn it round: the stars that it came to say how often.
        begins = (table["kind"].iloc[read] == "beginning").to_numpy()
        begun, scores = table.iloc[read[begins]], of_read[begins]
        if begun["label"].nunique() == len(CLASSES):
            judged[read[begins]] = Judge.fit(scores, begun)(scores, begun)
    targets[held] = stars[held]
    return targets, table.assign(**dict(zip(CLASSES, judged.T, strict=True)))


class Judge:
    """What scores are worth as probabilities, learned from rows that the scorer has not seen.

    The same words come with other stars on other sites, and a long text leaves less in doubt: so
    the judge also knows what the network does not see, a row's source, domain and length. Classes
    count the same in each domain.
    """

    def __init__(self, linear: LogisticRegression, sources: list, domains: list, by_length: bool):
        self.linear, self.sources, self.domains = linear, sources, domains
        self.by_length = by_length

    @classmethod
    def fit(cls, scores: np.ndarray, frame: pd.DataFrame, by_length: bool = True) -> "Judge":
        """Learn from scores (rows, 3) and the rows' labels."""
        domain = _domain(frame)
        labels = class_numbers(frame["label"])
        known = frame.assign(domain=domain, number=labels)
        count = known.groupby(["domain", "number"])["number"].transform("size")
        weight = known.groupby("domain")["number"].transform("size") / count / len(CLASSES)
        # Of what visitors write there is little: it counts twice.
        weight = weight.to_numpy() * np.where(domain == DECIDER, 2.0, 1.0)
        judge = cls(
            LogisticRegression(C=0.3, max_iter=3_000),
            sorted(set(frame["source"])),
            sorted(set(domain)),
            by_length,
        )
        judge.linear.fit(judge._known(scores, frame), labels, sample_weight=weight)
        return judge

    def __call__(self, scores: np.ndarray, frame: pd.DataFrame) -> np.ndarray:
        """Return P(bad), P(average), P(good), (rows, 3); 0 for a class that it never met."""
        found = np.zeros((len(frame), len(CLASSES)))
        found[:, self.linear.classes_] = self.linear.predict_proba(self._known(scores, frame))
        return found

    def _known(self, scores: np.ndarray, frame: pd.DataFrame) -> np.ndarray:
        domain = _domain(frame)[:, None] == np.array(self.domains)
        source = frame["source"].to_numpy()[:, None] == np.array(self.sources)
        by_domain = (domain[:, :, None] * scores[:, None]).reshape(len(frame), -1)
        known = [scores, by_domain, domain, source]
        if self.by_length:
            length = np.log(frame["text"].str.len().clip(5, 2_000) / 150).to_numpy()[:, None]
            known += [length, length * scores]
        return np.concatenate(known, axis=1, dtype=float)


def _domain(frame: pd.DataFrame) -> np.ndarray:
    """Return a row's domain, the decider being one of its own."""
    return np.where(frame["source"] == DECIDER, DECIDER, frame["domain"]).astype(object)


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
    fold: np.ndarray,
    number: int,
    asked: pd.Series,
    effort: Effort,
    work: Path,
    report: Callable[[str], None] = print,
) -> np.ndarray:
    """Return the logits (asked, 3) of a transformer fine-tuned on the folds but `number`.

    fold: (rows,), -1 where held out.
    """
    from starwise.pretrain import sentences

    name = f"sentences-{number}"
    path, kept = work / f"{name}.npy", work / f"{name}.safetensors"
    scores = np.full((len(asked), len(CLASSES)), np.nan, dtype=np.float32)
    if path.is_file():
        scores = np.load(path)
    todo = np.flatnonzero(np.isnan(scores[:, 0]))
    if not len(todo):
        return scores
    rng = np.random.default_rng([0, number])
    expected = np.zeros(len(frame))
    expected[fold >= 0] = draws(frame[fold >= 0].reset_index(drop=True), effort.reviews, most=1)
    rows = np.flatnonzero((rng.random(len(frame)) < expected) & (fold != number))
    rows = np.concatenate([rng.permutation(rows) for _ in range(effort.epochs)])
    texts = [_as_asked(frame["text"].iloc[row], frame["title"].iloc[row], rng) for row in rows]
    encoder = sentences.SentenceEncoder.installed().to(device_of_choice())
    sentences.fine_tune(
        encoder,
        texts,
        class_numbers(frame["label"])[rows],
        lambda line: report(f"{number + 1} of {FOLDS}: {line}"),
        seed=number,
        kept=kept,
        frozen=effort.frozen,
        batch=effort.batch,
        rate=effort.rate,
    )
    for start in range(0, len(todo), CHUNK):
        chosen = todo[start : start + CHUNK]
        scores[chosen] = sentences.answers(encoder, asked.iloc[chosen].tolist())
        _keep(path, scores)
        done = start + len(chosen)
        report(f"{number + 1} of {FOLDS}: sentence teacher: {done:,} of {len(todo):,} texts read")
    kept.unlink(missing_ok=True)
    return scores


def _as_asked(text: str, title: str, rng: np.random.Generator) -> str:
    """Return the text; in one case of four its beginning, in one of eight a part or headline."""
    kind, share, choice = rng.random(3)
    if kind < 0.25 and len(text) > 20:
        return text[: max(3, int(len(text) * (0.03 + 0.97 * share)))]
    if kind < 0.38:
        if title and choice < 0.3:
            return title
        return some_sentences(text, 1 if choice < 0.7 else 20, rng)
    return text
