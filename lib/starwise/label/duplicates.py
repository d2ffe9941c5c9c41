"""Near-duplicates: texts that say the same in almost the same words.

    cluster = near_duplicates(read_words(texts))      # texts of one cluster share a number

Two texts are as alike as their pairs of neighbouring words are: what they have in common, over all
that either has (Jaccard). MinHash keeps 128 numbers of a text, of which as large a share agrees
as the texts are alike (Broder, "On the resemblance and containment of documents", 1997); cut into
bands, they bring together the candidates without comparing every text with every other (Leskovec,
Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3). Texts with different numbers in them
are never near-duplicates: an order number or a date tells two visits apart.
"""

import numpy as np
from rensa import RMinHash
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from starwise.label.words import Words, ngrams

PERMUTATIONS = 128
BANDS = 32  # of 4 numbers: texts that are 0.7 alike meet in a band with a chance of 0.9998
_AT_ONCE = 10_000  # texts


def near_duplicates(words: Words, alike: float = 0.7) -> np.ndarray:
    """Return a number for each text, (texts,): that of the first text of its cluster.

    `alike`: from which share of common pairs of words on two texts are near-duplicates, 0 to 1.
    It is estimated, with a standard error of 0.04. A text of one word is alike to the same word.
    """
    signatures, silent, numbers = _signatures(words)
    first, second = _candidates(signatures)
    same = np.empty(len(first))
    for start in range(0, len(first), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        same[some] = (signatures[first[some]] == signatures[second[some]]).mean(1)
    # A text without a word is like no other.
    found = (same >= alike) & ~silent[first] & (numbers[first] == numbers[second])
    first, second = first[found], second[found]
    links = coo_array((np.ones(len(first)), (first, second)), shape=(len(words), len(words)))
    _, component = connected_components(links, directed=False)
    _, at, back = np.unique(component, return_index=True, return_inverse=True)
    return at[back]


def _signatures(words: Words) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the MinHash of each text, (texts, PERMUTATIONS), uint32, which have no word, and
    what stands for the numbers in them."""
    found = np.empty((len(words), PERMUTATIONS), np.uint32)
    silent = np.empty(len(words), bool)
    numbers = np.empty(len(words), np.uint64)
    for start in range(0, len(words), _AT_ONCE):
        part = words.part(start, min(start + _AT_ONCE, len(words))).without_marks()
        pairs, text = ngrams(part, 2)
        # A text of one word has no pair: the word stands for itself.
        alone = np.flatnonzero(np.diff(part.starts) == 1)
        pairs = np.concatenate([pairs, part.hashes[part.starts[alone]].astype(np.uint64)])
        text = np.concatenate([text, alone])
        pairs = pairs[np.argsort(text, kind="stable")]
        starts = np.concatenate([[0], np.cumsum(np.bincount(text, minlength=len(part)))])
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            pairs, starts.astype(np.uint64), PERMUTATIONS, 1
        )
        found[start : start + len(part)] = matrix.to_rows()
        silent[start : start + len(part)] = np.diff(starts) == 0
        numbers[start : start + len(part)] = part.numbers()
    return found, silent, numbers


def _candidates(signatures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of texts that agree in a whole band: each with the one before it there."""
    mix = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5])
    pairs = []
    for band in np.split(signatures, BANDS, axis=1):
        key = (band.astype(np.uint64) * mix.astype(np.uint64)).sum(1, dtype=np.uint64)
        order = np.argsort(key, kind="stable")
        equal = key[order][1:] == key[order][:-1]
        pairs.append((order[:-1][equal].astype(np.int64) << 32) | order[1:][equal])
    both = np.unique(np.concatenate(pairs))
    return both >> 32, both & 0xFFFFFFFF
