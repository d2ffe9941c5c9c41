"""Every figure of the notebooks, with one palette that the dashboard shares.

    plots.style()
    figure = plots.loss_curve(history)
    plots.keep(figure, outputs.figures / "03_loss.png")

Each function returns a matplotlib Figure of about 5 x 3 inches with labelled axes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from starwise.classes import CLASSES
from starwise.paths import whole_file

# Brick, amber, teal: told apart by the colour-blind, and by their lightness in print.
PALETTE = {"bad": "#C8553D", "average": "#E0A030", "good": "#2A7F8E"}
INK = "#1F2A44"
PAPER = "#FBFAF7"
QUIET = "#8A8FA0"
STAR_COLOURS = ("#9E3A26", "#C8553D", "#E0A030", "#5BA3AE", "#2A7F8E")


def style() -> None:
    """Set fonts, colours and sizes for all figures that follow."""
    plt.rcParams.update(
        {
            "figure.figsize": (5, 3),
            "figure.dpi": 110,
            "figure.facecolor": PAPER,
            "axes.facecolor": PAPER,
            "savefig.facecolor": PAPER,
            "savefig.dpi": 160,
            "savefig.bbox": "tight",
            "axes.edgecolor": QUIET,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "axes.titlesize": 10,
            "axes.titlelocation": "left",
            "axes.titlepad": 10,
            "axes.labelsize": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8,
            "legend.frameon": False,
            "text.color": INK,
            "font.size": 9,
        }
    )


def keep(figure: Figure, path: Path) -> Figure:
    """Write the figure to a file, whole, and return it so that a notebook also shows it."""
    with whole_file(path) as temporary:
        figure.savefig(temporary)
    plt.close(figure)  # a notebook would otherwise show it twice
    return figure


# -- 01 and 02: what was collected


def stars_by_category(frame: pd.DataFrame) -> Figure:
    """Shares of 1 to 5 stars in each category; frame: category, rating."""
    table = pd.crosstab(frame["category"], frame["rating"], normalize="index")
    mean = frame.groupby("category")["rating"].mean().sort_values()
    table = table.reindex(index=mean.index, columns=range(1, 6), fill_value=0.0)
    figure, axes = plt.subplots(figsize=(5, 0.9 + 0.2 * len(table)))
    left = np.zeros(len(table))
    for stars, colour in zip(table.columns, STAR_COLOURS, strict=True):
        axes.barh(table.index, table[stars], left=left, color=colour, label=f"{stars} ★")
        left += table[stars].to_numpy()
    axes.set(xlabel="share of the category's reviews", xlim=(0, 1))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)
    axes.margins(y=0.01)
    axes.legend(ncols=5, loc="lower left", bbox_to_anchor=(0, 1), handlelength=1, columnspacing=1)
    return figure


def review_lengths(lengths: pd.Series) -> Figure:
    """Histogram of review lengths in characters, on a logarithmic axis."""
    lengths = lengths[lengths > 0]
    figure, axes = plt.subplots()
    edges = np.geomspace(max(1, lengths.min()), lengths.max() + 1, 40)
    axes.hist(lengths, bins=edges, color=INK)
    middle = lengths.median()
    axes.axvline(middle, color=PALETTE["average"], linewidth=2)
    axes.annotate(
        f"half are shorter than {middle:,.0f}",
        (middle, axes.get_ylim()[1]),
        xytext=(-5, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        color=INK,
        fontsize=8,
    )
    axes.set(xscale="log", xlabel="length of the review (characters)", ylabel="reviews")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figure


def class_balance(frame: pd.DataFrame) -> Figure:
    """Share of each class in each split; frame: split, label."""
    table = pd.crosstab(frame["split"], frame["label"], normalize="index")
    table = table.reindex(index=["train", "validation", "test"], columns=list(CLASSES))
    rows = frame["split"].value_counts()
    figure, axes = plt.subplots(figsize=(5, 2.2))
    names = [f"{name}\n{rows[name]:,} reviews" for name in table.index]
    left = np.zeros(len(table))
    for label in CLASSES:
        bars = axes.barh(names, table[label], left=left, color=PALETTE[label], label=label)
        axes.bar_label(
            bars, [f"{v:.0%}" for v in table[label]], label_type="center", color="white", fontsize=8
        )
        left += table[label].to_numpy()
    axes.set(xlabel="share of the split's reviews", xlim=(0, 1))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.invert_yaxis()
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)
    axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), handlelength=1)
    return figure


def audit(frame: pd.DataFrame, marks: pd.DataFrame | None = None) -> Figure:
    """How well labels fit their texts, by class; beside it, where the truth is known, precision.

    frame: label, label_quality (0 to 1); marks: precision, recall, a row a label looked at.
    """
    panels = 1 if marks is None else 2
    figure, axes = plt.subplots(1, panels, figsize=(3.6 * panels, 2.8), squeeze=False)
    left, right = axes[0, 0], axes[0, -1]
    of_class = [frame.loc[frame["label"] == label, "label_quality"] for label in CLASSES]
    colours = [PALETTE[label] for label in CLASSES]
    left.hist(of_class, bins=20, range=(0, 1), stacked=True, color=colours, label=list(CLASSES))
    left.set(xlabel="quality of the label (0: does not fit)", ylabel="reviews")
    left.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    left.legend(loc="upper left")
    if marks is not None:
        found = marks[marks["recall"] >= 0.01]  # of a handful, a share says little
        right.plot(found["recall"], found["precision"], color=INK)
        base = marks["precision"].iloc[-1]
        right.axhline(base, color=QUIET, linestyle=":", linewidth=1)
        right.text(0.02, base + 0.02, f"picked at random: {base:.0%}", color=QUIET, fontsize=8)
        right.set(xlabel="share of all wrong labels found", ylabel="of those looked at, wrong")
        right.set(xlim=(0, 1), ylim=(0, 1.02))
        for axis in (right.xaxis, right.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    figure.tight_layout()
    return figure


# -- 03: how the network reads


def quantized(text: str, symbols: Sequence[str], matrix: np.ndarray) -> Figure:
    """A text as the network sees it: rows are symbols, columns positions, a mark where they meet.

    matrix: (symbols, positions) of 0 and 1.
    """
    used = np.flatnonzero(matrix.any(1))
    figure, axes = plt.subplots(figsize=(5, 0.9 + 0.15 * len(used)))
    axes.imshow(matrix[used], cmap="Greys", vmin=0, vmax=1.4, aspect="auto")
    shown = [{" ": "space", "\n": "newline"}.get(symbols[row], symbols[row]) for row in used]
    axes.set_yticks(range(len(used)), shown)
    axes.set_xticks(range(matrix.shape[1]), [*text, *" " * (matrix.shape[1] - len(text))])
    axes.set(xlabel="position in the text", ylabel="symbol")
    axes.set_title(f"{matrix.shape[0]} symbols in all, {len(used)} of them occur here")
    return figure


def convolution(text: str, responses: dict[str, np.ndarray]) -> Figure:
    """What filters answer at each position of a text: one row a filter, (positions,) each."""
    figure, rows = plt.subplots(
        len(responses), 1, figsize=(5, 0.6 + 0.85 * len(responses)), sharex=True, squeeze=False
    )
    highest = max(response.max() for response in responses.values())
    for axes, (name, response) in zip(rows[:, 0], responses.items(), strict=True):
        colours = np.where(response == highest, PALETTE["average"], QUIET)
        axes.bar(range(len(response)), response, color=colours)
        axes.set(ylabel="answer", ylim=(0, 1.1 * highest), yticks=[0, highest / 2, highest])
        axes.set_title(f"filter for “{name}”", pad=3)
    axes.set_xticks(range(len(text)), list(text))
    axes.set_xlabel("position in the text (start of the window)")
    figure.tight_layout()
    return figure


def schedules(progress: Sequence[float], shapes: dict[str, Sequence[float]]) -> Figure:
    """The learning rate over a run: the share of the highest rate, 0 to 1, of each schedule."""
    figure, axes = plt.subplots(figsize=(5, 2.4))
    for (name, shares), line in zip(shapes.items(), ["-", "--", ":", "-."], strict=False):
        axes.plot(progress, shares, line, color=INK, label=name)
    axes.set(xlabel="share of the run", ylabel="share of the highest rate", ylim=(0, 1.05))
    axes.legend()
    return figure


def loss_curve(
    history: Sequence[dict], baseline: float | None = None, scratch: Sequence[dict] = ()
) -> Figure:
    """Loss and accuracy of training (solid) and validation (dashed) after each epoch.

    scratch: the history of the same training from noise, drawn beside it.
    """
    figure, panes = plt.subplots(1, 2, figsize=(7, 2.8))
    runs = [("", history, INK, PALETTE["good"])]
    if scratch:
        runs.append((", from noise", scratch, QUIET, QUIET))
    for axes, measure, unit in zip(
        panes, ["loss", "accuracy"], ["loss (nats)", "accuracy"], strict=True
    ):
        for name, rows, solid, dashed in runs:
            table = pd.DataFrame(rows)
            seen = table["reviews"] / 1000
            line = {"marker": "o", "markersize": 3}
            axes.plot(seen, table[measure], color=solid, label=f"training{name}", **line)
            axes.plot(
                seen,
                table[f"validation_{measure}"],
                color=dashed,
                linestyle="--",
                label=f"validation{name}",
                **line,
            )
        axes.set(xlabel="reviews seen (thousands)", ylabel=unit)
    if baseline is not None:
        panes[1].axhline(baseline, color=PALETTE["average"], linewidth=1, label="bag of words")
    figure.legend(*panes[1].get_legend_handles_labels(), loc="lower center", ncols=3)
    figure.tight_layout(rect=(0, 0.16, 1, 1))
    return figure


# -- 04: how well it reads


def ladder(table: pd.DataFrame, best: float | None = None) -> Figure:
    """Balanced accuracy of each model with its interval.

    table: name, title, balanced_accuracy, low, high, in drawing order.
    """
    figure, axes = plt.subplots(figsize=(5, 0.9 + 0.36 * len(table)))
    colours = [PALETTE["good"] if name == "network" else QUIET for name in table["name"]]
    value = table["balanced_accuracy"]
    axes.barh(table["title"], value, color=colours)
    reach = [value - table["low"], table["high"] - value]
    axes.errorbar(value, table["title"], xerr=reach, fmt="none", ecolor=INK, capsize=3)
    for place, (number, low) in enumerate(zip(value, table["low"], strict=True)):
        # Inside the bar and left of the interval: the line of the best possible stands outside.
        axes.text(low - 0.015, place, f"{number:.3f}", ha="right", va="center", color="white")
    if best is not None:
        axes.axvline(best, color=PALETTE["average"], linewidth=2)
        axes.text(best, -0.75, f"best possible {best:.3f}", ha="right", fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="balanced accuracy on the test reviews (line: 95% interval)", xlim=(0, 1))
    axes.tick_params(left=False)
    return figure


def confusion(matrix: np.ndarray) -> Figure:
    """Share of each true class (row) that is given each class (column); matrix: counts (3, 3)."""
    shares = matrix / matrix.sum(1, keepdims=True).clip(1)
    figure, axes = plt.subplots(figsize=(3.6, 3))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(3):
        for column in range(3):
            dark = shares[row, column] > 0.55
            axes.text(
                column,
                row,
                f"{shares[row, column]:.0%}\n{matrix[row, column]:,}",
                ha="center",
                va="center",
                color="white" if dark else INK,
                fontsize=8,
            )
    axes.set_xticks(range(3), CLASSES)
    axes.set_yticks(range(3), CLASSES)
    axes.set(xlabel="read as", ylabel="really")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def calibration(table: pd.DataFrame) -> Figure:
    """Accuracy at each level of confidence; table: confidence, accuracy, share (a row a bin)."""
    figure, axes = plt.subplots(figsize=(3.8, 3.2))
    axes.plot([0.33, 1], [0.33, 1], color=QUIET, linewidth=1, label="perfect")
    axes.scatter(
        table["confidence"],
        table["accuracy"],
        s=20 + 600 * table["share"],
        color=PALETTE["good"],
        alpha=0.85,
        edgecolor="white",
        label="a bin (area: its reviews)",
    )
    axes.set(xlabel="how sure the network is", ylabel="how often it is right")
    axes.set(xlim=(0.3, 1.03), ylim=(0, 1.05))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    legend = axes.legend(loc="lower right")
    for handle in legend.legend_handles[1:]:
        handle.set_sizes([40])
    return figure


def typo_curves(curves: dict[str, pd.DataFrame]) -> Figure:
    """Balanced accuracy against the share of mistyped letters; one curve a model."""
    figure, axes = plt.subplots()
    styles = [(PALETTE["good"], "-"), (QUIET, "--"), (PALETTE["average"], ":")]
    for (name, table), (colour, line) in zip(curves.items(), styles, strict=False):
        axes.plot(
            table["share"], table["balanced_accuracy"], line, color=colour, marker="o", label=name
        )
    axes.set_xticks(sorted({share for table in curves.values() for share in table["share"]}))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set(xlabel="letters with a typo", ylabel="balanced accuracy")
    axes.legend()
    return figure


def prefixes(table: pd.DataFrame) -> Figure:
    """How well half-written texts are read, and how honestly.

    table: share (of the text), balanced_accuracy, ece, luck.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.8))
    left.plot(table["share"], table["balanced_accuracy"], color=PALETTE["good"], marker="o")
    left.set(ylabel="balanced accuracy", ylim=(1 / 3, 1))
    right.plot(table["share"], table["ece"], color=PALETTE["good"], marker="o", label="network")
    right.fill_between(
        table["share"], table["luck"], color=QUIET, alpha=0.35, label="luck alone, 95 of 100"
    )
    right.set(ylabel="calibration error", ylim=(0, None))
    right.legend()
    for axes in (left, right):
        axes.set(xlabel="share of the text that is there", xticks=table["share"])
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    figure.tight_layout()
    return figure


