"""Labels that people give: on the disk at once, taken back at will, safe in several windows."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from starwise import label
from starwise.label.journal import Journal
from starwise.labeller import Desk

STARS = ["bad", "average", "good"]


@pytest.fixture
def reviews():
    return pd.DataFrame(
        {
            "id": [f"r{n}" for n in range(9)],
            "text": [f"Review number {n}, as it was." for n in range(9)],
            "label": [STARS[n % 3] for n in range(9)],
            "label_source": "stars",
        }
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outputs" / "labels.jsonl"


def opened(reviews, path, window="") -> Desk:
    desk = Desk(reviews, path, window)
    desk.open()
    return desk


def test_a_key_labels_and_goes_on_and_is_on_the_disk_when_it_returns(reviews, path):
    desk = opened(reviews, path)
    assert desk.current.id == "r0"
    desk.label("r0", "good")
    assert desk.current.id == "r1" and desk.progress == (1, 9)
    assert json.loads(path.read_bytes().splitlines()[-1])["label"] == "good"
    assert "the stars say bad" in desk.notice
    desk.label("r1", "average")
    assert "the stars say the same" in desk.notice


def test_a_click_that_comes_late_or_makes_no_sense_changes_nothing(reviews, path):
    desk = opened(reviews, path)
    desk.label("r0", "good")
    for id, word in [("r0", "bad"), ("r1", "splendid"), ("nobody", "bad"), ("", "bad")]:
        desk.label(id, word)
    assert desk.labels == {"r0": "good"} and desk.current.id == "r1"


def test_undo_restores_step_by_step_also_in_the_next_kernel(reviews, path):
    desk = opened(reviews, path)
    for word in STARS:
        desk.label(desk.current.id, word)
    desk.undo()
    assert desk.current.id == "r2" and desk.labels == {"r0": "bad", "r1": "average"}
    later = opened(reviews, path)  # as after a kill
    later.undo()
    assert later.current.id == "r1"
    later.label("r1", "good")
    later.undo()
    later.undo()
    later.undo()
    assert later.current.id == "r0" and later.labels == {} and not later.can_undo
    assert "nothing to take back" in later.notice
    assert len(path.read_bytes().splitlines()) == 2 + 4 + 4, "what was said stays in the file"


def test_skipped_reviews_come_again_at_the_end(reviews, path):
    desk = opened(reviews.head(3), path)
    desk.skip("r0")
    desk.label("r1", "bad")
    desk.label("r2", "bad")
    assert desk.current.id == "r0"
    desk.skip("r0")
    assert desk.current.id == "r0", "it is the only one left"
    desk.label("r0", "bad")
    assert desk.current is None and desk.progress == (3, 3)


def test_agreement_is_told_as_cohens_kappa(reviews, path):
    desk = opened(reviews, path)
    assert math.isnan(desk.agreement.kappa)
    said = ["bad", "average", "good", "bad", "average", "bad", "bad", "good", "good"]
    for word in said:
        desk.label(desk.current.id, word)
    # 7 of 9 agree; by chance (3 x 4 + 3 x 2 + 3 x 3) / 81 = 1 / 3 would: (7/9 - 1/3) / (2/3).
    assert desk.agreement.labelled == 9
    assert desk.agreement.share == pytest.approx(7 / 9)
    assert desk.agreement.kappa == pytest.approx(2 / 3)


def test_a_torn_line_costs_itself_and_no_other(reviews, path):
    opened(reviews, path).label("r0", "bad")
    whole = path.read_bytes()
    opened(reviews, path).label("r1", "good")
    written = path.read_bytes()
    for cut in range(len(whole), len(written)):
        path.write_bytes(written[:cut])
        desk = opened(reviews, path)
        assert desk.labels.pop("r0") == "bad"
        desk.label(desk.current.id, "average")
        again = Journal(path)
        again.refresh()
        assert len(again.labels) >= 2 and again.torn <= 1


def test_two_windows_show_different_reviews_and_count_each_others_labels(reviews, path):
    one, two = opened(reviews, path, "one"), opened(reviews, path, "two")
    assert (one.current.id, two.current.id) == ("r0", "r1")
    one.label("r0", "bad")
    two.label("r1", "bad")
    assert (one.current.id, two.current.id) == ("r2", "r3")
    assert two.progress == (2, 9)
    two.undo()
    assert two.current.id == "r1" and two.labels == {"r0": "bad"}, "each takes back its own"


def test_two_windows_on_the_last_review_keep_both_words_and_count_one(reviews, path):
    one, two = (opened(reviews.head(1), path, name) for name in ("one", "two"))
    one.label("r0", "bad")
    two.label("r0", "good")
    assert "another window said bad" in two.notice
    assert two.labels == {"r0": "good"} and two.progress == (1, 1)
    two.undo()
    assert two.labels == {"r0": "bad"}


WINDOW = """
import random, sys, time
import pandas as pd
from starwise.labeller import Desk
reviews = pd.DataFrame({"id": [f"r{n}" for n in range(120)]})
reviews["text"], reviews["label"] = "Text of " + reviews["id"], "bad"
desk = Desk(reviews, sys.argv[1])
desk.open()
print("open", flush=True)
while desk.current:
    desk.label(desk.current.id, random.choice(["bad", "average", "good"]))
    print("said", flush=True)
