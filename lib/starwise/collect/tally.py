"""What a crawl counts while it goes on."""

from dataclasses import dataclass, field

EXAMPLES = 20


@dataclass
class Tally:
    """Numbers of one crawl; sentences for the first few things that went wrong."""

    companies: int = 0  # whose first page was read
    pages: int = 0
    kept_pages: int = 0  # of these, pages that a former run had read
    announced: int = 0  # reviews that these companies' pages announce
    reviews: int = 0  # with text and stars
    without_text: int = 0
    without_stars: int = 0
    given_up: int = 0  # pages
    stopped: int = 0  # companies left before their last page
    ended: str = ""  # why the crawl ended early, "" when it did not
    notes: list[str] = field(default_factory=list)
    done: bool = False

    @property
    def cards(self) -> int:
        """Reviews seen, kept or not."""
        return self.reviews + self.without_text + self.without_stars

    def count(self, text: str, stars: int | None) -> None:
        """Count a review that was not seen before."""
        if not text.strip():
            self.without_text += 1
        elif stars is None:
            self.without_stars += 1
        else:
            self.reviews += 1

    def give_up(self, why: str, pages: int = 1) -> None:
        """Count pages that could not be read."""
        self.given_up += pages
        self._note(why)

    def stop(self, why: str) -> None:
        """Count a company that was left early."""
        self.stopped += 1
        self._note(why)

    def _note(self, sentence: str) -> None:
        if len(self.notes) < EXAMPLES:
            self.notes.append(sentence.rstrip(".") + ".")
