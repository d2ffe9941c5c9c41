"""Reading reviews: a real spider on a real practice site, well-behaved and not (FAULTS.md, C)."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from collecting import (
    BUSIEST,
    REVIEWS,
    WORLD,
    companies_of,
    crawl,
    guest_at,
    in_file,
    in_world,
    small_site,
    start,
)

from starwise.collect.categories import read_categories
from starwise.collect.companies import find_companies
from starwise.collect.errors import CollectError, LayoutError
from starwise.collect.gather import gather
from starwise.collect.guest import Guest
from starwise.collect.journal import Journal
from starwise.collect.reviews import collect_reviews, read_reviews
from starwise.practice.server import serve

SLUGS = [one.slug for one in WORLD.companies]
LONG = [slug for slug in SLUGS if len(WORLD.reviews_of(slug)) > 20]


@pytest.fixture(scope="module")
def site():
    with small_site() as running:
        yield running


@pytest.mark.browser
def test_the_whole_way_gives_the_world_back_to_the_letter(site, tmp_path):
    guest = guest_at(site)
    found = find_companies(guest, read_categories(guest), tell=lambda line: None)
    path = tmp_path / "reviews.csv"
    collected = collect_reviews(guest, found.companies, path, tell=lambda line: None)
    assert in_file(path) == in_world()
    assert collected.coverage == 1 and collected.tally.cards == REVIEWS
    silent = sum(not one.text.strip() for one in WORLD.reviews)
    assert collected.tally.without_text == silent > 0
    assert collected.reviews == len(in_world())


def test_collecting_twice_in_one_process_gives_the_same_rows_in_the_same_order(site, tmp_path):
    # C11, without a notebook around it.
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    crawl(site, first)
    crawl(site, second)
    assert first.read_bytes() == second.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_what_came_of_each_company_is_told_and_written(site, tmp_path):
    collected, _ = crawl(site, tmp_path / "reviews.csv")
    table = collected.companies.set_index("company_url")
    for company in WORLD.companies:
        row = table.loc[f"{site.url}/review/{company.slug}"]
        reviews = WORLD.reviews_of(company.slug)
        assert row.company == company.name and row.announced == row.found == len(reviews)
        assert row.kept == sum(bool(one.text.strip()) for one in reviews)
        assert row.kept + row.without_text == row.found and row.why == ""
        assert row.pages == max(1, -(-len(reviews) // 20)) and row.given_up == 0
    written = json.loads((tmp_path / "coverage.json").read_text("utf-8"))
    assert written["coverage"] == 1 and written["enough"]
    assert [one["kept"] for one in written["companies"]] == table.kept.tolist()


def test_c1_to_c3_passing_troubles_cost_time_and_no_rows(tmp_path):
    troubles = ["429", "500", "drop", "cut"]
    spec = ",".join(f"{kind}@/review/{slug}" for kind, slug in zip(troubles, LONG, strict=False))
    # One page only: each silence lasts until the spider's patience ends.
    spec += f",silence@/review/{LONG[-1]}?page=2"
    with small_site(spec) as running:
        began = time.monotonic()
        collected, _ = crawl(running, tmp_path / "reviews.csv")
        assert time.monotonic() - began >= 2  # as Retry-After asks
    assert in_file(tmp_path / "reviews.csv") == in_world()
    assert collected.tally.given_up == 0


def test_c2_too_little_coverage_fails_leaves_the_former_file_and_says_which_page(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text("of yesterday")
    spec = f"500-always@/review/{SLUGS[0]},429-long@/review/{SLUGS[1]},403@/review/{SLUGS[2]}"
    with small_site(spec) as running:
        began = time.monotonic()
        with pytest.raises(CollectError, match=f"min_coverage.*/review/{SLUGS[0]}: answered 500"):
            crawl(running, path)
        assert time.monotonic() - began < 60  # nobody waits for an hour
    assert path.read_text() == "of yesterday"
    written = json.loads((tmp_path / "coverage.json").read_text("utf-8"))
    assert not written["enough"] and written["coverage"] < 0.95
    answers = [one["why"][0].rsplit(" ", 1)[1] for one in written["companies"] if one["given_up"]]
    assert answers == ["500", "429", "403"]


def test_after_too_little_coverage_the_next_run_asks_for_the_rest_only(tmp_path):
    path = tmp_path / "reviews.csv"
    with small_site(f"500-always@/review/{SLUGS[0]}") as running, pytest.raises(CollectError):
        crawl(running, path)
    # The same world on another port, in a better mood.
    with small_site() as running:
        collected, told = crawl(running, path)
    own = max(1, -(-len(WORLD.reviews_of(SLUGS[0])) // 20))
    assert collected.tally.kept_pages == collected.tally.pages - own > 0
    assert in_file(path) == in_world() and "from a run that was cut off" in told[-1]
    urls = set(read_reviews(path).url_website.str.split("/review/").str[0])
    assert urls == {running.url}


@pytest.mark.parametrize("kind", ["empty", "malformed", "login", "latin", "utf16"])
def test_c4_a_page_that_is_none_gives_no_rows_and_an_error_that_names_it(tmp_path, kind):
    slug = BUSIEST.slug
    with small_site(f"{kind}@/review/{slug},{kind}@/categories") as running:
        with pytest.raises(LayoutError, match="/categories") as error:
            read_categories(guest_at(running))
        assert error.value.selector in str(error.value)
        collected, _ = crawl(running, tmp_path / "reviews.csv", min_coverage=0)
    reviews = read_reviews(tmp_path / "reviews.csv")
    assert not reviews.url_website.str.contains(f"/review/{slug}").any()
    (lost,) = collected.companies[collected.companies.given_up > 0].itertuples()
    assert f"/review/{slug}" in lost.why and lost.found == 0
    assert ("h1.company-name" in lost.why) or ("utf-8" in lost.why)


def test_c5_a_card_without_text_or_stars_is_counted_and_its_neighbours_keep_theirs(tmp_path):
    with small_site(f"cards@/review/{BUSIEST.slug}") as running:
        collected, _ = crawl(running, tmp_path / "reviews.csv")
    rows, truth = in_file(tmp_path / "reviews.csv"), in_world()
    assert all(truth[id] == row for id, row in rows.items())
    # Of every page the first four cards are spoiled: one in its text, three in their stars.
    pages = -(-len(WORLD.reviews_of(BUSIEST.slug)) // 20)
    assert 2 * pages < collected.companies.without_stars.sum() <= 3 * pages
    assert collected.tally.cards == REVIEWS


@pytest.mark.parametrize("fault", ["same-next", "endless"])
def test_c6_pages_without_end_are_left_and_the_reason_is_told(tmp_path, fault):
    with small_site(f"{fault}@/review/{BUSIEST.slug}") as running:
        collected, told = crawl(running, tmp_path / "reviews.csv", min_coverage=0)
    assert collected.tally.stopped == 1
    assert any(line.strip().startswith(BUSIEST.name) for line in told)
    (left,) = collected.companies[collected.companies.why != ""].itertuples()
    assert left.company == BUSIEST.name and left.pages < 5
    assert len(in_file(tmp_path / "reviews.csv")) < len(in_world())


@pytest.mark.parametrize("budget", [{"max_pages": 7}, {"max_megabytes": 0.1}, {"max_minutes": 0}])
def test_c6_a_budget_that_is_spent_ends_the_crawl_and_says_which(site, tmp_path, budget):
    (name,) = budget
    path = tmp_path / "reviews.csv"
    with pytest.raises(CollectError, match=rf"min_coverage.*\({name}\) is spent"):
        crawl(site, path, concurrency=4, **budget)
    written = json.loads((tmp_path / "coverage.json").read_text("utf-8"))
    pages = sum(one["pages"] for one in written["companies"])
    assert name in written["ended_early"]
    assert pages == 7 if name == "max_pages" else pages < 20
    # What was read counts: a second helping of the budget goes on from there.
    collected, _ = crawl(site, path)
    assert collected.tally.kept_pages == pages and in_file(path) == in_world()


def test_c6_a_pause_for_which_the_budget_has_no_room_is_not_made(tmp_path):
    slug = SLUGS[0]
    with (
        small_site(f"429-minute@/review/{slug}") as running,
        pytest.raises(CollectError, match=r"\(max_minutes\) has no room for a pause of 60 s"),
    ):
        crawl(running, tmp_path / "reviews.csv", max_minutes=0.9, min_coverage=1)


@pytest.mark.browser
def test_c7_what_robots_txt_forbids_is_not_asked_for(tmp_path):
    with small_site("robots") as running:
        guest = guest_at(running)
        with pytest.raises(CollectError, match=r"robots\.txt"):
            read_categories(guest)
        lists = pd.DataFrame(
            {"category": ["A"], "sub_category": ["B"], "url": [f"{running.url}/categories/b"]}
        )
        with pytest.raises(CollectError, match=r"robots\.txt"):
            find_companies(guest, lists, tell=lambda line: None)
        with pytest.raises(CollectError, match=r"robots\.txt"):
            crawl(running, tmp_path / "reviews.csv")


def test_c8_and_c9_foreign_hosts_and_huge_pages_are_refused(tmp_path):
    spec = f"redirect@/review/{SLUGS[0]},huge@/review/{SLUGS[1]},flood@/review/{SLUGS[2]}"
    with small_site(f"{spec},redirect@/categories") as running:
        with pytest.raises(CollectError, match=r"another host, http://other\.invalid"):
            read_categories(guest_at(running))
        collected, _ = crawl(running, tmp_path / "reviews.csv", min_coverage=0)
    assert collected.tally.given_up == 3
    why = collected.companies.why.tolist()
    assert "another host" in why[0] and "larger than" in why[1] and "larger than" in why[2]
    with small_site("huge@/categories") as running, pytest.raises(CollectError, match="10 MB"):
        read_categories(guest_at(running))


DISK_FULL = """
import resource, sys
from pathlib import Path
import pandas
from starwise.collect.guest import Guest
from starwise.collect.reviews import collect_reviews
from starwise.language import identifier

