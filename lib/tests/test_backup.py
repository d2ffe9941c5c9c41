"""Backup, restore and retention, on Debian's Postgres over TCP: to the letter, all or none."""

import gzip
import json
import os
import subprocess
import sys
import uuid

import pytest
from sqlalchemy import create_engine, text

from starwise.cli import main
from starwise.store import Store, normalised

TEXTS = [
    "Ça va bien 😀 👨‍👩‍👧‍👦 e\u0301",
    '=HYPERLINK("http://example.com")\n-1+1\r\n\t@SUM(A1) $x^2$ {{ 7*7 }}',
    "\x1b[31mred\x1b[0m\u2028next\u2029\u0085last\ufeff \u202eback",
    "'); DROP TABLE reviews;-- %s \\ <img src=x onerror=alert(1)>",
]


AGE_FOUR = """
UPDATE reviews SET created_at = now() - interval '40 days'
WHERE review LIKE 'number %' AND review < 'number 4'
"""


@pytest.fixture
def fresh(debian_postgres, monkeypatch):
    """A function that makes an empty database, points DATABASE_URL at it and gives its store."""
    stores = []

    def make() -> Store:
        address = debian_postgres.new_database()
        monkeypatch.setenv("DATABASE_URL", address)
        stores.append(Store(address, connections=1))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def fill(store: Store, texts=TEXTS) -> None:
    for number, words in enumerate(texts):
        store.save(id=uuid.uuid4(), brand=words[:50], review=words, rating=1 + number % 5,
                   suggested_rating=3, sentiment=0.1 + 0.2, model="bundled",
                   probabilities={"bad": 1 / 3, "average": 1 / 3, "good": 1 / 3})  # fmt: skip
    store.save(id=uuid.uuid4(), brand="Unscored", review="No model.", rating=4)


def test_a_backup_restored_elsewhere_gives_every_review_to_the_letter(fresh, tmp_path, capsys):
    here, file = fresh(), tmp_path / "reviews.jsonl.gz"
    fill(here)
    before = list(here.everything())
    assert main(["backup", str(file)]) == 0
    assert file.stat().st_mode & 0o777 == 0o600, "what people wrote is not for everybody"
    there = fresh()
    assert main(["restore", str(file)]) == 0
    assert list(there.everything()) == before
    assert main(["restore", str(file)]) == 0, "a second time changes nothing"
    assert list(there.everything()) == before
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"5 reviews written to {file}.",
        f"5 reviews in {file}: 5 restored, 0 there already.",
        f"5 reviews in {file}: 0 restored, 5 there already.",
    ]


def test_restoring_leaves_what_is_there_besides(fresh, tmp_path):
    store, file = fresh(), tmp_path / "reviews.jsonl.gz"
    fill(store)
    assert main(["backup", str(file)]) == 0
    lost, *_ = store.page(limit=1)
    store.delete(lost.id)
    store.save(id=uuid.uuid4(), brand="Later", review="Came after.", rating=5)
    assert main(["restore", str(file)]) == 0
    assert {row.review for row in store.everything()} == {*TEXTS, "No model.", "Came after."}


def test_an_empty_database_makes_a_backup_too(fresh, tmp_path, capsys):
    fresh()
    file = tmp_path / "none.gz"
    assert main(["backup", str(file)]) == 0 and main(["restore", str(file)]) == 0
    assert "0 reviews written" in capsys.readouterr().out


def test_an_empty_database_does_not_take_the_place_of_a_backup(fresh, tmp_path, capsys):
    fill(fresh())
    file = tmp_path / "reviews.jsonl.gz"
    assert main(["backup", str(file)]) == 0
    before = file.read_bytes()
    fresh()
    assert main(["backup", str(file)]) != 0
    said = capsys.readouterr().err
    assert "no reviews in this database" in said and "DATABASE_URL" in said
    assert file.read_bytes() == before and os.listdir(tmp_path) == [file.name]
    # A backup of nothing may be made anew, every night.
    nothing = tmp_path / "none.gz"
    assert main(["backup", str(nothing)]) == 0 and main(["backup", str(nothing)]) == 0


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def with_lines(change):
    def damage(data: bytes) -> bytes:
        lines = gzip.decompress(data).splitlines(keepends=True)
        return gzip.compress(b"".join(change(lines)))

    return damage


