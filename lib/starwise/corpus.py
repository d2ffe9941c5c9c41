"""Reading somebody's own reviews from a CSV or parquet file: which column is what, which rows hold.

reviews, skipped = read_corpus(Path("reviews.csv"))
list(reviews)       # ["id", "company", "text", "rating"], "title" and "language" where there
skipped             # {"rating is not 1, 2, 3, 4 or 5": 3}

A CSV is read a piece at a time, and only the columns that are wanted are kept: 370,000 reviews
need no more memory than their texts do.
"""

import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

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
    "language": "language lang language_code",
}
_AT_ONCE = 20_000  # rows


class CorpusError(StarwiseError):
    """A file of reviews that cannot be used; the message says why and what to do."""


def read_corpus(path: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return id, company, text and rating of a file's usable rows, and how many were skipped why.

    Title and language are there too where the file has them. A row that names no company stands
    alone: it gets a company of its own. Raises CorpusError.
    """
    rows, skipped = read_rows(path)
    company = rows["company"] if "company" in rows else pd.Series("", index=rows.index)
    rows["id"] = review_ids(rows.assign(company=company))
    rows["company"] = company.where(company != "", "unnamed " + rows["id"])
    more = [name for name in ("title", "language") if name in rows]
    # The same column types as of a table read from reviews.csv.
    rows = rows[["id", "company", "text", "rating", *more]].astype({"company": str, "text": str})
    pyarrow.default_memory_pool().release_unused()
    return rows, skipped


def review_ids(rows: pd.DataFrame) -> list[str]:
    """Return an id a row, 16 hex digits, from its company, text and rating.

    Not from its place: a review keeps its id when others come before it. Rows that are the same
    in all three are told apart by counting.
    """
    keys = pd.util.hash_pandas_object(rows[["company", "text", "rating"]], index=False)
    copies = keys.groupby(keys).cumcount()
    return [
        f"{(key + 0x9E3779B97F4A7C15 * copy) % 2**64:016x}"
        for key, copy in zip(keys.tolist(), copies.tolist(), strict=True)
    ]


def read_rows(
    path: Path, limit: int = 0, more: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the usable rows of a file and how many were skipped, by reason.

    Columns: text, rating, those of company, title, category, date, author, language that were
    found, and those of `more`, which must be named so in the file. `text` is stripped (it may be
    ""), `rating` is an int from 1 to 5, the other columns are text. `limit` keeps the first rows
    of the file only (0: all). Raises CorpusError where the file cannot be read, has no text or
    rating column, or no usable row.
    """
    path = Path(path)
    if not path.is_file():
        raise CorpusError(f"There is no file {path}: give the path of a CSV or parquet file.")
    skipped: dict[str, int] = {}
    if path.suffix.lower() in (".parquet", ".pq"):
        rows, found = _read_parquet(path, more)
    elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
        rows, found, torn = _read_csv(path, more)
        if torn:
            where = f"line {torn[0]}" if len(torn) == 1 else f"the first at line {torn[0]}"
            skipped[f"line torn off or of another width ({where})"] = len(torn)
    else:
        raise CorpusError(f"{path.name} is neither a CSV nor a parquet file: convert it first.")
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
    for name in rows.columns.drop("rating"):
        column = rows[name].astype("string").fillna("")
        rows[name] = column.str.replace("\x00", "", regex=False).str.strip()
    rows["rating"] = rating[whole].astype(int).to_numpy()
    return rows, skipped


def _read_parquet(path: Path, more: Sequence[str]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the wanted columns under our names, and what they are called in the file."""
    try:
        names = pyarrow.parquet.read_schema(path).names
        found = _columns(names, path, more)
        columns = list(dict.fromkeys(found.values()))  # one column may serve two names
        frame = pd.read_parquet(path, columns=columns)
        return pd.DataFrame({name: frame[column] for name, column in found.items()}), found
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise CorpusError(
            f"{path.name} is not a whole parquet file; write it again or give a CSV file."
        ) from error


def _read_csv(path: Path, more: Sequence[str]) -> tuple[pd.DataFrame, dict[str, str], list[int]]:
    """Return the same as `_read_parquet`, and the lines left out: torn off, or of another width."""
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = _Lines(file)
        head = next(lines, "")
        delimiter = max(",;\t", key=head.count)
        reader = csv.reader(itertools.chain([head], lines), delimiter=delimiter, strict=False)
        csv.field_size_limit(max(131_072, path.stat().st_size))
        try:
            header = next((row for row in reader if row), None)
            if header is None:
                raise CorpusError(f"{path.name} is empty: give a file with a header and reviews.")
            found = _columns(header, path, more)
            places = [header.index(column) for column in found.values()]
            rows: list[list[str]] = []
            pieces: list[pd.DataFrame] = []
            torn: list[int] = []
            start, whole = reader.line_num + 1, False
            lines.row.clear()
            for row in reader:
                whole = len(row) == len(header)
                if whole:
                    rows.append([row[place] for place in places])
                elif row:
                    torn.append(start)
                at, start = start, reader.line_num + 1
                last, lines.row = lines.row, []
                if len(rows) > _AT_ONCE:
                    # The last one stays: only the end of the file tells whether it is whole.
                    pieces.append(_piece(rows[:-1], found))
                    rows = rows[-1:]
        except csv.Error as error:
            raise CorpusError(
                f"{path.name} cannot be read as CSV at line {reader.line_num}: {error}."
            ) from error
    if whole and _is_torn("".join(last), delimiter):
        rows.pop()
        torn.append(at)
    pieces.append(_piece(rows, found))
    return pd.concat(pieces, ignore_index=True), found, torn


class _Lines:
    """The lines of a file as they come; `row` keeps those since it was last emptied."""

    def __init__(self, file: Iterator[str]) -> None:
        self._file = file
        self.row: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._file)
        self.row.append(line)
        return line


def _is_torn(last: str, delimiter: str) -> bool:
    """Whether a file stops in the middle of its last row, though that has all its columns.

    It does when a quote is left open, or when the file ends in half a character. A whole last row
    without a line end is fine.
    """
    try:
        list(csv.reader([last], delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return True
    return last.endswith("\ufffd")


def _piece(rows: list[list[str]], found: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(found), dtype="string")


def _columns(columns: Sequence[str], path: Path, more: Sequence[str]) -> dict[str, str]:
    """Return the column of the file for each name that was found."""
    known = {str(column).strip().lower().replace(" ", "_"): column for column in columns}
    found = {}
    for name, wanted in (NAMES | {name: name for name in more}).items():
        column = next((known[each] for each in wanted.split() if each in known), None)
        if column is not None:
            found[name] = column
    for name, example in (("text", '"text" or "review"'), ("rating", '"rating" or "stars"')):
        if name not in found:
            named = ", ".join(f'"{column}"' for column in columns) or "none"
            raise CorpusError(
                f"{path.name} has no column of {name}s: name one {example} "
                f"(its columns are {named})."
            )
    return found
