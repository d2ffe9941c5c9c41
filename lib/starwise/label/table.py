"""The labelled table: its checked schema, written whole and read back.

write_labelled(division.frame, outputs.labelled, made={"seed": 0, "salt": 3})
read_labelled(outputs.labelled)
"""

from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pyarrow.parquet

from starwise.classes import CLASS_OF_STARS, CLASSES
from starwise.label.errors import LabelError
from starwise.label.splits import SPLITS
from starwise.paths import whole_file

SOURCES = ("stars", "person")  # where a label comes from


def _follows_stars(frame: pd.DataFrame) -> pd.Series:
    follows = frame["rating"].map(CLASS_OF_STARS) == frame["label"]
    return follows | (frame["label_source"] == "person") if "label_source" in frame else follows


def _all_differ(texts: pd.Series) -> bool:
    # By digests: as Python objects, which pandas would compare, the texts need twice their memory.
    digests = (blake2b(text.encode("utf-8", "surrogatepass")).digest()[:16] for text in texts)
    return len(set(digests)) == len(texts)


LABELLED = pa.DataFrameSchema(
    {
        "id": pa.Column(str, unique=True),
        "company": pa.Column(str),
        "text": pa.Column(
            str,
            [
                pa.Check.str_length(min_value=1),
                pa.Check(_all_differ, error="uniqueness: no text occurs twice"),
            ],
        ),
        "rating": pa.Column("int8", pa.Check.in_range(1, 5)),
        "label": pa.Column(str, pa.Check.isin(CLASSES)),
        "split": pa.Column(str, pa.Check.isin(SPLITS)),
        # What notebook 02 knows besides; a table made elsewhere may lack these.
        "label_source": pa.Column(str, pa.Check.isin(SOURCES), required=False),
        "label_quality": pa.Column("float32", pa.Check.in_range(0, 1), required=False),
        "language": pa.Column(str, required=False),
        "cluster": pa.Column(str, required=False),  # id of the first of its near-duplicates
    },
    checks=[
        pa.Check(
            lambda frame: _follows_stars(frame).all(),
            error="the label follows from the rating, unless a person gave it",
        ),
        pa.Check(
            lambda frame: (frame.groupby("company")["split"].nunique() == 1).all(),
            error="no company is in two splits",
        ),
        pa.Check(
            lambda frame: (
                "cluster" not in frame or (frame.groupby("cluster")["split"].nunique() == 1).all()
            ),
            error="no near-duplicates are in two splits",
        ),
    ],
    strict=True,
    name="labelled.parquet",
)


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


def write_labelled(frame: pd.DataFrame, path: Path, made: Mapping[str, Any] | None = None) -> None:
    """Write labelled.parquet whole, after checking it; `made` tells how the splits were drawn."""
    columns = [name for name in LABELLED.columns if name in frame]
    checked = check(frame[columns].reset_index(drop=True))
    checked.attrs = dict(made or {})
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


def former_salt(path: Path, companies: pd.Series, **wanted: Any) -> int | None:
    """Return the salt of the table that an earlier run left at `path`, if its splits are to stay.

    They are when the table was drawn with the `wanted` seed and shares, and at least half of its
    companies are among `companies`: a larger collection, not another one.
    """
    try:
        made = pd.read_parquet(path, columns=["company"])
    except (OSError, ValueError, pyarrow.ArrowException):
        return None
    if any(made.attrs.get(name) != value for name, value in wanted.items()):
        return None
    before = made["company"].drop_duplicates()
    salt = made.attrs.get("salt")
    return salt if isinstance(salt, int) and before.isin(companies).mean() >= 0.5 else None


def former_ids(path: Path) -> pd.Index:
    """Return the ids in the table that an earlier run left at `path`, none where there is none."""
    try:
        return pd.Index(pd.read_parquet(path, columns=["id"])["id"])
    except (OSError, ValueError, pyarrow.ArrowException):
        return pd.Index([], dtype=str)
