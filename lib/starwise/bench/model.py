"""Speed of the network against the article's, on the same texts.

The article's encoder and `predict` are written anew here as its text describes them (a list
search and a row of an identity matrix for each character, 1,014 columns for any text), so that
both sides of a ratio run on the same machine in the same minute.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from starwise import model
from starwise.bench import Measure, per_second
from starwise.practice.world import make_world
from starwise.predict import predict_logits
from starwise.text import ARTICLE_SYMBOLS, Encoder

TITLE = "2,000 practice reviews, the article's code path -> ours"
ARTICLE_LENGTH = 1014


def measures(seconds: float) -> Iterator[Measure]:
    texts = [r.text for r in make_world(seed=0, companies=40, reviews=2_000).reviews if r.text]
    for name, article, ours, goal in [
        ("encoding, texts/s", _article_encoding, _our_encoding, ""),
        ("training, reviews/s", _article_training(), _our_training(), "at least 10 times"),
    ]:
        rates = (_per_second(work, texts, 256, seconds) for work in (article, ours))
        yield per_second(name, *rates, goal)
    yield _scoring(seconds, texts)


def _scoring(seconds: float, texts: list[str]) -> Measure:
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
    return Measure(
        "scoring 278 characters, one thread, ms",
        f"{1000 / before:.1f}",
        f"{1000 / after:.1f}",
        f"{after / before:.1f} times",
        "at least 10 times",
    )


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
