"""Memory of each notebook as the collection grows tenfold.

Each runs as a batch run does it, on a collection and on ten times as many reviews. Notebook 01
collects from the practice site, its browsers included; the others read real reviews where they are
there (as `bench label` does). Training draws a handful of reviews only: what it draws is a setting,
and does not grow with the collection.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from starwise.bench import Measure
from starwise.bench.label import collection
from starwise.bench.step import run_step

TITLE = "each notebook, a collection -> ten times as large"
REVIEWS, COMPANIES = 5_000, 40
FEW = {
    3: {"epochs": 1, "reviews_per_epoch": 96, "compare": "false"},
    4: {"typo_reviews": 50, "curve_reviews": 0},
}
NAMES = {1: "01_collect", 2: "02_label", 3: "03_train", 4: "04_evaluate"}


def measures(seconds: float) -> Iterator[Measure]:
    """Yield the measures; how long they take is given by the notebooks, not by `seconds`."""
    reviews, kind = collection()
    with tempfile.TemporaryDirectory() as folder:
        found: dict[int, list[tuple[float, int]]] = {number: [] for number in NAMES}
        for times in (1, 10):
            corpus = Path(folder, f"reviews-{times}.parquet")
            reviews.sample(REVIEWS * times, random_state=0).to_parquet(corpus, index=False)
            world = {"companies": COMPANIES * times, "reviews": REVIEWS * times}
            for number in NAMES:
                # Notebook 01 writes elsewhere: the others read another collection.
                outputs = Path(folder, f"collected-{times}" if number == 1 else f"outputs-{times}")
                options = _parameters(number, world if number == 1 else FEW.get(number, {}))
                options += ["--corpus", str(corpus)] if number == 2 else []
                found[number].append(run_step(number, outputs, *options))
        for number, name in NAMES.items():
            (took, small), (took_large, large) = found[number]
            each = (large - small) / (9 * REVIEWS) / 1e3
            yield Measure(
                f"{name}, {REVIEWS:,} -> {10 * REVIEWS:,} "
                f"{'practice' if number == 1 else kind} reviews, peak memory in MB",
                f"{small / 1e6:,.0f}",
                f"{large / 1e6:,.0f}",
                f"{large / small:.2f} times, {each:.1f} kB a review more; "
                f"{took:.0f} -> {took_large:.0f} s",
                "flat or linear",
            )


def _parameters(number: int, values: dict) -> list[str]:
    return [word for name, value in values.items()
            for word in ("-p", f"{number:02}.{name}", str(value))]  # fmt: skip
