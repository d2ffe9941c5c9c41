"""The executed notebooks as a book of plain pages: the command `starwise report`.

starwise report                       outputs/notebooks/ becomes outputs/report/
starwise report --to /tmp/my-report   the same, elsewhere

`cells` turns cells into markup that runs nothing and loads nothing, `chapter` a notebook into a
chapter, `book` chapters into pages.
"""

import argparse
from pathlib import Path

from starwise.errors import StarwiseError
from starwise.paths import Outputs
from starwise.report.book import write_book
from starwise.report.chapter import read_chapters


class ReportError(StarwiseError):
    """There is nothing to report."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", metavar="FOLDER", help="where the pages go (outputs/report)")


def main(args: argparse.Namespace) -> int:
    """Write the book and say where it begins."""
    outputs = Outputs.default()
    chapters = read_chapters(outputs.notebooks)
    if not chapters:
        raise ReportError(
            f"no notebook has run yet ({outputs.notebooks} holds none): ./run_all.sh runs them, in "
            "about three minutes; then this makes the book."
        )
    folder = Path(args.to).absolute() if args.to else outputs.report
    first = write_book(chapters, outputs, folder)
    print(f"{len(chapters)} chapters are in {folder}\nBegin with {first.as_uri()}")
    return 0
