"""Which rows are worth learning from, and what of their texts is only the medium's doing.

frame, dropped = prepare(read_reviews(outputs.reviews))
dropped                               # {"no text, or hardly any": 219, ...}
"""

import html
import re
import unicodedata
from collections.abc import Collection, Iterable
from hashlib import blake2b

import numpy as np
import pandas as pd

from starwise.classes import CLASS_OF_STARS

# Everything that is not a line break or a visible character: NUL, ESC, direction overrides...
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\ufeff]")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")


def clean(text: str) -> str:
    """Return `text` with HTML entities read, one form of each letter, and plain white space."""
    text = unicodedata.normalize("NFC", html.unescape(text).replace("\r\n", "\n"))
    text = _INVISIBLE.sub("", text)
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()


def folded(text: str) -> str:
    """Return `text` without regard to case and white space: equal for copies."""
    return " ".join(text.casefold().split())


def text_keys(texts: Iterable[str]) -> np.ndarray:
    """Return a number (uint64) for each text, the same for copies."""
    digests = (blake2b(_bytes(folded(text)), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), np.uint64)


def prepare(
    frame: pd.DataFrame, min_characters: int = 3, former_ids: Collection[str] = ()
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows worth learning from, cleaned and labelled, and how many were dropped why.

    frame: id, company, text, rating, and perhaps more, which stays. Ratings that are not whole
    stars from 1 to 5, texts shorter than `min_characters`, and texts that already occurred
    (compared without case and white space) are dropped; of equal texts the first row stays, or the
    first of those whose ids are among `former_ids`.
    """
    dropped = {}
    frame = frame.assign(
        text=[clean(text) if isinstance(text, str) else "" for text in frame["text"]],
        rating=pd.to_numeric(frame["rating"], errors="coerce"),
    ).astype({"text": str})

    def keep(mask: pd.Series, reason: str) -> pd.DataFrame:
        dropped[reason] = int((~mask).sum())
        return frame if mask.all() else frame[mask]

    frame = keep(frame["rating"].isin(CLASS_OF_STARS), "rating is not 1 to 5 whole stars")
    frame = keep(frame["text"].str.len() >= min_characters, "no text, or hardly any")
    former_first = np.argsort(~frame["id"].isin(former_ids).to_numpy(), kind="stable")
    copies = pd.Series(False, index=frame.index)
    copies.iloc[former_first] = pd.Series(text_keys(frame["text"])[former_first]).duplicated()
    frame = keep(~copies, "the same text occurred before")
    frame = keep(~frame["id"].duplicated(), "the same id occurred before")
    frame = frame.assign(
        rating=frame["rating"].astype("int8"),
        label=frame["rating"].map(CLASS_OF_STARS),
        label_source="stars",
    )
    return frame.reset_index(drop=True), dropped


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
