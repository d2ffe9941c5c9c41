"""Splits: no company and no near-duplicate in two, each like the whole, and tomorrow the same."""

import numpy as np
import pandas as pd
import pytest
from reviews import tiny_reviews

from starwise import label
from starwise.classes import CLASSES
from starwise.label import LabelError


@pytest.fixture
def frame():
    return label.prepare(tiny_reviews(3000, companies=120))[0]


def test_no_company_is_in_two_splits_and_each_split_is_like_the_whole(frame):
    split = label.split_by_company(frame, 0.1, 0.2, seed=0).frame
    assert (split.groupby("company")["split"].nunique() == 1).all()
    shares = split["split"].value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.2, rel=0.3)
    assert shares["validation"] == pytest.approx(0.1, rel=0.3)
    classes = pd.crosstab(split["split"], split["label"], normalize="index")
    assert ((classes - split["label"].value_counts(normalize=True)).abs() <= 0.04).all(axis=None)


def test_companies_that_love_or_hate_are_dealt_out_evenly():
    """Each company has one class only: by chance alone, splits would differ widely."""
    rows = [
        {"id": f"{company}-{n}", "company": f"Shop {company}", "label": CLASSES[company % 3]}
        for company in range(90)
        for n in range(10)
    ]
    split = label.split_by_company(pd.DataFrame(rows), 0.15, 0.2, seed=0).frame
    classes = pd.crosstab(split["split"], split["label"], normalize="index")
    assert (classes - 1 / 3).abs().max(axis=None) <= 0.06


def test_the_split_follows_from_the_seed(frame):
    first, again, other = (label.split_by_company(frame, 0.1, 0.2, s).frame for s in (0, 0, 1))
    assert first["split"].equals(again["split"])
    assert not first["split"].equals(other["split"])


def test_rows_keep_their_split_when_the_collection_grows_in_any_way(frame):
    small = frame[frame["company"].isin(frame["company"].unique()[:60])]
    before = label.split_by_company(small, 0.1, 0.2, seed=0)
    grown = pd.concat(
        [frame.iloc[::-1], frame.assign(id="x" + frame["id"], company="New " + frame["company"])]
    )
    after = label.split_by_company(grown, 0.1, 0.2, seed=0, former_salt=before.salt)
    assert after.salt == before.salt
    split_of = after.frame.set_index("id")["split"]
    assert (split_of[before.frame["id"]].to_numpy() == before.frame["split"].to_numpy()).all()


def test_rows_of_an_earlier_run_are_pushed_out_by_no_copy_and_no_near_duplicate(frame, tmp_path):
    """New companies with the same texts, or nearly the same, come first in the larger one."""
    path = tmp_path / "labelled.parquet"
    before = label.split_by_company(frame.assign(cluster=frame["id"]), 0.1, 0.2, seed=0)
    label.write_labelled(before.frame, path)
    near, copies = frame.iloc[:60], frame.iloc[60:120]
    new = pd.concat([near.assign(text="Well. " + near["text"]), copies])
    new = new.assign(id="x" + new["id"], company="New " + new["company"])
    cluster = dict(zip(near["id"], "x" + near["id"], strict=True))
    for former_ids in ((), label.former_ids(path)):
        grown, dropped = label.prepare(pd.concat([new, frame]), former_ids=former_ids)
        grown["cluster"] = grown["id"].replace(cluster)
        after = label.split_by_company(
            grown, 0.1, 0.2, seed=0, former_salt=before.salt, former_ids=former_ids
        )
        split_of = after.frame.set_index("id")["split"].reindex(before.frame["id"])
        stayed = split_of.to_numpy() == before.frame["split"].to_numpy()
        assert dropped["the same text occurred before"] == 60 and after.apart > 0
        assert stayed.all() == bool(len(former_ids)), "without these ids some are pushed out"
        assert after.frame["id"].str.startswith("x").any()


def test_without_an_earlier_table_there_are_no_ids_of_one(tmp_path):
    assert len(label.former_ids(tmp_path / "labelled.parquet")) == 0
    (tmp_path / "labelled.parquet").write_bytes(b"torn")
    assert len(label.former_ids(tmp_path / "labelled.parquet")) == 0


def test_the_next_run_finds_the_salt_of_the_last_one_in_its_table(frame, tmp_path):
    path = tmp_path / "labelled.parquet"
    wanted = {"seed": 0, "validation_share": 0.1, "test_share": 0.2}
    assert label.former_salt(path, frame["company"], **wanted) is None
    division = label.split_by_company(frame, 0.1, 0.2, seed=0, former_salt=17)
    assert division.salt == 17
    label.write_labelled(division.frame, path, made={**wanted, "salt": division.salt})
    assert label.former_salt(path, frame["company"], **wanted) == 17
    assert label.former_salt(path, frame["company"], **{**wanted, "seed": 1}) is None
    assert label.former_salt(path, frame["company"] + " of another collection", **wanted) is None
    path.write_bytes(b"torn")
    assert label.former_salt(path, frame["company"], **wanted) is None


def test_a_near_duplicate_in_another_split_is_left_out_and_the_rest_stays_together(frame):
    cluster = frame["id"].where(frame.index % 25 > 0, "copies")
    division = label.split_by_company(frame.assign(cluster=cluster), 0.1, 0.2, seed=0)
    kept = division.frame
    assert (kept.groupby("cluster")["split"].nunique() == 1).all()
    assert division.apart == len(frame) - len(kept) > 0
    home = kept.loc[kept["id"] == frame["id"][0], "split"]
    assert (kept.loc[kept["cluster"] == "copies", "split"] == home.iloc[0]).all()


def test_a_collection_that_repeats_itself_all_over_is_split_by_company_and_says_so(frame):
    division = label.split_by_company(frame.assign(cluster=frame["label"]), 0.1, 0.2, seed=0)
    assert division.repetitive and division.apart == 0
    assert len(division.frame) == len(frame) and "cluster" not in division.frame
    assert not label.split_by_company(frame, 0.1, 0.2, seed=0).repetitive


def test_what_cannot_be_split_is_refused_in_words(frame):
    one = frame[frame["company"] == "Company 1"]
    with pytest.raises(LabelError, match="of 1 companies are too few to split"):
        label.split_by_company(one, 0.1, 0.2, seed=0)
    scarce = frame["company"].isin(["Company 1", "Company 2"]) & (frame.index % 2 == 0)
    two = frame.assign(label=np.where(scarce, "average", "good"))
    two.loc[1::2, "label"] = "bad"
    with pytest.raises(LabelError, match=r"too few to split .*only 2 have any average review"):
        label.split_by_company(two, 0.1, 0.2, seed=0)
    for shares in [(0, 0.2), (0.5, 0.5), (0.1, -0.1)]:
        with pytest.raises(LabelError, match="must be above 0"):
            label.split_by_company(frame, *shares, seed=0)
