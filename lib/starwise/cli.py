"""The `starwise` command: one word chooses a room, and only that room is imported.

starwise practice          browse the practice site
starwise score FILE ...    score a file of reviews
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from starwise import __version__
from starwise.errors import StarwiseError

# command: (module, one line of help). The module has `add_arguments(parser)` and `main(args)`.
COMMANDS = {
    "run": ("starwise.batch", "run the notebooks 01-04 one after the other"),
    "report": ("starwise.report", "make the executed notebooks a book to read in a browser"),
    "practice": ("starwise.practice.server", "serve the practice review site on this machine"),
    "collect": ("starwise.collect.shared", "read reviews with other crawlers, sharing a queue"),
    "score": ("starwise.score_file", "score the reviews of a CSV or parquet file"),
    "pretrain": ("starwise.pretrain", "make the bundled weights from a folder of reviews"),
    "api": ("starwise.api", "serve the scorer and the store over REST"),
    "dashboard": ("starwise.dashboard.serve", "serve the dashboard, its service and its database"),
    "page": ("starwise.dashboard.page", "serve the page alone, for a service elsewhere"),
    "proxy": ("starwise.proxy", "serve pages behind nginx: TLS, limits, visitors who stay"),
    "backup": ("starwise.backup", "write all stored reviews to a file"),
    "restore": ("starwise.restore", "put the reviews of such a file back, none twice"),
    "prune": ("starwise.prune", "delete the reviews older than so many days"),
    "bench": ("starwise.bench", "measure speed against the article's way of doing it"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status (2 for bad usage or a `StarwiseError`)."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="starwise", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"starwise {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in argv if not word.startswith("-")), None)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == chosen:
            importlib.import_module(module).add_arguments(command)
    args = parser.parse_args(argv)
    try:
        return importlib.import_module(COMMANDS[args.command][0]).main(args) or 0
    except StarwiseError as error:
        print(f"starwise {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
