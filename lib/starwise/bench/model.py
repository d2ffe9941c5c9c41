"""Speed of the network against the article's on the same texts, and what the bundled one reads.

The article's encoder and `predict` are written anew here as its text describes them (a list
search and a row of an identity matrix for each character, 1,014 columns for any text), so that
both sides of a ratio run on the same machine in the same minute. What the bundled network reads
rightly is measured where the folder of real reviews lies beside the project (or is named by
STARWISE_REVIEWS); without it those rows are left out.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from starwise import model
from starwise.bench import Measure, per_second, reviews_folder
from starwise.evaluate import measures as measured
from starwise.practice.world import make_world
from starwise.predict import PARTS, predict_logits
from starwise.pretrain import measure
from starwise.score import BUNDLED, Scorer
from starwise.stress import prefix_curve
from starwise.text import ARTICLE_SYMBOLS, Encoder
from starwise.train import has_bfloat16

TITLE = "2,000 practice reviews, the article's code path -> ours"
ARTICLE_LENGTH = 1014
OUR_BATCH = 64  # as `starwise pretrain` has it; the article's code gets its own loop's 32
# What was best on the same reviews before: TF-IDF over words with logistic regression.
RIVAL = {"accuracy": 0.731, "macro_f1": 0.727, "bad_good": 0.024, "binary": 0.944}
RIVAL_BALANCED = {"trustpilot": 0.739, "products": 0.691, "hotels": 0.688, "restaurants": 0.650}


def measures(seconds: float) -> Iterator[Measure]:
    texts = [r.text for r in make_world(seed=0, companies=40, reviews=2_000).reviews if r.text]
    for name, article, ours, goal in [
        ("encoding, texts/s", _article_encoding, _our_encoding, "150,000 texts/s"),
        ("training, reviews/s", _article_training(), _our_training(), "at least 10 times"),
    ]:
        before = _per_second(article, texts, 256, seconds)
        # Ours arranges all texts of a round by length, so it is given them together.
        yield per_second(name, before, _per_second(ours, texts, len(texts), seconds), goal)
    yield from _scoring(seconds, texts)
    size = (BUNDLED / "model.safetensors").stat().st_size
    yield Measure("weights on disk, MB", "45", f"{size / 1e6:.1f}", "", "at most 3 MB")
    reviews = reviews_folder()
    if (reviews / "test.parquet").is_file():
        yield from _reading(reviews)


def _reading(reviews: Path) -> Iterator[Measure]:
    """What the bundled network reads rightly of reviews that it was not trained on."""
    predict = Scorer.load(BUNDLED).probabilities
    rows = measure.test_rows(reviews)
    seed = rows[rows["split"] == "seed_test"].reset_index(drop=True)
    probabilities = predict(seed["text"].tolist())
    found = measured(seed["label"], probabilities)
    found["binary"] = measure.binary_accuracy(seed["label"], probabilities)
    for name, key, goal in [
        ("accuracy", "accuracy", "at least 0.775"),
        ("macro F1", "macro_f1", "at least 0.775"),
        ("bad shown as good or good as bad", "bad_good", "at most 0.015"),
        ("bad against good, average left out", "binary", "at least 0.96"),
    ]:
        yield Measure(f"seed_test, {name}", f"{RIVAL[key]:.3f}", f"{found[key]:.3f}", "", goal)
    for domain, rival in RIVAL_BALANCED.items():
        part = rows[(rows["split"] == "test") & (rows["domain"] == domain)]
        balanced = measured(part["label"], predict(part["text"].tolist()))["balanced_accuracy"]
        name = f"test, {domain}, balanced accuracy"
        yield Measure(name, f"{rival:.3f}", f"{balanced:.3f}", "", "ahead")
    for part, _, ece, chance in prefix_curve(predict, seed, PARTS).itertuples(index=False):
        goal = f"at most {chance:.3f}, what chance shows"
        yield Measure(f"seed_test, ECE of the first {part:.0%}", "", f"{ece:.3f}", "", goal)
    goals = dict(zip(("1.5", "3", "8", "0.5"), measure.points_lost(predict, seed), strict=True))
    for goal, (name, lost) in goals.items():
        points = f"{round(lost, 1) + 0:.1f}"  # none is 0.0, and not -0.0
        yield Measure(f"seed_test, points lost to {name}", "", points, "", f"at most {goal}")
    typed = seed["text"][seed["text"].str.len() < 400].head(150).tolist()
    jumps = measure.jumps(predict, typed)
    name = "jumps between bad and good while typed, per review (150 reviews)"
    yield Measure(name, "0.48", f"{jumps:.2f}", "", "at most 0.10")


def _scoring(seconds: float, texts: list[str]) -> Iterator[Measure]:
    """One review, one thread, as a keystroke on the dashboard costs it."""
    review = (texts[0] + " " + texts[1] + " " + texts[2] * 3)[:278]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    article, ours = model.build("article").eval(), model.build("compact").fused()

    @torch.inference_mode()
    def old(batch: list[str]) -> None:
        article.dense(article.convolutions(_article_one_hot(batch).transpose(1, 2)).flatten(1))

    before = _per_second(old, [review], 1, seconds)
    after = _per_second(lambda batch: predict_logits(ours, batch), [review], 1, seconds)
    times = []
    for _ in range(1_000):
        start = time.perf_counter()
        predict_logits(ours, [review])
        times.append(1000 * (time.perf_counter() - start))
    torch.set_num_threads(threads)
    name = "scoring 278 characters, one thread, ms"
    old_ms, new_ms = f"{1000 / before:.2f}", f"{1000 / after:.2f}"
    yield Measure(name, old_ms, new_ms, f"{after / before:.1f} times", "at least 10 times")
    slowest = f"{np.quantile(times, 0.99):.2f}"
    yield Measure(f"{name}, slowest of a hundred (p99)", "", slowest, "", "under 3 ms")


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


def _training_step(
    network: nn.Module, forward: Callable, order: Callable, batch: int, fused: bool
) -> Callable:
    """Return a function that trains on texts in batches, after `order` has arranged them."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=fused)

    def step(texts: list[str]) -> None:
        texts = order(texts)
        for start in range(0, len(texts), batch):
            logits = forward(texts[start : start + batch])
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

    return _training_step(network, forward, order=list, batch=32, fused=False)


def _our_training() -> Callable:
    network = model.build("compact").train()
    encoder = network.config.encoder

    short = has_bfloat16(torch.device("cpu"))

    def forward(texts: list[str]) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=short):
            return network(torch.from_numpy(encoder.batch(texts)))

    # Batches of like length and a fused optimizer are part of our way of training.
    def by_length(texts: list[str]) -> list[str]:
        return sorted(texts, key=len)

    return _training_step(network, forward, by_length, OUR_BATCH, fused=True)
