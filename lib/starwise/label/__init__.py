"""From collected reviews to a labelled table, step by step.

    reviews, skipped = label.read_reviews(outputs.reviews)
    frame, dropped = label.prepare(reviews)
    division = label.split_by_company(frame, validation_share=0.1, test_share=0.15, seed=0)
    label.write_labelled(division.frame, outputs.labelled)

Rooms: `reading` (reviews.csv), `clean` (one text; which rows are kept), `words` (texts as hashed
words), `duplicates` (near-duplicates), `language`, `findings` (what goes wrong on the way from
stars to sentiment), `audit` (suspicious labels), `journal` (labels that people gave), `splits`,
`table` (the checked schema of labelled.parquet), `card` (the data card).
"""

from starwise.label.clean import clean, prepare
from starwise.label.errors import LabelError
from starwise.label.journal import apply_labels
from starwise.label.reading import read_reviews
from starwise.label.splits import SPLITS, split_by_company
from starwise.label.table import (
    LABELLED,
    check,
    former_ids,
    former_salt,
    read_labelled,
    write_labelled,
)

__all__ = [
    "LABELLED",
    "SPLITS",
    "LabelError",
    "apply_labels",
    "check",
    "clean",
    "former_ids",
    "former_salt",
    "prepare",
    "read_labelled",
    "read_reviews",
    "split_by_company",
    "write_labelled",
]
