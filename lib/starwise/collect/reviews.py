"""Reading the reviews of many companies: a Scrapy spider in a process of its own.

collected = collect_reviews(guest, found.companies, outputs.reviews)
collected.reviews, collected.coverage
collected.companies         # a row for each company: announced, found, kept, given_up, why, ...
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from starwise.collect.budget import NOTHING, USUAL, Budget, Spent
from starwise.collect.coverage import write_coverage
from starwise.collect.errors import CollectError
from starwise.collect.gather import COLUMNS, CompanyCoverage, Languages, gather
from starwise.collect.guest import Guest
from starwise.collect.orders import Orders
from starwise.collect.progress import Progress, say
from starwise.collect.tally import Tally
from starwise.paths import whole_file

__all__ = ["COLUMNS", "Collected", "collect_reviews", "read_reviews"]


@dataclass(frozen=True)
class Collected:
    """How a crawl went; `companies` holds a row for each company, `tally` counts of the crawl."""

    reviews: int  # rows written
    coverage: float  # share of the announced reviews that were seen, 0 to 1
    seconds: float
    tally: Tally
    companies: pd.DataFrame


def collect_reviews(
    guest: Guest,
    companies: pd.DataFrame,
    path: Path,
    concurrency: int = 32,
    min_coverage: float = 0.95,
    max_pages: int = USUAL.max_pages,
    max_minutes: float = USUAL.max_minutes,
    tell: Callable[[str], None] = say,
    max_megabytes: float = USUAL.max_megabytes,
    language: str = "",
    spent: Spent = NOTHING,
) -> Collected:
    """Read all reviews of `companies` (column company_url) into the CSV file `path`.

    Pages are kept in `<path>.part` as they come. When a run is cut off, by whatever, the next one
    with the same site and companies goes on from there; `path` itself is written whole at the end,
    in the order of the companies and their pages. `language` ("en") keeps the reviews in that
    language and those too short to tell, "" keeps all. What came of each company is also written
    to coverage.json beside `path`. `max_pages`, `max_megabytes` and `max_minutes` are a budget;
    `spent` is what the browser has taken of it. After a budget is spent the next run goes on from
    there too.

    Raises CollectError, and leaves `path` as it was, when the share of the announced reviews that
    were seen is below `min_coverage` (0 to 1); what was read stays for the next run.
    """
    path = Path(path)
    part = part_of(path)
    urls = companies["company_url"].drop_duplicates().tolist()
    orders = orders_for(
        guest,
        urls,
        part,
        concurrency=concurrency,
        budget=Budget(max_pages, max_megabytes, max_minutes),
        spent=spent,
    )
    progress = Progress("reviews", tell)
    languages = Languages(part)
    with spider(orders) as tallies:
        for tally in tallies:
            show(progress, tally)
            # The spider has its own core: what waits for it may read languages meanwhile.
            languages.catch_up()
    show(progress, tally, last=True)
    for note in [tally.ended] * bool(tally.ended) + tally.notes:
        tell(f"  {note}")
    return finish(
        guest, urls, path, part, tally, progress.seconds, min_coverage, language, languages
    )


def part_of(path: Path | str) -> Path:
    """Return where the journal lies while `path` is not whole."""
    return Path(path).with_name(Path(path).name + ".part")


def orders_for(
    guest: Guest,
    urls: list[str],
    part: Path,
    concurrency: int = 32,
    budget: Budget = USUAL,
    spent: Spent = NOTHING,
) -> Orders:
    """Return the orders of a crawl of these companies into the journal `part`."""
    relative = [guest.relative(url) for url in urls]
    return Orders(
        site=guest.site,
        url=guest.url,
        host=guest.host,
        companies=urls,
        journal=str(part),
        # Not where the practice site lies: it is on another port each time.
        of={
            "site": guest.site,
            "host": "" if guest.edition else guest.url,
            "edition": guest.edition,
            "companies": relative,
        },
        user_agent=guest.user_agent,
        robots=guest.robots,
        local=guest.is_local,
        pause=guest.pause,
        cache=str(guest.cache or ""),
        concurrency=concurrency,
        budget=budget,
        spent=spent,
    )


def finish(
    guest: Guest,
    urls: list[str],
    path: Path,
    part: Path,
    tally: Tally,
    seconds: float,
    min_coverage: float,
    language: str,
    languages: Languages | None = None,
) -> Collected:
    """Write the reviews and the coverage of a journal, or say why it is not enough."""
    try:
        with whole_file(path) as temporary:
            found = gather(part, temporary, guest, urls, language, languages)
            coverage = coverage_of(found)
            enough = coverage >= min_coverage
            write_coverage(
                path,
                coverage=round(coverage, 4),
                enough=enough,
                ended_early=tally.ended,
                companies=[asdict(one) for one in found],
            )
            if not enough:
                raise CollectError(_too_little(found, coverage, min_coverage, tally))
    except OSError as error:
        raise CollectError(f"{path} cannot be written: {error.strerror}.") from error
    if not tally.ended:
        part.unlink(missing_ok=True)
    table = pd.DataFrame([asdict(one) for one in found])
    table["why"] = table["why"].str.join("; ")
    return Collected(int(table["kept"].sum()), coverage, seconds, tally, table)


def read_reviews(path: Path) -> pd.DataFrame:
    """Read a reviews.csv back to the letter: a comment "NA" stays a comment."""
    return pd.read_csv(path, keep_default_na=False, dtype={"id": str, "rating": "int8"})


def coverage_of(companies: list[CompanyCoverage]) -> float:
    """Return the share of reviews seen, of those announced.

    A company that does not say how many it has has what we found. One whose first page never came
    announces nothing: it counts as the mean of the others.
    """
    known = [one for one in companies if one.pages]
    if not known:
        return 0.0
    announced = [one.found if one.announced is None else one.announced for one in known]
    # More than announced at one company does not make up for less at another.
    seen = sum(min(one.found, told) for one, told in zip(known, announced, strict=True))
    of = sum(announced) * len(companies) / len(known)
    return seen / of if of else float(len(known) == len(companies))


@contextmanager
def spider(orders: Orders) -> Iterator[Iterator[Tally]]:
    """Run the spider while the block lasts; yield its tallies, about one a second."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "starwise.collect.spider"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            encoding="utf-8",
            # Of its own session: interrupting the cell ends the block, and the block the spider.
            start_new_session=True,
        )
        try:
            process.stdin.write(orders.to_line())
            process.stdin.flush()
            yield _tallies(process, complaints)
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


