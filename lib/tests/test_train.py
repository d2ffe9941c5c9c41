"""Training learns, goes on after a kill as if nothing had been, and refuses what cannot work."""

import multiprocessing
import pickle
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from reviews import tiny_reviews

from starwise import checkpoint, model, sampling
from starwise import train as train_module
from starwise.objectives import Objective, class_weights
from starwise.predict import fit_calibration, predict_logits, softmax
from starwise.schedules import SCHEDULES
from starwise.together import Team
from starwise.train import Settings, TrainError, train

THREADS = 2
SMALL = Settings(epochs=3, reviews_per_epoch=600, batch_size=32, learning_rate=2e-3)


@pytest.fixture(scope="module")
def rows():
    return tiny_reviews(600, seed=1), tiny_reviews(120, seed=2)


@pytest.fixture(scope="module")
def uninterrupted(rows, tmp_path_factory):
    torch.set_num_threads(THREADS)
    folder = tmp_path_factory.mktemp("train") / "whole"
    lines: list[str] = []
    history = train(*rows, SMALL, folder, report=lines.append)
    return folder, history, lines


def test_the_network_learns_what_can_be_learned(uninterrupted):
    _folder, history, _ = uninterrupted
    assert history[-1]["validation_accuracy"] > 0.9
    assert history[-1]["loss"] < history[0]["loss"]


def test_progress_tells_loss_and_accuracy(uninterrupted):
    *_, lines = uninterrupted
    assert "epoch 3 of 3" in lines[-1]
    assert "validation loss" in lines[-1]


def test_the_folder_holds_all_it_takes_to_rebuild_the_network(uninterrupted):
    folder, history, _ = uninterrupted
    network, card = model.load(folder)
    assert card["settings"]["seed"] == 0
    assert card["history"] == history
    assert card["temperature"] > 0
    assert not (folder / "checkpoint.safetensors").exists()
    texts = ["The shop was awful, order 1", "The shop was great, order 1"]
    answers = predict_logits(network, texts).argmax(1)
    assert answers.tolist() == [0, 2]


def test_tensorboard_reads_the_logs(uninterrupted):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, history, _ = uninterrupted
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    losses = [event.value for event in events.Scalars("validation/loss")]
    assert losses == pytest.approx([row["validation_loss"] for row in history], rel=1e-5)


def test_one_seed_gives_one_result(rows, uninterrupted, tmp_path):
    _folder, history, _ = uninterrupted
    again = train(*rows, SMALL, tmp_path / "again", report=lambda line: None)
    assert [r["validation_loss"] for r in again] == [r["validation_loss"] for r in history]


def _train_small(folder: Path, threads: int) -> None:
    """What a killed process was doing; it leaves a checkpoint after every batch."""
    torch.set_num_threads(threads)  # another number adds up in another order
    train_module.CHECKPOINT_SECONDS = 0.0
    rows = tiny_reviews(600, seed=1), tiny_reviews(120, seed=2)
    train(*rows, SMALL, folder, report=lambda line: None)


@pytest.mark.slow
def test_a_run_that_is_killed_ten_times_ends_with_the_same_weights(uninterrupted, tmp_path):
    folder = tmp_path / "killed"
    checkpoint = folder / "checkpoint.safetensors"
    # A fork server imports torch once, so that each of the eleven processes starts at once.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["starwise.train", "torch.utils.tensorboard", "reviews"])
    rng = random.Random(0)
    for _ in range(10):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = processes.Process(target=_train_small, args=(folder, THREADS))
        process.start()
        # Wait until it trains, then kill it at a random moment shortly after.
        while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
            assert process.is_alive(), "the run ended before it could be killed ten times"
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    last = processes.Process(target=_train_small, args=(folder, THREADS))
    last.start()
    last.join()
    assert last.exitcode == 0
    whole, _ = model.load(uninterrupted[0])
    resumed, _ = model.load(folder)
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


