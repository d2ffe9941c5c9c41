"""Several crawlers, on one machine or many, that share one queue in Redis (through scrapy-redis).

Each machine takes its part, into a journal of its own:

    starwise collect --url http://reviews.example --companies companies.csv \\
        --redis redis://host:6379/0 --output here/reviews.csv

and one joins the journals into the table:

    starwise collect --url http://reviews.example --companies companies.csv \\
        --join a/reviews.csv.part b/reviews.csv.part --output reviews.csv

Each page is asked for by one crawler. One whose budget is spent leaves the queue to the others.
What a crawler took with it when it died is missed when the journals are joined, and read then. Each
keeps the site's pauses for itself: of somebody else's site, several ask several times as often.
This needs the extra `cluster` (pip install "lib[cluster]").
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from starwise.collect.budget import USUAL, Budget
from starwise.collect.errors import CollectError
from starwise.collect.guest import Guest
from starwise.collect.journal import Journal, head_of, key_of
from starwise.collect.orders import Orders
from starwise.collect.progress import Progress, say
from starwise.collect.reviews import (
    Collected,
    collect_reviews,
    orders_for,
    part_of,
    show,
    spider,
)
from starwise.collect.tally import Tally


def take_part(
    guest: Guest,
    companies: pd.DataFrame,
    path: Path,
    redis: str,
    tell=say,
    **budgets: float,
) -> Tally:
    """Crawl along with others that were given the same companies and the same `redis` address.

    Returns when the queue is empty and nobody is at work. What this crawler read is in
    `<path>.part`; `join` makes the table of it.
    """
    orders = replace(_orders(guest, companies, path, **budgets), queue=redis)
    progress, tally = Progress("reviews", tell), Tally()
    with spider(orders) as tallies:
        for tally in tallies:
            show(progress, tally)
    show(progress, tally, last=True)
    return tally


def join(
    guest: Guest,
    companies: pd.DataFrame,
    parts: Sequence[Path],
    path: Path,
    tell=say,
    **options: Any,
) -> Collected:
    """Write the reviews of several crawlers' journals to `path`; read first what they lack.

    Options are those of `collect_reviews`. Raises CollectError for a journal of another crawl.
    """
    of = _orders(guest, companies, path).of
    for part in parts:
        if head_of(part).get("of") != key_of(of):
            raise CollectError(f"{part} is no journal of a crawl of these companies.")
    with Journal(part_of(path), of) as journal:
        for part in parts:
            if Path(part).resolve() != journal.path.resolve():
                journal.copy(part)
    return collect_reviews(guest, companies, path, tell=tell, **options)


def _orders(guest: Guest, companies: pd.DataFrame, path: Path, **budgets: float) -> Orders:
    urls = companies["company_url"].drop_duplicates().tolist()
    return orders_for(guest, urls, part_of(path), budget=Budget(**budgets))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `starwise collect` takes."""
    parser.add_argument("--site", default="practice", help="practice or trustpilot")
    parser.add_argument("--url", default="", help="where the site lies")
    parser.add_argument("--companies", required=True, help="the companies.csv of notebook 01")
    parser.add_argument("--output", required=True, help="reviews.csv to write")
    parser.add_argument("--redis", default="", help="address of the queue, redis://host:6379/0")
    parser.add_argument("--join", nargs="+", default=[], metavar="PART", help="journals to join")
    parser.add_argument("--contact", default="", help="your e-mail or web address")
    parser.add_argument("--yes-really", action="store_true", help="visit a real site")
    parser.add_argument("--min-coverage", type=float, default=0.95, help="share that must come")
    parser.add_argument("--language", default="", help='keep one language only, as in "en"')
    parser.add_argument("--cache", default=None, help="folder that keeps pages for a day")
    for name, what in (("pages", int), ("megabytes", float), ("minutes", float)):
        most = getattr(USUAL, f"max_{name}")
        words = f"budget of {name} of this crawler ({most:,})"
        parser.add_argument(f"--max-{name}", type=what, default=most, help=words)


def main(args: argparse.Namespace) -> int:
    """Take part in a shared crawl, or join the parts of one."""
    guest = Guest(args.site, args.url, args.contact, args.yes_really, args.cache)
    print(guest.plan(), flush=True)
    companies, path = pd.read_csv(args.companies), Path(args.output)
    budget = {name: getattr(args, name) for name in ("max_pages", "max_megabytes", "max_minutes")}
    if args.redis and not args.join:
        tally = take_part(guest, companies, path, args.redis, **budget)
        if tally.ended:
            print(tally.ended)
        print(f"{tally.pages - tally.kept_pages:,} pages in {part_of(path)}; join it with others'.")
        return 0
    wanted = {"min_coverage": args.min_coverage, "language": args.language}
    collected = join(guest, companies, args.join, path, **wanted, **budget)
    print(f"{collected.reviews:,} reviews in {path}, {collected.coverage:.1%} of those announced.")
    return 0
