"""What a good reader of reviews gets right: plain English, and small edits.

    read = plain_sentences(scorer)   # a table: group, sentence, expected, label, sentiment, right
    by_group(read)                   # share read rightly of negations, questions, one-word reviews

The sentences lie in behaviour.csv. They were written for this project, with the class that a reader
would give, before any model had answered them, and were put into no training. People write some of
them too: 17 of the 207, nearly all of one word, also stand among the reviews that the bundled
network was trained on. In the manner of
Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList" (2020): minimum
functionality, invariance, direction.
"""

from pathlib import Path

import pandas as pd

from starwise.classes import CLASSES

SENTENCES = Path(__file__).parent / "behaviour.csv"

# Edits that change nothing a reader would care about.
INVARIANT = {
    "first letter lowered": lambda text: text[:1].lower() + text[1:],
    "a space at the end": lambda text: text + " ",
    "no full stop": lambda text: text.rstrip("."),
    "a common slip": lambda text: text.replace("ll", "l", 1).replace("ie", "ei", 1),
    "a neutral start": lambda text: "Hello. " + text,
    "a neutral emoji": lambda text: text + " 📦",
}

# (less good, better): sentiment must not fall from the first to the second.
DIRECTION = (
    ("The staff were not friendly.", "The staff were friendly."),
    ("I would not recommend it.", "I would recommend it."),
    ("It is not worth the money.", "It is worth the money."),
    ("It is bad.", "It is not bad."),
    ("The service was good.", "The service was excellent!!!"),
    ("The service was terrible!!!", "The service was bad."),
    ("It arrived late and broken.", "It arrived late."),
    ("I am never happy with them.", "I am always happy with them."),
    ("Do not buy it.", "Do buy it."),
    ("I can't recommend this place.", "I can recommend this place."),
    ("The food was good.", "The food was good!!!"),
    ("The food was awful!!!", "The food was awful."),
    ("It was a nice stay.", "It was a very nice stay."),
    ("Great, until it broke.", "Great."),
)


def sentences() -> pd.DataFrame:
    """Return the sentences: group, expected (bad, average or good), sentence."""
    return pd.read_csv(SENTENCES)


def plain_sentences(scorer) -> pd.DataFrame:
    """Return a row a sentence: group, expected, sentence, label, sentiment, right (bool)."""
    table = sentences()
    scores = scorer.frame(table["sentence"].tolist())
    table["label"] = scores[list(CLASSES)].astype(float).idxmax(axis=1)
    table["sentiment"] = scores["sentiment"].astype(float)
    return table.assign(right=table["label"] == table["expected"])


def by_group(read: pd.DataFrame) -> pd.DataFrame:
    """Return a row a group of `plain_sentences`: sentences, right (share), opposite (share).

    opposite: a bad one read as good, or the reverse. Hardest group first, the whole set last.
    """
    opposite = [
        {"bad", "good"} == set(pair) for pair in zip(read["expected"], read["label"], strict=True)
    ]
    table = read.assign(opposite=opposite, sentences=1)
    table = pd.concat([table, table.assign(group="all")])
    found = table.groupby("group").agg(
        sentences=("sentences", "sum"), right=("right", "mean"), opposite=("opposite", "mean")
    )
    return found.sort_values("right").loc[lambda t: [*t.index.drop("all"), "all"]]


def invariance(scorer) -> pd.DataFrame:
    """Return a row an edit: edit, and the share of sentences whose class it changes."""
    texts = sentences()["sentence"].tolist()
    before = scorer.probabilities(texts).argmax(1)
    rows = []
    for name, edit in INVARIANT.items():
        after = scorer.probabilities([edit(text) for text in texts]).argmax(1)
        rows.append({"edit": name, "class changed": float((before != after).mean())})
    return pd.DataFrame(rows)


def direction(scorer) -> pd.DataFrame:
    """Return a row a pair: worse, better, the sentiment of each, and whether it rises."""
    worse, better = zip(*DIRECTION, strict=True)
    table = pd.DataFrame({"worse": worse, "better": better})
    table["from"] = scorer.frame(list(worse))["sentiment"].astype(float)
    table["to"] = scorer.frame(list(better))["sentiment"].astype(float)
    table["right"] = table["to"] >= table["from"]
    return table