identifier()  # which lies in the temporary folder for a moment

def fill(line=""):
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

url, path, when, *companies = sys.argv[1:]
if when == "crawling":
    fill()
table = pandas.DataFrame({"company_url": companies})
# The spider has its limits from its start; a limit set later is the limit of the table only.
collect_reviews(Guest("practice", url), table, Path(path), tell=fill)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are Unix's")
@pytest.mark.parametrize("when", ["crawling", "writing"])
def test_c12_a_full_disk_is_a_clear_error_and_the_former_file_stays(site, tmp_path, when):
    path = tmp_path / "reviews.csv"
    path.write_text("of yesterday")
    urls = companies_of(WORLD, site.url).company_url.tolist()
    process = start(DISK_FULL, site.url, str(path), when, *urls)
    _, complaint = process.communicate(timeout=120)
    named = "reviews.csv.part" if when == "crawling" else "reviews.csv"
    last = complaint.strip().splitlines()[-1]
    assert f"CollectError: {'The spider' if when == 'crawling' else tmp_path}" in last
    assert f"{named} cannot be written: File too large" in last
    assert path.read_text() == "of yesterday"
    # With room again, the next run is whole.
    crawl(site, path)
    assert in_file(path) == in_world()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are Unix's")
def test_c12_no_room_in_the_temporary_folder_is_said_in_a_sentence():
    full = """
import resource
from starwise.language import language
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
language("Livraison rapide")
"""
    _, complaint = start(full).communicate(timeout=120)
    assert "StarwiseError: The languages of the reviews cannot be told" in complaint
    assert complaint.strip().endswith("cannot be written: File too large.")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of four megabytes, where this machine lets us make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True) if shutil.which("mount") else None
    if made is None or made.returncode:
        pytest.skip(f"a small disk cannot be made here: {made.stderr if made else 'no mount'}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, but: int = 0) -> None:
    """Fill a disk to its last byte, except for `but` bytes."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while file.write(b"0" * 4096):
            pass
    os.truncate(ballast, ballast.stat().st_size - but)


@pytest.mark.browser
def test_c12_a_really_full_disk_ends_the_search_in_a_sentence(site, small_disk):
    guest, journal = guest_at(site), small_disk / "companies.csv.part"
    search = {"tell": lambda line: None, "journal": journal}
    fill(small_disk)
    with pytest.raises(CollectError, match="cannot be written: No space left on device"):
        find_companies(guest, read_categories(guest), **search)
    (small_disk / "ballast").unlink()
    found = find_companies(guest, read_categories(guest), **search)
    assert len(found.companies) == len(WORLD.companies)


@pytest.mark.parametrize("when", ["crawling", "writing"])
def test_c12_a_really_full_disk_is_a_clear_error_and_nothing_is_half_written(
    site, small_disk, when
):
    path = small_disk / "reviews.csv"
    path.write_text("of yesterday")
    if when == "crawling":
        fill(small_disk, but=40_000)

    def tell(line: str) -> None:
        """Hear the last line of progress: from then on only the table is written."""
        if when == "writing" and f"{REVIEWS} of {REVIEWS}" in line:
            fill(small_disk)

    with pytest.raises(CollectError, match=r"reviews\.csv.*No space left on device"):
        collect_reviews(guest_at(site), companies_of(WORLD, site.url), path, tell=tell)
    assert path.read_text() == "of yesterday"
    whole = {"ballast", "reviews.csv", "reviews.csv.part", "coverage.json"}
    assert {one.name for one in small_disk.iterdir()} <= whole
    # With room again, the next run goes on from there and is whole.
    (small_disk / "ballast").unlink()
    collected, _ = crawl(site, path)
    assert in_file(path) == in_world() and collected.tally.kept_pages > 0


def test_every_character_of_a_comment_survives_the_file(tmp_path):
    odd = [
        "two\nlines",
        "three\r\nmore\rlines",
        'a "quote", a comma',
        "NA",
        "null",
        " padded ",
        "1",
    ]
    page = {"place": 0, "number": 1, "url": "/review/a", "company": "A", "website": "", "logo": ""}
    cards = [[f"id{n}", text, 3, "", "", ""] for n, text in enumerate(odd)]
    with Journal(tmp_path / "part", of={}) as journal:
        journal.add({**page, "announced": len(odd), "next": "", "cards": cards})
    guest = Guest("practice", "http://127.0.0.1:1")
    gather(tmp_path / "part", tmp_path / "reviews.csv", guest, ["http://127.0.0.1:1/review/a"])
    assert read_reviews(tmp_path / "reviews.csv").comment.tolist() == odd


def test_a_review_at_two_companies_is_kept_once_and_counted(tmp_path):
    page = {"number": 1, "company": "A", "website": "", "logo": "", "announced": 2, "next": ""}
    cards = [["one", "words", 3, "", "", ""], ["one", "words", 3, "", "", ""]]
    with Journal(tmp_path / "part", of={}) as journal:
        for place in (1, 0):
            journal.add({"place": place, "url": f"/review/{place}", **page, "cards": cards})
    guest = Guest("practice", "http://127.0.0.1:1")
    first, second = gather(tmp_path / "part", tmp_path / "out.csv", guest, ["a", "b"])
    assert (first.found, first.kept, second.found, second.elsewhere) == (1, 1, 1, 1)
    assert read_reviews(tmp_path / "out.csv").url_website.tolist() == [guest.whole("/review/0")]


def test_the_language_is_kept_and_one_can_be_chosen(tmp_path):
    corpus = tmp_path / "corpus.csv"
    texts = {
        "The parcel came late, and the box was torn.": "en",
        "Le colis est arrivé en retard, et le carton était déchiré.": "fr",
        "Das Paket kam zu spät, und der Karton war zerrissen.": "de",
        "ok": "",
    }
    rows = [{"text": text, "rating": 2, "company": "Torn Boxes"} for text in texts]
    pd.DataFrame(rows).to_csv(corpus, index=False)
    with serve(corpus=str(corpus)) as running:
        companies = pd.DataFrame({"company_url": [f"{running.url}/review/torn-boxes"]})
        guest, path = guest_at(running), tmp_path / "reviews.csv"
        collect_reviews(guest, companies, path, tell=lambda line: None)
        frame = read_reviews(path)
        assert dict(zip(frame.comment, frame.language, strict=True)) == texts
        english = collect_reviews(guest, companies, path, language="en", tell=lambda line: None)
    # What is too short to tell stays; what is skipped is counted, and no loss of coverage.
    assert set(read_reviews(path).language) == {"en", ""}
    assert english.companies.other_language.tolist() == [2] and english.coverage == 1
