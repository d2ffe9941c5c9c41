"""The words that an explanation names move the score, more than as many others of the text."""

import numpy as np
import pytest

from starwise.chance import mean_intervals
from starwise.checks import sentences
from starwise.deletion import WAYS, _less, deletion_curve
from starwise.explain import words
from starwise.plots import deletion as drawn
from starwise.score import BUNDLED, Scorer


@pytest.fixture(scope="module")
def curve():
    lines = sentences()["sentence"].tolist()
    texts = [" ".join(lines[start : start + 4]) for start in range(0, 96, 4)]
    return deletion_curve(Scorer.load(BUNDLED), texts, most=4, draws=6)


def test_named_words_move_the_bundled_network_further_than_random_ones(curve):
    one_side, named, chance = (curve[curve["way"] == way].set_index("words") for way in WAYS)
    assert (one_side["moved"] > 2 * chance["moved"]).all()
    assert (one_side["low"] > chance["high"]).all()
    # Praise and complaint, deleted together, undo each other; of one side, words add up.
    assert one_side["moved"].iloc[0] == named["moved"].iloc[0]
    assert one_side["moved"].iloc[-1] > 1.25 * one_side["moved"].iloc[0]
    assert named["moved"].mean() > 1.5 * chance["moved"].mean()


def test_each_mean_lies_within_its_interval_and_more_words_move_more(curve):
    assert ((curve["low"] < curve["moved"]) & (curve["moved"] < curve["high"])).all()
    chance = curve[curve["way"] == "at random"]["moved"].to_numpy()
    assert chance[0] < chance[-1]


def test_one_seed_gives_one_curve_and_short_texts_are_left_out():
    scorer = Scorer.load(BUNDLED)
    texts = ["Lovely lamp, but it came broken and nobody answers my many emails.", "Too short!"]
    both, first = (deletion_curve(scorer, given, most=3) for given in (texts, texts[:1]))
    assert both.equals(first)
    assert deletion_curve(scorer, texts[1:], most=3).empty


def test_what_is_deleted_are_those_words_and_no_others():
    text = "Good, but the   waiter wasn't nice."
    spans = words(text)
    assert _less(text, [spans[3], spans[0], spans[5]]) == ", but   waiter nice."
    assert _less(text, []) == text


def test_an_interval_of_a_mean_narrows_with_the_root_of_the_rows():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1_600, 2))
    few, many = (np.subtract(*mean_intervals(values[:rows])[::-1]) for rows in (100, 1_600))
    assert few / many == pytest.approx([4, 4], rel=0.3)
    low, high = mean_intervals(values)
    assert high - low == pytest.approx([4 * 0.98 / 40] * 2, rel=0.2)


def test_the_figure_has_a_line_with_intervals_for_each_way(curve):
    (axes,) = drawn(curve).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(WAYS)
    assert len(axes.containers) == len(WAYS)  # the error bars
