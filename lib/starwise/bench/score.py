"""The command `starwise score` on a file, against the article's `predict` on the same rows.

The article reads one review after the other: a list search and a row of an identity matrix for each
character, then the network. Ours is the whole command in a process of its own, its start included.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import torch

from starwise import model
from starwise.bench import Measure, per_second
from starwise.bench.model import _article_one_hot
from starwise.bench.step import most_held
from starwise.practice.world import make_world
from starwise.score import BUNDLED

TITLE = "a CSV of practice reviews, the article's predict -> starwise score"
ROWS = 8_000  # read twice they are the small file, ten times the large one


def measures(seconds: float) -> Iterator[Measure]:
    texts = [r.text for r in make_world(seed=0, companies=40, reviews=ROWS + 400).reviews if r.text]
    texts = texts[:ROWS]
    with tempfile.TemporaryDirectory() as folder:
        before = _article_best(texts, seconds)
        _seconds, small = _command(Path(folder), texts * 2)
        taken, large = _command(Path(folder), texts * 10)
        article = max(before, _article_best(texts, seconds))
    yield per_second(
        "reviews/s, the command with its start",
        article,
        10 * len(texts) / taken,
        "at least 20 times",
    )
    yield Measure(
        f"peak memory in MB of all its processes, {2 * len(texts):,} -> {10 * len(texts):,} rows",
        f"{small:,.0f}",
        f"{large:,.0f}",
        f"{large / small:.2f} times",
        "the same",
    )


def _command(folder: Path, texts: list[str]) -> tuple[float, float]:
    """Return the seconds that scoring a file of these texts takes, and its peak memory in MB."""
    source = folder / "reviews.csv"
    pd.DataFrame({"id": range(len(texts)), "text": texts}).to_csv(source, index=False)
    options = ["--text-column", "text", "--output", str(folder / "scored.csv")]
    command = [sys.executable, "-P", "-m", "starwise", "score", str(source), *options]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--model", str(BUNDLED)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    # Measuring takes time of the cores that score: seldom enough not to matter.
    peak = most_held(process, _held, pause=0.25)
    if process.returncode:
        raise RuntimeError(f"starwise score ended with {process.returncode}")
    return time.perf_counter() - start, peak / 1e6


def _held(process: psutil.Process) -> int:
    """Return the bytes that a process holds; what several share counts once, where that is told.

    What the kernel remembers as the most (ru_maxrss) is of no use here: a child starts as a copy of
    this process, and keeps the size of that as its own most.
    """
    try:
        told = process.memory_full_info()
    except psutil.Error:
        return 0
    return getattr(told, "pss", told.uss)


def _article_best(texts: list[str], seconds: float) -> float:
    """Return the article's rate with the number of threads that suits it best just now.

    Two threads on two cores wait for each other, and where anything else runs on one of the cores
    they come to a crawl: a ratio to that would flatter us many times over.
    """
    threads = torch.get_num_threads()
    rates = []
    for number in sorted({1, threads}):
        torch.set_num_threads(number)
        rates.append(_article_rate(texts, seconds / 2))
    torch.set_num_threads(threads)
    return max(rates)


@torch.inference_mode()
def _article_rate(texts: list[str], seconds: float) -> float:
    """Return the reviews a second of the article's way."""
    network = model.build("article").eval()
    start, done = time.perf_counter(), 0
    while done < 3 or time.perf_counter() - start < seconds:
        one_hot = _article_one_hot([texts[done % len(texts)]])
        network.dense(network.convolutions(one_hot.transpose(1, 2)).flatten(1))
        done += 1
    return done / (time.perf_counter() - start)
