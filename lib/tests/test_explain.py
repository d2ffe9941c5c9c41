"""The explanation of a score: what hiding a word does, for any text, in bounded work."""

import threading

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from starwise import model
from starwise.checks import sentences
from starwise.explain import Effect, explain, gradient, hiding, words
from starwise.predict import Calibration
from starwise.score import BUNDLED, Scorer

LAMP = (
    "Lovely lamp and the delivery was fast, but it arrived broken, the shade is cheap plastic, "
    "and nobody at the shop answers my emails. I have ordered here for years and was always happy, "
    "so this is a great disappointment. They promised a refund and then ignored me for 3 weeks!!!"
)


@pytest.fixture(scope="module")
def scorer():
    return Scorer.load(BUNDLED)


@pytest.fixture(scope="module")
def article():
    torch.manual_seed(0)
    return Scorer(model.build("article").eval(), "article", Calibration())


def test_praise_moves_a_score_up_and_blame_moves_it_down(scorer):
    text = "Wonderful food, but the waiter was rude."
    effects = {text[e.start : e.end]: e.effect for e in explain(scorer, text)}
    assert effects["Wonderful"] > 0.02
    assert effects["rude"] < -0.02


def test_an_effect_is_what_hiding_the_word_does_to_the_score(scorer):
    effect = max(explain(scorer, LAMP), key=lambda effect: abs(effect.effect))
    without = LAMP[: effect.start] + LAMP[effect.end :].removeprefix(" ")
    difference = scorer.score(LAMP).sentiment - scorer.score(without).sentiment
    assert effect.effect == pytest.approx(difference, abs=1e-4)


def test_the_gradient_ranks_words_much_as_hiding_them_does(scorer):
    lines = sentences()["sentence"].tolist()
    texts = [" ".join(lines[start::20]) for start in range(12)]
    agreement, kept = [], []
    for text in texts:
        spans = words(text)
        sums = np.concatenate([[0], np.cumsum(gradient(scorer, text))])
        quick = np.array([sums[end] - sums[start] for start, end in spans])
        true = hiding(scorer, text, spans)
        agreement.append(spearmanr(quick, true).statistic)
        chosen = np.argsort(-np.abs(quick))[:18]
        best = np.sort(np.abs(true))[::-1][:12]
        kept.append(np.abs(true[chosen]).sum() / best.sum())
    assert np.mean(agreement) > 0.25
    # Of the effect of the twelve strongest words, most is in the eighteen that it hides.
    assert np.mean(kept) > 0.7


def test_the_strongest_words_are_told_in_the_order_of_the_text(scorer):
    text = LAMP[:90]  # short enough for each of its words to be hidden
    strongest, every = explain(scorer, text, limit=5), explain(scorer, text, limit=99)
    assert len(strongest) == 5 and len(every) == len(words(text))
    assert strongest == sorted(strongest, key=lambda effect: effect.start)
    sizes = sorted((abs(effect.effect) for effect in every), reverse=True)
    assert sorted((abs(e.effect) for e in strongest), reverse=True) == pytest.approx(sizes[:5])


@pytest.mark.parametrize("text", ["", "   ", "\n\t "])
def test_an_empty_text_has_nothing_to_explain(scorer, text):
    assert explain(scorer, text) == []


def test_the_only_word_of_a_text_is_compared_with_no_opinion(scorer):
    (effect,) = explain(scorer, " Awful ")
    assert (effect.start, effect.end) == (1, 6)
    assert effect.effect == pytest.approx(scorer.score(" Awful ").sentiment - 0.5, abs=1e-4)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "\ud800",
        "\x00",
        "م" * 40,
        "👩‍👩‍👧 loved it 👍🏽, cafe\u0301 1️⃣",
        "x" * 5_000,
        "very good " * 10_000,
        "bad, " * 500 + "GOOD " + "good! " * 800,
        "\n" * 10_000 + "İstanbul was lovely",
    ],
)
def test_any_text_is_explained_with_offsets_that_fit_it(scorer, article, text):
    for one in (scorer, article):
        effects = explain(one, text)
        assert len(effects) <= 12
        for effect in effects:
            assert isinstance(effect, Effect)
            assert text[effect.start : effect.end].strip()
            assert (effect.start, effect.end) in words(text)
            assert -1 <= effect.effect <= 1
        starts = [effect.start for effect in effects]
        assert starts == sorted(set(starts))


def test_a_grapheme_is_never_cut(scorer):
    text = "cafe\u0301 1️⃣ don't re-ordered"
    assert [text[a:b] for a, b in words(text)] == ["cafe\u0301", "1️⃣", "don't", "re-ordered"]


def test_the_words_of_a_long_text_are_those_that_the_network_reads(scorer):
    text = "It was terrible. " + "word " * 3_000 + "I hate it."
    read = scorer.network.config.max_length
    effects = explain(scorer, text)
    assert {text[effect.start : effect.end] for effect in effects} >= {"terrible", "hate"}
    assert all(e.end <= read or e.start >= len(text) - read for e in effects)


def test_scoring_on_other_threads_is_not_disturbed(scorer):
    before = scorer.score(LAMP)
    wrong, stop = [], threading.Event()

    def score_on():
        while not stop.is_set():
            if scorer.score(LAMP).sentiment != pytest.approx(before.sentiment, abs=1e-6):
                wrong.append("moved")

    thread = threading.Thread(target=score_on)
    thread.start()
    expected = explain(scorer, LAMP)
    for _ in range(5):
        assert [e.effect for e in explain(scorer, LAMP)] == pytest.approx(
            [e.effect for e in expected], abs=1e-5
        )
    stop.set()
    thread.join()
    assert not wrong