def parts(table: pd.DataFrame, kind: str, rows: str = "reviews") -> Figure:
    """Accuracy in each part with its interval; table: accuracy, low, high, `rows`, by part."""
    figure, axes = plt.subplots(figsize=(5, 1.0 + 0.26 * len(table)))
    names = [f"{name}  ({count:,})" for name, count in table[rows].items()]
    reach = [table["accuracy"] - table["low"], table["high"] - table["accuracy"]]
    axes.errorbar(table["accuracy"], names, xerr=reach, fmt="o", color=PALETTE["good"], capsize=3)
    axes.invert_yaxis()
    axes.set(xlabel="accuracy (line: 95% interval)", ylabel=f"{kind} ({rows})", xlim=(None, 1.01))
    # Whole percents only: 82.5% would be written as 82%.
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="y", color=QUIET, alpha=0.25)
    return figure


def learning_curve(table: pd.DataFrame) -> Figure:
    """Balanced accuracy against reviews learned from, each point with its 95% interval.

    table: reviews, model, balanced_accuracy, low, high. The first model is drawn solid, as ours.
    """
    figure, axes = plt.subplots()
    lines = _with_intervals(
        axes, table, "model", "balanced_accuracy", lambda place: table["reviews"] * 1.035**place
    )
    axes.set(xscale="log", xlabel="reviews learned from (line: 95% interval)")
    axes.set(ylabel="balanced accuracy")
    axes.set_xticks(sorted(table["reviews"].unique()))
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.legend(handles=lines)
    return figure


