"""Running the notebooks 01-04 one after the other with papermill: the command `starwise run`.

starwise run                                   what has changed since the last run
starwise run --fresh -p 03_train.epochs 2      everything anew, with one parameter changed
starwise run --corpus reviews.csv --from 2     your own reviews, without collecting

`notebooks` knows what a notebook says of itself, `kernel` and `execute` run one, `record`
remembers what each was made from, `series` puts them in order, `summary` says what came of it.
"""

import argparse
import sys

from starwise.batch.execute import NotebookError, Stopped, stopping_on_signals
from starwise.batch.notebooks import find_notebooks
from starwise.batch.series import AnotherRunError, run_series
from starwise.batch.steps import choose, describe
from starwise.paths import Outputs, project_root

# Long enough for training on a slow machine, short enough that a night run says what hangs.
CELL_TIMEOUT = 1800


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run (DESIGN: "Command line")."""
    add = parser.add_argument
    add("--corpus", default="", metavar="FILE", help="your own reviews, a CSV or parquet file")
    add("--site", choices=("practice", "trustpilot"), help="where 01 collects (practice)")
    add("--from", type=int, default=1, dest="first", metavar="N", help="first notebook (1)")
    add("--to", type=int, default=4, dest="last", metavar="N", help="last notebook (4)")
    add(
        "-p",
        dest="values",
        nargs=2,
        action="append",
        default=[],
        metavar=("NOTEBOOK.NAME", "VALUE"),
        help="set a parameter, for example -p 03_train.epochs 2",
    )
    add("--list", action="store_true", help="show every parameter with its default, run nothing")
    add("--fresh", action="store_true", help="start over, also what is up to date")
    add(
        "--cell-timeout",
        type=int,
        default=CELL_TIMEOUT,
        metavar="SECONDS",
        help=f"stop a cell that takes longer ({CELL_TIMEOUT}; 0 for no limit)",
    )


def main(args: argparse.Namespace) -> int:
    """Run the series.

    Returns 0 when all is well, 1 when a notebook failed, 3 when another run is in progress,
    128 + the signal's number when stopped by one.

    Raises:
        BatchError: bad usage; the command line turns it into exit status 2.
    """
    notebooks = find_notebooks(project_root() / "notebooks")
    if args.list:
        print(describe(notebooks))
        return 0
    steps = choose(
        notebooks,
        first=args.first,
        last=args.last,
        values=args.values,
        corpus=args.corpus,
        site=args.site or "",
    )
    try:
        with stopping_on_signals():
            run_series(
                notebooks,
                steps,
                Outputs.default(),
                fresh=args.fresh,
                cell_timeout=args.cell_timeout,
            )
    except NotebookError as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"starwise run: could not go on: {error}", file=sys.stderr)
        return 1
    except AnotherRunError as refusal:
        print(f"starwise run: {refusal}", file=sys.stderr)
        return 3
    except Stopped as stop:
        print(
            "\nStopped. What is finished is kept: the same command goes on from there.",
            file=sys.stderr,
        )
        return 128 + stop.signal_number
    return 0
