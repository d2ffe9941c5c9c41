"""The reviews that the bundled weights are made from: reading them, holding some out, drawing them.

frame = read_reviews(folder)
held = held_out(frame)                                  # by company, True where never trained on
frame["draws"] = draws(frame, reviews=100_000, most=2)  # how often a row is read in a round
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from starwise.classes import CLASS_OF_STARS, CLASSES
from starwise.errors import StarwiseError

# What the dashboard's visitors write is likest to the first two. Films have no average reviews
# there and would teach that a film is never average.
SHARES = {
    "trustpilot": 0.50,
    "products": 0.26,
    "hotels": 0.12,
    "restaurants": 0.08,
    "airlines": 0.02,
    "drugs": 0.02,
}
CLASS_SHARES = dict(zip(CLASSES, (0.31, 0.38, 0.31), strict=True))  # the average ones are scarce
DECIDER = "tp_marwan_labels"  # reviews of the article's own kind: they choose between recipes
# What pieces are made of reviews, for a teacher to read, and how often each.
PIECE_KINDS = {"beginning": 0.35, "sentence": 0.22, "sentences": 0.13, "mixture": 0.30}
SENTENCE = re.compile(r"[^.!?\n]+[.!?]*\s*")
BIG = 3_000  # rows of a company that is too big to be held out whole


def read_reviews(folder: Path) -> pd.DataFrame:
    """Return the training reviews: source, domain, company, title, text, label.

    The folder holds train-*.parquet with the columns source, domain, company, rating (1 to 5),
    title and text. Texts that also stand in its test.parquet are left out. Raises StarwiseError.
    """
    files = sorted(Path(folder).glob("train-*.parquet"))
    if not files:
        raise StarwiseError(f"{folder} holds no train-*.parquet: give the folder of reviews")
    frame = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    missing = {"source", "domain", "company", "rating", "title", "text"} - set(frame)
    if missing:
        raise StarwiseError(f"the files of {folder} have no column {', '.join(sorted(missing))}")
    frame = frame[frame["domain"].isin(SHARES)]
    for column in ("company", "title", "text"):
        frame[column] = frame[column].fillna("").str.strip()
    frame = frame[frame["text"].str.len() > 2].drop_duplicates("text")
    test = Path(folder) / "test.parquet"
    if test.is_file():
        told = pd.read_parquet(test, columns=["text"])["text"].str.strip()
        frame = frame[~frame["text"].isin(set(told))]
    frame["label"] = frame["rating"].map(CLASS_OF_STARS)
    columns = ["source", "domain", "company", "title", "text", "label"]
    return frame[frame["label"].notna()][columns].reset_index(drop=True)


def held_out(frame: pd.DataFrame) -> np.ndarray:
    """Return which rows validate, (rows,), bool: 5% of the companies, 30% of the decider's.

    No company is on both sides, except those of more than 3,000 rows, of which rows are chosen.
    """
    name = frame["company"].str.lower().str.replace(r"\.(com|co\.uk|net|org)$", "", regex=True)
    apart = (name != "") & (name.map(name.value_counts()) <= BIG)
    key = name.where(apart, frame["text"])
    place = pd.util.hash_pandas_object(key, index=False).to_numpy() % 10_000
    deciding = (frame["source"] == DECIDER).to_numpy()
    chosen = place < np.where(deciding, 3_000, 500)
    with_them = apart & name.isin(set(name[chosen & deciding]))
    return chosen | with_them.to_numpy()


def folds(frame: pd.DataFrame, number: int) -> np.ndarray:
    """Return a fold for each row, (rows,), 0 to number - 1, companies kept whole."""
    key = frame["company"].str.lower().where(frame["company"] != "", frame["text"])
    # Signed: -1, which marks rows of no fold, would else become a large number.
    return ((pd.util.hash_pandas_object(key, index=False).to_numpy() // 7) % number).astype(int)


def draws(frame: pd.DataFrame, reviews: int, most: float) -> np.ndarray:
    """Return how often each row is drawn in a round of `reviews`, (rows,), on average.

    Domains and classes get their shares. Within them a company's say grows more slowly than its
    number of reviews (some fill a collection with one kind of review), and no row comes more than
    `most` times.
    """
    companies = frame["company"].map(frame["company"].value_counts()).to_numpy(float)
    weight = np.where(frame["company"] == "", 3.0, companies) ** -0.35
    found = np.zeros(len(frame))
    for (domain, label), rows in frame.groupby(["domain", "label"]).indices.items():
        wanted = reviews * SHARES[domain] * CLASS_SHARES[label]
        found[rows] = _shared_out(weight[rows], wanted, most)
    return found


def pieces(frame: pd.DataFrame, number: int, fold: np.ndarray) -> pd.DataFrame:
    """Return up to `number` pieces of the reviews, as rows like theirs with a column kind.

    Beginnings, cut where a visitor may have stopped typing; headlines and single sentences; several
    sentences that follow each other; and mixtures, a few sentences of one review before a few of
    another of its domain and fold. Nobody has given them stars: a teacher has to read them.
    Company, label and index (the row in `frame`) are those of the first review.

    fold: (rows,), see `folds`; what is mixed stays in one fold.
    """
    rng = np.random.default_rng(0)
    weight = draws(frame, 500_000, most=10)
    texts, titles = frame["text"].tolist(), frame["title"].tolist()
    kinds = rng.choice(list(PIECE_KINDS), number, p=list(PIECE_KINDS.values()))
    rows = rng.choice(len(frame), number, p=weight / weight.sum())
    near = pd.Series(fold).groupby([frame["domain"].to_numpy(), fold]).indices
    others = {key: (found, weight[found].cumsum()) for key, found in near.items()}
    domain, made = frame["domain"].to_numpy(), []
    for kind, row in zip(kinds, rows, strict=True):
        text, chance = texts[row], rng.random()
        if kind == "beginning":
            piece = text[: max(3, int(len(text) * (0.03 + 0.94 * chance)))]
        elif kind == "sentence":
            piece = titles[row] if titles[row] and chance < 0.4 else some_sentences(text, 1, rng)
        elif kind == "sentences":
            piece = some_sentences(text, 20, rng)
        else:
            found, summed = others[domain[row], fold[row]]
            other = found[np.searchsorted(summed, chance * summed[-1]).clip(max=len(found) - 1)]
            piece = f"{some_sentences(text, 3, rng)} {some_sentences(texts[other], 3, rng)}"
        made.append(piece.strip())
    table = frame.iloc[rows].assign(text=made, title="", kind=kinds)
    table = table[(table["text"].str.len() > 2) & ~table["text"].isin(set(texts))]
    return table.drop_duplicates("text")


def some_sentences(text: str, most: int, rng: np.random.Generator) -> str:
    """Return up to `most` sentences of a text that follow each other."""
    ends = [match.span() for match in SENTENCE.finditer(text)]
    if not ends:
        return text
    number = int(rng.integers(1, min(most, len(ends)) + 1))
    first = int(rng.integers(len(ends) - number + 1))
    return text[ends[first][0] : ends[first + number - 1][1]].strip()


def _shared_out(weight: np.ndarray, wanted: float, most: float) -> np.ndarray:
    """Return shares of `wanted` in proportion to `weight`, none above `most`."""
    share = weight * wanted / weight.sum()
    for _ in range(20):  # what the capped rows leave goes to the others, which may reach the cap
        over = share >= most
        left = wanted - most * over.sum()
        if not (share > most).any() or over.all() or left <= 0:
            break
        share = np.where(over, most, share * left / share[~over].sum())
    return np.minimum(share, most)
