"""Deletes what has been kept long enough.

starwise prune --older-than 365 --dry-run       # says how many there are
starwise prune --older-than 365
"""

import argparse

from starwise.backup import counted
from starwise.store import Store

LONGEST = 36_500  # days


def days(given: str) -> int:
    """Return the number that was given. Raises argparse's error for what is no age of a review."""
    if not (given.isascii() and given.isdecimal() and 1 <= int(given[:9]) <= LONGEST):
        raise argparse.ArgumentTypeError(
            f"{given!r} is no number of days: give a whole one from 1 to {LONGEST:,}"
        )
    return int(given)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--older-than", type=days, required=True, metavar="DAYS",
                        help="delete the reviews stored more than so many days ago")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only say how many those are")


def main(args: argparse.Namespace) -> int:
    from starwise.postgres import database

    age = f"older than {args.older_than:,} day{'' if args.older_than == 1 else 's'}"
    with database() as address:
        store = Store(address, connections=1)
        try:
            if args.dry_run:
                found = store.older_than(args.older_than)
                print(f"{counted(found)} {age}; nothing was deleted.")
            else:
                print(f"{counted(store.delete_older_than(args.older_than))} {age} deleted.")
        finally:
            store.close()
    return 0
