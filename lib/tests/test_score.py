"""Scores: defined for every text, monotone, the same in any company; damaged models are refused."""

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from starwise import cli, model
from starwise.checks import sentences
from starwise.model import ModelError
from starwise.predict import UNDECIDED, undecided
from starwise.pretrain import measure
from starwise.score import BUNDLED, Scorer, sentiment_of, serving_folder, stars_of
from starwise.text import pad


@pytest.fixture(scope="module")
def scorer():
    return Scorer.load(BUNDLED)


def test_the_bundled_model_tells_love_from_anger(scorer):
    good = scorer.score("I love it, wonderful people and fast delivery!")
    bad = scorer.score("Terrible. It arrived broken and nobody answers.")
    assert (good.label, bad.label) == ("good", "bad")
    assert good.stars >= 4
    assert bad.stars <= 2
    assert good.model == "bundled"
    assert sum(good.probabilities.values()) == pytest.approx(1)


def test_sentiment_never_falls_when_probability_moves_up():
    rng = np.random.default_rng(0)
    before = rng.dirichlet([1, 1, 1], size=500)
    for source, target in [(0, 1), (1, 2), (0, 2)]:
        moved = before.copy()
        amount = before[:, source] * rng.random(500)
        moved[:, source] -= amount
        moved[:, target] += amount
        assert (sentiment_of(moved) >= sentiment_of(before) - 1e-12).all()


def test_a_text_that_may_be_bad_as_well_as_good_is_average():
    before = np.random.default_rng(0).dirichlet([1, 1, 1], size=20_000)
    after = undecided(before)
    np.testing.assert_allclose(after.sum(1), 1)
    assert after.min() >= 0
    smaller_end = before[:, [0, 2]].min(1)
    assert (after[smaller_end >= UNDECIDED[1]].argmax(1) == 1).all()
    for one, other in [(0, 2), (2, 0)]:
        ahead = before[:, one] > before[:, other]
        assert (after[ahead, one] > after[ahead, other]).all(), "who is ahead stays ahead"
    settled = smaller_end <= UNDECIDED[0]
    np.testing.assert_array_equal(after[settled], before[settled])
    assert (after[:, 1] >= before[:, 1]).all(), "it moves towards the middle only"


def test_a_typed_review_seldom_jumps_between_bad_and_good(scorer):
    typed = [sentence for sentence in sentences()["sentence"] if len(sentence) > 40][:40]
    assert measure.jumps(scorer.probabilities, typed) <= 0.1


