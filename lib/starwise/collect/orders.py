"""What one crawl is to do: written by the notebook's kernel, read by the spider's process."""

from dataclasses import dataclass


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
    max_pages: int  # budgets of this crawl: pages asked for, ...
    max_megabytes: float
    max_minutes: float
    cache: str = ""  # folder of pages that were read already
    queue: str = ""  # address of a Redis that holds the queue of several crawlers
