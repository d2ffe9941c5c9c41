"""Measures are what the books say, baselines climb, and the verdict follows its rule."""

import numpy as np
import pandas as pd
import pytest
from reviews import tiny_reviews

from starwise import chance, checks, evaluate, model, plots, stress
from starwise.sampling import disturb, epoch_batches, with_typos
from starwise.score import BUNDLED, Scorer


def _sure(*classes):
    return np.eye(3)[list(classes)] * 0.94 + 0.02


def test_measures_of_a_small_example_by_hand():
    labels = ["bad", "bad", "average", "good", "good", "good"]
    found = evaluate.measures(labels, _sure(0, 2, 1, 2, 2, 0))
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 2 / 3) / 3)
    assert found["bad_good"] == pytest.approx(2 / 6)
    # Bad: precision 1/2, recall 1/2; average: 1, 1; good: 2/3, 2/3.
    assert found["macro_f1"] == pytest.approx((1 / 2 + 1 + 2 / 3) / 3)


def test_an_honest_forecaster_is_calibrated_and_a_boaster_is_not():
    rng = np.random.default_rng(0)
    honest = rng.dirichlet([1, 1, 1], size=20_000)
    truth = np.array([rng.choice(3, p=row) for row in honest])
    labels = np.array(["bad", "average", "good"])[truth]
    boasting = honest**4 / (honest**4).sum(1, keepdims=True)
    assert evaluate.measures(labels, honest)["ece"] < 0.02
    assert evaluate.measures(labels, boasting)["ece"] > 0.1


def test_the_confusion_matrix_has_the_truth_in_rows():
    matrix = evaluate.confusion(["bad", "bad", "good"], _sure(0, 2, 2))
    assert matrix.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]


def test_each_baseline_stands_above_the_one_before():
    train, test = tiny_reviews(600, seed=1), tiny_reviews(150, seed=2)
    rungs = [
        evaluate.majority(train, test),
        evaluate.lexicon(train, test),
        evaluate.bag_of_words(evaluate.fit_bag_of_words(train), test["text"]),
    ]
    scores = [evaluate.measures(test["label"], rung)["balanced_accuracy"] for rung in rungs]
    assert scores[0] == pytest.approx(1 / 3)
    assert scores[0] + 0.1 < scores[1] < scores[2]


def test_the_worst_errors_are_opposites_the_surest_first():
    frame = pd.DataFrame({"text": list("abcd"), "rating": [1, 5, 3, 1]})
    frame["label"] = ["bad", "good", "average", "bad"]
    probabilities = np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1], [0.9, 0, 0.1], [0.9, 0.1, 0]])
    assert evaluate.worst_errors(frame, probabilities, rows=5)["text"].tolist() == ["b", "a"]


def test_typos_change_about_the_share_of_letters_asked_for():
    rng = np.random.default_rng(0)
    text = "abcdefghij" * 200
    assert with_typos(text, 0.0, rng) == text
    changed = sum(a != b for a, b in zip(text, with_typos(text, 0.1, rng), strict=False))
    assert changed > 50
    assert with_typos("12 :) é😀", 1.0, rng) == "12 :) é😀"


def test_a_typo_curve_starts_without_typos_and_falls():
    test = tiny_reviews(150, seed=2)
    bag = evaluate.fit_bag_of_words(tiny_reviews(600, seed=1))
    curve = stress.typo_curve(lambda texts: evaluate.bag_of_words(bag, texts), test)
    assert curve["share"].iloc[0] == 0
    assert curve["balanced_accuracy"].iloc[-1] < curve["balanced_accuracy"].iloc[0]


def test_every_epoch_draws_each_class_equally_often_in_batches_of_like_length():
    rng = np.random.default_rng(0)
    lengths = rng.integers(10, 2000, size=1000)
    labels = np.array([0] * 100 + [1] * 30 + [2] * 870)
    batches = epoch_batches(lengths, labels, reviews=600, batch_size=20, rng=rng)
    drawn = np.concatenate(batches)
    assert np.bincount(labels[drawn]).tolist() == [200, 200, 200]
    # Rare rows are gone through in rounds: none is drawn three rounds ahead of another.
    counts = np.bincount(drawn, minlength=1000)[labels == 1]
    assert counts.max() - counts.min() <= 1
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    assert spread < 0.35 * np.ptp(lengths)


def test_disturbing_leaves_a_third_of_the_texts_as_they_are():
    rng = np.random.default_rng(0)
    text = "Great service and very friendly staff, thank you so much!"
    same = sum(disturb(text, rng) == text for _ in range(400)) / 400
    assert 0.25 < same < 0.4


@pytest.mark.parametrize(
    ("plain", "balanced", "serves"),
    [(0.9, 0.8, "new"), (0.9, 0.7, "new"), (0.89, 0.99, "bundled"), (1.0, 0.69, "bundled")],
)
def test_a_candidate_serves_only_if_it_loses_nowhere(plain, balanced, serves):
    decided = evaluate.verdict(
        {"plain": plain, "balanced_accuracy": balanced},
        {"plain": 0.9, "balanced_accuracy": 0.7},
        "new",
    )
    assert decided["serves"] == serves
    assert decided["reason"]


# -- the bundled model's behaviour (invariance, direction, minimum functionality)


@pytest.fixture(scope="module")
def bundled():
    return Scorer.load(BUNDLED)


def test_the_sentences_are_many_balanced_in_every_group_and_all_different():
    table = checks.sentences()
    assert len(table) >= 150 and table["sentence"].is_unique
    counts = table.groupby(["group", "expected"]).size().unstack()
    assert set(counts.columns) == {"bad", "average", "good"}
    assert (counts.nunique(axis=1) == 1).all()


