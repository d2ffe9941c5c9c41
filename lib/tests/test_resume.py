"""Cut off at any moment, a collection goes on and ends with the rows of a whole one (C10)."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from collecting import (
    WORLD,
    alive,
    children_of,
    command_of,
    companies_of,
    crawl,
    drivers_of,
    end,
    gone_within,
    guest_at,
    in_file,
    in_world,
    rows_of,
    small_site,
    start,
    wait_until,
)
from nbclient import NotebookClient

from starwise.batch.kernel import OwnKernel
from starwise.batch.notebooks import read_notebook
from starwise.collect.categories import read_categories
from starwise.collect.companies import find_companies
from starwise.collect.errors import CollectError
from starwise.collect.journal import Journal, facts_of
from starwise.collect.reviews import collect_reviews, read_reviews
from starwise.paths import project_root
from starwise.practice.server import serve
from starwise.practice.world import make_world

CRAWL = """
import sys
from pathlib import Path
import pandas
from starwise.collect.guest import Guest
from starwise.collect.reviews import collect_reviews

url, path, *companies = sys.argv[1:]
table = pandas.DataFrame({"company_url": companies})
collect_reviews(Guest("practice", url), table, Path(path), concurrency=1)
"""
SEARCH = """
import sys
from pathlib import Path
from nbclient import NotebookClient

from starwise.collect.categories import read_categories
from starwise.collect.companies import find_companies
from starwise.collect.guest import Guest

guest = Guest("practice", sys.argv[1])
find_companies(guest, read_categories(guest), journal=Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("whole") / "reviews.csv"
    with small_site() as running:
        crawl(running, path)
    assert in_file(path) == in_world()
    return rows_of(path)


def pages_in(part: Path) -> int:
    return part.read_bytes().count(b'"cards"') if part.exists() else 0


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name
)
def test_c10_after_a_signal_in_mid_crawl_the_next_run_ends_with_the_same_rows(
    uninterrupted, tmp_path, number
):
    path, part = tmp_path / "reviews.csv", tmp_path / "reviews.csv.part"
    moments = random.Random(number)
    kept = 0
    # Killed at random, each time with the site on another port, then left alone.
    for _ in range(2 if number == signal.SIGKILL else 1):
        with small_site() as running:
            urls = companies_of(WORLD, running.url).company_url.tolist()
            process = start(CRAWL, running.url, str(path), *urls)
            enough = kept + moments.randint(1, 8)
            wait_until(lambda: pages_in(part) >= enough or process.poll() is not None)  # noqa: B023
            assert process.poll() is None, "the crawl was over before it could be killed"
            spiders = children_of(process.pid)
            end(process, number)
            assert spiders and all(gone_within(spider, seconds=10) for spider in spiders)
            assert not path.exists() and pages_in(part) >= kept
            kept = pages_in(part)
    with small_site() as running:
        collected, _ = crawl(running, path)
    assert collected.tally.kept_pages == kept
    pd.testing.assert_frame_equal(rows_of(path), uninterrupted)
    assert not part.exists()


def test_c10_after_the_spider_alone_is_killed_the_same_call_goes_on(uninterrupted, tmp_path):
    path, part = tmp_path / "reviews.csv", tmp_path / "reviews.csv.part"
    killed = []

    def kill_once(line: str) -> None:
        if not killed and pages_in(part):
            killed.extend(
                pid for pid in children_of(os.getpid()) if "collect.spider" in command_of(pid)
            )
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    # Slow enough, with this many pauses, to be told about while it works.
    with small_site("429") as running:
        companies = companies_of(WORLD, running.url)
        with pytest.raises(CollectError, match=r"it was killed.*goes on from there"):
            collect_reviews(guest_at(running), companies, path, concurrency=1, tell=kill_once)
        collected, _ = crawl(running, path)
    assert killed and collected.tally.kept_pages > 0
    pd.testing.assert_frame_equal(rows_of(path), uninterrupted)


def test_reviews_are_on_disk_as_soon_as_they_are_parsed(tmp_path):
    part = tmp_path / "reviews.csv.part"
    # The second page of a long company never comes: what was read before must be there meanwhile.
    slug = max(WORLD.companies, key=lambda one: len(WORLD.reviews_of(one.slug))).slug
    with small_site(f"silence@/review/{slug}?page=2") as running:
        urls = companies_of(WORLD, running.url).company_url.tolist()
        process = start(CRAWL, running.url, str(tmp_path / "reviews.csv"), *urls)
        wait_until(lambda: pages_in(part) >= len(WORLD.companies), seconds=60)
        seen = [card for fact in facts_of(part) for card in fact["cards"]]
        assert process.poll() is None and len(seen) >= len(WORLD.companies)
        end(process)


