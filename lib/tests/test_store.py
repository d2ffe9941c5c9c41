"""The reviews table, on a real Postgres: nothing lost, nothing twice, nothing changed."""

import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from sqlalchemy import create_engine, text

from starwise.postgres import EmbeddedPostgres, PostgresError, data_folder
from starwise.store import Store, StoreError, UnknownReviewError, UnstorableError, normalised


def saved(store: Store, review: str = "Fine.", **changes):
    values = {"id": uuid.uuid4(), "brand": "Brightleaf", "review": review, "rating": 4}
    return store.save(**(values | changes))


@pytest.mark.parametrize(
    "words",
    [
        "Ça va bien 😀 👨‍👩‍👧‍👦 e\u0301",
        "\u202eright to left\u202c שלום مرحبا",
        "\x1b[31mred\x1b[0m\u2028next\u2029last\ufeff",
        "a\r\nb\tc" + 10_000 * "\n" + "end",
        "'); DROP TABLE reviews;--",
        "100 %s of %(review)s :id $$ $1 \\n \\",
        "<img src=x onerror=alert(1)></textarea><script>alert(1)</script>",
        '=HYPERLINK("http://example.com") @SUM(A1) -1+1 $x^2$ {{ 7*7 }}',
    ],
)
def test_a_review_is_stored_to_the_letter(store, words):
    row, new = saved(store, words, brand=words[:100])
    (read,) = store.page()
    assert new and read == row
    assert read.review == words and read.brand == words[:100]


@pytest.mark.parametrize("words", ["a\x00b", "half \ud83d of it"])
def test_what_postgres_cannot_hold_is_refused_in_words(store, words):
    with pytest.raises(UnstorableError, match=r"^The review holds .*: remove it\.$"):
        saved(store, words)
    with pytest.raises(UnstorableError, match="The brand holds"):
        saved(store, brand=words)
    assert store.page() == []


def test_everything_about_a_review_is_kept(store):
    probabilities = {"bad": 0.1, "average": 0.2, "good": 0.7}
    row, _ = saved(
        store, suggested_rating=5, sentiment=0.8, probabilities=probabilities, model="bundled"
    )
    (read,) = store.page()
    assert (read.suggested_rating, read.sentiment, read.model) == (5, 0.8, "bundled")
    assert read.probabilities == probabilities
    assert row.created_at.utcoffset() is not None, "the time has its zone"
    assert row.as_json()["id"] == str(row.id)


def test_the_same_id_stores_once_and_gives_the_first_row(store):
    first, new = saved(store, "Fine.")
    again, also_new = saved(store, "Changed my mind.", id=first.id)
    assert (new, also_new) == (True, False)
    assert again == first and len(store.page()) == 1


def test_twenty_at_once_with_one_id_store_one_row(store):
    one = uuid.uuid4()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: saved(store, id=one), range(20)))
    assert sum(new for _, new in answers) == 1
    assert len({row for row, _ in answers if not row.probabilities}) == 1
    assert len(store.page()) == 1


def test_pages_go_from_the_newest_to_the_oldest_without_gap_or_overlap(store):
    ids = [saved(store, f"number {number}")[0].id for number in range(7)]
    pages, after = [], None
    while page := store.page(limit=3, after=after):
        pages.append([row.id for row in page])
        after = page[-1].id
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [row_id for page in pages for row_id in page] == ids[::-1]
    with pytest.raises(UnknownReviewError, match="first page"):
        store.page(after=uuid.uuid4())


def test_a_deleted_review_is_gone(store):
    row, _ = saved(store)
    assert store.delete(row.id) and store.page() == []
    assert not store.delete(row.id)


def test_a_rating_that_is_no_stars_is_refused(store):
    with pytest.raises(UnstorableError):
        saved(store, rating=6)


def test_the_store_works_again_after_postgres_is_killed_and_restarted(store, postgres):
    kept, _ = saved(store, "before")
    pid = int((postgres.folder / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=2)
    with pytest.raises(StoreError, match="does not answer"):
        saved(store, "meanwhile")
    postgres.start()
    saved(store, "after")
    assert [row.review for row in store.page()] == ["after", "before"]
    assert store.page()[1].id == kept.id


def test_no_message_holds_the_password(caplog):
    store = Store("postgres://visitor:s3cret@127.0.0.1:1/starwise")
    with pytest.raises(StoreError) as failed:
        store.check()
    assert failed.value.__suppress_context__, "the driver's own message is not shown behind it"
    assert "s3cret" not in str(failed.value) + repr(store.url) + caplog.text
    assert str(failed.value).startswith("The database does not answer")
    assert "127.0.0.1:1" in caplog.text, "who runs it finds out which database"
    with pytest.raises(StoreError) as wrong:
        normalised("postgresql//visitor:s3cret@host/name")
    assert "s3cret" not in str(wrong.value) and wrong.value.__suppress_context__


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_addresses_as_hosts_hand_them_out_are_understood(scheme):
    url = normalised(f"{scheme}://me:p%40ss@db:5433/reviews?sslmode=require")
    assert url.drivername == "postgresql+psycopg2"
    assert (url.password, url.port, url.query["sslmode"]) == ("p@ss", 5433, "require")


def test_another_kind_of_database_is_refused_in_words():
    with pytest.raises(StoreError, match="names mysql"):
        normalised("mysql://me@db/reviews")


FIRST_USE = """
import sys
from pathlib import Path
from starwise.postgres import EmbeddedPostgres
from starwise.store import Store
Store(EmbeddedPostgres(Path(sys.argv[1])).start()).check()
"""


def test_several_processes_may_start_the_server_and_make_the_table_at_once(postgres):
    with create_engine(postgres.start()).begin() as connection:
        connection.execute(text("DROP TABLE reviews, alembic_version"))
    postgres.stop()
    command = [sys.executable, "-c", FIRST_USE, str(postgres.folder)]
    starters = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(3)]
    errors = [starter.communicate(timeout=60)[1].decode() for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0], errors
    assert Store(postgres.start()).page() == []


def test_the_server_stops_with_its_last_living_user(postgres):
    postgres.start()
    hold = FIRST_USE + "print('ready', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(postgres.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    other.stdout.readline()
    assert not postgres.stop() and postgres.is_running(), "somebody else still uses it"
    other.kill()
    other.communicate()
    # Its number now belongs to somebody who has nothing to do with Postgres.
    (postgres.folder / "users" / str(os.getppid())).write_text("1.0")
    postgres.start()
    assert postgres.stop() and not postgres.is_running(), "who was killed does not count"


def test_a_first_start_that_was_killed_half_way_is_made_good(postgres):
    half = postgres.folder / "half" / "postgres"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(half.parent)
    try:
        Store(server.start()).check()
    finally:
        server.stop()


def test_the_data_lie_where_postgres_can_start(monkeypatch, tmp_path):
    monkeypatch.setenv("STARWISE_DATA", str(tmp_path / "with space"))
    with pytest.raises(PostgresError, match="path with a space"):
        data_folder()
    monkeypatch.delenv("STARWISE_DATA")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/two words")
    assert str(data_folder()).startswith("/var/tmp/starwise-1000/")
    assert " " not in str(data_folder())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
def test_private_folders_stay_unreadable_when_root_starts_the_server(tmp_path_factory):
    private = tmp_path_factory.mktemp("private")
    private.chmod(0o700)
    server = EmbeddedPostgres(private / "data")
    try:
        server.start()
        assert private.stat().st_mode & 0o077 == 0o011, "others pass through, and read nothing"
    finally:
        server.stop()
