"""Puts the reviews of a backup back: all or none, and none twice.

starwise restore reviews.jsonl.gz

Reviews that the database has already (by their id) are left as they are, and so are those that it
has besides.
"""

import argparse
from pathlib import Path

from starwise.backup import counted, read
from starwise.store import Store


def restore(store: Store, path: Path) -> tuple[int, int]:
    """Add a backup's reviews to the store; return how many the file has and how many were new.

    Raises `BackupError` for anything but a whole backup, and then nothing was changed.
    """
    total = 0

    def rows():
        nonlocal total
        for row in read(path):
            total += 1
            yield row

    # One transaction: what `read` finds wrong at the last line undoes the first row, too.
    new = store.add(rows())
    return total, new


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="what `starwise backup` wrote")


def main(args: argparse.Namespace) -> int:
    from starwise.postgres import database

    with database() as address:
        store = Store(address, connections=1)
        try:
            total, new = restore(store, args.file)
        finally:
            store.close()
    print(f"{counted(total)} in {args.file}: {new:,} restored, {total - new:,} there already.")
    return 0
