"""A few hundred tiny reviews, written by rule, that a network learns in seconds."""

import numpy as np
import pandas as pd

WORDS = {
    "bad": ["awful", "broken", "rude", "never again", "a scam"],
    "average": ["okay", "nothing special", "so so", "acceptable", "mediocre"],
    "good": ["great", "lovely", "perfect", "friendly", "excellent"],
}
STARS = {"bad": 1, "average": 3, "good": 5}


def tiny_reviews(rows: int, seed: int = 0, companies: int = 12) -> pd.DataFrame:
    """Return id, company, text, rating, label; every text differs, classes come in turn."""
    rng = np.random.default_rng(seed)
    labels = [list(WORDS)[number % 3] for number in range(rows)]
    things = ["shop", "staff", "parcel", "room", "price", "support", "app", "coffee"]
    return pd.DataFrame(
        {
            "id": [f"r{seed}-{number}" for number in range(rows)],
            "company": [f"Company {rng.integers(companies)}" for _ in range(rows)],
            "text": [
                f"The {rng.choice(things)} was {rng.choice(WORDS[label])}, order {seed}{number}"
                for number, label in enumerate(labels)
            ],
            "rating": [STARS[label] for label in labels],
            "label": labels,
        }
    )
