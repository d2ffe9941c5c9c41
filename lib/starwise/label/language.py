"""Which language a text is in: its function words tell English, py3langid the rest.

detect(["The staff was kind.", "Le personnel était aimable.", "Top!"])     # ["en", "fr", "und"]
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from starwise.label.words import Words, read_words, word_hash

# Words that hold English sentences together and that few other languages have.
_ENGLISH = """
the and this that with have from they them their there these those would could should you your
it's i'm i've don't didn't wasn't isn't couldn't can't very not but are were been my she which what
when who how because than then only ever never it for
"""
ENOUGH = 0.12  # share of such words from which on a text is English without further asking
# What reviews are written in. The fewer there are to confuse, the better a short text is told.
_LANGUAGES = """
ar bg ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv ms nl no pl pt ro ru sk sl sv
th tr uk ur vi zh
"""
SURE = 0.5  # probability from which on we believe it
FEWEST = 4  # words; of fewer, another language than English is not believed: "Super!"
UNKNOWN = "und"  # "undetermined" in ISO 639-2


def detect(texts: Sequence[str] | pd.Series, words: Words | None = None) -> list[str]:
    """Return an ISO 639-1 code for each text, "und" where the text is too short or odd to tell.

    `words` are the texts' words where they have been read already.
    """
    words = read_words(texts) if words is None else words
    found = np.where(_share_of_english(words) >= ENOUGH, "en", "").astype(object)
    counts = np.diff(words.starts)
    rest = np.flatnonzero(found == "")
    texts = dict(zip(rest, pd.Series(texts, dtype=str).iloc[rest], strict=True))
    for row in rest:
        found[row] = UNKNOWN
        # Scripts of their own, some of them without spaces, are told by few letters.
        size = len(texts[row].encode("utf-8", "replace"))
        if counts[row] >= FEWEST or size > 1.5 * len(texts[row]):
            language, probability = _identifier().classify(texts[row])
            found[row] = language if probability >= SURE else UNKNOWN
    return found.tolist()


def language_of(frame: pd.DataFrame, words: Words) -> pd.Series:
    """Return the language of each row: as the source told it, else detected.

    frame: text and, where the source tells languages, language ("" where it does not).
    """
    if "language" not in frame:
        return pd.Series(detect(frame["text"], words), index=frame.index, dtype=str)
    told = frame["language"].fillna("").str.strip().str.lower().str[:2]
    silent = np.flatnonzero(told == "")
    found = detect(frame["text"].iloc[silent], words.take(silent))
    told.iloc[silent] = found
    return told.astype(str)


def _share_of_english(words: Words) -> np.ndarray:
    known = np.isin(words.hashes, np.array([word_hash(w) for w in _ENGLISH.split()], np.uint32))
    before = np.concatenate([[0], np.cumsum(known, dtype=np.int32)])
    counts = np.diff(before[words.starts])
    return counts / np.maximum(np.diff(words.starts), 1)


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(_LANGUAGES.split())
    return identifier
