"""Several crawlers share one queue in a real Redis: together the rows of one, none twice."""

import json
import shutil
import signal
import socket
import subprocess
import time

import pandas as pd
import pytest
from collecting import (
    COMPANIES,
    REVIEWS,
    WORLD,
    companies_of,
    crawl,
    end,
    guest_at,
    rows_of,
    small_site,
    start,
    wait_until,
)

from starwise.cli import main as starwise
from starwise.collect.errors import CollectError
from starwise.collect.journal import facts_of
from starwise.collect.shared import join

redis = pytest.importorskip("redis", reason="the extra `cluster` is not installed")
pytest.importorskip("scrapy_redis", reason="the extra `cluster` is not installed")

CRAWLER = "import sys; from starwise.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def queue(tmp_path_factory):
    """The address of a Redis of the tests' own."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not on this machine: this test needs it")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)

    def answers() -> bool:
        try:
            return client.ping()
        except redis.ConnectionError:
            return False

    try:
        wait_until(answers)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        client.close()
        server.terminate()
        server.wait()


@pytest.fixture
def crawlers(tmp_path, queue):
    """Start crawlers of WORLD, each with a folder of its own; end those that are left."""
    started = []

    def begin(url: str, names: str, **more: float) -> list:
        companies_of(WORLD, url).to_csv(tmp_path / "companies.csv", index=False)
        for name in names:
            (tmp_path / name).mkdir()
            options = {"url": url, "companies": tmp_path / "companies.csv", "redis": queue}
            options |= {"output": tmp_path / name / "reviews.csv", **more}
            words = [f"--{name}={value}" for name, value in options.items()]
            started.append(start(CRAWLER, "collect", *words))
        return started

    yield begin
    for process in started:
        if process.poll() is None:
            end(process)


def pages_of(tmp_path, name: str) -> list[tuple[int, int]]:
    part = tmp_path / name / "reviews.csv.part"
    facts = facts_of(part) if part.exists() else []
    return [(fact["place"], fact["number"]) for fact in facts if "cards" in fact]


def test_two_crawlers_read_together_what_one_reads_and_no_page_twice(tmp_path, crawlers):
    with small_site("429,500") as running:
        alone, _ = crawl(running, tmp_path / "alone.csv")
        # Who starts late would get nothing of so few pages: neither may take them all.
        most = {"max-pages": alone.tally.pages * 3 // 4}
        for process in crawlers(running.url, "ab", **most):
            _, complaints = process.communicate(timeout=120)
            assert process.returncode == 0, complaints
        first, second = pages_of(tmp_path, "a"), pages_of(tmp_path, "b")
        assert first and second and not set(first) & set(second)
        assert len({*first, *second}) == len(first) + len(second)
        parts = [tmp_path / name / "reviews.csv.part" for name in "ab"]
        joined = join(
            guest_at(running),
            companies_of(WORLD, running.url),
            parts,
            tmp_path / "joined.csv",
            tell=lambda line: None,
        )
    assert joined.tally.kept_pages == joined.tally.pages  # nothing had to be read again
    assert joined.coverage == 1 and len(joined.companies) == COMPANIES
    assert joined.companies.found.sum() == REVIEWS
    pd.testing.assert_frame_equal(rows_of(tmp_path / "joined.csv"), rows_of(tmp_path / "alone.csv"))


def test_a_crawler_whose_budget_is_spent_leaves_the_queue_to_the_others(tmp_path, crawlers):
    with small_site() as running:
        crawl(running, tmp_path / "alone.csv")
        (first,) = crawlers(running.url, "a", **{"max-pages": 7})
        told, complaints = first.communicate(timeout=60)
        assert first.returncode == 0, complaints
        assert "7 pages in" in told and "(max_pages) is spent" in told
        second = crawlers(running.url, "b")[-1]
        _, complaints = second.communicate(timeout=60)
        assert second.returncode == 0, complaints
        assert len(pages_of(tmp_path, "a")) == 7
        joined = join(
            guest_at(running),
            companies_of(WORLD, running.url),
            [tmp_path / name / "reviews.csv.part" for name in "ab"],
            tmp_path / "joined.csv",
            tell=lambda line: None,
            max_pages=0,  # nothing is left to read
        )
    assert joined.tally.kept_pages == joined.tally.pages and joined.coverage == 1
    pd.testing.assert_frame_equal(rows_of(tmp_path / "joined.csv"), rows_of(tmp_path / "alone.csv"))


def test_what_a_crawler_took_with_it_when_it_died_is_read_when_the_parts_are_joined(
    tmp_path, crawlers, capsys
):
    slug = WORLD.companies[0].slug
    with small_site(f"silence@/review/{slug}") as running:
        (process,) = crawlers(running.url, "a")
        wait_until(lambda: len(pages_of(tmp_path, "a")) > COMPANIES // 2, seconds=60)
        end(process, signal.SIGKILL)  # while that company's page is on its way
    with small_site() as running:
        crawl(running, tmp_path / "alone.csv")
        companies_of(WORLD, running.url).to_csv(tmp_path / "companies.csv", index=False)
        words = ["collect", f"--url={running.url}", f"--output={tmp_path / 'joined.csv'}"]
        words += [f"--companies={tmp_path / 'companies.csv'}"]
        assert starwise([*words, "--join", str(tmp_path / "a" / "reviews.csv.part")]) == 0
    assert "100.0% of those announced" in capsys.readouterr().out
    pd.testing.assert_frame_equal(rows_of(tmp_path / "joined.csv"), rows_of(tmp_path / "alone.csv"))


def test_a_journal_of_another_crawl_is_not_joined(tmp_path):
    (tmp_path / "other.part").write_text(
        json.dumps({"of": "x", "version": 1, "began": time.time()})
    )
    with small_site() as running, pytest.raises(CollectError, match=r"other\.part is no journal"):
        join(
            guest_at(running),
            companies_of(WORLD, running.url),
            [tmp_path / "other.part"],
            tmp_path / "joined.csv",
        )
