"""What one crawl is to do: written by the notebook's kernel, read by the spider's process."""

import json
from dataclasses import asdict, dataclass

from starwise.collect.budget import Budget, Spent


@dataclass(frozen=True)
class Orders:
    """Orders of one crawl, sent to the spider as one line of JSON."""

    site: str
    url: str  # where the site lies
    host: str
    companies: list[str]  # addresses of the companies' first pages
    journal: str  # file that takes a line for each page, as they come
    of: dict  # what the journal is of
    user_agent: str
    robots: str  # text of the site's robots.txt
    local: bool
    pause: float  # seconds between two pages, at least
    concurrency: int
    budget: Budget
    spent: Spent  # of the budget, before this crawl
    cache: str = ""  # folder of pages that were read already
    queue: str = ""  # address of a Redis that holds the queue of several crawlers

    def to_line(self) -> str:
        """Return the orders as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, line: str) -> "Orders":
        """Return the orders that `to_line` wrote."""
        told = json.loads(line)
        told |= {"budget": Budget(**told["budget"]), "spent": Spent(**told["spent"])}
        return cls(**told)
