"""Labelling: cleaned without being flattened, no copies, a table that keeps its schema."""

import pandas as pd
import pytest
from reviews import tiny_reviews

from starwise import label
from starwise.label import LabelError
from starwise.label.card import write_card


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


def test_what_is_written_is_read_back(frame, tmp_path):
    prepared, _ = label.prepare(frame)
    split = label.split_by_company(prepared, 0.1, 0.2, seed=0).frame
    label.write_labelled(split, tmp_path / "labelled.parquet")
    back = label.read_labelled(tmp_path / "labelled.parquet")
    assert list(back) == ["id", "company", "text", "rating", "label", "split", "label_source"]
    assert back["text"].tolist() == split["text"].tolist()


def test_a_table_of_the_six_columns_that_training_needs_is_enough(frame, tmp_path):
    prepared, _ = label.prepare(frame)
    split = label.split_by_company(prepared, 0.1, 0.2, seed=0).frame
    needed = ["id", "company", "text", "rating", "label", "split"]
    split[needed].to_parquet(tmp_path / "labelled.parquet")
    assert list(label.read_labelled(tmp_path / "labelled.parquet")) == needed


def test_a_person_may_contradict_the_stars_and_nobody_else(frame):
    prepared, _ = label.prepare(frame)
    split = label.split_by_company(prepared, 0.1, 0.2, seed=0).frame
    split = split[[name for name in label.LABELLED.columns if name in split]]
    split.loc[0, "label"] = "good" if split.loc[0, "label"] == "bad" else "bad"
    with pytest.raises(LabelError, match="unless a person gave it"):
        label.check(split)
    label.check(split.assign(label_source=["person"] + ["stars"] * (len(split) - 1)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.assign(rating=(6 - f["rating"]).astype("int8")), "the label follows from"),
        (lambda f: f.assign(label="splendid"), "isin"),
        (
            lambda f: f.assign(split=["train", "test"] * (len(f) // 2)),
            "no company is in two splits",
        ),
        (lambda f: f.assign(cluster="one"), "no near-duplicates are in two splits"),
        (lambda f: f.assign(text=["same"] * len(f)), "uniqueness"),
        (lambda f: f.drop(columns="text"), "text"),
        (lambda f: f.assign(more=1), "more"),
    ],
)
def test_a_table_that_breaks_its_schema_is_refused_naming_what_is_wrong(frame, change, said):
    prepared, _ = label.prepare(frame)
    split = label.split_by_company(prepared, 0.1, 0.2, seed=0).frame
    with pytest.raises(LabelError, match=said):
        label.check(change(split[[name for name in label.LABELLED.columns if name in split]]))


def test_a_missing_or_damaged_table_says_which_notebook_to_run(tmp_path):
    with pytest.raises(LabelError, match="02_label"):
        label.read_labelled(tmp_path / "labelled.parquet")
    (tmp_path / "labelled.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(LabelError, match="02_label"):
        label.read_labelled(tmp_path / "labelled.parquet")
    with pytest.raises(LabelError, match="01_collect"):
        label.read_reviews(tmp_path / "reviews.csv")


HEAD = "id,comment,rating,company_name,title\n"


def _reviews(folder, data: str | bytes):
    path = folder / "reviews.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return label.read_reviews(path)


def test_reviews_are_read_with_bom_crlf_newlines_and_quotes(tmp_path):
    data = "\ufeff" + HEAD + 'r1,"one\ntwo, ""three""",4,Finch,Fine\nr2,NA,1,Vale,\n'
    reviews, skipped = _reviews(tmp_path, data.replace("\n", "\r\n"))
    assert reviews["text"].tolist() == ['one\r\ntwo, "three"', "NA"]
    assert reviews["title"].tolist() == ["Fine", ""] and skipped == {}


@pytest.mark.parametrize(
    "torn",
    [
        b"r2,half a l",
        b'r2,"an open quote, 5,Finch,',
        b'r2,good,1,Finch,"an open quo',
        "r2,good,1,Finch,na\u00ef".encode()[:-1],
        b"r2,too,many,columns,in,this,line\n",
    ],
)
def test_a_torn_line_is_dropped_and_named_by_its_number(tmp_path, torn):
    reviews, skipped = _reviews(tmp_path, HEAD.encode() + b'r1,"two\nlines",5,Finch,\n' + torn)
    assert reviews["id"].tolist() == ["r1"]
    assert skipped == {"line torn off or of another width (line 4)": 1}


def test_a_quote_within_a_text_does_not_make_the_last_line_torn(tmp_path):
    reviews, skipped = _reviews(tmp_path, HEAD + 'r1,a 5" screen,5,Finch,\nr2,fine,4,Finch,x')
    assert reviews["text"].tolist() == ['a 5" screen', "fine"] and skipped == {}


def test_a_file_without_its_header_or_a_column_is_refused_in_words(tmp_path):
    with pytest.raises(LabelError, match=r"no column of texts.*01_collect"):
        _reviews(tmp_path, "r1,great,5,Finch,\nr2,bad,1,Finch,\n")
    with pytest.raises(LabelError, match="no column of company and no column of id"):
        _reviews(tmp_path, "comment,rating\ngreat,5\n")


def test_ratings_that_are_none_are_counted_and_a_file_of_them_is_refused(tmp_path):
    lines = [f"r{n},text {n},{rating},Finch,\n" for n, rating in enumerate(["0", "6", "five", ""])]
    reviews, skipped = _reviews(tmp_path, HEAD + "".join(lines) + "r9,fine,3,Finch,\n")
    assert reviews["id"].tolist() == ["r9"]
    assert skipped == {"rating is not 1, 2, 3, 4 or 5": 4}
    with pytest.raises(LabelError, match=r"No row of reviews.csv has a rating of 1, 2, 3, 4 or 5"):
        _reviews(tmp_path, HEAD + "".join(lines))


def test_the_data_card_says_what_is_in_the_table_and_what_is_not(frame, tmp_path):
    prepared, dropped = label.prepare(frame.assign(language=["en", "fr", "en"] * (len(frame) // 3)))
    split = label.split_by_company(prepared, 0.1, 0.2, seed=0).frame
    card = write_card(
        tmp_path / "data_card.md",
        split,
        source="my_reviews|<b>.csv",
        read=1000,
        dropped={**dropped, "a reason of ours": 7},
        parameters={"seed": 0},
        noise=0.0712,
        notes={"labels by hand": 12},
    )
    bad = ((split["split"] == "test") & (split["label"] == "bad")).sum()
    assert (tmp_path / "data_card.md").read_text("utf-8") == card + "\n"
    for words in (
        "my\\_reviews\\|\\<b\\>.csv: 1,000 rows read, 900 kept",
        "| a reason of ours | 7 |",
        "| fr | ",
        "7.1% of the labels do not fit",
        "- `seed`: 0",
        "- labels by hand: 12",
        "cleanlab 2.",
        f"| test | {bad} |",
    ):
        assert words in card, card
