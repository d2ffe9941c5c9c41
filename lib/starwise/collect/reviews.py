"""Reading the reviews of many companies: a Scrapy spider in a process of its own.

collected = collect_reviews(guest, found.companies, outputs.reviews)
collected.reviews, collected.coverage
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from starwise.collect.errors import CollectError
from starwise.collect.guest import Guest
from starwise.collect.progress import Progress, say
from starwise.collect.tally import Tally
from starwise.paths import whole_file

COLUMNS = [
    "id",
    "comment",
    "rating",
    "url_website",
    "company_name",
    "company_website",
    "company_logo",
    "title",
    "date",
]


@dataclass(frozen=True)
class Collected:
    """How a crawl went; `tally` holds the details."""

    reviews: int
    coverage: float  # share of the announced reviews that were seen, 0 to 1
    seconds: float
    tally: Tally


def collect_reviews(
    guest: Guest,
    companies: pd.DataFrame,
    path: Path,
    concurrency: int = 32,
    min_coverage: float = 0.95,
    max_pages: int = 100_000,
    max_minutes: float = 120,
    tell: Callable[[str], None] = say,
) -> Collected:
    """Read all reviews of `companies` (column company_url) into the CSV file `path`.

    Reviews are kept in `<path>.part` while they come; `path` is written whole at the end, in the
    order of the companies and their pages. Raises CollectError, and leaves `path` as it was, when
    the share of reviews that came back is below `min_coverage` (0 to 1).
    """
    part = Path(path).with_name(Path(path).name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    orders = {
        "site": guest.site,
        "host": guest.host,
        "companies": companies["company_url"].drop_duplicates().tolist(),
        "part": str(part),
        "user_agent": guest.user_agent,
        "robots": guest.robots,
        "local": guest.is_local,
        "concurrency": concurrency,
        "max_pages": max_pages,
        "max_minutes": max_minutes,
    }
    progress = Progress("reviews", tell)
    try:
        with _spider(orders) as tallies:
            for tally in tallies:
                _show(progress, tally)
        _show(progress, tally, last=True)
        for note in tally.notes:
            tell(f"  {note}")
        coverage = _coverage(tally, len(orders["companies"]))
        if coverage < min_coverage:
            raise CollectError(
                f"Only {coverage:.1%} of the announced reviews came back, and min_coverage asks "
                f"for {min_coverage:.0%}; {tally.given_up} pages were given up. "
                + " ".join(tally.notes[:1])
            )
        _write(part, path)
    finally:
        part.unlink(missing_ok=True)
    return Collected(tally.reviews, coverage, progress.seconds, tally)


def read_reviews(path: Path) -> pd.DataFrame:
    """Read a reviews.csv back to the letter: a comment "NA" stays a comment."""
    return pd.read_csv(path, keep_default_na=False, dtype={"id": str, "rating": "int8"})


@contextmanager
def _spider(orders: dict) -> Iterator[Iterator[Tally]]:
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
            process.stdin.write(json.dumps(orders) + "\n")
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
        raise CollectError(f"The spider ended before its work was done: {lines[-1]}")


def _show(progress: Progress, tally: Tally, last: bool = False) -> None:
    facts = [f"{tally.cards:,} of {tally.announced:,}", f"{tally.pages:,} pages"]
    if tally.given_up:
        facts.append(f"{tally.given_up:,} given up")
    progress.show(*facts, last=last)


def _coverage(tally: Tally, companies: int) -> float:
    """Return the share of reviews seen, of those announced.

    A company whose first page never came announces nothing: it counts as the mean of the others.
    """
    if not tally.companies:
        return 0.0
    announced = tally.announced * companies / tally.companies
    return min(1.0, tally.cards / announced) if announced else 1.0


def _write(part: Path, path: Path) -> None:
    """Write the collected lines as CSV, in the order of companies, pages and cards."""
    with open(part, encoding="utf-8", newline="\n") as lines:
        rows = sorted(map(json.loads, lines), key=lambda row: row["place"])
    with whole_file(path) as temporary:
        # Every text in quotes: line breaks inside a comment then survive as they are.
        pd.DataFrame(rows, columns=COLUMNS).to_csv(temporary, index=False, quoting=2)
