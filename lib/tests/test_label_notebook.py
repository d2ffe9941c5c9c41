"""Notebook 02 as a batch run does it: nobody is waited for, splits stay, labels by hand count."""

import os
import subprocess
import sys

import pandas as pd
import pytest
from reviews import tiny_reviews

from starwise import label
from starwise.labeller import Desk
from starwise.paths import Outputs

pytestmark = pytest.mark.slow
RANGE = ("--from", "2", "--to", "2")


def run(outputs: Outputs, corpus, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-P", "-m", "starwise", "run", *RANGE, "--corpus", str(corpus), *options],
        env={**os.environ, "STARWISE_OUTPUTS": str(outputs.root)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> Outputs:
    return Outputs(tmp_path_factory.mktemp("labelling") / "outputs")


@pytest.fixture(scope="module")
def reviews() -> pd.DataFrame:
    return tiny_reviews(1200, companies=60)[["company", "text", "rating"]]


def test_a_batch_run_waits_for_nobody_and_leaves_no_trace_of_the_desk(outputs, reviews):
    corpus = outputs.root.parent / "reviews.csv"
    first = reviews[reviews["company"] < "Company 4"]
    first.to_csv(corpus, index=False)
    done = run(outputs, corpus)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert not outputs.labels.exists()
    labelled = label.read_labelled(outputs.labelled)
    assert (labelled["label_source"] == "stars").all()
    assert "labelling desk" in (outputs.notebooks / "02_label.ipynb").read_text("utf-8")
    card = outputs.data_card.read_text("utf-8")
    assert f"reviews.csv: {len(first):,} rows read, {len(labelled):,} kept" in card
    assert "The label audit estimates" in card


def test_labels_by_hand_make_the_table_anew_and_nothing_else_does(outputs):
    corpus = outputs.root.parent / "reviews.csv"
    assert "02_label: up to date" in run(outputs, corpus).stdout
    desk = Desk(label.read_labelled(outputs.labelled), outputs.labels)
    desk.open()
    desk.label(desk.current.id, "bad")
    done = run(outputs, corpus)
    assert "02_label: running (labels.jsonl has changed)" in done.stdout
    assert "labels by hand: 1 applied" in done.stdout and done.returncode == 0
    desk.undo()
    assert "labels by hand: 0 applied" in run(outputs, corpus).stdout


def test_a_larger_collection_keeps_the_splits_and_labels_by_hand_count(outputs, reviews):
    before = label.read_labelled(outputs.labelled)
    desk = Desk(before.head(40), outputs.labels)
    desk.open()
    said = {}
    for _ in range(30):
        said[desk.current.id] = "bad"
        desk.label(desk.current.id, "bad")
    corpus = outputs.root.parent / "reviews.csv"
    # Others come first, between and after; a torn line and a rating that is none come too.
    reviews.sample(frac=1, random_state=1).to_csv(corpus, index=False)
    with open(corpus, "a", encoding="utf-8") as file:
        file.write('Company 1,"Fine, or so",six\nCompany 2,"torn in the mid')
    done = run(outputs, corpus)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "as in the last run" in done.stdout
    assert "line torn off" in done.stdout and "labels by hand: 30 applied" in done.stdout
    after = label.read_labelled(outputs.labelled).set_index("id")
    old = before.set_index("id")
    assert len(after) > len(old)
    assert (after["split"].reindex(old.index) == old["split"]).all(), "and none was pushed out"
    people = after[after["label_source"] == "person"]["label"].to_dict()
    assert people == {id: word for id, word in said.items() if id in after.index}
    assert "a person (" in outputs.data_card.read_text("utf-8")


def test_a_file_without_any_rating_is_refused_before_anything_is_written(tmp_path):
    corpus = tmp_path / "mine.csv"
    corpus.write_text("text,rating\nfine,five\nbad,\nso so,0\n")
    done = run(Outputs(tmp_path / "out"), corpus)
    assert done.returncode != 0
    assert "No row of mine.csv has a rating of 1, 2, 3, 4 or 5" in done.stdout + done.stderr
    assert not Outputs(tmp_path / "out").labelled.exists()
