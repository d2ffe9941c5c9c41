"""A pretraining that is killed goes on from where it was (T1), whichever part it was killed in."""

import multiprocessing
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from reviews import tiny_reviews

from starwise import train
from starwise.pretrain import pretrain
from starwise.pretrain.reviews import DECIDER
from starwise.score import Scorer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reviews")
    table = tiny_reviews(600, seed=1).drop_duplicates("text")
    table["company"] = [f"shop {number % 40}" for number in range(len(table))]
    table = table.assign(source=DECIDER, domain="trustpilot", title="")
    table.to_parquet(folder / "train-trustpilot.parquet")
    return folder


def _pretrain_small(folder: Path, output: Path, log: Path) -> None:
    """What a killed process was doing; it leaves a checkpoint after every batch."""
    torch.set_num_threads(2)  # another number adds up in another order
    train.CHECKPOINT_SECONDS = 0.0
    settings = train.Settings(
        epochs=1, reviews_per_epoch=450, batch_size=30, learning_rate=2e-3, longest=520
    )
    with open(log, "a", buffering=1) as lines:  # what was told is there after a kill, too
        pretrain(folder, output, settings, "none", report=lambda line: print(line, file=lines))


@pytest.mark.slow
def test_a_pretraining_killed_in_each_of_its_parts_ends_as_if_nothing_had_been(folder, tmp_path):
    log, work = tmp_path / "log", tmp_path / "killed.work"
    _pretrain_small(folder, tmp_path / "whole", tmp_path / "other log")
    work_of = (folder, tmp_path / "killed", log)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["starwise.pretrain", "torch.utils.tensorboard"])
    for part in ("network", "adapted"):
        checkpoint = work / part / "checkpoint.safetensors"
        process = processes.Process(target=_pretrain_small, args=work_of)
        process.start()
        while not checkpoint.exists():
            assert process.is_alive(), f"it ended before it could be killed in {part}"
            time.sleep(0.002)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL and not (tmp_path / "killed").exists()
    last = processes.Process(target=_pretrain_small, args=work_of)
    last.start()
    last.join()
    assert last.exitcode == 0 and not work.exists()
    assert log.read_text().count("going on from the checkpoint") == 2, log.read_text()
    # The third run found the network done, and did not train it once more.
    ends = [line for line in log.read_text().splitlines() if "validation loss" in line]
    assert sum("epoch 1 of 1" in line for line in ends) == 1, ends
    texts = tiny_reviews(90, seed=2)["text"].tolist()
    whole, killed = (
        Scorer.load(tmp_path / each).probabilities(texts) for each in ("whole", "killed")
    )
    np.testing.assert_allclose(killed, whole, atol=0.02)
