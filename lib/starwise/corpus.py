"""Reading somebody's own reviews from a CSV or parquet file: which column is what, which rows hold.

reviews, skipped = read_corpus(Path("reviews.csv"))
list(reviews)       # ["id", "company", "text", "rating"]
skipped             # {"rating is not 1, 2, 3, 4 or 5": 3}
"""

import csv
import io
from pathlib import Path

import pandas as pd

from starwise.errors import StarwiseError

# In order of preference; compared in lower case, with spaces as underscores.
NAMES = {
    "text": "text review comment content body review_text review_body reviewtext reviews comments "
    "reviews.text description message",
    "rating": "rating stars star score overall star_rating rate ratings review_rating "
    "reviews.rating",
    "company": "company company_name brand product business product_name hotel restaurant airline "
    "place name business_name asins asin",
    "title": "title headline review_title summary subject reviews.title",
    "category": "category domain sector industry",
    "date": "date created_at review_date timestamp",
    "author": "author user username reviewer user_name",
}


class CorpusError(StarwiseError):
    """A file of reviews that cannot be used; the message says why and what to do."""


def read_corpus(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return id, company, text and rating of a file's usable rows, and how many were skipped why.

    A row that names no company stands alone: it gets a company of its own. Raises CorpusError.
    """
    rows, skipped = read_rows(path)
    company = rows["company"] if "company" in rows else pd.Series("", index=rows.index)
    rows["id"] = review_ids(rows.assign(company=company))
    rows["company"] = company.where(company != "", "unnamed " + rows["id"])
    # The same column types as of a table read from reviews.csv.
    return rows[["id", "company", "text", "rating"]].astype({"company": str, "text": str}), skipped


def review_ids(rows: pd.DataFrame) -> list[str]:
    """Return an id a row, 16 hex digits, from its place, company, text and rating."""
    keys = pd.util.hash_pandas_object(rows[["company", "text", "rating"]], index=True)
    return [f"{key:016x}" for key in keys]


def read_rows(path: Path, limit: int = 0) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the usable rows of a file and how many were skipped, by reason.

    Columns: text, rating, and those of company, title, category, date, author that were found.
    `text` is stripped (it may be ""), `rating` is an int from 1 to 5, the other columns are text.
    `limit` keeps the first rows of the file only (0: all). Raises CorpusError where the file
    cannot be read, has no text or rating column, or no usable row.
    """
    path = Path(path)
    if not path.is_file():
        raise CorpusError(f"There is no file {path}: give the path of a CSV or parquet file.")
    skipped: dict[str, int] = {}
    if path.suffix.lower() in (".parquet", ".pq"):
        frame = _read_parquet(path)
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        frame, torn = _read_csv(path)
        if torn:
            skipped["line torn off or of another width"] = torn
    else:
        raise CorpusError(f"{path.name} is neither a CSV nor a parquet file: convert it first.")
    found = _columns(frame, path)
    rows = pd.DataFrame({name: frame[column] for name, column in found.items()})
    if limit:
        rows = rows.head(limit)
    rating = pd.to_numeric(rows["rating"].astype("string").str.strip(), errors="coerce")
    whole = (rating.between(1, 5) & (rating % 1 == 0)).fillna(False).astype(bool)
    if (~whole).any():
        skipped["rating is not 1, 2, 3, 4 or 5"] = int((~whole).sum())
    rows = rows[whole].reset_index(drop=True)
    if rows.empty:
        raise CorpusError(
            f"No row of {path.name} has a rating of 1, 2, 3, 4 or 5 in its column "
            f'"{found["rating"]}": check that column.'
        )
    texts = {
        name: rows[name]
        .astype("string")
        .fillna("")
        .str.replace("\x00", "", regex=False)
        .str.strip()
        for name in rows.columns.drop("rating")
    }
    return pd.DataFrame({**texts, "rating": rating[whole].astype(int).to_numpy()}), skipped


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{path.name} is not a whole parquet file; write it again or give a CSV file."
        ) from error


def _read_csv(path: Path) -> tuple[pd.DataFrame, int]:
    """Return the table and the number of lines left out, because torn off or of another width."""
    # Replaced, not refused: one character torn in two must not cost the file.
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    # Lines may end in CRLF; inside quotes they stay as they are, which the csv module sees to.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=False)
    try:
        csv.field_size_limit(max(131_072, len(text)))
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise CorpusError(
            f"{path.name} cannot be read as CSV at line {reader.line_num}: {error}."
        ) from error
    if not rows:
        raise CorpusError(f"{path.name} is empty: give a file with a header and reviews.")
    header, body = rows[0], rows[1:]
    torn = 0
    if body and _ends_torn(text, body[-1], len(header)):
        body.pop()
        torn += 1
    even = [row for row in body if len(row) == len(header)]
    return pd.DataFrame(even, columns=header, dtype="string"), torn + len(body) - len(even)


def _delimiter(text: str) -> str:
    head = text.split("\n", 1)[0]
    return max(",;\t", key=head.count)


def _ends_torn(text: str, last: list[str], width: int) -> bool:
    """Whether the file stops in the middle of its last row.

    It does when the row is short, when a quote is left open, or when the file ends in half a
    character. A whole last row without a line end is fine.
    """
    return len(last) < width or text.count('"') % 2 == 1 or text.endswith("\ufffd")


def _columns(frame: pd.DataFrame, path: Path) -> dict[str, str]:
    """Return the column of the file for each name that was found."""
    known = {str(column).strip().lower().replace(" ", "_"): column for column in frame.columns}
    found = {}
    for name, wanted in NAMES.items():
        column = next((known[each] for each in wanted.split() if each in known), None)
        if column is not None:
            found[name] = column
    for name, example in (("text", '"text" or "review"'), ("rating", '"rating" or "stars"')):
        if name not in found:
            columns = ", ".join(f'"{column}"' for column in frame.columns) or "none"
            raise CorpusError(
                f"{path.name} has no column of {name}s: name one {example} "
                f"(its columns are {columns})."
            )
    return found