"""


def windows(path, count):
    return [
        subprocess.Popen(
            [sys.executable, "-c", WINDOW, str(path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]


def test_windows_of_several_processes_lose_no_label_and_double_none(path):
    processes = windows(path, 3)
    said = sum(process.communicate(timeout=120)[0].count("said") for process in processes)
    acts = [json.loads(line) for line in path.read_bytes().splitlines()]
    labelled = [act["id"] for act in acts if act["act"] == "label"]
    assert len(set(labelled)) == 120 == len(Journal_of(path).labels)
    # Only where the last review lay on two desks may a second word have come.
    assert 120 <= len(labelled) <= said <= 122
    assert len({act["window"] for act in acts}) == 3


def Journal_of(path) -> Journal:  # noqa: N802
    journal = Journal(path)
    journal.refresh()
    return journal


def test_a_window_killed_at_any_moment_loses_at_most_its_last_label(path):
    for _ in range(3):
        (process,) = windows(path, 1)
        process.stdout.readline()
        time.sleep(random.uniform(0.01, 0.1))
        before = Journal_of(path)
        os.kill(process.pid, signal.SIGKILL)
        said = process.communicate()[0].count("said")
        after = Journal_of(path)
        assert len(after.labels) >= len(before.labels)
        assert after.torn <= 1 and sum(a.act == "label" for a in after.acts[-said - 1 :]) >= said
    (process,) = windows(path, 1)
    process.communicate(timeout=120)
    assert len(Journal_of(path).labels) == 120, "the lock of the killed is free"


def test_labels_flow_into_the_table_and_into_what_is_written(reviews, path, tmp_path):
    desk = opened(reviews, path)
    for word in ["good", "average", "good"]:
        desk.label(desk.current.id, word)
    other = reviews.assign(text=["Edited since.", *reviews["text"][1:]]).drop(index=2)
    frame, counts = label.apply_labels(other, path)
    assert counts == {
        "applied": 1,
        "changed by a person": 0,
        "of another text": 1,
        "not in this collection": 1,
        "torn lines": 0,
    }
    frame, counts = label.apply_labels(reviews, path)
    assert frame["label"].tolist()[:3] == ["good", "average", "good"]
    assert frame["label_source"].tolist() == ["person"] * 3 + ["stars"] * 6
    assert counts["changed by a person"] == 1 and reviews["label"][0] == "bad"


def test_without_a_file_of_labels_nothing_changes(reviews, path):
    frame, counts = label.apply_labels(reviews, path)
    assert frame.equals(reviews) and not any(counts.values()) and not path.exists()
