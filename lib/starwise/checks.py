"""What a good reader of reviews gets right every time: plain sentences, and small edits.

    right = plain_sentences(scorer)           # a table: sentence, expected, label, right

In the manner of Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP Models with
CheckList" (2020): minimum functionality, invariance, direction.
"""

import pandas as pd

# Sentences nobody would argue about, written for this project; never trained on.
PLAIN = {
    "bad": (
        "This is the worst company I have ever dealt with.",
        "Never again. Complete waste of money.",
        "The parcel never arrived and nobody answers my emails.",
        "Rude staff and a dirty room.",
        "It broke after two days and they refuse to refund me.",
        "Terrible customer service, avoid at all costs.",
        "I would give zero stars if I could.",
        "The food was cold and tasteless.",
        "They charged my card twice and ignored my complaint.",
        "Very disappointed, it looks nothing like the picture.",
        "Not good at all.",
        "I do not recommend this shop to anyone.",
        "A scam. Stay away from these people.",
        "Poor quality and it arrived damaged.",
        "We waited two hours and then left hungry.",
    ),
    "average": (
        "It is okay, nothing special.",
        "Average product, average price.",
        "Not great, not terrible.",
        "The food was good but the service was slow.",
        "It does the job, but I expected more for the money.",
        "Some things were good and some were bad.",
        "Decent hotel, although the room was rather small.",
        "It was fine, but I would probably try another place next time.",
        "Mixed feelings: nice design, mediocre quality.",
        "Three stars: fast delivery, but one item was missing.",
        "Acceptable for the price, nothing more.",
        "An average experience overall.",
    ),
    "good": (
        "I love it!",
        "Excellent service and very friendly staff.",
        "Fast delivery and great quality, thank you.",
        "Highly recommended, I will definitely order again.",
        "The best hotel I have ever stayed in.",
        "Everything was perfect from start to finish.",
        "They solved my problem within minutes.",
        "Delicious food and a lovely atmosphere.",
        "Works exactly as described, very happy with it.",
        "Amazing value for money.",
        "I could not be happier with my purchase.",
        "No complaints at all, five stars.",
        "Wonderful people who really care about their customers.",
        "Arrived earlier than expected and fits perfectly.",
        "Not bad at all, I am really pleased.",
    ),
}

# Edits that change nothing a reader would care about.
INVARIANT = {
    "first letter lowered": lambda text: text[:1].lower() + text[1:],
    "a space at the end": lambda text: text + " ",
    "no full stop": lambda text: text.rstrip("."),
    "a common slip": lambda text: text.replace("ll", "l", 1).replace("ie", "ei", 1),
    "a neutral start": lambda text: "Hello. " + text,
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
)


def plain_sentences(scorer) -> pd.DataFrame:
    """Return a row a plain sentence: sentence, expected, label, sentiment, right (bool)."""
    pairs = [(text, label) for label, texts in PLAIN.items() for text in texts]
    table = pd.DataFrame(pairs, columns=["sentence", "expected"])
    scores = scorer.frame(table["sentence"].tolist())
    table["label"] = scores[["bad", "average", "good"]].astype(float).idxmax(axis=1)
    table["sentiment"] = scores["sentiment"].astype(float)
    table["right"] = table["label"] == table["expected"]
    return table


def invariance(scorer) -> pd.DataFrame:
    """Return a row an edit: edit, and the share of plain sentences whose class it changes."""
    texts = [text for group in PLAIN.values() for text in group]
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
