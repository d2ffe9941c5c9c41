"""Labelling: cleaned without being flattened, no copies, no company in two splits."""

import pandas as pd
import pytest
from reviews import tiny_reviews

from starwise import label
from starwise.label import LabelError


@pytest.fixture
def frame():
    return tiny_reviews(900, companies=40)[["id", "company", "text", "rating"]]


def _rows(*pairs):
    return pd.DataFrame(
        [
            {"id": str(number), "company": "A", "text": text, "rating": rating}
            for number, (text, rating) in enumerate(pairs)
        ]
    )


def test_cleaning_undoes_the_medium_and_keeps_the_voice():
    assert (
        label.clean("Great&nbsp;price &amp; FAST!!!\r\n\r\n\r\n:(") == "Great price & FAST!!!\n:("
    )
    assert label.clean("a\x00b\u200bc\u202ed\x1b[31m") == "abcd[31m"
    assert label.clean("cafe\u0301 😀") == "café 😀"


def test_stars_become_classes():
    frame, _ = label.prepare(_rows(*[(f"text number {stars}", stars) for stars in range(1, 6)]))
    assert frame["label"].tolist() == ["bad", "bad", "average", "good", "good"]


@pytest.mark.parametrize("rating", [0, 6, "five", "", None, 4.5, float("nan")])
def test_a_rating_that_is_not_one_to_five_whole_stars_is_dropped_and_counted(rating):
    frame, dropped = label.prepare(_rows(("a fine shop", 5), ("another shop", rating)))
    assert len(frame) == 1
    assert dropped["rating is not 1 to 5 whole stars"] == 1


def test_empty_texts_and_copies_are_dropped_and_counted():
    rows = _rows(("Great shop", 5), ("  great   SHOP ", 5), ("", 1), (None, 2), ("ok", 3))
    frame, dropped = label.prepare(rows, min_characters=3)
    assert frame["text"].tolist() == ["Great shop"]
    assert dropped["no text, or hardly any"] == 3
    assert dropped["the same text occurred before"] == 1


def test_no_company_is_in_two_splits_and_shares_are_about_right(frame):
    prepared, _ = label.prepare(frame)
    split = label.split_by_company(prepared, 0.1, 0.2, seed=0)
    assert (split.groupby("company")["split"].nunique() == 1).all()
    shares = split["split"].value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.2, abs=0.05)
    assert shares["validation"] == pytest.approx(0.1, abs=0.05)


def test_the_split_follows_from_the_seed(frame):
    prepared, _ = label.prepare(frame)
    first, again, other = (label.split_by_company(prepared, 0.1, 0.2, s) for s in (0, 0, 1))
    assert first["split"].equals(again["split"])
    assert not first["split"].equals(other["split"])


def test_too_few_companies_are_refused_in_words(frame):
    prepared, _ = label.prepare(frame[frame["company"] == "Company 1"])
    with pytest.raises(LabelError, match="1 companies are too few to split"):
        label.split_by_company(prepared, 0.1, 0.2, seed=0)


def test_what_is_written_is_read_back(frame, tmp_path):
    prepared, _ = label.prepare(frame)
    split = label.split_by_company(prepared, 0.1, 0.2, seed=0)
    label.write_labelled(split, tmp_path / "labelled.parquet")
    back = label.read_labelled(tmp_path / "labelled.parquet")
    assert list(back) == ["id", "company", "text", "rating", "label", "split"]
    assert back["text"].tolist() == split["text"].tolist()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.assign(rating=(6 - f["rating"]).astype("int8")), "the label follows from"),
        (lambda f: f.assign(label="splendid"), "isin"),
        (
            lambda f: f.assign(split=["train", "test"] * (len(f) // 2)),
            "no company is in two splits",
        ),
        (lambda f: f.assign(text=["same"] * len(f)), "uniqueness"),
        (lambda f: f.drop(columns="text"), "text"),
        (lambda f: f.assign(more=1), "more"),
    ],
)
def test_a_table_that_breaks_its_schema_is_refused_naming_what_is_wrong(frame, change, said):
    prepared, _ = label.prepare(frame)
    split = label.split_by_company(prepared, 0.1, 0.2, seed=0)
    with pytest.raises(LabelError, match=said):
        label.check(change(split[list(label.LABELLED.columns)]))


def test_a_missing_or_damaged_table_says_which_notebook_to_run(tmp_path):
    with pytest.raises(LabelError, match="02_label"):
        label.read_labelled(tmp_path / "labelled.parquet")
    (tmp_path / "labelled.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(LabelError, match="02_label"):
        label.read_labelled(tmp_path / "labelled.parquet")
    with pytest.raises(LabelError, match="01_collect"):
        label.read_reviews(tmp_path / "reviews.csv")
