"""Notebook 02 on a large collection: minutes, memory, and what the label audit finds.

The real reviews beside the project are read where they are there ($STARWISE_SHARED or
`../shared`); elsewhere the practice site's world is made large enough. Each run is the whole step
as a batch run does it, kernel and all; its memory is the most that its processes held together.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from starwise.bench import Measure
from starwise.bench.step import run_step
from starwise.classes import class_numbers
from starwise.label import prepare
from starwise.label.audit import audit, found_of, out_of_fold
from starwise.label.words import read_words
from starwise.paths import project_root
from starwise.practice.world import make_world

TITLE = "notebook 02 on a large collection"
INVENTED = 100_000  # practice reviews, where there are no real ones


def measures(seconds: float) -> Iterator[Measure]:
    reviews, kind = collection()
    with tempfile.TemporaryDirectory() as folder:
        tenth = len(reviews) // 10
        found = {}
        for rows in (tenth, len(reviews)):
            corpus = Path(folder, f"reviews-{rows}.parquet")
            some = reviews if rows == len(reviews) else reviews.sample(rows, random_state=0)
            some.to_parquet(corpus, index=False)
            found[rows] = took, peak = run_step(
                2, Path(folder, f"outputs-{rows}"), "--corpus", str(corpus)
            )
            whole = rows == len(reviews)
            yield Measure(
                f"02_label, {rows:,} {kind} reviews",
                "",
                f"{took:.0f} s, {peak / 1e9:.2f} GB at most",
                goal="at most 180 s and 2 GB" if whole and kind == "real" else "",
            )
    small, large = found[tenth], found[len(reviews)]
    yield Measure(
        "ten times the reviews: seconds and memory grow",
        "",
        f"{large[0] / small[0]:.1f} and {large[1] / small[1]:.1f} times",
        goal="flat or linear",
    )
    yield from _audit()


def _audit() -> Iterator[Measure]:
    """The label audit on the practice world, whose wrong labels are known."""
    told = [one for one in make_world(seed=0).reviews if one.text]
    frame, _ = prepare(
        pd.DataFrame(
            {
                "id": [one.id for one in told],
                "company": [one.company for one in told],
                "text": [one.text for one in told],
                "rating": [one.rating for one in told],
            }
        )
    )
    truth = pd.Series({one.id: np.argmax(one.class_probabilities) for one in told})
    wrong = class_numbers(frame["label"]) != frame["id"].map(truth)
    start = time.perf_counter()
    probabilities = out_of_fold(read_words(frame["text"]), frame["rating"], frame["company"])
    audited = audit(frame["label"], probabilities)
    took = time.perf_counter() - start
    marks = found_of(wrong, audited.quality)
    half = marks[marks["recall"] >= 0.5].iloc[0]
    yield Measure(
        f"audit of {len(frame):,} practice reviews, precision at half of all wrong labels",
        f"{wrong.mean():.2f} at random",
        f"{half['precision']:.2f}, in {took:.0f} s",
        goal="at least 0.6",
    )
    yield Measure(
        "share of wrong labels, known -> estimated", f"{wrong.mean():.3f}", f"{audited.noise:.3f}"
    )


def collection() -> tuple[pd.DataFrame, str]:
    """Return text, rating, company, title of many reviews, and "real" or "practice"."""
    shared = Path(os.environ.get("STARWISE_SHARED", project_root().parent / "shared"))
    files = sorted((shared / "reviews").glob("*.parquet"))
    columns = ["text", "rating", "company", "title"]
    if files:
        return pd.concat([pd.read_parquet(f, columns=columns) for f in files]), "real"
    told = make_world(seed=0, companies=INVENTED // 75, reviews=INVENTED).reviews
    rows = [(one.text, one.rating, one.company, one.title) for one in told]
    return pd.DataFrame(rows, columns=columns), "practice"
