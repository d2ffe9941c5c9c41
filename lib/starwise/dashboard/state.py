"""What one visitor sees and does, without any widget: brand, text, score, stars, saving.

visit = Visit(client, brands, changed=redraw)
visit.write("Lovely people")      # scored in the background; `changed` is called on every news
visit.choose(5)                   # from now on the stars no longer follow the text
await visit.submit()              # visit.phase is "saved" only after the commit

Everything happens in one event loop; only the client's blocking calls run in threads.
"""

import asyncio
import inspect
import logging
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starwise.dashboard.brands import Brand
from starwise.dashboard.client import Client, Mark, Reading
from starwise.errors import StarwiseError
from starwise.service import REVIEW_LIMIT, is_blank

log = logging.getLogger(__name__)

# Texts to try with one click: what the button says, and what it writes.
EXAMPLES = (
    (
        "Delighted",
        "Ordered on Monday, here on Wednesday, wrapped like a present. The lady on the phone even "
        "remembered my name. I will be back!",
    ),
    (
        "In two minds",
        "The quality is fine and the price is fair, but it took three weeks and nobody "
        "could tell me why.",
    ),
    (
        "Let down",
        "Arrived broken, and after four emails I am still waiting for my refund. Never again.",
    ),
)

Notice = Literal["", "saved", "failed", "info"]

PAUSE = 0.3  # seconds without a letter until we ask which words moved the score
AGAIN = 1.0  # seconds until we ask again for a score that failed; twice as many each further time
SELDOM = 30.0  # seconds between two such attempts at most
FAINT = 0.01  # a word that moved the sentiment by less is not worth showing
MARKS = 6  # words shown at most
RECENT = 5  # reviews of this visit shown at most


@dataclass(frozen=True)
class Sent:
    """A review that this visitor has saved, as the list of recent ones shows it."""

    brand: str
    text: str
    stars: int


