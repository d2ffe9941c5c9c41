"""All reviews in one file, and how a damaged or half a file is told from a whole one.

starwise backup reviews.jsonl.gz

with whole_file(path) as temporary:
    count = write(store.everything(), temporary)
for row in read(path): ...              # raises BackupError, at the last row at the latest

The file is gzip'd JSON lines (`zcat` shows it). The first line names the format and its version,
then comes a line a review, the oldest first, under the columns' names, and the last line counts
the reviews and gives the SHA-256 of their lines: a file without it was cut.
"""

import argparse
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from starwise.errors import StarwiseError
from starwise.paths import whole_file
from starwise.store import Store, StoredReview

FORMAT, VERSION = "starwise reviews", 1

_ROW = TypeAdapter(StoredReview)


class BackupError(StarwiseError):
    """A file that is no whole backup, or cannot be read or written; nothing was changed."""


def write(rows: Iterable[StoredReview], path: Path) -> int:
    """Write the rows to a new file and return how many there were."""
    count, digest = 0, hashlib.sha256()
    with gzip.open(path, "wb") as file:
        made = datetime.now(UTC).isoformat(timespec="seconds")
        file.write(_line({"format": FORMAT, "version": VERSION, "made": made}))
        for row in rows:
            line = _line(row.as_json())
            digest.update(line)
            count += 1
            file.write(line)
        file.write(_line({"reviews": count, "sha256": digest.hexdigest()}))
    return count


def read(path: Path) -> Iterator[StoredReview]:
    """Give the rows of a backup one by one; raise `BackupError` where it is not a whole one.

    Whoever takes the rows undoes what it did with them when this raises: that the last row is
    missing shows only at the end.
    """
    try:
        with gzip.open(path, "rb") as file:
            yield from _rows(file, path)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise BackupError(f"{path} is no backup, or was cut or damaged.") from None
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.") from None


def _rows(file: Iterable[bytes], path: Path) -> Iterator[StoredReview]:
    lines = iter(file)
    head = _json(next(lines, b""))
    if head.get("format") != FORMAT:
        raise BackupError(f"{path} is no backup of Starwise.")
    if head.get("version") != VERSION:
        raise BackupError(
            f"{path} was made by a newer Starwise (version {head.get('version')} of the format, "
            f"and this one reads {VERSION}): restore it with that one."
        )
    count, digest, line = 0, hashlib.sha256(), next(lines, b"")
    for following in lines:
        digest.update(line)
        count += 1
        yield _row(line, f"review {count} of {path}")
        line = following
    if _json(line) != {"reviews": count, "sha256": digest.hexdigest()}:
        raise BackupError(f"{path} was cut or changed since it was made: its end does not fit.")


def _row(line: bytes, what: str) -> StoredReview:
    try:
        row = _ROW.validate_json(line)
    except ValidationError:
        raise BackupError(f"The line of {what} does not hold a review.") from None
    if row.created_at.tzinfo is None or "\x00" in row.brand + row.review + (row.model or ""):
        raise BackupError(f"The line of {what} does not hold a review.")
    return row


def _line(value: dict) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _json(line: bytes) -> dict:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="as in reviews.jsonl.gz")


def main(args: argparse.Namespace) -> int:
    from starwise.postgres import database

    with database() as address:
        store = Store(address, connections=1)
        try:
            # What people wrote is for the operator's eyes: no one else may read the file.
            with whole_file(args.file, private=True) as temporary:
                count = write(store.everything(), temporary)
                if not count and _may_hold_reviews(args.file):
                    raise BackupError(
                        f"There are no reviews in this database, and {args.file} stays as it is: "
                        "is it the right database (DATABASE_URL)?"
                    )
        except OSError as error:
            raise BackupError(f"{args.file} cannot be written: {error.strerror}.") from None
        finally:
            store.close()
    print(f"{counted(count)} written to {args.file}.")
    return 0


def _may_hold_reviews(path: Path) -> bool:
    """Say whether a file is there that is anything but a backup of no reviews."""
    try:
        return path.is_file() and next(read(path), None) is not None
    except BackupError:
        return True


def counted(count: int) -> str:
    """Return "1 review" or "1,234 reviews"."""
    return f"{count:,} review{'' if count == 1 else 's'}"
