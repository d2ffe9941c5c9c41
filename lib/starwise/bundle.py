"""How the bundled weights were made: the recipe, so that anybody with reviews can repeat it.

    python -m starwise.bundle REVIEWS_FOLDER lib/starwise/bundled            # train, then measure
    python -m starwise.bundle REVIEWS_FOLDER lib/starwise/bundled --measure  # only measure

REVIEWS_FOLDER holds train-*.parquet and test.parquet with the columns domain, company, rating (1 to
5), text and, in test.parquet, split. No review is kept in the bundle, only the weights.
"""

import argparse
import shutil
import sys
from pathlib import Path

import pandas as pd

from starwise import model
from starwise.classes import CLASS_OF_STARS, CLASSES
from starwise.evaluate import measures
from starwise.score import Scorer
from starwise.train import Settings, train

# Real reviews are two thirds good. Left so, the network would learn the subject in place of the
# sentiment wherever a subject is praised more often: within each domain, bad and good reviews are
# therefore kept at no more than this many times the average ones.
MOST_PER_AVERAGE = 3
MOST_PER_COMPANY = 1_500  # some companies fill a collection with one kind of review
SETTINGS = Settings(
    preset="compact",
    epochs=4,
    reviews_per_epoch=33_000,
    batch_size=48,
    learning_rate=1.5e-3,
    weight_decay=0.05,
    patience=4,  # the learning rate fades to the end: let it
)


def read_reviews(folder: Path) -> pd.DataFrame:
    """Return the training reviews of a folder: company, domain, text, label; movies left out.

    Movie reviews have no three-star rows there, so they would teach that films are never average.
    """
    files = [
        path for path in sorted(Path(folder).glob("train-*.parquet")) if "movies" not in path.name
    ]
    frame = pd.concat([pd.read_parquet(path) for path in files], ignore_index=True)
    frame["text"] = frame["text"].str.strip()
    frame = frame[frame["text"].str.len() > 2].drop_duplicates("text")
    frame["label"] = frame["rating"].map(CLASS_OF_STARS)
    return frame[["domain", "company", "text", "label"]]


def balanced(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return rows such that neither a company nor a domain's favourite class dominates."""
    frame = frame.sample(frac=1.0, random_state=seed)
    named = frame["company"].fillna("") != ""
    place = frame.groupby(["company", "label"]).cumcount()
    frame = frame[~named | (place < MOST_PER_COMPANY)]
    average = frame[frame["label"] == "average"].groupby("domain").size()
    place = frame.groupby(["domain", "label"]).cumcount()
    return frame[place < MOST_PER_AVERAGE * frame["domain"].map(average)]


def split_by_company(frame: pd.DataFrame, rows: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training and validation rows, about `rows` of them, with no company in both."""
    # Rows without a company stand alone: each is a company of its own.
    company = frame["company"].where(frame["company"].fillna("") != "", frame["text"])
    chosen = pd.util.hash_pandas_object(company, index=False) % 10_000 < 10_000 * rows / len(frame)
    return frame[~chosen.to_numpy()], frame[chosen.to_numpy()]


def measured(folder: Path, reviews: Path) -> pd.DataFrame:
    """Return a row a part of test.parquet: part, rows, accuracy, balanced accuracy, macro F1.

    Parts are the splits and, within the split "test", the domains.
    """
    frame = pd.read_parquet(Path(reviews) / "test.parquet")
    frame = frame[frame["text"].str.strip() != ""].reset_index(drop=True)
    frame["label"] = frame["rating"].map(CLASS_OF_STARS)
    probabilities = Scorer.load(folder).probabilities(frame["text"])
    parts = {name: frame["split"] == name for name in sorted(frame["split"].unique())}
    for domain in sorted(frame["domain"].unique()):
        parts[f"test, {domain}"] = (frame["split"] == "test") & (frame["domain"] == domain)
    rows = []
    for name, chosen in parts.items():
        if frame[chosen]["label"].nunique() == len(CLASSES):  # movies have no average ones
            found = measures(frame[chosen]["label"], probabilities[chosen.to_numpy()])
            rows.append({"part": name, "rows": int(chosen.sum()), **found})
    return pd.DataFrame(rows).round(4)


def train_bundle(folder: Path, reviews: Path) -> None:
    """Train on the reviews of a folder and write model.safetensors and model.json."""
    frame = balanced(read_reviews(reviews), SETTINGS.seed)
    training, validation = split_by_company(frame, rows=5_000)
    for name, part in [("training", training), ("validation", validation)]:
        counts = part["label"].value_counts()
        print(name, ", ".join(f"{label} {counts[label]:,}" for label in CLASSES), flush=True)
    work = Path("bundle-work").absolute()
    train(training, validation, SETTINGS, work, report=lambda line: print(line, flush=True))
    network, card = model.load(work)
    made_by_save = {"format", "config", "classes", "parameters", "sha256"}
    card = {key: value for key, value in card.items() if key not in made_by_save}
    model.save(folder, network, {**card, "name": "bundled"}, packed=True)
    shutil.rmtree(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reviews", type=Path, help="folder with train-*.parquet and test.parquet")
    parser.add_argument("folder", type=Path, help="folder to write model.safetensors into")
    parser.add_argument("--measure", action="store_true", help="measure what is there, no training")
    args = parser.parse_args()
    if not args.measure:
        train_bundle(args.folder, args.reviews)
    print(measured(args.folder, args.reviews).to_string(index=False))


if __name__ == "__main__":
    sys.exit(main())
