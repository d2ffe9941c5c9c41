"""The network's rivals learn from the same rows, get a fair chance, and are counted rightly."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from reviews import tiny_reviews

from starwise.bench import rivals
from starwise.classes import CLASSES
from starwise.cli import main
from starwise.pretrain import CLOSER, measure
from starwise.pretrain.reviews import DECIDER


def _table(rows: int, seed: int, source: str, domain: str, split: str) -> pd.DataFrame:
    table = tiny_reviews(rows, seed=seed).drop_duplicates("text").assign(title="")
    table["company"] = [f"{source} {number % 40}" for number in range(len(table))]
    return table.assign(source=source, domain=domain, split=split)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reviews")
    own = _table(600, 1, DECIDER, "trustpilot", "train")
    own.to_parquet(folder / "train-trustpilot.parquet")
    _table(600, 3, "shop", "products", "train").to_parquet(folder / "train-products.parquet")
    tests = [
        _table(90, 2, DECIDER, "trustpilot", "seed_test"),
        _table(60, 4, "shop", "products", "test"),
        own.head(9).assign(split="test"),  # also among the training rows: to be left out there
    ]
    pd.concat(tests).to_parquet(folder / "test.parquet")
    return folder


def test_rivals_learn_from_the_networks_rows_and_from_no_other(folder):
    training, validation = rivals.rows(folder)
    tests = measure.test_rows(folder)
    for one, other in [(training, validation), (training, tests), (validation, tests)]:
        assert not set(one["text"]) & set(other["text"])
    assert set(validation["source"]) == {DECIDER}
    for weight in ("drawn", "closer"):
        assert training[weight].mean() == pytest.approx(1) and (training[weight] >= 0).all()
    own = training["source"] == DECIDER
    # As `starwise pretrain` has it: so much of the decider's kind, the others as they were drawn.
    others = (1 - CLOSER) * training["drawn"][~own].sum() / len(training)
    share = training["closer"][own].sum() / len(training)
    assert share == pytest.approx(CLOSER / (CLOSER + others)) and 0.1 < share < 0.3


@pytest.mark.parametrize("name", list(rivals.TRIED))
def test_each_rival_learns_and_answers_for_every_test_row(folder, name, monkeypatch):
    if name == "fastText":
        pytest.importorskip("fasttext")
        monkeypatch.setattr(rivals, "FASTTEXT_ROWS", 6_000)
    rival = rivals.trained(name, folder)
    test = rivals.test_rows(folder)
    assert rival.plain.shape == rival.shifted.shape == (len(test), 3)
    np.testing.assert_allclose(rival.shifted.sum(1), 1, atol=1e-6)
    assert measure.accuracy(test["label"], rival.shifted) > 0.8
    assert rival.tried == len(rivals.TRIED[name])


def test_a_rival_that_is_not_installed_is_left_out(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "fasttext", None)  # as if it were not there
    assert rivals.trained("fastText", folder) is None


def test_the_shift_undoes_a_leaning_towards_one_class():
    rng = np.random.default_rng(0)
    honest = rng.dirichlet([1, 1, 1], size=6_000)
    truth = (honest.cumsum(1) < rng.random((6_000, 1))).sum(1).clip(max=2)
    leaning = honest * [1.0, 0.3, 2.0]
    leaning /= leaning.sum(1, keepdims=True)
    shift, _loss = rivals.fit_shift(leaning, truth)
    found = rivals.shifted(leaning, shift)
    np.testing.assert_allclose(found, honest, atol=0.05)


def test_the_table_counts_what_only_one_of_two_reads_rightly():
    truth = np.arange(60) % 3
    test = pd.DataFrame({"part": ["seed_test"] * 30 + ["hotels"] * 30})
    test["label"] = np.array(CLASSES)[truth]
    ours, theirs = np.eye(3)[truth], np.eye(3)[truth]
    theirs[:12] = theirs[:12, [1, 2, 0]]  # wrong on twelve rows of seed_test
    rival = rivals.Rival("words", "", 1, 0.0, plain=theirs, shifted=theirs)
    told = {each.name: each for each in rivals.compared(test, ours, [rival])}
    duel = told["seed_test, rows of 30 that only one reads rightly, words"]
    assert (duel.rival, duel.ours, duel.ratio) == ("0", "12", "p = 0.00049")
    assert told["seed_test, accuracy"].rival == "0.600"
    assert told["seed_test, accuracy"].ours == "1.000"
    assert told["hotels, rows of 30 that only one reads rightly, words"].ratio == "p = 1"
    mean = told["test, balanced accuracy, mean of the domains, rivals shifted or not"]
    assert (mean.rival, mean.ours, mean.ratio) == ("1.000", "1.000", "+0.0 points")


def test_without_reviews_the_bench_says_where_it_looked(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STARWISE_REVIEWS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("STARWISE_OUTPUTS", str(tmp_path / "outputs"))
    assert main(["bench", "rivals"]) == 0
    told = capsys.readouterr().out
    assert "not measured" in told and str(tmp_path / "nowhere") in told
    kept = json.loads((tmp_path / "outputs" / "bench.json").read_text())
    assert len(kept["sections"]["rivals"]) == 1
