"""From collected reviews to a labelled table: cleaning, classes, splits, and the checked schema.

frame, dropped = prepare(read_reviews(outputs.reviews))
frame = split_by_company(frame, validation_share=0.1, test_share=0.15, seed=0)
write_labelled(frame, outputs.labelled)
"""

import hashlib
import html
import re
import unicodedata
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from starwise.classes import CLASS_OF_STARS, CLASSES
from starwise.errors import StarwiseError
from starwise.paths import whole_file

SPLITS = ("train", "validation", "test")

# Everything that is not a line break or a visible character: NUL, ESC, direction overrides...
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\ufeff]")
_SPACES = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")


class LabelError(StarwiseError):
    """A collection that cannot be labelled, and why."""


LABELLED = pa.DataFrameSchema(
    {
        "id": pa.Column(str, unique=True),
        "company": pa.Column(str),
        "text": pa.Column(str, pa.Check.str_length(min_value=1), unique=True),
        "rating": pa.Column("int8", pa.Check.in_range(1, 5)),
        "label": pa.Column(str, pa.Check.isin(CLASSES)),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
    },
    checks=[
        pa.Check(
            lambda frame: (frame["rating"].map(CLASS_OF_STARS) == frame["label"]).all(),
            error="the label follows from the rating",
        ),
        pa.Check(
            lambda frame: (frame.groupby("company")["split"].nunique() == 1).all(),
            error="no company is in two splits",
        ),
    ],
    strict=True,
    name="labelled.parquet",
)


def read_reviews(path: Path) -> pd.DataFrame:
    """Return the reviews.csv of notebook 01 as id, company, text, rating; one row a review."""
    path = Path(path)
    if not path.exists():
        raise LabelError(
            f"{path} is missing: run notebook 01_collect first, or set `corpus` to a CSV or "
            "parquet file of reviews"
        )
    frame = pd.read_csv(path, dtype={"id": str, "comment": str}, keep_default_na=False)
    missing = {"id", "comment", "rating", "company_name"} - set(frame)
    if missing:
        raise LabelError(f"{path} lacks the columns {sorted(missing)}; it has {list(frame)}")
    frame = frame.rename(columns={"comment": "text", "company_name": "company"})
    return frame[["id", "company", "text", "rating"]]


def clean(text: str) -> str:
    """Return `text` with HTML entities read, one form of each letter, and plain white space."""
    text = unicodedata.normalize("NFC", html.unescape(text).replace("\r\n", "\n"))
    text = _INVISIBLE.sub("", text)
    return _LINES.sub("\n", _SPACES.sub(" ", text)).strip()


def prepare(frame: pd.DataFrame, min_characters: int = 3) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows worth learning from, cleaned and labelled, and how many were dropped why.

    frame: id, company, text, rating. Ratings that are not whole stars from 1 to 5, texts shorter
    than `min_characters`, and texts that already occurred (compared without case and white space)
    are dropped; of equal texts the first row stays.
    """
    dropped = {}
    frame = frame.assign(
        text=frame["text"].fillna("").map(clean),
        rating=pd.to_numeric(frame["rating"], errors="coerce"),
    )

    def keep(mask: pd.Series, reason: str) -> pd.DataFrame:
        dropped[reason] = int((~mask).sum())
        return frame[mask]

    frame = keep(frame["rating"].isin(CLASS_OF_STARS), "rating is not 1 to 5 whole stars")
    frame = keep(frame["text"].str.len() >= min_characters, "no text, or hardly any")
    folded = frame["text"].str.casefold().str.split().str.join(" ")
    frame = keep(~folded.duplicated(), "the same text occurred before")
    frame = keep(~frame["id"].duplicated(), "the same id occurred before")
    frame = frame.assign(
        rating=frame["rating"].astype("int8"), label=frame["rating"].map(CLASS_OF_STARS)
    )
    return frame.reset_index(drop=True), dropped


def split_by_company(
    frame: pd.DataFrame, validation_share: float, test_share: float, seed: int
) -> pd.DataFrame:
    """Return `frame` with a column split: whole companies go to train, validation or test.

    Shares are of the rows, 0 to 1. The order of companies comes from a digest of their name and
    the seed, so a company keeps its place when others are added. Raises LabelError where a split
    would lack one of the three classes.
    """
    sizes = frame.groupby("company").size()
    order = sorted(
        sizes.index, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
    )
    # A company belongs to the split in which the middle of its rows falls.
    middle = (sizes[order].cumsum() - sizes[order] / 2) / len(frame)
    split_of = pd.Series("train", index=order)
    split_of[middle < test_share + validation_share] = "validation"
    split_of[middle < test_share] = "test"
    frame = frame.assign(split=frame["company"].map(split_of))
    counts = frame.groupby("split")["label"].nunique().reindex(SPLITS, fill_value=0)
    poor = [name for name in SPLITS if counts[name] < len(CLASSES)]
    if poor:
        raise LabelError(
            f"{len(frame):,} reviews of {len(sizes):,} companies are too few to split: "
            f"{' and '.join(poor)} would not hold all three classes; collect more companies"
        )
    return frame


def check(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` if it is a labelled table; raises LabelError naming what is wrong."""
    try:
        return LABELLED.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        wrong = error.failure_cases.drop_duplicates("check").head(5)
        told = "; ".join(
            f"{row.column or 'table'}: {row.check} (found {row.failure_case!r})"
            for row in wrong.itertuples()
        )
        raise LabelError(f"the labelled table breaks its schema: {told}") from None


def write_labelled(frame: pd.DataFrame, path: Path) -> None:
    """Write labelled.parquet whole, after checking it."""
    columns = list(LABELLED.columns)
    checked = check(frame[columns].reset_index(drop=True))
    with whole_file(path) as temporary:
        checked.to_parquet(temporary, index=False)


def read_labelled(path: Path) -> pd.DataFrame:
    """Return labelled.parquet, checked; raises LabelError saying which notebook writes it."""
    path = Path(path)
    if not path.exists():
        raise LabelError(f"{path} is missing: run notebook 02_label first")
    try:
        return check(pd.read_parquet(path))
    except (OSError, ValueError) as error:
        raise LabelError(f"{path} cannot be read ({error}); run notebook 02_label again") from None
