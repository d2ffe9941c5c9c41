"""What came of a run, in a few lines: rows, how well the network reads, where to look next.

print(summary(outputs, record, steps, seconds=75.0))
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starwise.batch.record import Record
from starwise.batch.steps import Step
from starwise.paths import Outputs


def minutes(seconds: float) -> str:
    """Return a duration for a reader: "4.2 s", "1 min 15 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


def summary(outputs: Outputs, record: Record, steps: Sequence[Step], seconds: float) -> str:
    """Return the closing lines of a run; what a partial run has not made is left out."""
    lines = ["", *_rows(outputs), *_measures(outputs)]
    took = " + ".join(
        f"{step.notebook.name} {minutes(record.entry(step)['seconds'])}" for step in steps
    )
    lines += [
        f"Time       {minutes(seconds)} (when last run: {took})",
        f"Results    {outputs.root}",
        f"Notebooks  {outputs.notebooks}, executed, with their figures",
    ]
    if steps[-1].notebook.number == 4:
        lines.append("Next       ./run_all.sh dashboard   rate a review while you type it")
    else:
        lines.append(f"Next       ./run_all.sh --from {steps[-1].notebook.number + 1}")
    return "\n".join(lines)


def _rows(outputs: Outputs) -> list[str]:
    found = []
    counts = _json(outputs.collection).get("counts", {})
    if outputs.reviews.exists() and "reviews" in counts:
        found.append(
            f"{counts['reviews']:,} collected from {counts.get('companies', 0):,} companies"
        )
    if outputs.labelled.exists():
        import pyarrow.parquet  # here, because a run that fails early need not wait for it

        rows = pyarrow.parquet.read_metadata(outputs.labelled).num_rows
        found.append(f"{rows:,} cleaned and labelled")
    return [f"Reviews    {'; '.join(found)}"] if found else []


def _measures(outputs: Outputs) -> list[str]:
    metrics = _json(outputs.metrics)
    models = {model["name"]: model for model in metrics.get("models", [])}
    titles = {
        "network": "the network",
        "tfidf_lr": "words counted (TF-IDF + logistic regression)",
        "majority": "always the commonest class",
    }
    rows = [
        [models[name][measure] for measure in ("balanced_accuracy", "macro_f1", "accuracy")]
        + [title]
        for name, title in titles.items()
        if name in models
    ]
    lines = [f"{'balanced accuracy':<20}{'macro-F1':<11}accuracy"] if rows else []
    lines += [f"{b:<20.3f}{f1:<11.3f}{a:<11.3f}{title}" for b, f1, a, title in rows]
    if rows and (best := metrics.get("best_accuracy")) is not None:
        lines.append(f"{best:<42.3f}the best that is possible here")
    told = [
        ("Reading    " if number == 0 else " " * 11) + line for number, line in enumerate(lines)
    ]
    if verdict := metrics.get("verdict"):
        told.append(f"Serving    {verdict['serves']}: {verdict['reason']}")
    return told


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
