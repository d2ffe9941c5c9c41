"""What one run may ask of a site, and what it has spent: pages, megabytes, minutes.

budget = Budget(max_pages=100)
budget.why_spent(Spent(pages=100))      # "the budget of 100 pages (max_pages) is spent"

The browser and the spider share one budget: what the first has spent, the second no longer has.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spent:
    """What was asked for (pages, retries included), what came (megabytes), and how long it took."""

    pages: int = 0
    megabytes: float = 0.0
    minutes: float = 0.0


@dataclass(frozen=True)
class Budget:
    """The most that one run may spend."""

    max_pages: int = 100_000
    max_megabytes: float = 10_000
    max_minutes: float = 120

    def why_spent(self, spent: Spent) -> str:
        """Return which of the three is spent, in words; "" while none is."""
        if spent.pages >= self.max_pages:
            return f"the budget of {self.max_pages:,} pages (max_pages) is spent"
        if spent.megabytes >= self.max_megabytes:
            return f"the budget of {self.max_megabytes:g} MB (max_megabytes) is spent"
        if spent.minutes >= self.max_minutes:
            return f"the budget of {self.max_minutes:g} minutes (max_minutes) is spent"
        return ""


USUAL, NOTHING = Budget(), Spent()
