"""Whether an explanation is faithful: do the words that it names move the score?

    curve = deletion_curve(scorer, test["text"].head(40))
    # words  way        moved  low   high
    # 1      named      0.11   0.07  0.15
    # 1      at random  0.02   0.01  0.02

The words that `starwise.explain` names are deleted, one, two, three of them at once, and as many
drawn at random from the same text. DeYoung et al., "ERASER: A Benchmark to Evaluate Rationalized
NLP Models" (2020), call the fall of the score *comprehensiveness*.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from starwise.chance import mean_intervals
from starwise.explain import Span, explain, without, words
from starwise.score import Scorer, sentiment_of

WAYS = ("named, of one side", "named", "at random")


def deletion_curve(
    scorer: Scorer, texts: Sequence[str], most: int = 6, draws: int = 8, seed: int = 0
) -> pd.DataFrame:
    """Return a row a way and number of deleted words: words, way, moved, low, high.

    named: the words that move the score most, the strongest first; of one side: only those that
    move it the way the strongest does (fewer, where not so many are named); at random: the mean of
    `draws` draws a text. moved: how far the sentiment moved (0 to 1, in either direction), mean
    over the texts; low and high: its 95% interval, were they other texts of the kind. Texts of
    fewer than twice `most` words are left out: named and random words would be nearly the same.
    Where no text is left, the table has no rows.
    """
    rng = np.random.default_rng(seed)
    variants: list[str] = []
    for text in texts:
        spans = words(text)
        if len(spans) < 2 * most:
            continue
        found = sorted(explain(scorer, text, limit=2 * most), key=lambda each: -abs(each.effect))
        of_one_side = [each for each in found if each.effect * found[0].effect > 0]
        orders = [[(each.start, each.end) for each in named] for named in (of_one_side, found)]
        orders += [[spans[place] for place in rng.permutation(len(spans))] for _ in range(draws)]
        variants.append(text)
        variants += [_less(text, order[:count]) for order in orders for count in range(1, most + 1)]
    sentiment = sentiment_of(scorer.probabilities(variants)) if variants else np.zeros(0)
    sentiment = sentiment.reshape(-1, 1 + (2 + draws) * most)
    moved = np.abs(sentiment[:, 1:] - sentiment[:, :1]).reshape(-1, 2 + draws, most)
    rows = []
    if len(moved):
        for way, values in zip(WAYS, [moved[:, 0], moved[:, 1], moved[:, 2:].mean(1)], strict=True):
            means = zip(values.mean(0), *mean_intervals(values, seed), strict=True)
            rows += [(count, way, *told) for count, told in enumerate(means, start=1)]
    return pd.DataFrame(rows, columns=["words", "way", "moved", "low", "high"])


def _less(text: str, spans: Sequence[Span]) -> str:
    for span in sorted(spans, reverse=True):  # from the end: the others keep their places
        text = without(text, span)
    return text
