"""Reviews as a CSV file that is safe to open in a spreadsheet.

for piece in csv_of(rows): ...

A cell of somebody's text that a spreadsheet would take for a formula (it begins with = + - @, a
tab or a line end) gets an apostrophe before it, which keeps a spreadsheet from calculating. Who
reads the file with a program takes that apostrophe away. The file is UTF-8 with a mark that tells
Excel so; cells are separated by commas.
"""

import csv
import io
from collections.abc import Iterable, Iterator

from starwise.store import StoredReview

COLUMNS = ("created_at", "brand", "review", "rating", "suggested_rating", "sentiment",
           "bad", "average", "good", "model", "id")  # fmt: skip
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # some spreadsheets read the wide ones, too


def neutral(text: str) -> str:
    """Return the text as a spreadsheet shows it and does not calculate it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_of(rows: Iterable[StoredReview]) -> Iterator[bytes]:
    """Give the file piece by piece, the names of the columns first."""
    yield "\ufeff".encode() + _line(COLUMNS)
    for row in rows:
        cells = row.as_json() | (row.probabilities or {})
        for name in ("brand", "review", "model"):
            cells[name] = neutral(cells[name] or "")
        yield _line([cells.get(name) for name in COLUMNS])


def _line(cells: Iterable[object]) -> bytes:
    line = io.StringIO()
    # Everything in quotation marks: line ends and commas stay within their cell.
    csv.writer(line, quoting=csv.QUOTE_ALL).writerow(cells)
    return line.getvalue().encode()
