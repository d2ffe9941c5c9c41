"""Measures on this machine, beside the article's way of doing the same, in one run.

    ./run_all.sh bench                  # every section
    ./run_all.sh bench model collect    # some of them

Each section is a module here with a `TITLE`, which says what is compared with what, and a function
`measures(seconds)`, which yields one `Measure` after the other. What was measured is also written
to outputs/bench.json.
"""

import argparse
import importlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from starwise.paths import Outputs, project_root, whole_file

SECTIONS = ("model", "score", "collect", "label", "memory", "service", "dashboard", "rivals")


@dataclass(frozen=True)
class Measure:
    """One row: what was measured, theirs and ours, and what that comes to."""

    name: str  # with its unit
    rival: str  # "" where there is nothing to compare with
    ours: str
    ratio: str = ""  # "12.3 times"
    goal: str = ""  # "at least 10 times"


def per_second(name: str, rival: float, ours: float, goal: str = "") -> Measure:
    """Return the measure of two rates, where more is better."""
    return Measure(name, f"{rival:,.0f}", f"{ours:,.0f}", f"{ours / rival:.1f} times", goal)


def reviews_folder() -> Path:
    """Return where real reviews may lie: beside the project, or where STARWISE_REVIEWS says."""
    return Path(os.environ.get("STARWISE_REVIEWS", project_root().parent / "shared" / "reviews"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)} (default: all)"
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long each measurement runs (default 5)"
    )


def main(args: argparse.Namespace) -> int:
    unknown = sorted(set(args.sections) - set(SECTIONS))
    if unknown:
        print(f"There is no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}.")
        return 2
    machine = (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, torch {version('torch')}"
    )
    print(machine)
    found = {}
    for name in args.sections or SECTIONS:
        section = importlib.import_module(f"starwise.bench.{name}")
        print(f"\n{name}: {section.TITLE}", flush=True)
        rows = found[name] = []
        for measure in section.measures(args.seconds):
            rows.append(asdict(measure))
            print("  " + _line(measure), flush=True)
    path = Outputs.default().root / "bench.json"
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps({"machine": machine, "sections": found}, indent=2) + "\n")
    print(f"\nWritten to {path}.")
    return 0


def _line(measure: Measure) -> str:
    rival = f"{measure.rival} -> " if measure.rival else ""
    ratio = f", {measure.ratio}" if measure.ratio else ""
    goal = f" (goal: {measure.goal})" if measure.goal else ""
    return f"{measure.name}: {rival}{measure.ours}{ratio}{goal}"