def _tallies(process: subprocess.Popen, complaints) -> Iterator[Tally]:
    tally = Tally()
    for line in process.stdout:
        tally = Tally(**json.loads(line))
        yield tally
    if not tally.done:
        complaints.seek(0)
        lines = complaints.read().strip().splitlines() or ["it was killed"]
        raise CollectError(
            f"The spider ended before its work was done: {lines[-1].rstrip('.')}. What it has "
            "read is kept: the same call goes on from there."
        )


def show(progress: Progress, tally: Tally, last: bool = False) -> None:
    """Show how far a crawl is."""
    facts = [f"{tally.cards:,} of {tally.announced:,}", f"{tally.pages:,} pages"]
    if tally.kept_pages:
        facts.append(f"{tally.kept_pages:,} of them from a run that was cut off")
    if tally.given_up:
        facts.append(f"{tally.given_up:,} given up")
    progress.show(*facts, last=last)


def _too_little(
    companies: list[CompanyCoverage], coverage: float, min_coverage: float, tally: Tally
) -> str:
    given_up = sum(one.given_up for one in companies)
    reasons = [why for one in companies for why in one.why][:1]
    return " ".join(
        [
            f"Only {coverage:.1%} of the announced reviews came back, and min_coverage asks for "
            f"{min_coverage:.0%}; {given_up} pages were given up.",
            *filter(None, [tally.ended]),
            *(f"{why.rstrip('.')}." for why in reasons),
            "What was read is kept: the same call tries the rest again.",
        ]
    )