def other(line: bytes, **changes) -> bytes:
    return json.dumps(json.loads(line) | changes).encode() + b"\n"


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        lambda data: data[:-5],
        lambda data: data[:200] + bytes([data[200] ^ 255]) + data[201:],
        lambda data: b"",
        lambda data: b"review,rating\nfine,4\n",
        with_lines(lambda lines: lines[:-1]),
        with_lines(lambda lines: lines[:-2] + lines[-1:]),
        with_lines(lambda lines: [*lines, lines[1]]),
        with_lines(lambda lines: lines[:1]),
        with_lines(lambda lines: [other(lines[0], version=2), *lines[1:]]),
        with_lines(lambda lines: [*lines[:3], other(lines[3], rating=4), *lines[4:]]),
        with_lines(lambda lines: [*lines[:3], other(lines[3], rating=6), *lines[4:]]),
        with_lines(lambda lines: [*lines[:3], other(lines[3], review="a\x00"), *lines[4:]]),
        with_lines(lambda lines: [*lines[:3], b"\xff not json\n", *lines[4:]]),
        with_lines(lambda lines: [b"[" * 100_000]),
    ],
)
def test_a_damaged_file_is_refused_in_a_sentence_and_nothing_changes(
    postgres, store, tmp_path, monkeypatch, capsys, damage
):
    monkeypatch.setenv("DATABASE_URL", postgres.start())
    file = tmp_path / "reviews.jsonl.gz"
    fill(store)
    assert main(["backup", str(file)]) == 0
    file.write_bytes(damage(file.read_bytes()))
    store.delete_older_than(0)
    store.save(id=uuid.uuid4(), brand="Here", review="Stays.", rating=5)
    assert main(["restore", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("starwise restore: ") and said.count("\n") == 1
    assert [row.review for row in store.everything()] == ["Stays."]


def test_the_commands_work_on_the_embedded_postgres_while_others_use_it(postgres, store, tmp_path):
    fill(store)
    before = list(store.everything())
    environment = {**os.environ, "STARWISE_DATA": str(postgres.folder)}

    def starwise(*arguments: str) -> str:
        command = [sys.executable, "-P", "-m", "starwise", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert starwise("backup", str(tmp_path / "a.gz")).startswith("5 reviews written")
    store.delete(before[0].id)
    assert "1 restored, 4 there already" in starwise("restore", str(tmp_path / "a.gz"))
    assert starwise("prune", "--older-than", "1") == "0 reviews older than 1 day deleted.\n"
    assert list(store.everything()) == before and postgres.is_running()


def test_a_backup_that_fails_leaves_the_former_one(fresh, tmp_path, monkeypatch, capsys):
    file = tmp_path / "reviews.jsonl.gz"
    fresh()
    file.write_text("the former one")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:s3cret@127.0.0.1:1/none")
    assert main(["backup", str(file)]) == 2
    assert file.read_text() == "the former one" and list(tmp_path.glob(".reviews*")) == []
    assert "s3cret" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_folder_is_no_backup_and_is_refused_in_a_sentence(fresh, tmp_path, capsys, command):
    fresh()
    assert main([command, str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    assert main(["restore", str(tmp_path / "none.gz")]) == 2


def test_prune_deletes_what_is_older_and_says_how_many(fresh, capsys):
    store = fresh()
    fill(store, [f"number {number}" for number in range(9)])
    engine = create_engine(normalised(str(store.url.render_as_string(False))))
    with engine.begin() as connection:
        connection.execute(text(AGE_FOUR))
    engine.dispose()
    assert main(["prune", "--older-than", "30", "--dry-run"]) == 0
    assert len(list(store.everything())) == 10
    assert main(["prune", "--older-than", "30"]) == 0
    assert main(["prune", "--older-than", "30"]) == 0
    assert len(list(store.everything())) == 6
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "4 reviews older than 30 days; nothing was deleted.",
        "4 reviews older than 30 days deleted.",
        "0 reviews older than 30 days deleted.",
    ]


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "x", "", "²", "99999999999", "1; DROP TABLE x"])
def test_prune_refuses_what_is_no_number_of_days(fresh, capsys, days):
    store = fresh()
    fill(store)
    with pytest.raises(SystemExit) as end:
        main(["prune", f"--older-than={days}"])
    assert end.value.code == 2 and "is no number of days" in capsys.readouterr().err
    assert len(list(store.everything())) == 5


def test_prune_needs_to_be_told_an_age(capsys):
    with pytest.raises(SystemExit):
        main(["prune"])
    assert "--older-than" in capsys.readouterr().err
