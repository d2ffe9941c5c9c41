"""Scores: defined for every text, monotone, and the command that scores a file."""

import json

import numpy as np
import pandas as pd
import pytest

from starwise import cli, model
from starwise.model import ModelError
from starwise.score import BUNDLED, Scorer, sentiment_of, serving_folder, stars_of


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


def test_a_certain_average_is_three_stars():
    assert sentiment_of(np.array([[0.0, 1.0, 0.0]])) == 0.5
    assert stars_of(np.array([0.0, 0.19, 0.2, 0.5, 0.79, 0.8, 1.0])).tolist() == [
        1,
        1,
        2,
        3,
        4,
        5,
        5,
    ]


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


# -- starwise score


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_score_command_adds_the_five_columns(tmp_path, suffix, capsys):
    reviews = pd.DataFrame({"who": ["A", "B", "C"], "comment": ["I love it", "", "Awful, broken"]})
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    reviews.to_csv(source, index=False) if suffix == ".csv" else reviews.to_parquet(source)
    arguments = ["score", str(source), "--text-column", "comment", "--output", str(target)]
    assert cli.main(arguments) == 0
    scored = pd.read_csv(target) if suffix == ".csv" else pd.read_parquet(target)
    assert list(scored) == ["who", "comment", "bad", "average", "good", "sentiment", "stars"]
    assert scored["stars"].isna().tolist() == [False, True, False]
    assert scored["sentiment"][0] > scored["sentiment"][2]
    assert "scored 2 reviews (1 without text)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--text-column": "text"}, "has no column 'text'; it has comment"),
        ({"--output": "out.xlsx"}, "must end in .csv or .parquet"),
        ({"--model": "nowhere"}, "holds no model"),
    ],
)
def test_the_score_command_refuses_in_one_sentence(tmp_path, capsys, change, sentence):
    source = tmp_path / "in.csv"
    source.write_text("comment\nfine\n")
    options = {"--text-column": "comment", "--output": str(tmp_path / "out.csv"), **change}
    assert cli.main(["score", str(source), *sum(options.items(), ())]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told
    assert not (tmp_path / "out.csv").exists()


def test_the_score_command_does_not_overwrite_a_column(tmp_path, capsys):
    source = tmp_path / "in.csv"
    source.write_text("comment,stars\nfine,1\n")
    output = tmp_path / "out.csv"
    arguments = ["score", str(source), "--text-column", "comment", "--output", str(output)]
    assert cli.main(arguments) == 2
    assert "already has a column 'stars'" in capsys.readouterr().err
    assert not output.exists()


def test_the_score_command_says_when_there_is_no_file(tmp_path, capsys):
    arguments = ["score", str(tmp_path / "no.csv"), "--text-column", "a", "--output", "o.csv"]
    assert cli.main(arguments) == 2
    assert "there is no file" in capsys.readouterr().err


def test_the_bundled_weights_are_whole_and_small():
    network, _card = model.load(BUNDLED)
    assert model.parameter_count(network) <= 2_000_000
    assert (BUNDLED / "model.safetensors").stat().st_size <= 3_000_000
    assert (BUNDLED / "CARD.md").exists()
