"""What the practice site's invented world promises to learners, and to their models."""

import hashlib
import math
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from starwise.practice.grammar import expand, parse
from starwise.practice.telling import CUTS, class_probabilities, draw_stars, star_probabilities
from starwise.practice.world import make_companies, make_world

REAL_REVIEWS = Path(__file__).parents[3] / "shared" / "reviews" / "test.parquet"
DIGEST = """
import hashlib
from starwise.practice.world import make_world
print(hashlib.sha256(repr(make_world(seed=5, companies=12, reviews=300)).encode()).hexdigest())
"""


@cache
def default_world():
    return make_world()


@cache
def default_reviews() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": review.id,
            "company": review.company,
            "text": review.text,
            "rating": review.rating,
            "label": classes_of(review.rating),
        }
        for review in default_world().reviews
        if review.text
    )


def classes_of(rating: int) -> int:
    return 0 if rating <= 2 else 1 if rating == 3 else 2


def bag_of_words() -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)


def test_the_default_world_is_large_enough_to_be_worth_collecting():
    world, reviews = default_world(), default_reviews()
    assert len(world.categories) >= 20
    assert sum(map(len, world.categories.values())) >= 80
    assert len({company.slug for company in world.companies}) == len(world.companies) >= 300
    assert reviews["text"].nunique() >= 20_000
    assert len({review.id for review in world.reviews}) == len(world.reviews) == 24_000
    assert sum(len(world.reviews_of(company.slug)) for company in world.companies) == 24_000


def test_every_company_stands_in_a_category_and_has_an_invented_address():
    world = default_world()
    for company in world.companies:
        assert company.sub_category in world.categories[company.category]
        assert company.website == f"https://www.{company.slug}.example"
        assert world.reviews_of(company.slug)


def test_a_seed_gives_the_same_world_in_every_process():
    here = repr(make_world(seed=5, companies=12, reviews=300)).encode()
    for hash_seed in ("1", "2"):
        answer = subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        )
        assert answer.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_another_seed_gives_another_world():
    one, other = (make_world(seed=seed, companies=12, reviews=100) for seed in (1, 2))
    assert one.reviews[0].text != other.reviews[0].text


def test_a_world_without_companies_is_refused():
    with pytest.raises(ValueError, match="at least one company"):
        make_world(companies=0)
    with pytest.raises(ValueError, match="a review for each"):
        make_world(companies=20, reviews=10)


def test_exact_duplicates_are_rare_and_a_few_reviews_have_no_text():
    texts = default_reviews()["text"]
    assert texts.duplicated().mean() < 0.01
    assert 0.003 < 1 - len(texts) / 24_000 < 0.03


def test_lengths_and_stars_are_those_of_a_review_site():
    reviews = default_reviews()
    lengths = reviews["text"].str.len()
    assert 180 <= lengths.median() <= 280
    assert (lengths > 1000).mean() > 0.005
    assert (lengths < 40).mean() > 0.03
    bad, average, good = (reviews["label"].value_counts(normalize=True)[each] for each in (0, 1, 2))
    assert 0.20 <= bad <= 0.30
    assert 0.13 <= average <= 0.22
    assert 0.50 <= good <= 0.65


def test_no_slot_or_bracket_is_left_in_a_text():
    for review in default_world().reviews:
        for text in (review.title, review.text):
            assert not set("[]{}|") & set(text), text
            assert not any(slip in text for slip in ("  ", " ,", " . ", ",,")), text


