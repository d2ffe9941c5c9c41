"""Reading the reviews.csv of notebook 01, whole or torn.

reviews, skipped = read_reviews(outputs.reviews)
skipped                               # {"line torn off or of another width (line 812)": 1}
"""

from pathlib import Path

import pandas as pd

from starwise.corpus import CorpusError, read_rows
from starwise.label.errors import LabelError

OPTIONAL = ("title", "language")  # kept where they are there


def read_reviews(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return id, company, text, rating (title, language) of a reviews.csv, and what was skipped.

    Raises LabelError, in a sentence, where the file is missing, has no header or lacks a column,
    or where no row has a rating.
    """
    path = Path(path)
    if not path.exists():
        raise LabelError(
            f"{path} is missing: run notebook 01_collect first, or set `corpus` to a CSV or "
            "parquet file of reviews"
        )
    try:
        rows, skipped = read_rows(path, more=("id",))
    except CorpusError as error:
        raise LabelError(f"{error} Notebook 01_collect writes it anew.") from None
    missing = {"id", "company"} - set(rows)
    if missing:
        raise LabelError(f"{path} has no column of {' and no column of '.join(sorted(missing))}")
    more = [name for name in OPTIONAL if name in rows]
    return rows[["id", "company", "text", "rating", *more]].astype({"text": str}), skipped
