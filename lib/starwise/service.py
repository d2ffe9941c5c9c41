"""What may be done with a text: have it scored, or have it scored and stored.

scorer, why_not = load_scorer(Outputs.default())
service = Service(scorer, Store(address), why_not)
service.predict("Lovely people, slow post.")        # {"sentiment": 0.61, "stars": 4, ...}
row, new = service.save(id, "Brightleaf", "Lovely people, slow post.", 4)

The REST API speaks for it to the network, and a notebook opened alone calls it directly. It
needs neither torch nor a database to be imported.
"""

import unicodedata
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starwise.errors import StarwiseError
from starwise.paths import Outputs

if TYPE_CHECKING:
    from starwise.score import Scorer
    from starwise.store import Store, StoredReview

REVIEW_LIMIT = 10_000  # characters (code points)
BRAND_LIMIT = 200  # characters
SCORED_AT_ONCE = 2  # texts; each needs a core to be quick
BRIEF = 500  # characters that are read in less time than two changes of thread may take


class InputError(StarwiseError):
    """What was given cannot be scored or stored; the message says what to change."""


class NoModelError(StarwiseError):
    """There is no model that could score."""


class Service:
    """A scorer (or none), a store, and the rules for what visitors send."""

    def __init__(self, scorer: "Scorer | None", store: "Store", why_no_model: str = "") -> None:
        self.scorer, self.store = scorer, store
        self.why_no_model = why_no_model or "No model is loaded, so texts cannot be scored now."
        # Threads of their own, since torch keeps memory for each thread that ever used it.
        self._scoring = ThreadPoolExecutor(SCORED_AT_ONCE, "scorer")
        # To explain takes ten times as long: one at a time leaves a core to who types. (At a lower
        # priority it would be stopped while it holds the interpreter, and everybody with it.)
        self._explaining = ThreadPoolExecutor(1, "explainer")
        self.why_not_promoted = ""  # why a promoted model does not serve, where there is such a one

    def predict(self, review: str) -> dict[str, Any]:
        """Return sentiment, stars, label, probabilities and model of one text.

        Raises `InputError` for a text that is empty or too long, `NoModelError` without a model.
        """
        return self.predicting(review).result()

    def predicting(self, review: str) -> "Future[dict[str, Any]]":
        """Begin to predict; what the future holds, and what is raised, is as of `predict`."""
        return self._scoring.submit(_score, self._ready_for(review), review)

    def predict_if_brief(self, review: str) -> dict[str, Any] | None:
        """Return what `predict` does, computed in this thread, or None for what takes longer."""
        scorer = self._ready_for(review)
        quick = len(review) <= BRIEF and getattr(scorer, "quick", False)
        return _score(scorer, review) if quick else None

    def explain(self, review: str) -> list[dict[str, Any]]:
        """Return start, end and effect of each word that moved the score, in the text's order.

        Raises `InputError` for a text that is empty or too long, `NoModelError` without a model.
        """
        return self.explaining(review).result()

    def explaining(self, review: str) -> "Future[list[dict[str, Any]]]":
        """Begin to explain; what the future holds, and what is raised, is as of `explain`."""
        return self._explaining.submit(_explain, self._ready_for(review), review)

    def _ready_for(self, review: str) -> "Scorer":
        check_review(review)
        scorer = self.scorer  # it may be exchanged meanwhile
        if scorer is None:
            raise NoModelError(self.why_no_model)
        return scorer

    def save(
        self, id: uuid.UUID, brand: str, review: str, rating: int
    ) -> "tuple[StoredReview, bool]":
        """Score a review and store it; return its row and whether it is new.

        Without a model it is stored unscored: a review is worth more than its score. Raises
        `InputError` and the errors of `Store.save`.
        """
        check_review(review)
        check_brand(brand)
        try:
            score = self.predict(review)
        except NoModelError:
            score = {}
        return self.store.save(
            id=id,
            brand=brand,
            review=review,
            rating=rating,
            suggested_rating=score.get("stars"),
            sentiment=score.get("sentiment"),
            probabilities=score.get("probabilities"),
            model=score.get("model"),
        )


def _score(scorer: "Scorer", review: str) -> dict[str, Any]:
    score = scorer.score(review)
    if score is None:
        raise InputError("The review is empty: there is nothing to score.")
    return asdict(score)


def _explain(scorer: "Scorer", review: str) -> list[dict[str, Any]]:
    from starwise.explain import explain

    return [asdict(effect) for effect in explain(scorer, review)]


def load_scorer(outputs: Outputs) -> "tuple[Scorer | None, str]":
    """Return the serving model of a run, or None and a sentence that says why there is none."""
    from starwise.model import ModelError
    from starwise.score import Scorer, serving_folder

    try:
        scorer = Scorer.load(serving_folder(outputs))
    except ModelError as error:
        return None, f"Texts cannot be scored now: {error}".rstrip(".") + "."
    scorer.score("The first text takes longest, so let it be this one.")
    return scorer, ""


def check_review(review: str) -> None:
    """Raise `InputError` unless the text can be scored and stored."""
    if is_blank(review):
        raise InputError("The review is empty: there is nothing to score.")
    if len(review) > REVIEW_LIMIT:
        raise InputError(
            f"The review has {len(review):,} characters and {REVIEW_LIMIT:,} are allowed: "
            "shorten it."
        )


def check_brand(brand: str) -> None:
    """Raise `InputError` unless this can be the name of a brand."""
    if is_blank(brand):
        raise InputError("The brand is empty: say what the review is about.")
    if len(brand) > BRAND_LIMIT:
        raise InputError(f"The brand's name is longer than {BRAND_LIMIT} characters: shorten it.")


def is_blank(text: str) -> bool:
    """Say whether a text shows nothing: only spaces, line ends and invisible characters."""
    return all(unicodedata.category(character) in _INVISIBLE for character in text)


_INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}  # controls, formats (joiners, BOM), separators