class Visit:
    """One visitor's review, from the first letter to the commit, and then the next one."""

    def __init__(
        self,
        client: Client,
        brands: Sequence[Brand],
        changed: Callable[[], None] = lambda: None,
        chance: random.Random | None = None,
    ) -> None:
        self._client, self._brands, self._changed = client, list(brands), changed
        self._chance = chance or random.Random()
        self._scoring: asyncio.Task[None] | None = None
        self._scored = ""  # the text that `reading` belongs to
        self._explaining: asyncio.Task[None] | None = None
        self._trying_again: asyncio.Task[None] | None = None
        self._failed = ""  # the text that no score could be had for
        self._refused = False  # whether asking again would be in vain
        self.scores = 0  # how many there have been
        self.recent: list[Sent] = []  # newest first; of this visit only
        self.brand = self._chance.choice(self._brands)
        self._begin()

    def _begin(self) -> None:
        self.id = uuid.uuid4()  # of this review: retries repeat it, so nothing is stored twice
        self.text = ""
        self.chosen: int | None = None  # stars, once the visitor takes over
        self.reading: Reading | None = None
        self.unread = ""  # why there is no score, when it is not for want of text
        self.marks: list[Mark] = []  # the words that moved the score, in the order of the text
        self.marked = ""  # the text that they belong to
        self.phase: Literal["writing", "saving", "saved"] = "writing"
        self.notice: Notice = ""
        self.message = ""

    @property
    def suggested(self) -> int | None:
        """Stars, 1 to 5, that the score proposes."""
        return self.reading.stars if self.reading else None

    @property
    def rating(self) -> int | None:
        """Stars, 1 to 5, that would be stored now."""
        return self.chosen or self.suggested

    @property
    def too_long(self) -> bool:
        return len(self.text) > REVIEW_LIMIT

    @property
    def can_submit(self) -> bool:
        return self.phase == "writing" and self._complete

    @property
    def _complete(self) -> bool:
        return not is_blank(self.text) and not self.too_long and self.rating is not None

    def write(self, text: str) -> None:
        """Take the text as it stands now, and have it scored."""
        if self.phase == "saved" or text == self.text:
            return
        self.text, self._failed = text, ""
        if self.phase == "writing":
            self.notice, self.message = "", ""
        if not self._readable:
            self.reading, self.unread, self.marks = None, "", []
        elif self._scoring is None:
            self._scoring = asyncio.ensure_future(self._score())
        self._changed()

    def choose(self, stars: int) -> None:
        """Let the visitor's stars stand, whatever the text says."""
        if self.phase == "writing" and type(stars) is int and 1 <= stars <= 5:
            self.chosen = stars
            self._changed()

    def follow(self) -> None:
        """Let the stars follow the text again."""
        if self.phase == "writing":
            self.chosen = None
            self._changed()

    def restore(self, draft: Mapping[str, Any]) -> None:
        """Go on with what a page kept of an unsaved review; whatever is not as expected is left.

        The review keeps its id: if it was saved and only the answer got lost, it is saved once.
        """
        if self.text or self.phase != "writing" or not isinstance(draft.get("text"), str):
            return
        try:
            self.id = uuid.UUID(draft.get("id"))
        except (TypeError, ValueError, AttributeError):
            return
        for brand in self._brands:
            if brand.name == draft.get("brand"):
                self.brand = brand
        stars = draft.get("chosen")
        self.chosen = stars if type(stars) is int and 1 <= stars <= 5 else None
        self.write(draft["text"])
        self._changed()

    async def submit(self) -> None:
        """Store the review; the phase becomes "saved" after the commit, else "writing" again."""
        if not (self.phase == "writing" and not is_blank(self.text)):
            return
        self.phase, self.notice, self.message = "saving", "info", "Saving…"
        self._changed()
        await self.settled()  # the stars stored belong to the text stored
        if not self._complete:
            self.phase, self.notice = "writing", "failed"
            self.message = "Not saved: choose your stars first." if not self.too_long else ""
            return self._changed()
        sent = {"brand": self.brand.name, "review": self.text, "rating": self.rating}
        try:
            row = await self._ask(self._client.save, self.id, *sent.values())
        except StarwiseError as error:
            self.phase, self.notice = "writing", "failed"
            self.message = f"Not saved. {error} Your text and your stars are still here."
        else:
            self._saved(row, sent)
        self._changed()

    def _saved(self, row: dict[str, Any], sent: dict[str, Any]) -> None:
        self.phase, self.notice = "saved", "saved"
        # An attempt whose answer was lost may have been stored before the visitor went on writing.
        self.text, self.chosen = row["review"], row["rating"]
        sent_now = Sent(row["brand"], row["review"], row["rating"])
        self.recent = [sent_now, *self.recent][:RECENT]
        same = all(row[name] == value for name, value in sent.items())
        self.message = (
            f"Saved. Thank you for reviewing {self.brand.name}."
            if same
            else "Saved as you sent it the first time; later changes are not part of it."
        )

    def another_brand(self) -> None:
        """Go on with another brand. A text that was not saved stays on the page."""
        if self.phase == "saving":
            return
        others = [brand for brand in self._brands if brand != self.brand]
        kept = (self.text, self.chosen) if self.phase == "writing" else ("", None)
        marks, marked = self.marks, self.marked
        self.brand = self._chance.choice(others or self._brands)
        reading, unread = self.reading, self.unread
        self._begin()
        self.text, self.chosen = kept
        if not is_blank(self.text):
            self.reading, self.unread = reading, unread
            self.marks, self.marked = marks, marked
            self.notice = "info"
            self.message = f"Your text is still here, now about {self.brand.name}."
        self._changed()

    async def settled(self) -> None:
        """Wait until the score belongs to the text, or could not be had."""
        # Not for further attempts at a text that was refused a score: nobody knows when they end.
        while self._scoring is not None and self._failed != self.text:
            await asyncio.shield(self._scoring)

    @property
    def _readable(self) -> bool:
        return not is_blank(self.text) and not self.too_long

    async def _score(self) -> None:
        # One prediction at a time; what was typed meanwhile is scored next, and only its last
        # state, so a slow service is never followed by a queue of old texts.
        self._scored, self._refused = "", False
        predict = getattr(self._client, "predicting", self._client.predict)
        try:
            while self._readable and self._scored != self.text:
                text, reading, problem = self.text, None, ""
                try:
                    reading = await self._ask(predict, text)
                except StarwiseError as error:
                    problem, self._refused = str(error), getattr(error, "lasting", False)
                self._scored = text
                self._failed = text if problem else ""
                if self._readable:
                    self.reading, self.unread = reading, problem
                    self.scores += 1
                    self._changed()
        finally:
            self._scoring = None
        if self.unread and not self._refused and self._trying_again is None:
            self._trying_again = asyncio.ensure_future(self._try_again())
        if self._explaining is None and self.reading:
            self._explaining = asyncio.ensure_future(self._explain())

    async def _try_again(self) -> None:
        # A service that comes back shall not meet all its visitors at the same moment: each waits
        # for a time of its own, and longer and longer.
        pause = AGAIN
        try:
            while self.unread and not self._refused and self.phase != "saved":
                await asyncio.sleep(pause * (0.5 + self._chance.random()))
                pause = min(2 * pause, SELDOM)
                if self.unread and self.phase == "writing":
                    if self._scoring is None:
                        self._scoring = asyncio.ensure_future(self._score())
                    await asyncio.shield(self._scoring)
        finally:
            self._trying_again = None

    async def _explain(self) -> None:
        # To explain costs many times as much as to score, so it waits until the typing pauses.
        explain = getattr(self._client, "explain", None)  # a client need not be able to
        try:
            while explain and self._readable and self.marked != self.text:
                text = self.text
                await asyncio.sleep(PAUSE)
                if text != self.text:
                    continue
                try:
                    marks = await self._ask(explain, text)
                except StarwiseError:
                    marks = []  # the score itself is there, and says enough
                if text == self.text and self._readable:
                    self.marks, self.marked = worth_showing(marks), text
                    self._changed()
        finally:
            self._explaining = None

    @staticmethod
    async def _ask(function: Callable[..., Any], *arguments: Any) -> Any:
        """Ask the client, in a thread if it blocks; whatever goes wrong becomes a sentence."""
        try:
            if inspect.iscoroutinefunction(function):
                return await function(*arguments)
            return await asyncio.to_thread(function, *arguments)
        except StarwiseError:
            raise
        except Exception as error:
            log.exception("the client failed")
            raise StarwiseError("Something went wrong here, and it is not your doing.") from error


def worth_showing(marks: Sequence[Mark]) -> list[Mark]:
    """Return the strongest marks, each word once, in the order of the text."""
    strongest = sorted(marks, key=lambda mark: -abs(mark.effect))
    chosen: dict[str, Mark] = {}
    for mark in strongest:
        tells = any(map(str.isalnum, mark.word)) or not mark.word.isascii()  # no comma, an emoji
        if tells and abs(mark.effect) >= FAINT and len(chosen) < MARKS:
            chosen.setdefault(mark.word.lower(), mark)
    return [mark for mark in marks if mark in chosen.values()]