def deletion(table: pd.DataFrame) -> Figure:
    """How far the sentiment moves when words are deleted, with 95% intervals.

    table: words, way, moved, low, high (see starwise.deletion).
    """
    figure, axes = plt.subplots()
    lines = _with_intervals(
        axes, table, "way", "moved", lambda place: table["words"] + 0.08 * (place - 1)
    )
    axes.set(xlabel="words deleted (line: 95% interval)", ylabel="the sentiment moves by")
    axes.set(xticks=table["words"].unique(), ylim=(0, None))
    axes.legend(handles=lines, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def _with_intervals(
    axes: Axes, table: pd.DataFrame, group: str, value: str, where: Callable[[int], pd.Series]
) -> list[Line2D]:
    """Draw a line a group, each point with its interval (low, high); return them for a legend.

    where: from a group's number to its places, so that no group's intervals hide another's.
    """
    styles = [(PALETTE["good"], "-"), (INK, ":"), (QUIET, "--")]
    lines = []
    for number, (name, rows) in enumerate(table.groupby(group, sort=False)):
        (colour, line), places = styles[number], where(number)[rows.index]
        reach = [rows[value] - rows["low"], rows["high"] - rows[value]]
        axes.errorbar(places, rows[value], reach, fmt="none", ecolor=colour, capsize=2, alpha=0.6)
        lines += axes.plot(
            places, rows[value], line, color=colour, marker="o", markersize=4, label=name
        )
    return lines


def explanation(text: str, effects: dict[str, np.ndarray], width: int = 48) -> Figure:
    """A text once for each way to explain it, its letters on the colour of their effect.

    effects: for each title an effect a character, (len(text),); above 0 is towards good. A space
    without effect is left blank; every way has its own scale, told in its title.
    """
    starts = _broken_lines(text, width)
    rows = len(effects) * (len(starts) + 2)
    figure, axes = plt.subplots(figsize=(0.115 * width, 0.24 * rows))
    line = 0
    for title, values in effects.items():
        strongest = max(1e-12, np.abs(values).max())
        axes.text(0, line, f"{title} (strongest: {strongest:.3f})", va="center", fontsize=8)
        for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
            for place in range(start, end):
                colour = PALETTE["good" if values[place] > 0 else "bad"]
                spot = (place - start, line + number + 0.5)
                strength = 0.85 * abs(values[place]) / strongest
                axes.add_patch(plt.Rectangle(spot, 1, 1, color=colour, alpha=strength, lw=0))
                axes.text(spot[0] + 0.5, spot[1] + 0.5, text[place].strip() and text[place],
                          ha="center", va="center", family="monospace", fontsize=8)  # fmt: skip
        line += len(starts) + 2
    axes.set(xlim=(0, width), ylim=(rows - 1, -0.6))
    axes.axis("off")
    return figure


def _broken_lines(text: str, width: int) -> list[int]:
    """Return where each line of a text begins, broken at spaces, at most `width` long."""
    starts = [0]
    while len(text) - starts[-1] > width:
        space = text.rfind(" ", starts[-1] + 1, starts[-1] + width)
        starts.append(space + 1 if space > 0 else starts[-1] + width)
    return starts


def agreement(quick: np.ndarray, true: np.ndarray, names: Sequence[str]) -> Figure:
    """The gradient's estimate of each word's effect against what hiding the word does."""
    figure, axes = plt.subplots(figsize=(4.4, 3.2))
    colours = np.where(true > 0, PALETTE["good"], PALETTE["bad"])
    axes.scatter(quick, true, c=colours, s=18, alpha=0.8, edgecolor="white", linewidth=0.5)
    reach, named = np.array([np.ptp(quick), np.ptp(true)]).clip(1e-12), []
    for place in np.argsort(-np.abs(true))[:8]:
        spot = np.array([quick[place], true[place]]) / reach
        # A name over another one can be read by nobody.
        if all(abs(spot[1] - other[1]) > 0.06 or abs(spot[0] - other[0]) > 0.2 for other in named):
            named.append(spot)
            axes.annotate(names[place], (quick[place], true[place]), xytext=(4, 3),
                          textcoords="offset points", fontsize=7)  # fmt: skip
    axes.axhline(0, color=QUIET, linewidth=0.8)
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.set(xlabel="the gradient's estimate (sentiment)", ylabel="hiding the word (sentiment)")
    return figure