def test_bag_of_words_lands_between_three_quarters_and_nine_tenths():
    reviews, world = default_reviews(), default_world()
    fewest = reviews["label"].value_counts().min()
    balanced = reviews.groupby("label").sample(fewest, random_state=0)
    companies = [company.slug for company in world.companies]
    np.random.default_rng(0).shuffle(companies)
    held_out = balanced["company"].isin(companies[: len(companies) // 5])
    train, test = balanced[~held_out], balanced[held_out]
    words = bag_of_words()
    model = LogisticRegression(max_iter=1000).fit(
        words.fit_transform(train["text"]), train["label"]
    )
    accuracy = model.score(words.transform(test["text"]), test["label"])
    best = world.best_accuracy(balanced=True, ids=test["id"])
    print(f"bag of words {accuracy:.3f}, best possible {best:.3f}")
    assert 0.75 <= accuracy <= 0.90
    assert accuracy + 0.03 < best < 0.97


def test_probabilities_are_those_of_the_stars_that_are_drawn():
    world = default_world()
    told = np.array([review.class_probabilities for review in world.reviews])
    drawn = np.eye(3)[[classes_of(review.rating) for review in world.reviews]]
    assert np.allclose(told.sum(axis=1), 1)
    for each in range(3):
        bins = np.clip((told[:, each] * 8).astype(int), 0, 7)
        for mark in range(8):
            inside = bins == mark
            spread = math.sqrt(0.25 / max(1, inside.sum()))
            expected, found = told[inside, each].sum(), drawn[inside, each].sum()
            assert abs(expected - found) / max(1, inside.sum()) < 4 * spread


def test_the_best_guess_is_right_as_often_as_best_accuracy_says():
    world = default_world()
    with_text = [review for review in world.reviews if review.text]
    right = [
        int(np.argmax(review.class_probabilities)) == classes_of(review.rating)
        for review in with_text
    ]
    assert abs(np.mean(right) - world.best_accuracy()) < 0.01
    shares = np.mean([review.class_probabilities for review in with_text], axis=0)
    guesses = [int(np.argmax(np.array(r.class_probabilities) / shares)) for r in with_text]
    labels = [classes_of(review.rating) for review in with_text]
    found = balanced_accuracy_score(labels, guesses)
    assert abs(found - world.best_accuracy(balanced=True)) < 0.01


def test_a_better_story_never_gives_fewer_stars():
    scores = np.linspace(-2, 2, 41)
    expected = [np.dot(star_probabilities(score), [1, 2, 3, 4, 5]) for score in scores]
    assert (np.diff(expected) > 0).all()
    assert class_probabilities(-2)[0] > 0.9 and class_probabilities(2)[2] > 0.9
    assert class_probabilities((CUTS[1] + CUTS[2]) / 2)[1] > 0.8


def test_stars_are_drawn_as_often_as_their_probability_says():
    import random

    rng = random.Random(3)
    drawn = np.bincount([draw_stars(0.4, rng) for _ in range(20_000)], minlength=6)[1:] / 20_000
    assert np.abs(drawn - star_probabilities(0.4)).max() < 0.015


def test_templates_with_stray_brackets_are_refused():
    import random

    assert expand("[a|a] {b}", {"b": ["c"]}, {}, random.Random(0)) == "a c"
    for template in ("[a|b", "a]", "a|b", "{a"):
        with pytest.raises(ValueError, match="template"):
            parse(template)


def test_a_model_trained_on_invented_reviews_alone_reads_real_ones():
    if not REAL_REVIEWS.is_file():
        pytest.skip(f"the real reviews are not here: {REAL_REVIEWS}")
    real = pd.read_parquet(REAL_REVIEWS, columns=["text", "rating", "split"])
    labels = real["rating"].map(classes_of)
    reviews, words = default_reviews(), bag_of_words()
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(words.fit_transform(reviews["text"]), reviews["label"])
    guesses = model.predict(words.transform(real["text"]))
    seed = real["split"] == "seed_test"
    print(
        f"balanced accuracy on real reviews {balanced_accuracy_score(labels, guesses):.3f}, "
        f"on the article's own {balanced_accuracy_score(labels[seed], guesses[seed]):.3f}"
    )
    assert balanced_accuracy_score(labels, guesses) >= 0.58


def test_the_companies_alone_are_those_of_the_world():
    assert make_companies(seed=3, companies=40) == make_world(3, 40, 200).companies
