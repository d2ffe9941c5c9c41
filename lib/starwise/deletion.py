"""Whether an explanation is faithful: do the words that it names move the score?

    curve = deletion_curve(scorer, test["text"].head(40))
    # words  way       moved  low   high
    # 1      named     0.21   0.18  0.25
    # 1      at random 0.03   0.02  0.04

The words that `starwise.explain` names are deleted, one, two, three of them at once, and as many
drawn at random from the same text. DeYoung et al., "ERASER: A Benchmark to Evaluate Rationalized
NLP Models" (2020), call the fall of the score *comprehensiveness*.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from starwise.chance import mean_intervals
from starwise.explain import Span, explain, gradient, without, words
from starwise.score import Scorer, sentiment_of

WAYS = ("named", "by the gradient alone", "at random")


def deletion_curve(
    scorer: Scorer, texts: Sequence[str], most: int = 6, draws: int = 8, seed: int = 0
) -> pd.DataFrame:
    """Return a row a number of deleted words and way: words, way, moved, low, high.

    moved: how far the sentiment moved (0 to 1, in either direction), mean over the texts; low and
    high: its 95% interval, were they other texts of the kind. At random is the mean of `draws`
    draws a text. Texts of fewer than twice `most` words are left out: of such there is no telling
    named words from random ones. Without any other, the table has no rows.
    """
    rng = np.random.default_rng(seed)
    variants, counts = [], 0
    for text in texts:
        spans = words(text)
        if len(spans) < 2 * most:
            continue
        counts += 1
        named = sorted(explain(scorer, text, limit=most), key=lambda found: -abs(found.effect))
        sums = np.concatenate([[0.0], np.cumsum(gradient(scorer, text))])
        strength = [-abs(sums[end] - sums[start]) for start, end in spans]
        orders = [[(each.start, each.end) for each in named]]
        orders.append([spans[place] for place in np.argsort(strength, kind="stable")])
        orders += [[spans[place] for place in rng.permutation(len(spans))] for _ in range(draws)]
        variants.append(text)
        variants += [_less(text, order[:count]) for order in orders for count in range(1, most + 1)]
    if not counts:
        return pd.DataFrame(columns=["words", "way", "moved", "low", "high"])
    sentiment = sentiment_of(scorer.probabilities(variants)).reshape(counts, -1)
    moved = np.abs(sentiment[:, 1:] - sentiment[:, :1]).reshape(counts, draws + 2, most)
    by_way = [moved[:, 0], moved[:, 1], moved[:, 2:].mean(1)]
    rows = []
    for way, values in zip(WAYS, by_way, strict=True):  # (texts, most)
        low, high = mean_intervals(values, seed)
        rows.append(
            pd.DataFrame({"words": range(1, most + 1), "way": way, "moved": values.mean(0)}).assign(
                low=low, high=high
            )
        )
    return pd.concat(rows, ignore_index=True)


def _less(text: str, spans: Sequence[Span]) -> str:
    for span in sorted(spans, reverse=True):  # from the end: the others keep their places
        text = without(text, span)
    return text
