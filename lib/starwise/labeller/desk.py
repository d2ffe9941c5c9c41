"""What a person labels and has labelled, without any widget.

    desk = Desk(reviews, outputs.labels)        # reviews: id, text, label; in the order to be read
    desk.open()
    desk.label(desk.current.id, "bad")          # on the disk when this returns
    desk.undo()
    desk.agreement                              # Agreement(labelled=0, share=nan, kappa=nan)

Several desks, in other windows or notebooks, may work on the same file at once: each act first
reads what the others have written, and no two show the same review while there is another left.
"""

import math
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import psutil
from sklearn.metrics import cohen_kappa_score

from starwise.classes import CLASSES
from starwise.label.journal import Act, Journal, text_key

# Minutes after which a review on the desk of a silent window is given to another.
PATIENCE = 10


@dataclass(frozen=True)
class Review:
    """A review on the desk; `stars_say` is the class that its stars mean."""

    id: str
    text: str
    stars_say: str
    company: str


@dataclass(frozen=True)
class Agreement:
    """How often people and stars say the same: share 0 to 1, kappa up to 1 (0: as by chance).

    Both are nan while nothing is labelled; kappa also while all labels are of one class.
    """

    labelled: int
    share: float
    kappa: float


class Desk:
    """One window's desk over a file of labels that many may share.

    `reviews` (id, text, label, perhaps company) are shown in their order: put the most uncertain
    ones first.
    """

    def __init__(self, reviews: pd.DataFrame, path: Path, window: str = "") -> None:
        companies = reviews["company"] if "company" in reviews else [""] * len(reviews)
        columns = (reviews["id"], reviews["text"], reviews["label"], companies)
        self._reviews = {row[0]: Review(*row) for row in zip(*columns, strict=True)}
        self._journal = Journal(path, window)
        self._skipped: list[str] = []
        self._undoable: list[str] = []  # reviews whose label an undo takes back, the latest last
        self.is_open = False
        self.current: Review | None = None
        self.notice = ""

    @property
    def labels(self) -> dict[str, str]:
        """What people said of the reviews on this desk."""
        standing = self._journal.standing
        return {key: act.label for key, act in standing.items() if self._counts(act)}

    @property
    def progress(self) -> tuple[int, int]:
        """How many of the reviews are labelled, and how many there are."""
        return len(self.labels), len(self._reviews)

    @property
    def can_undo(self) -> bool:
        return bool(self._undoable)

    @property
    def agreement(self) -> Agreement:
        """How the labels agree with the stars (Cohen, "A Coefficient of Agreement", 1960)."""
        labels = self.labels
        if not labels:
            return Agreement(0, math.nan, math.nan)
        stars = [self._reviews[key].stars_say for key in labels]
        people = list(labels.values())
        same = sum(one == other for one, other in zip(stars, people, strict=True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one class only: undefined, which nan says
            kappa = float(cohen_kappa_score(stars, people, labels=list(CLASSES)))
        return Agreement(len(labels), same / len(labels), kappa)

    def open(self) -> None:
        """Take the first review that nobody has labelled or has before them."""
        if self.is_open:
            return
        with self._journal.locked():
            # Labels from before this window may be taken back here: its kernel may have died.
            self._undoable = [key for key in self._given_in_order() if key in self._reviews]
            self._show_next()
            self._journal.append("open", "", next=self._current_id)
        self.is_open = True

    def label(self, id: str, label: str) -> None:
        """Say what review `id` is, and go on to the next one. On the disk when this returns.

        `id` is what the page showed: a click that comes late, when the desk has already gone on,
        changes nothing.
        """
        if label not in CLASSES:
            return
        with self._journal.locked():
            if not self._is_shown(id):
                return
            review = self._reviews[id]
            before = self.labels.get(id)
            self._show_next(after=id)
            if before == label:  # another window was faster and said the same
                self.notice = f"Another window has just called it {label} too."
                self._journal.append("open", "", next=self._current_id)
                return
            text = review.text
            self._journal.append("label", id, label, text=text, next=self._current_id)
            self._undoable.append(id)
        stars = (
            "the stars say the same"
            if label == review.stars_say
            else (f"the stars say {review.stars_say}")
        )
        other = f"; another window said {before}, the latest word stands" if before else ""
        self.notice = f"{label.capitalize()}: {stars}{other}."

    def skip(self, id: str) -> None:
        """Put review `id` at the end of those to be read."""
        with self._journal.locked():
            if self._is_shown(id):
                self._skipped = [*(each for each in self._skipped if each != id), id]
                self._show_next()
                self._journal.append("skip", id, next=self._current_id)
                self.notice = "Skipped; it comes again at the end."

    def undo(self) -> None:
        """Take the latest label of this window back, and show its review again."""
        with self._journal.locked():
            while self._undoable:
                id = self._undoable.pop()
                if id not in self.labels:
                    continue  # taken back in another window already
                self.current = self._reviews[id]
                self._journal.append("undo", id, next=id)
                self.notice = "Taken back. What is it?"
                return
        self.notice = "There is nothing to take back."

    def refresh(self) -> None:
        """Read what other windows have written."""
        self._journal.refresh()

    @property
    def _current_id(self) -> str:
        return self.current.id if self.current else ""

    def _is_shown(self, id: str) -> bool:
        return self.current is not None and self.current.id == id

    def _counts(self, act: Act) -> bool:
        review = self._reviews.get(act.id)
        return review is not None and (not act.key or act.key == text_key(review.text))

    def _given_in_order(self) -> list[str]:
        return [act.id for act in self._journal.acts if act.act == "label" and self._counts(act)]

    def _show_next(self, after: str = "") -> None:
        """Choose the next review: not labelled, not on another desk, the skipped ones last.

        `after` is about to be labelled, and no choice any more.
        """
        labels = self.labels
        open_ones = [id for id in self._reviews if id not in labels and id != after]
        fresh = [id for id in open_ones if id not in self._skipped]
        queue = fresh + [id for id in self._skipped if id in open_ones]
        elsewhere = self._on_other_desks()
        free = [id for id in queue if id not in elsewhere] or queue
        self.current = self._reviews[free[0]] if free else None

    def _on_other_desks(self) -> set[str]:
        """Return the reviews that other windows have shown within PATIENCE."""
        latest = {act.window: act for act in self._journal.acts}
        now = datetime.now(UTC)
        return {
            act.next
            for act in latest.values()
            if act.window != self._journal.window
            and _minutes_since(act.at, now) < PATIENCE
            and not _is_gone(act.window)
        }


def _is_gone(window: str) -> bool:
    """Tell whether the process that this window was in has ended, which its name begins with."""
    number = window.partition("-")[0]
    if not number.isdecimal():
        return False
    try:
        return psutil.Process(int(number)).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, OverflowError):
        return False


def _minutes_since(at: str, now: datetime) -> float:
    try:
        return (now - datetime.fromisoformat(at)).total_seconds() / 60
    except (ValueError, TypeError):  # a moment without its zone, written by hand
        return math.inf