def test_a_certain_average_is_three_stars():
    assert sentiment_of(np.array([[0.0, 1.0, 0.0]])) == 0.5
    edges = [0.0, 0.14, 0.15, 0.29, 0.3, 0.5, 0.69, 0.7, 0.84, 0.85, 1.0]
    assert stars_of(np.array(edges)).tolist() == [1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_text_has_no_score(scorer, text):
    assert scorer.score(text) is None


@pytest.mark.parametrize(
    "text", ["a", "\U0001f600", "\ud800", "م" * 20, "very good " * 10_000, "\x00"]
)
def test_any_other_text_has_one(scorer, text):
    score = scorer.score(text)
    assert 0 <= score.sentiment <= 1
    assert score.stars in range(1, 6)


def test_a_table_is_scored_row_by_row_as_single_texts_are(scorer):
    texts = ["I love it", "", "It is okay, nothing special.", None, "Awful " * 300]
    table = scorer.frame(texts)
    assert table["sentiment"].isna().tolist() == [False, True, False, True, False]
    for text, sentiment in zip(texts, table["sentiment"], strict=True):
        if text:
            assert sentiment == pytest.approx(scorer.score(text).sentiment, abs=1e-4)


def test_without_a_verdict_the_bundled_model_serves(own_outputs):
    assert serving_folder(own_outputs) == BUNDLED


def test_the_verdict_decides_which_model_serves(own_outputs):
    own_outputs.models.mkdir(parents=True)
    own_outputs.serving.write_text(json.dumps({"model": "mine"}))
    assert serving_folder(own_outputs) == own_outputs.models / "mine"
    own_outputs.serving.write_text("{")
    with pytest.raises(ModelError, match="04_evaluate"):
        serving_folder(own_outputs)


# -- one text, a batch, any padding


def _random_texts(rows, seed=0):
    """Texts of all lengths: words of the sentences, noise, emoji, other scripts."""
    rng = np.random.default_rng(seed)
    known = " ".join(sentences()["sentence"]).split()
    odd = ["😍", "👩‍👩‍👧", "ß", "naïve", "很好", "\n", "!!!", "\ud800", "\x00", "İ", "…"]
    texts = []
    for _ in range(rows):
        words = rng.choice(known, size=int(rng.lognormal(2.5, 1.1)) + 1).tolist()
        for place in rng.integers(len(words), size=rng.integers(3)):
            words[place] = odd[rng.integers(len(odd))]
        texts.append(" ".join(words))
    return [*texts, "good " * 1_000, "x"]


def test_a_text_scores_the_same_alone_in_a_batch_and_in_any_order(scorer):
    texts = _random_texts(300)
    together = scorer.probabilities(texts)
    alone = np.concatenate([scorer.probabilities([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    order = np.random.default_rng(1).permutation(len(texts))
    shuffled = scorer.probabilities([texts[place] for place in order])
    np.testing.assert_allclose(shuffled, together[order], atol=1e-5)


def test_a_text_scores_the_same_with_any_padding(scorer):
    network, encoder = scorer.network, scorer.network.config.encoder
    for text in _random_texts(60, seed=2):
        ids = encoder.ids(text)
        with torch.inference_mode():
            plain, *padded = (
                network(torch.from_numpy(pad([ids], len(ids) + more))).softmax(1).numpy()
                for more in (0, 1, 2, 7, 64, 1_500)
            )
        for one in padded:
            np.testing.assert_allclose(one, plain, atol=1e-5)


def test_the_number_of_threads_does_not_change_a_score(scorer):
    texts = _random_texts(100, seed=3)
    threads = torch.get_num_threads()
    found = []
    for number in (1, 2):
        torch.set_num_threads(number)
        found.append(scorer.probabilities(texts))
    torch.set_num_threads(threads)
    np.testing.assert_allclose(*found, atol=1e-5)


@pytest.mark.parametrize(
    "text", ["", "x", "\u4e00" * 50, "\ud800", "q" * 100_000, "so good " * 12_500]
)
def test_hostile_lengths_and_letters_have_a_defined_result_in_bounded_work(scorer, text):
    probabilities = scorer.probabilities([text])
    assert probabilities.shape == (1, 3)
    assert np.isfinite(probabilities).all()
    assert probabilities.sum() == pytest.approx(1)
    table = scorer.frame([text])
    assert table["sentiment"].isna()[0] == (not text.strip())


# -- a model that cannot be trusted


def _damaged(folder: Path, damage: str, canary: Path) -> Path:
    """Copy the bundled model and damage it."""
    shutil.copytree(BUNDLED, folder)
    weights, described = folder / "model.safetensors", folder / "model.json"
    data, card = bytearray(weights.read_bytes()), json.loads(described.read_text())
    match damage:
        case "truncated":
            data = data[: len(data) // 2]
        case "empty":
            data = bytearray()
        case "one bit flipped":
            data[len(data) // 2] ^= 4
        case "another architecture":
            card["config"]["channels"] += 8
        case "a temperature of nothing":
            card["temperature"] = 0
        case "a cooling that is a word":
            card["cooling"] = "much"
        case "another alphabet":
            card["config"]["alphabet"] = "article"
        case "a pickle" | "a pickle vouched for":
            data = bytearray(pickle.dumps(_Canary(canary)))
            if damage == "a pickle vouched for":
                card["sha256"] = hashlib.sha256(data).hexdigest()
        case "a description that is a pickle":
            described.write_bytes(pickle.dumps(_Canary(canary)))
            return folder
    weights.write_bytes(data)
    described.write_text(json.dumps(card))
    return folder


class _Canary:
    """Unpickled, it writes a file: the proof that something of the model was run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "I was run"))


@pytest.mark.parametrize(
    "damage",
    [
        "truncated",
        "empty",
        "one bit flipped",
        "another architecture",
        "another alphabet",
        "a temperature of nothing",
        "a cooling that is a word",
        "a pickle",
        "a pickle vouched for",
        "a description that is a pickle",
    ],
)
def test_a_model_that_cannot_be_trusted_is_refused_and_the_former_one_serves(
    scorer, tmp_path, capsys, damage
):
    canary = tmp_path / "canary"
    folder = _damaged(tmp_path / "model", damage, canary)
    before = scorer.score("I love it")
    with pytest.raises(ModelError) as refused:
        Scorer.load(folder)
    assert str(folder) in str(refused.value) and "\n" not in str(refused.value)
    # On the command line: the same sentence, no output, and an earlier output stays.
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text\nfine\n")
    output.write_text("an earlier result")
    options = ["--text-column", "text", "--output", str(output), "--model", str(folder)]
    assert cli.main(["score", str(source), *options]) == 2
    told = capsys.readouterr().err
    assert "starwise score: " in told and "Traceback" not in told
    assert output.read_text() == "an earlier result"
    assert not canary.exists()
    assert scorer.score("I love it") == before


def test_the_canary_would_sing(tmp_path):
    pickle.loads(pickle.dumps(_Canary(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


def test_the_bundled_weights_are_whole_and_small():
    network, _card = model.load(BUNDLED)
    assert model.parameter_count(network) <= 2_000_000
    assert (BUNDLED / "model.safetensors").stat().st_size <= 3_000_000
    assert (BUNDLED / "CARD.md").exists()