def test_a_damaged_checkpoint_is_said_and_left_aside(rows, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    lines: list[str] = []
    quick = Settings(epochs=1, reviews_per_epoch=60)
    train(*rows, quick, tmp_path / "run", report=lines.append)
    assert "damaged" in lines[0]


def test_a_bit_that_flips_in_a_checkpoint_is_noticed(tmp_path):
    kept = tmp_path / "checkpoint.safetensors"
    tensors = {"one": {"a": torch.arange(300.0), "b": torch.ones(3).bfloat16()}}
    checkpoint.write(kept, tensors | {"two": {"step": torch.tensor(7)}}, {"batches": 3})
    whole = kept.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    noticed = []
    for place in range(len(whole)):
        if whole[place : place + 1] == b" " and place < header:
            continue  # between words of the header, where nothing is said
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            checkpoint.read(kept)
            noticed.append(False)
        except checkpoint.DamagedError:
            noticed.append(True)
    assert all(noticed)
    kept.write_bytes(whole)
    found, told = checkpoint.read(kept)
    assert told == {"batches": 3}
    assert found["two"]["step"] == 7
    torch.testing.assert_close(found["one"], tensors["one"])


class _Canary:
    """Unpickled, it writes a file: the proof that something of the checkpoint was run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "I was run"))


def test_a_malicious_pickle_in_place_of_a_checkpoint_is_never_opened(rows, tmp_path):
    folder, canary = tmp_path / "run", tmp_path / "canary"
    folder.mkdir()
    torch.save({"network": _Canary(canary)}, folder / "checkpoint.safetensors")
    quick = Settings(epochs=1, reviews_per_epoch=60)
    train(*rows, quick, folder, report=lambda line: None)
    assert not canary.exists() and (folder / "model.safetensors").exists()
    pickle.loads(pickle.dumps(_Canary(canary)))
    assert canary.exists(), "the canary cannot sing, so the test shows nothing"


def test_a_damaged_model_to_start_from_is_refused_and_the_former_result_stays(
    rows, uninterrupted, tmp_path
):
    whole, damaged = tmp_path / "whole", tmp_path / "torn"
    for folder in (whole, damaged):
        shutil.copytree(uninterrupted[0], folder)
    weights = damaged / "model.safetensors"
    flipped = bytearray(weights.read_bytes())
    flipped[-1_000] ^= 1
    weights.write_bytes(flipped)
    before = (whole / "model.safetensors").read_bytes()
    settings = Settings(epochs=1, reviews_per_epoch=60, start_from=str(damaged))
    with pytest.raises(model.ModelError, match="its digest is not the recorded one"):
        train(*rows, settings, whole, report=lambda line: None)
    assert (whole / "model.safetensors").read_bytes() == before


def test_reviews_of_no_one_and_a_hundred_thousand_characters_are_trained_on(rows, tmp_path):
    training, validation = rows[0].head(60).copy(), rows[1].head(30).copy()
    odd = ["", "x", "\u0645" * 40, "\x00", "so good " * 12_500]
    training.loc[training.index[: len(odd)], "text"] = odd
    validation.loc[validation.index[:4], "text"] = [" ", "y", "\u0646" * 40, "\x01"]
    for preset, longest in [("compact", 2048), ("article", 1014)]:
        settings = Settings(preset, epochs=1, reviews_per_epoch=60, longest=longest, batch_size=20)
        history = train(training, validation, settings, tmp_path / preset, lambda line: None)
        assert np.isfinite(history[0]["loss"]) and np.isfinite(history[0]["validation_loss"])
        network, card = model.load(tmp_path / preset)
        alone = [predict_logits(network, [text]) for text in odd]  # no other text pads them
        assert np.isfinite(alone).all() and card["temperature"] > 0


def test_training_starts_from_a_model_of_the_same_preset_only(rows, uninterrupted, tmp_path):
    folder, _history, _ = uninterrupted
    settings = Settings(epochs=1, reviews_per_epoch=96, start_from=str(folder), learning_rate=1e-4)
    started = train(*rows, settings, tmp_path / "more", report=lambda line: None)
    assert started[0]["validation_accuracy"] > 0.85
    with pytest.raises(TrainError, match="'compact', not 'article'"):
        train(*rows, Settings("article", start_from=str(folder)), tmp_path / "other")


def test_it_stops_early_when_the_validation_loss_no_longer_falls(rows, tmp_path):
    lines: list[str] = []
    hopeless = Settings(epochs=9, reviews_per_epoch=60, learning_rate=0.0, patience=1)
    history = train(*rows, hopeless, tmp_path / "run", report=lines.append)
    assert len(history) < 9
    assert "stopped early" in lines[-1]


def test_shuffled_labels_teach_nothing(rows, tmp_path):
    training, validation = rows
    shuffled = training["label"].sample(frac=1.0, random_state=0).to_numpy()
    settings = Settings(epochs=2, reviews_per_epoch=600, learning_rate=2e-3, patience=9)
    history = train(
        training.assign(label=shuffled), validation, settings, tmp_path / "run", lambda line: None
    )
    assert 0.15 < history[-1]["validation_accuracy"] < 0.55


def test_one_class_only_is_refused_in_words(rows, tmp_path):
    training, validation = rows
    with pytest.raises(TrainError, match="too few reviews of a class: bad 0, average 0"):
        train(training[training["label"] == "good"], validation, SMALL, tmp_path)


def test_three_rows_are_refused_in_words(rows, tmp_path):
    with pytest.raises(TrainError, match="too few"):
        train(rows[0].head(3), rows[1], SMALL, tmp_path)


def test_the_same_text_on_both_sides_is_refused(rows, tmp_path):
    with pytest.raises(TrainError, match="1 texts are in both"):
        training, validation = rows
        copied = [training["text"].iloc[0], *validation["text"].tolist()[1:]]
        train(training, validation.assign(text=copied), SMALL, tmp_path)


def test_the_article_preset_trains_too(rows, tmp_path):
    quick = Settings("article", epochs=1, reviews_per_epoch=12, batch_size=4)
    history = train(rows[0], rows[1].head(9), quick, tmp_path / "article", lambda line: None)
    assert np.isfinite(history[0]["validation_loss"])


def _honest_logits(number):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, size=(number, 3))
    truth = (softmax(logits).cumsum(1) < rng.random((number, 1))).sum(1).clip(max=2)
    return logits, truth


def test_temperature_undoes_boasting():
    logits, truth = _honest_logits(4_000)
    assert fit_calibration(logits, truth).temperature == pytest.approx(1, rel=0.1)
    boasting = fit_calibration(3 * logits, truth)
    assert boasting.temperature == pytest.approx(3, rel=0.1)
    assert boasting.cooling == 0


def test_calibration_finds_who_boasts_of_short_texts_only():
    logits, truth = _honest_logits(6_000)
    lengths = np.resize([25, 50, 100, 200, 400], len(truth))
    boast = (lengths / 100) ** -0.3
    found = fit_calibration(boast[:, None] * logits, truth, lengths)
    assert (found.temperature, found.cooling) == pytest.approx((1, 0.3), abs=0.05)
    np.testing.assert_allclose(
        found.probabilities(boast[:, None] * logits, lengths), softmax(logits), atol=0.05
    )
    # Shorter than the shortest and longer than the longest, nothing more happens.
    assert found.temperatures([0, 20, 400, 9_999]) == pytest.approx(
        found.temperatures([20, 20, 400, 400])
    )


def test_a_gpu_out_of_memory_hands_over_to_the_cpu(rows, tmp_path, monkeypatch):
    """No GPU here, so its error is raised by hand; what follows is the real thing."""
    whole = train_module._Run._train_batch
    calls = []

    def fails_once(run, *arguments):
        calls.append(run)
        if len(calls) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(run, *arguments)

    monkeypatch.setattr(train_module._Run, "_train_batch", fails_once)
    lines: list[str] = []
    quick = Settings(epochs=1, reviews_per_epoch=96)
    history = train(*rows, quick, tmp_path / "run", report=lines.append)
    assert any("the CPU goes on" in line for line in lines)  # a slow machine tells more
    assert len(history) == 1 and calls[-1].device.type == "cpu"


def test_batches_made_by_other_processes_are_the_same(uninterrupted, rows, tmp_path, monkeypatch):
    """As for a GPU, though there is none here."""
    monkeypatch.setattr(sampling, "_workers", lambda *_: 2)
    assert train(*rows, SMALL, tmp_path / "run")[-1]["loss"] == uninterrupted[1][-1]["loss"]
    weights = [
        dict(model.load(at)[0].named_parameters()) for at in (uninterrupted[0], tmp_path / "run")
    ]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, rtol=0, atol=0)


def test_a_gpu_reads_the_same_batches_in_fewer_lengths(rows):
    network, team = model.build("compact"), Team()
    here, there = (
        sampling.Batches(rows[0], network, SMALL, team, torch.device(name))
        for name in ("cpu", "cuda")
    )
    lengths = set()
    for step in range(here.per_epoch):
        (numbers, ids, seed), (same, padded, again) = here[step], there[step]
        assert (numbers == same).all() and seed == again
        assert (padded[:, : ids.shape[1]] == ids).all() and not padded[:, ids.shape[1] :].any()
        lengths.add(padded.shape[1])
    assert all(length % 16 == 0 for length in lengths)


def test_a_gpu_too_small_for_the_network_hands_over_to_the_cpu(rows, tmp_path, monkeypatch):
    whole = train_module._Run.__init__
    devices = []

    def fails_once(run, *arguments):
        devices.append(arguments[-1].type)
        if len(devices) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        whole(run, *arguments)

    monkeypatch.setattr(train_module._Run, "__init__", fails_once)
    history = train(*rows, Settings(epochs=1, reviews_per_epoch=96), tmp_path / "run")
    assert len(history) == 1 and devices[1:] == ["cpu"]


# ---- What a run can be asked for -------------------------------------------------------------

QUICK = dict(epochs=2, reviews_per_epoch=450, learning_rate=2e-3, averaging=0.8)


@pytest.mark.parametrize(
    "asked",
    [
        {"loss": "focal", "focal_gamma": 1.5},
        {"balance": "weights"},
        {"balance": "none"},
        {"schedule": "cyclical"},
        {"schedule": "stepped"},
        {"schedule": "constant", "input_dropout": 0.0},
        {"optimizer": "sgd", "learning_rate": 0.2},
        {"precision": "bfloat16"},
        {"precision": "float32"},
    ],
    ids=lambda asked: "-".join(map(str, asked.values())),
)
def test_each_way_of_training_learns(rows, asked, tmp_path):
    history = train(*rows, Settings(**{**QUICK, **asked}), tmp_path, report=lambda line: None)
    assert history[-1]["validation_accuracy"] > 0.6  # chance is 0.33


@pytest.mark.parametrize("taken_for", ["left out", "bad", "good"])
def test_three_stars_can_be_left_out_or_grouped(rows, taken_for, tmp_path):
    settings = Settings(**QUICK, three_stars=taken_for)
    history = train(*rows, settings, tmp_path, report=lambda line: None)
    assert history[-1]["validation_accuracy"] > 0.7  # of two classes; chance is 0.5
    network, _ = model.load(tmp_path)
    answers = predict_logits(network, rows[1]["text"].tolist()).argmax(1)
    assert 1 not in answers, "a class that was never shown must not be answered"


def test_what_cannot_be_asked_for_is_refused_with_the_choices():
    for name, wrong in [
        ("loss", "hinge"),
        ("schedule", "linear"),
        ("three_stars", "maybe"),
        ("precision", "half"),
    ]:
        with pytest.raises(TrainError, match=f"{name} is '{wrong}' and may be one of .+, "):
            Settings(**{name: wrong})


def test_the_focal_loss_pays_less_for_what_is_known():
    logits = torch.tensor([[4.0, 0.0, 0.0], [0.2, 0.0, 0.0]])
    targets = torch.eye(3)[[0, 0]]
    plain, focal = (
        [Objective(loss)(logits[i : i + 1], targets[:1]).item() for i in (0, 1)]
        for loss in ("cross_entropy", "focal")
    )
    assert focal[0] / plain[0] < 0.01 < 0.3 < focal[1] / plain[1]
    # With gamma 0 it is the cross-entropy.
    same = Objective("focal", focal_gamma=0.0)(logits, targets)
    torch.testing.assert_close(same, torch.nn.functional.cross_entropy(logits, targets))


def test_class_weights_make_the_classes_count_alike():
    labels = np.array([0] * 2 + [1] * 1 + [2] * 7)
    weights = torch.tensor(class_weights(labels), dtype=torch.float32)
    torch.manual_seed(0)
    logits, targets = torch.randn(10, 3), torch.from_numpy(labels)
    by_class = [
        torch.nn.functional.cross_entropy(logits[targets == c], targets[targets == c])
        for c in range(3)
    ]
    weighted = Objective(class_weights=weights)(logits, torch.eye(3)[targets])
    torch.testing.assert_close(weighted, torch.stack(by_class).mean())


def test_every_schedule_stays_between_nothing_and_the_highest_rate():
    for name, shape in SCHEDULES.items():
        shares = [shape(step / 200) for step in range(201)]
        assert min(shares) > 0 and max(shares) <= 1.0, name
    assert [SCHEDULES["stepped"](p) for p in (0.1, 0.3, 0.6, 0.9)] == [1, 0.5, 0.25, 0.125]
    tops = [p for p in range(1, 200) if SCHEDULES["cyclical"](p / 201) > 0.98]
    assert len({round(3 * p / 201 - 0.5) for p in tops}) == 3
