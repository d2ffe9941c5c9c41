"""Text to character ids: the alphabets, and the only encoder there is.

    encoder = Encoder("ascii", max_length=2048)
    encoder.ids("Great!")            # array([41, 84, 71, 67, 86,  3], dtype=uint8)
    encoder.batch(["Great!", "No"])  # shape (2, 6): the shorter text is filled with PAD

Two alphabets:

- `article`, the 70 symbols of Zhang, Zhao and LeCun, "Character-level Convolutional Networks for
  Text Classification" (2015, section 2.2) as the article's authors use them: lower case, digits,
  33 other characters with the space among them, and the newline. Texts are lowered, stripped and
  reversed, unknown characters dropped, and the last 1,014 characters kept.
- `ascii`, ours: both letter cases, typographic signs and accents folded to their plain form, and
  whatever else there is (emoji above all) spread over a few shared ids instead of being lost.
"""

import functools
import string
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PAD = 0
# Characters by which batches had better grow longer: of each length that it has not met before,
# torch first makes a plan, which on a GPU takes longer than the computing.
STEP = 16

ARTICLE_SYMBOLS = (
    string.ascii_lowercase + string.digits + "-,;.!?:'\"/\\|_@#$%^&*~`+ =<>()[]{}" + "\n"
)
ASCII_SYMBOLS = "\n" + "".join(map(chr, range(32, 127)))
OTHER_BUCKETS = 16  # ids shared by all characters outside ASCII_SYMBOLS

# What a keyboard or a phone puts in place of a plain sign.
_TYPOGRAPHY = {
    "‘": "'", "’": "'", "‚": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"',
    "–": "-", "—": "-", "−": "-", "…": ".", "•": "*", "\t": " ", "\r": "\n", "\u2028": "\n",
}  # fmt: skip


def vocabulary_size(alphabet: str) -> int:
    """Return the number of ids of `alphabet`, PAD included."""
    return 1 + int(_table(alphabet).max())


@functools.cache
def _table(alphabet: str) -> np.ndarray:
    """Return the id of every code point, shape (1,114,112,), uint8; PAD where it is dropped."""
    table = np.zeros(sys.maxunicode + 1, dtype=np.uint8)
    if alphabet == "article":
        for number, symbol in enumerate(ARTICLE_SYMBOLS, start=1):
            table[ord(symbol)] = number
        return table
    if alphabet != "ascii":
        raise ValueError(f"there is no alphabet {alphabet!r}; choose 'ascii' or 'article'")
    first_other = 1 + len(ASCII_SYMBOLS)
    table[:] = first_other + np.arange(len(table)) % OTHER_BUCKETS
    for number, symbol in enumerate(ASCII_SYMBOLS, start=1):
        table[ord(symbol)] = number
    # Accents live in these blocks; a letter and its accented form get the same id.
    for code in range(0xA0, 0x250):
        plain = unicodedata.normalize("NFKD", chr(code))[0]
        if ord(plain) < 127:
            table[code] = table[ord(plain)]
    for fancy, plain in _TYPOGRAPHY.items():
        table[ord(fancy)] = table[ord(plain)]
    table[:10] = table[ord(" ")]  # control characters read as a space; the newline is number 10
    return table


@dataclass(frozen=True)
class Encoder:
    """Turns texts into arrays of character ids.

    alphabet: "ascii" or "article"; max_length: the most characters kept of a text.
    """

    alphabet: str = "ascii"
    max_length: int = 2048

    def ids(self, text: str) -> np.ndarray:
        """Return the ids of one text, shape (length,), uint8, length between 0 and max_length.

        A text that is too long keeps its beginning and its end ("ascii"), since reviewers greet
        first and conclude last, or its end ("article").
        """
        if self.alphabet == "article":
            # Lowering and reversing are the article's own steps, see its `predict_sentiment`.
            ids = _table("article")[_code_points(text.lower().strip()[::-1])]
            return ids[ids != PAD][: self.max_length]
        points = _code_points(text)
        if len(points) > self.max_length:
            head = self.max_length // 2
            points = np.concatenate([points[:head], points[head - self.max_length :]])
        return _table(self.alphabet)[points]

    def places(self, text: str) -> np.ndarray:
        """Return which character of `text` each of its ids stands for, shape (length,), int64."""
        if self.alphabet == "article":
            # Lowering makes two characters of a few, such as the dotted capital I.
            start = len(text) - len(text.lstrip())
            lowered = [(start + n, low) for n, c in enumerate(text.strip()) for low in c.lower()]
            known = [place for place, low in reversed(lowered) if low in ARTICLE_SYMBOLS]
            return np.array(known[: self.max_length], dtype=np.int64)
        places = np.arange(len(text))
        if len(places) > self.max_length:
            head = self.max_length // 2
            places = np.concatenate([places[:head], places[head - self.max_length :]])
        return places

    def batch(self, texts: Sequence[str], fixed: bool = False) -> np.ndarray:
        """Return the ids of several texts, shape (len(texts), length), uint8, filled with PAD.

        length is the longest text's (at least 1), or max_length where `fixed`.
        """
        return pad([self.ids(text) for text in texts], self.max_length if fixed else 1)


def pad(rows: Sequence[np.ndarray], minimum: int = 1, step: int = 1) -> np.ndarray:
    """Return rows of ids as one array, shape (len(rows), length), filled with PAD.

    length is that of the longest row, but at least the minimum, and a multiple of step.
    """
    length = max([minimum, *map(len, rows)])
    out = np.full((len(rows), -(-length // step) * step), PAD, dtype=np.uint8)
    for line, row in zip(out, rows, strict=True):
        line[: len(row)] = row
    return out


def _code_points(text: str) -> np.ndarray:
    # Lone surrogates are no characters but do arrive from browsers; they must not stop a score.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
