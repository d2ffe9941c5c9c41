"""What goes wrong on the way from stars to sentiment, found in a table of reviews.

boilerplate(frame)                    # sentences that stand in many reviews
headline_only(frame)                  # True where the text is nothing but the title
across_companies(frame)               # near-duplicates of several companies
"""

import re
from collections import Counter

import numpy as np
import pandas as pd

from starwise.label.clean import folded, text_keys

_SENTENCE = re.compile(r"[^.!?\n]+")
MIN_WORDS = 4  # shorter sentences are alike by chance: "Would buy again"


def boilerplate(
    frame: pd.DataFrame, least: int = 5, rows: int = 50_000, seed: int = 0
) -> pd.DataFrame:
    """Return sentences that stand in at least `least` reviews: sentence, reviews, companies.

    frame: company, text; the most frequent sentences come first. Of a large table, `rows` reviews
    drawn at random are read.
    """
    if len(frame) > rows:
        frame = frame.sample(rows, random_state=seed)
    counts: Counter[str] = Counter()
    for text in frame["text"]:
        counts.update(_sentences(text))
    frequent = {sentence: n for sentence, n in counts.most_common() if n >= least}
    companies: dict[str, set[str]] = {sentence: set() for sentence in frequent}
    for company, text in zip(frame["company"], frame["text"], strict=True):
        for sentence in _sentences(text) & frequent.keys():
            companies[sentence].add(company)
    return pd.DataFrame(
        {
            "sentence": list(frequent),
            "reviews": list(frequent.values()),
            "companies": [len(companies[sentence]) for sentence in frequent],
        }
    )


def _sentences(text: str) -> set[str]:
    found = (folded(sentence) for sentence in _SENTENCE.findall(text))
    return {sentence for sentence in found if sentence.count(" ") >= MIN_WORDS - 1}


def headline_only(frame: pd.DataFrame) -> pd.Series:
    """Return for each review whether its text is nothing but its headline.

    frame: text and, where the source has headlines, title; without titles nothing is found. Sites
    that cut a long text for its headline end it in dots: then the text goes on, and is whole.
    """
    if "title" not in frame:
        return pd.Series(False, index=frame.index)
    same = text_keys(frame["text"]) == text_keys(frame["title"])
    return pd.Series(same, index=frame.index) & (frame["title"] != "")


def across_companies(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the near-duplicates that several companies share: cluster, reviews, companies, text.

    frame: cluster, company, text. The largest clusters come first, with their first text.
    """
    members = frame[frame["cluster"].duplicated(keep=False)].groupby("cluster", sort=False)
    table = members.agg(
        reviews=("id", "size"), companies=("company", "nunique"), text=("text", "first")
    )
    shared = table[table["companies"] > 1]
    return shared.sort_values("reviews", ascending=False, kind="stable").reset_index()


def cluster_ids(frame: pd.DataFrame, cluster: np.ndarray) -> pd.Series:
    """Return the id of the first review of each row's cluster; `cluster` holds its row number."""
    return pd.Series(frame["id"].to_numpy()[cluster], index=frame.index).astype(str)
