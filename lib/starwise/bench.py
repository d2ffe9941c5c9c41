"""Speed against the article's way of doing it, on the same texts, in one run, as ratios.

    ./run_all.sh bench

The article's encoder and `predict` are written anew here as its text describes them (a list
search and a row of an identity matrix for each character, 1,014 columns for any text), so that
both sides of a ratio run on the same machine in the same minute.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from starwise import model
from starwise.practice.world import make_world
from starwise.predict import predict_logits
from starwise.text import ARTICLE_SYMBOLS, Encoder

ARTICLE_LENGTH = 1014


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long each measurement runs (default 5)"
    )


def main(args: argparse.Namespace) -> int:
    texts = [r.text for r in make_world(seed=0, companies=40, reviews=2_000).reviews if r.text]
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, torch {torch.__version__}\n"
        f"{len(texts):,} practice reviews, {np.mean([len(t) for t in texts]):.0f} characters each "
        "on average\n"
    )
    rows = [
        _row("encoding, texts/s", args.seconds, texts, _article_encoding, _our_encoding, 256),
        _row("training, reviews/s", args.seconds, texts, _article_training(), _our_training(), 256),
        _scoring_row(args.seconds, texts),
    ]
    print(pd.DataFrame(rows).to_string(index=False))
    return 0


def _row(name: str, seconds: float, texts: list[str], old: Callable, new: Callable, batch: int):
    before, after = (_per_second(work, texts, batch, seconds) for work in (old, new))
    return {
        "measure": name,
        "article": f"{before:,.0f}",
        "starwise": f"{after:,.0f}",
        "ratio": f"{after / before:.1f} times",
    }


def _scoring_row(seconds: float, texts: list[str]) -> dict[str, str]:
    """One review, one thread, as a keystroke on the dashboard costs it."""
    review = (texts[0] + " " + texts[1] + " " + texts[2] * 3)[:278]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    article, ours = model.build("article").eval(), model.build("compact").eval()

    @torch.inference_mode()
    def old(batch: list[str]) -> None:
        article.dense(article.convolutions(_article_one_hot(batch).transpose(1, 2)).flatten(1))

    before = _per_second(old, [review], 1, seconds)
    after = _per_second(lambda batch: predict_logits(ours, batch), [review], 1, seconds)
    torch.set_num_threads(threads)
    return {
        "measure": "scoring 278 characters, one thread, ms",
        "article": f"{1000 / before:.1f}",
        "starwise": f"{1000 / after:.1f}",
        "ratio": f"{after / before:.1f} times",
    }


def _per_second(work: Callable, texts: list[str], batch: int, seconds: float) -> float:
    """Return how many texts `work` gets done a second, over at least `seconds`."""
    work(texts[:batch])  # the first call also warms up
    done, place, start = 0, 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        chosen = texts[place : place + batch]
        work(chosen)
        done += len(chosen)
        place = (place + batch) % max(1, len(texts) - batch)
    return done / (time.perf_counter() - start)


def _article_one_hot(texts: list[str]) -> torch.Tensor:
    """Return one-hot float texts (batch, 1014, 70), a list search a character."""
    vocabulary = list(ARTICLE_SYMBOLS)
    identity = np.identity(len(vocabulary), dtype=np.float32)
    out = np.zeros((len(texts), ARTICLE_LENGTH, len(vocabulary)), dtype=np.float32)
    for number, text in enumerate(texts):
        known = [c for c in text.lower().strip()[::-1] if c in vocabulary][:ARTICLE_LENGTH]
        if known:
            out[number, : len(known)] = [identity[vocabulary.index(c)] for c in known]
    return torch.from_numpy(out)


def _article_encoding(texts: list[str]) -> None:
    _article_one_hot(texts)


def _our_encoding(texts: list[str]) -> None:
    Encoder().batch(texts)


def _training_step(network: nn.Module, forward: Callable, order: Callable) -> Callable:
    """Return a function that trains on texts in batches of 32, after `order` has arranged them."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step(texts: list[str]) -> None:
        texts = order(texts)
        for start in range(0, len(texts), 32):
            logits = forward(texts[start : start + 32])
            loss = F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return step


def _article_training() -> Callable:
    network = model.build("article").train()

    def forward(texts: list[str]) -> torch.Tensor:
        signal = network.convolutions(_article_one_hot(texts).transpose(1, 2))
        return network.dense(signal.flatten(1))

    return _training_step(network, forward, order=list)


def _our_training() -> Callable:
    network = model.build("compact").train()
    encoder = network.config.encoder

    def forward(texts: list[str]) -> torch.Tensor:
        return network(torch.from_numpy(encoder.batch(texts)))

    # Batches of like length are part of our way of training.
    return _training_step(network, forward, order=lambda texts: sorted(texts, key=len))