def test_a_page_torn_off_by_a_kill_is_read_again(uninterrupted, tmp_path):
    path, part = tmp_path / "reviews.csv", tmp_path / "reviews.csv.part"
    with small_site() as running:
        with pytest.raises(CollectError):
            crawl(running, path, max_pages=9)
        whole = part.read_bytes().splitlines(keepends=True)
        pages = [line for line in whole if b'"cards"' in line]
        # The last page half written, as a power cut leaves it.
        part.write_bytes(b"".join([whole[0], *pages[:-1]]) + pages[-1][: len(pages[-1]) // 2])
        collected, _ = crawl(running, path)
    assert collected.tally.kept_pages == len(pages) - 1
    pd.testing.assert_frame_equal(rows_of(path), uninterrupted)


@pytest.mark.parametrize("other", [{"seed": 7}, {"companies": 11}, {"reviews": 500}])
def test_a_journal_of_another_world_is_not_gone_on_with(tmp_path, other):
    path = tmp_path / "reviews.csv"
    with small_site() as running, pytest.raises(CollectError):
        crawl(running, path, max_pages=6)
    with serve(**({"companies": 12, "reviews": 600} | other)) as running:
        guest = guest_at(running)
        companies = companies_of(WORLD, running.url).head(2)
        collected = collect_reviews(guest, companies, path, min_coverage=0, tell=lambda line: None)
    assert collected.tally.kept_pages == 0


@pytest.mark.browser
def test_c10_after_a_kill_in_mid_search_no_browser_is_left_and_the_next_run_is_whole(tmp_path):
    journal = tmp_path / "companies.csv.part"
    with small_site() as running:
        whole = find_companies(
            guest_at(running), read_categories(guest_at(running)), tell=lambda line: None
        )
        process = start(SEARCH, running.url, str(journal))
        wait_until(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 2, seconds=60)
        groups = drivers_of(process.pid)
        assert process.poll() is None and len(groups) == 2
        end(process)
        assert all(gone_within(group, seconds=10) for group in groups)
    with small_site() as running:  # on another port
        guest = guest_at(running)
        found = find_companies(
            guest, read_categories(guest), journal=journal, tell=lambda line: None
        )
    assert found.kept_pages > 0 and not journal.exists()
    on_site = [
        frame.replace(r"^http://[\w.]+:\d+", "", regex=True)
        for frame in (found.companies, whole.companies)
    ]
    pd.testing.assert_frame_equal(*on_site)


@pytest.mark.browser
def test_c10_a_driver_that_had_not_answered_yet_is_gone_with_who_started_it(tmp_path, monkeypatch):
    driver = tmp_path / "chromedriver"
    driver.write_text("#!/bin/sh\nsleep 600 &\nwait\n")
    driver.chmod(0o755)
    monkeypatch.setenv("STARWISE_CHROMEDRIVER", str(driver))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = start("from starwise.collect.browser import browser\nwith browser(): pass")
    wait_until(lambda: any(children_of(one) for one in drivers_of(process.pid)), seconds=60)
    (group,) = drivers_of(process.pid)
    assert process.poll() is None and list(tmp_path.glob("starwise-browser-*"))
    end(process)
    assert gone_within(group, seconds=10)
    wait_until(lambda: not list(tmp_path.glob("starwise-browser-*")))


@pytest.mark.browser
@pytest.mark.parametrize("victim", ["driver", "browser"])
def test_c10_a_browser_that_dies_meanwhile_is_replaced_and_no_company_is_lost(victim):
    others = set(drivers_of(os.getpid()))  # of other tests, which keep their browser open
    with serve(companies=40, reviews=80) as running:
        guest = guest_at(running)
        killed = []

        def kill_one(line: str) -> None:
            """Stands in for a person who reads the first line of progress and kills something."""
            ours = [driver for driver in drivers_of(os.getpid()) if driver not in others]
            for driver in [] if killed else ours[:1]:
                killed.extend([driver] if victim == "driver" else children_of(driver))
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)

        lists = read_categories(guest)
        found = find_companies(guest, lists, tell=kill_one)
        assert killed and not found.given_up and len(found.companies) == 40
    assert not [pid for pid in killed if alive(pid)]
    assert set(drivers_of(os.getpid())) <= others


def test_a_journal_keeps_whole_facts_of_the_same_thing_only(tmp_path, monkeypatch):
    monkeypatch.setattr("starwise.collect.journal.WAIT_SECONDS", 0.2)
    path = tmp_path / "journal"
    with Journal(path, {"what": 1}) as journal:
        assert not journal.kept
        journal.add({"n": 1, "text": "zwei\nZeilen, 'né' \ud800"})
        with pytest.raises(CollectError, match="Another collection is writing"):
            Journal(path, {"what": 1})
    path.write_bytes(path.read_bytes() + b'{"n": 2, "te')
    with Journal(path, {"what": 1}) as journal:
        assert journal.kept and [fact["n"] for fact in journal.facts()] == [1]
        journal.add({"n": 3})
        assert [fact["n"] for fact in journal.facts()] == [1, 3]
    of_old = path.read_bytes().replace(b'"version": 1', b'"version": 0')
    for damage in (b"", b"\x00\xff\n", b"[]\n", of_old):
        path.write_bytes(damage)
        with Journal(path, {"what": 1}) as journal:
            assert not journal.kept
    with Journal(path, {"what": 2}) as journal:
        assert not journal.kept


def test_a_journal_of_yesterday_is_not_gone_on_with(tmp_path):
    path = tmp_path / "journal"
    with Journal(path, {}) as journal:
        journal.add({"n": 1})
    head, *rest = path.read_text().splitlines(keepends=True)
    old = json.loads(head)
    old["began"] -= 25 * 3600
    path.write_text(json.dumps(old) + "\n" + "".join(rest))
    with Journal(path, {}) as journal:
        assert not journal.kept


def notebook_of(*names: str, **parameters: object) -> nbformat.NotebookNode:
    """The cells of several notebooks in one, so that one kernel runs them all."""
    cells = []
    for name in names:
        notebook = nbformat.read(project_root() / "notebooks" / f"{name}.ipynb", as_version=4)
        known = read_notebook(project_root() / "notebooks" / f"{name}.ipynb").defaults
        lines = [f"{key} = {value!r}" for key, value in parameters.items() if key in known]
        for cell in notebook.cells:
            cells.append(cell)
            if "parameters" in cell.metadata.get("tags", []):
                cells.append(nbformat.v4.new_code_cell("\n".join(lines)))
    for cell in cells:  # the same notebook twice: the same ids twice
        cell.pop("id", None)
    return nbformat.v4.new_notebook(cells=cells)


@pytest.mark.browser
@pytest.mark.slow
def test_c11_notebooks_1_2_and_1_again_run_in_one_kernel_and_collect_the_same(tmp_path):
    small = {"companies": 48, "reviews": 1500, "outputs": str(tmp_path)}
    book = notebook_of("01_collect", "02_label", "01_collect", **small)
    kept = "from starwise.paths import Outputs; first = Outputs(outputs.root).reviews.read_bytes()"
    second = next(n for n, cell in enumerate(book.cells) if cell.source.startswith("# 02"))
    book.cells.insert(second, nbformat.v4.new_code_cell(kept))
    check = "assert len(first) > 100_000 and len(first) == len(outputs.reviews.read_bytes())"
    book.cells.append(nbformat.v4.new_code_cell(check))
    NotebookClient(
        book,
        timeout=300,
        kernel_manager_class=OwnKernel,
        resources={"metadata": {"path": str(project_root() / "notebooks")}},
    ).execute()
    assert read_reviews(tmp_path / "reviews.csv").id.is_unique


@pytest.mark.browser
@pytest.mark.slow
def test_c10_a_batch_run_that_is_killed_while_it_collects_goes_on_from_there(tmp_path):
    options = ["run", "--to", "1", "-p", "01.companies", "48", "-p", "01.reviews", "3000"]
    options += ["-p", "01.concurrency", "2"]
    environment = {**os.environ, "STARWISE_OUTPUTS": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "starwise", *options]
    with open(tmp_path / "log", "w") as log:
        run = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        wait_until(lambda: pages_in(tmp_path / "reviews.csv.part") > 30, seconds=120)
        run.kill()
        run.wait()
    assert not (tmp_path / "reviews.csv").exists()
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "from a run that was cut off" in again.stdout
    world = make_world(companies=48, reviews=3000)
    assert in_file(tmp_path / "reviews.csv") == in_world(world)
    # `--fresh` starts over.
    (tmp_path / "reviews.csv.part").write_text("a journal")
    done = subprocess.run(
        [*command[:-1], "32", "--fresh"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "cut off" not in done.stdout
