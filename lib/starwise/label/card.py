"""The data card: what is in labelled.parquet, where it came from, and what is doubtful about it.

write_card(outputs.data_card, frame, source="reviews.csv", read=24_000, dropped=dropped,
           parameters={"seed": 0}, noise=0.08)

In the manner of Gebru et al., "Datasheets for Datasets" (2021), as far as a program can fill it in.
"""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

import starwise
from starwise.classes import CLASSES
from starwise.label.splits import SPLITS
from starwise.paths import whole_file

LIBRARIES = ("pandas", "scikit-learn", "cleanlab", "rensa", "py3langid")


def write_card(
    path: Path,
    frame: pd.DataFrame,
    *,
    source: str,
    read: int,
    dropped: Mapping[str, int],
    parameters: Mapping[str, Any],
    noise: float | None = None,
    notes: Mapping[str, Any] | None = None,
) -> str:
    """Write the card of a labelled table, whole, and return it as Markdown.

    `read` rows came from `source`; `dropped` counts those that were left out, by reason; `noise`
    is the audit's estimate of the share of wrong labels; `notes` are further facts, one line each.
    """
    card = "\n\n".join(
        [
            "# Data card of labelled.parquet",
            f"Made on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by Starwise {starwise.__version__}, "
            f"notebook 02_label (Python {platform.python_version()}, "
            + ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
            + ").",
            "## Sources",
            f"{_plain(source)}: {read:,} rows read, {len(frame):,} kept, of "
            f"{frame['company'].nunique():,} companies. The texts are those of their writers; "
            "whoever passes this table on sees to their rights.",
            "## Classes and splits",
            "One and two stars are bad, three average, four and five good, unless a person "
            "said otherwise. Every company is in one split only.",
            _table(_classes(frame), "split"),
            "Labels come from " + _listed(frame["label_source"].value_counts()) + ".",
            "## Languages",
            _languages(frame),
            "## Left out",
            _table(pd.Series(dict(dropped), name="rows", dtype=int).to_frame(), "reason")
            if dropped
            else "Nothing.",
            "## Near-duplicates",
            _near_duplicates(frame),
            "## Doubtful labels",
            "The audit was not run."
            if noise is None
            else f"The label audit estimates that {noise:.1%} of the labels do not fit their "
            "texts. It is an estimate of a reader of words that errs itself; column "
            "`label_quality` says how well each label fits (1: surely, 0: surely not).",
            *(["## Further facts", _bullets(notes)] if notes else []),
            "## Parameters",
            _bullets({f"`{name}`": value for name, value in parameters.items()}),
        ]
    )
    with whole_file(path) as temporary:
        temporary.write_text(card + "\n", "utf-8")
    return card


def _classes(frame: pd.DataFrame) -> pd.DataFrame:
    table = pd.crosstab(frame["split"], frame["label"]).reindex(
        index=SPLITS, columns=list(CLASSES), fill_value=0
    )
    return table.assign(
        reviews=table.sum(axis=1), companies=frame.groupby("split")["company"].nunique()
    )


def _languages(frame: pd.DataFrame, most: int = 12) -> str:
    if "language" not in frame:
        return "Not looked at."
    counts = pd.crosstab(frame["language"], frame["split"]).reindex(columns=SPLITS, fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    more = f"\n\nAnd {len(counts) - most} more languages." if len(counts) > most else ""
    unknown = "\n\n`und`: too short or too odd to tell." if "und" in counts.index[:most] else ""
    return _table(counts.head(most), "language") + more + unknown


def _near_duplicates(frame: pd.DataFrame) -> str:
    if "cluster" not in frame:
        return (
            "Not kept together: there were too many, or nobody looked for them. Where texts repeat "
            "themselves, a test measures memory in part."
        )
    members = frame["cluster"].duplicated(keep=False)
    clusters = frame.loc[members, "cluster"].nunique()
    return (
        f"{int(members.sum()):,} of the kept reviews have a near-duplicate among them, in "
        f"{clusters:,} clusters; none of these lies in two splits."
    )


def _table(frame: pd.DataFrame, name: str) -> str:
    head = [name, *map(str, frame.columns)]
    lines = [head, ["---", *["--:"] * len(frame.columns)]]
    for index, *row in frame.itertuples():
        lines.append([_plain(str(index)), *(f"{value:,}" for value in row)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _listed(counts: pd.Series) -> str:
    names = {"stars": "the stars", "person": "a person"}
    return " and ".join(f"{names.get(name, name)} ({count:,})" for name, count in counts.items())


def _bullets(entries: Mapping[str, Any]) -> str:
    lines = (f"- {name}: {_plain(str(value))}" for name, value in entries.items())
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return text, perhaps of a file's name or a language tag, that Markdown takes for text."""
    for sign in "\\`*_{}[]<>|#$":
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.split())
