"""What came back, and why not more: a JSON file beside the tables, of the lists and the companies.

write_coverage(outputs.reviews, coverage=0.98, enough=True, companies=[...])

The search for companies begins the file, with a row for each list; the reading of reviews adds
a row for each company, and the sum.
"""

import json
from pathlib import Path
from typing import Any

from starwise.collect.errors import CollectError
from starwise.paths import whole_file

NAME = "coverage.json"
EMPTY = {"coverage": 0.0, "enough": False, "ended_early": "", "lists": [], "companies": []}


def begin_coverage(beside: Path, **facts: Any) -> None:
    """Write facts beside a table of a new collection; nothing is kept of a former one."""
    path = beside.with_name(NAME)
    try:
        with whole_file(path) as temporary:
            told = json.dumps(EMPTY | facts, indent=1, ensure_ascii=False) + "\n"
            temporary.write_text(told, "utf-8", errors="replace")
    except OSError as error:
        raise CollectError(f"{path} cannot be written: {error.strerror}.") from error


def write_coverage(beside: Path, **facts: Any) -> None:
    """Write facts in place of those of the same names; what else stands in the file stays."""
    try:
        former = json.loads(beside.with_name(NAME).read_text("utf-8"))
    except (OSError, ValueError):
        former = {}
    begin_coverage(beside, **(former if isinstance(former, dict) else {}) | facts)
