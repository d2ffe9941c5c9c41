"""Who goes to train, validation and test: whole companies, and near-duplicates together.

    division = split_by_company(frame, validation_share=0.1, test_share=0.15, seed=0)
    division.frame["split"], division.salt, division.apart

A company's place follows from a digest of its name alone, so a larger collection of tomorrow
leaves it where it is. What chance may do to so simple a rule is seen to by a number that goes into
the digest, the salt: the first one that gives splits of the sizes and the classes we want. It is
written into labelled.parquet, and the next run takes it from there.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from starwise.classes import CLASSES
from starwise.label.errors import LabelError

SPLITS = ("train", "validation", "test")
SALTS = 300  # how many are tried
SIZE_SLACK = 0.2  # a split may be this much smaller or larger than asked, relative to it
MOST_APART = 0.05  # share of the rows that near-duplicates may cost
CLASS_SLACK = 0.04  # a class may take this much more or less of a split than of all rows


@dataclass(frozen=True)
class Division:
    """A table with its column `split`, and how it came about.

    `salt` repeats this division; `apart` rows were left out, because a near-duplicate of theirs
    that came before them is in another split. Where `repetitive`, that would have cost too many
    rows: near-duplicates then lie where their companies do, and the table has no clusters.
    """

    frame: pd.DataFrame
    salt: int
    apart: int
    repetitive: bool = False


def split_by_company(
    frame: pd.DataFrame,
    validation_share: float,
    test_share: float,
    seed: int,
    former_salt: int | None = None,
    former_ids: Collection[str] = (),
) -> Division:
    """Return `frame` divided into train, validation and test by company and cluster.

    frame: company, label and, where near-duplicates are known, id and cluster. Shares are of the
    rows, 0 to 1. `former_salt` keeps every company where that division had it. A cluster lives
    where its first row does, or the first of those whose ids are among `former_ids`: so rows that
    come later push none of these out. Raises LabelError where no division by company gives every
    split all three classes, or shares leave nothing to train on.
    """
    if not (validation_share > 0 and test_share > 0 and validation_share + test_share < 1):
        raise LabelError(
            f"validation_share {validation_share} and test_share {test_share} must be above 0 and "
            "leave something to train on"
        )
    counts = pd.crosstab(frame["company"], frame["label"]).reindex(columns=CLASSES, fill_value=0)
    shares = np.array([1 - validation_share - test_share, validation_share, test_share])
    salt, places = _draw(counts, shares, seed, former_salt)
    split_of = pd.Series(np.array(SPLITS)[places], index=counts.index)
    divided = frame.assign(split=frame["company"].map(split_of).astype(str))
    if "cluster" not in divided:
        return Division(divided, salt, 0)
    former_first = np.argsort(~divided["id"].isin(former_ids).to_numpy(), kind="stable")
    homes = divided.iloc[former_first].drop_duplicates("cluster").set_index("cluster")["split"]
    home = divided["cluster"].map(homes)
    kept = divided[divided["split"] == home].reset_index(drop=True)
    apart = len(divided) - len(kept)
    if apart > MOST_APART * len(divided) or _poor(kept):
        return Division(divided.drop(columns="cluster"), salt, 0, repetitive=True)
    return Division(kept, salt, apart)


def _poor(frame: pd.DataFrame) -> list[str]:
    """Return the splits that do not hold all three classes."""
    held = frame.groupby("split")["label"].nunique().reindex(SPLITS, fill_value=0)
    return [name for name in SPLITS if held[name] < len(CLASSES)]


def _draw(
    counts: pd.DataFrame, shares: np.ndarray, seed: int, former: int | None
) -> tuple[int, np.ndarray]:
    """Return the salt and each company's place in SPLITS.

    The former salt stands as long as every split has all classes; else the first salt within the
    slacks, else the best of those that give every split all classes.
    """
    table = counts.to_numpy(float)
    best: tuple[float, int, np.ndarray] | None = None
    salts = range(SALTS) if former is None else [former, *range(SALTS)]
    # A division that is out of reach is not worth 300 digests of each of 200,000 companies.
    if (table > 0).sum(0).min() < len(SPLITS):
        salts = []
    for salt in salts:
        places = _places(counts.index, shares, f"{seed}/{salt}")
        held = np.stack([table[places == number].sum(0) for number in range(len(SPLITS))])
        if not held.all():
            continue
        sizes = held.sum(1)
        size_error = np.abs(sizes / table.sum() / shares - 1).max() / SIZE_SLACK
        mix_error = np.abs(held / sizes[:, None] - table.sum(0) / table.sum()).max() / CLASS_SLACK
        error = max(size_error, mix_error)
        if error <= 1 or salt == former:
            return salt, places
        if best is None or error < best[0]:
            best = (error, salt, places)
    if best is None:
        few = [name for name in CLASSES if (counts[name] > 0).sum() < len(SPLITS)]
        why = f" (only {(counts[few[0]] > 0).sum()} have any {few[0]} review)" if few else ""
        raise LabelError(
            f"{int(table.sum()):,} reviews of {len(counts):,} companies are too few to split into "
            f"{', '.join(SPLITS)} with all three classes in each{why}: collect more companies"
        )
    return best[1], best[2]


def _places(companies: pd.Index, shares: np.ndarray, key: str) -> np.ndarray:
    """Return each company's place in SPLITS, from a digest of its name."""
    start = hashlib.sha256(f"{key}/".encode())
    digests = []
    for name in companies:
        digest = start.copy()
        digest.update(name.encode("utf-8", "surrogatepass"))
        digests.append(digest.digest()[:8])
    chance = np.frombuffer(b"".join(digests), ">u8") / 2.0**64
    # From the end of the line: test lies at 0, then validation, then train.
    return 2 - np.searchsorted(np.cumsum(shares[::-1])[:2], chance, side="right")
