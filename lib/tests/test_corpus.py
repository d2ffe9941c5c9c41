"""What happens to somebody's own file of reviews, whole or torn."""

import math
import time
from pathlib import Path

import pandas as pd
import pytest

from starwise.corpus import CorpusError, read_corpus
from starwise.errors import StarwiseError
from starwise.practice.corpus import world_from_corpus

ROWS = [
    {"text": "Great shop", "rating": 5, "company": "Finch", "title": "Lovely"},
    {"text": "Slow, and \"rude\"", "rating": 1, "company": "Finch", "title": ""},
    {"text": "It was\nokay", "rating": 3, "company": "Vale", "title": "So so"},
]  # fmt: skip


def write(folder: Path, data: bytes | str, name: str = "reviews.csv") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def texts(world) -> list[str]:
    return [review.text for review in world.reviews]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_reviews_come_back_as_they_were_with_their_companies(tmp_path, kind):
    path = tmp_path / f"reviews.{kind}"
    frame = pd.DataFrame(ROWS)
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    world = world_from_corpus(path)
    assert texts(world) == [row["text"] for row in ROWS]
    assert [review.rating for review in world.reviews] == [5, 1, 3]
    assert [review.title for review in world.reviews] == ["Lovely", "", "So so"]
    assert {company.name: len(world.reviews_of(company.slug)) for company in world.companies} == {
        "Finch": 2,
        "Vale": 1,
    }
    assert world.skipped == {}
    assert math.isnan(world.best_accuracy())


@pytest.mark.parametrize(
    "header", ["Review,Stars", "comment,score", "content,overall", "BODY,Star Rating"]
)
def test_common_column_names_are_understood(tmp_path, header):
    world = world_from_corpus(write(tmp_path, f"{header}\nnice,4\n"))
    assert texts(world) == ["nice"] and world.reviews[0].rating == 4


def test_byte_order_mark_crlf_quotes_and_newlines_are_read(tmp_path):
    data = '\ufefftext,rating\r\n"one\r\ntwo, ""three""",4\r\nfour,4.0\r\n'
    world = world_from_corpus(write(tmp_path, data))
    assert texts(world) == ['one\r\ntwo, "three"', "four"]


def test_a_torn_last_line_is_dropped_and_counted(tmp_path):
    for torn in (b"half a li", b'"an open quote, 5', "caf\u00e9,5\nna\u00efve".encode()[:-3]):
        world = world_from_corpus(write(tmp_path, b"text,rating\ngood,5\n" + torn))
        assert texts(world)[0] == "good"
        assert sum(world.skipped.values()) == 1


def test_a_whole_last_line_without_a_line_end_is_kept(tmp_path):
    assert len(world_from_corpus(write(tmp_path, "text,rating\na,1\nb,2")).reviews) == 2


def test_ratings_that_are_no_stars_are_skipped_and_counted(tmp_path):
    ratings = ["0", "6", "five", "", '"4,5"', "4.5", " 4 ", "4.0", "nan"]
    lines = "\n".join(f"t{number},{rating}" for number, rating in enumerate(ratings))
    world = world_from_corpus(write(tmp_path, f"text,rating\n{lines}\n"))
    assert texts(world) == ["t6", "t7"]
    assert world.skipped == {"rating is not 1, 2, 3, 4 or 5": 7}


def test_a_file_without_any_rating_says_so(tmp_path):
    with pytest.raises(CorpusError, match=r'No row of reviews.csv has a rating .* column "rating"'):
        world_from_corpus(write(tmp_path, "text,rating\na,five\nb,\n"))


def test_a_file_without_texts_lists_its_columns(tmp_path):
    path = write(tmp_path, "stars,when\n5,today\n")
    with pytest.raises(StarwiseError, match=r'no column of texts.*"stars", "when"'):
        world_from_corpus(path)
    # A file without its header is refused the same way: the first review is no column name.
    with pytest.raises(CorpusError, match="no column of texts"):
        world_from_corpus(write(tmp_path, "great,5\nbad,1\n"))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.csv", b"", "is empty"),
        ("torn.parquet", b"PAR1 and then nothing", "not a whole parquet file"),
        ("reviews.docx", b"text", "neither a CSV nor a parquet"),
    ],
)
def test_files_that_cannot_be_read_are_refused_in_a_sentence(tmp_path, name, data, words):
    with pytest.raises(CorpusError, match=words):
        world_from_corpus(write(tmp_path, data, name))
    with pytest.raises(CorpusError, match="There is no file"):
        world_from_corpus(tmp_path / "absent.csv")


def test_rows_without_a_company_get_one_and_always_the_same(tmp_path):
    frame = pd.DataFrame({"text": [f"review {n}" for n in range(400)], "rating": 3})
    frame.to_csv(tmp_path / "a.csv", index=False)
    one, other = (world_from_corpus(tmp_path / "a.csv") for _ in range(2))
    assert [review.company for review in one.reviews] == [r.company for r in other.reviews]
    assert 3 <= len(one.companies) <= 12
    assert [review.id for review in one.reviews] == [review.id for review in other.reviews]


def test_categories_come_from_the_file_and_long_ones_are_divided(tmp_path):
    frame = pd.DataFrame({"text": "fine", "stars": 4, "domain": ["hotels"] * 90 + ["films"] * 2})
    frame["company"] = [f"Place {number % 85}" for number in range(92)]
    frame.to_parquet(tmp_path / "a.parquet")
    world = world_from_corpus(tmp_path / "a.parquet")
    assert set(world.categories) == {"Hotels", "Films"}
    assert len(world.categories["Hotels"]) == 3 and len(world.categories["Films"]) == 1
    assert len({company.slug for company in world.companies}) == len(world.companies)


def test_names_in_any_script_get_an_address(tmp_path):
    data = "text,rating,company\na,5,日本\nb,4,Ünïcode & Co\nc,3,../etc\nd,2,日本人\n"
    slugs = [company.slug for company in world_from_corpus(write(tmp_path, data)).companies]
    assert len(set(slugs)) == 4
    assert all(slug and set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for slug in slugs)


def test_limit_takes_the_first_rows(tmp_path):
    path = write(tmp_path, "text,rating\n" + "".join(f"t{n},5\n" for n in range(30)))
    assert texts(world_from_corpus(path, limit=3)) == ["t0", "t1", "t2"]


def test_a_hundred_thousand_rows_load_in_seconds(tmp_path):
    count = 100_000
    frame = pd.DataFrame({"text": [f"review number {n}, " * 8 for n in range(count)], "rating": 4})
    frame["company"] = [f"Company {n % 3000}" for n in range(count)]
    frame.to_csv(tmp_path / "large.csv", index=False)
    start = time.process_time()
    assert len(world_from_corpus(tmp_path / "large.csv").reviews) == count
    assert time.process_time() - start < 15


def test_a_file_can_be_labelled_without_being_served(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("review,stars,shop\nGreat,5,\nAwful,1,\nGreat,5,\nFine,six,\n")
    reviews, skipped = read_corpus(path)
    assert list(reviews) == ["id", "company", "text", "rating"]
    assert reviews["text"].tolist() == ["Great", "Awful", "Great"]
    assert reviews["id"].is_unique and reviews["company"].is_unique
    assert skipped == {"rating is not 1, 2, 3, 4 or 5": 1}