def test_the_bundled_model_reads_plain_english(bundled):
    groups = checks.by_group(checks.plain_sentences(bundled))
    assert groups["right"]["all"] >= 0.65
    assert groups["opposite"]["all"] <= 0.12
    assert groups["right"]["plain"] >= 0.75
    assert groups["opposite"]["plain"] <= 0.05


def test_small_edits_hardly_change_its_mind(bundled):
    assert (checks.invariance(bundled)["class changed"] <= 0.15).all()


def test_better_sentences_get_a_better_sentiment(bundled):
    assert checks.direction(bundled)["right"].mean() >= 0.75


# -- how far luck goes, and where reading gets harder


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(60):
        truth = rng.integers(3, size=300)
        found = np.where(rng.random(300) < 0.8, truth, (truth + 1) % 3)
        labels = np.array(["bad", "average", "good"])[truth]
        low, high = chance.intervals(labels, _sure(*found), seed=seed)["balanced_accuracy"]
        inside += low <= 0.8 <= high
    assert inside >= 50


def test_companies_that_differ_widen_the_interval():
    labels = ["good"] * 200 + ["bad"] * 200
    found = _sure(*([2] * 100 + [0] * 300))
    company = np.repeat(list("abcdefgh"), 50)
    wide, narrow = chance.intervals(labels, found, company), chance.intervals(labels, found)
    assert np.ptp(wide["accuracy"]) > 2 * np.ptp(narrow["accuracy"])


def test_mcnemar_looks_only_at_where_two_models_differ():
    labels = ["good"] * 20
    first, second = _sure(*[2] * 20), _sure(*([0] * 10 + [2] * 10))
    duel = chance.mcnemar(labels, first, second)
    assert (duel["only_first"], duel["only_second"]) == (10, 0)
    assert duel["p"] == pytest.approx(2 / 2**10)
    assert chance.mcnemar(labels, first, first)["p"] == 1


def test_wilsons_interval_stays_between_nothing_and_all():
    assert chance.wilson(0, 10)[0] == 0
    assert chance.wilson(10, 10)[1] == 1


def test_honest_forecasts_of_unequal_classes_stay_within_luck():
    rng = np.random.default_rng(1)  # luck is the 95th of 100, so one seed in twenty fails
    truth = rng.choice(3, p=[0.2, 0.2, 0.6], size=3000)
    logits = rng.normal(size=(3000, 3))
    logits[np.arange(3000), truth] += 1.0  # for equal classes, softmax of these is honest
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    frame = pd.DataFrame({"text": ["a text"] * 3000})
    frame["label"] = np.array(["bad", "average", "good"])[truth]
    row = stress.prefix_curve(lambda texts: honest, frame, shares=(1.0,)).iloc[0]
    assert row["ece"] < row["luck"]
    boasting = honest**4 / (honest**4).sum(1, keepdims=True)
    row = stress.prefix_curve(lambda texts: boasting, frame, shares=(1.0,)).iloc[0]
    assert row["ece"] > row["luck"]


def test_parts_of_like_many_texts_are_measured_one_by_one():
    frame = tiny_reviews(90, seed=1)
    right = np.eye(3)[frame["label"].map({"bad": 0, "average": 1, "good": 2})]
    parts = stress.by_part(frame, right, stress.length_part(frame["text"]))
    assert parts["reviews"].sum() == 90 and (parts["accuracy"] == 1).all()


def test_a_learning_curve_has_an_interval_at_each_point_that_narrows_with_the_test_rows():
    train = tiny_reviews(300, seed=1)
    train["text"] = [  # every third label is by luck, so that nobody is always right
        text if number % 3 else f"The thing, order {number}"
        for number, text in enumerate(train["text"])
    ]
    test = pd.concat([train, tiny_reviews(300, seed=2)], ignore_index=True)
    widths = []
    for rows in (test.sample(60, random_state=0), test):
        reads = lambda few, rows=rows: evaluate.bag_of_words(  # noqa: E731
            evaluate.fit_bag_of_words(few), rows["text"]
        )
        told = stress.learning_curve({"bag": reads}, train, rows, sizes=[60, 300])
        assert told["reviews"].tolist() == [60, 300]
        assert (told["low"] < told["balanced_accuracy"]).all()
        assert (told["balanced_accuracy"] < told["high"]).all()
        widths.append((told["high"] - told["low"]).mean())
    assert widths[1] < 0.7 * widths[0]
    (axes,) = plots.learning_curve(told).axes
    assert len(axes.containers) == 1  # the error bars
    assert stress.learning_curve({}, train, test, sizes=[]).empty


def test_the_card_tells_the_loss_log_that_notebook_04_shows():
    card = (BUNDLED / "CARD.md").read_text("utf-8")
    chapter = card.partition("\n## Loss log\n")[2].partition("\n## ")[0]
    assert chapter.count("\n|") > 4, "the loss log has a table with a row for each step"
    assert chapter.count("\n|---") == 1, "and no other table, for the notebook would join the two"
    _, told = model.load(BUNDLED)
    assert len(told["history"]) > 4, "and its history, a row for each step that is shown"
    assert all({"reviews", "loss"} <= set(row) for row in told["history"])


def test_one_class_and_three_rows_have_defined_measures():
    found = evaluate.measures(["good"] * 3, _sure(2, 2, 0))
    assert all(np.isfinite(value) for value in found.values())
    assert chance.intervals(["good"] * 3, _sure(2, 2, 0))["accuracy"][1] <= 1


def test_fasttext_learns_where_it_is_installed():
    pytest.importorskip("fasttext")
    train, test = tiny_reviews(600, seed=1), tiny_reviews(90, seed=2)
    found = evaluate.fasttext(train, [*test["text"], "\ud800", ""])[:90]
    assert evaluate.measures(test["label"], found)["balanced_accuracy"] > 0.5
