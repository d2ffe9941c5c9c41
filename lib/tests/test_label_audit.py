"""Near-duplicates, languages and suspicious labels are found, and what is told of them is true."""

import random

import numpy as np
import pandas as pd
import pytest
from reviews import tiny_reviews

from starwise.classes import class_numbers
from starwise.label import LabelError, findings, prepare
from starwise.label.audit import audit, found_of, out_of_fold
from starwise.label.duplicates import near_duplicates
from starwise.label.language import detect, language_of
from starwise.label.words import ngrams, read_words
from starwise.practice.world import make_world


@pytest.fixture(scope="module")
def world():
    return make_world(seed=3, companies=160, reviews=16_000)


@pytest.fixture(scope="module")
def practice(world):
    columns = ["id", "company", "text", "rating"]
    rows = [[getattr(one, name) for name in columns] for one in world.reviews]
    return prepare(pd.DataFrame(rows, columns=columns))[0]


def clusters(texts: list[str]) -> list[int]:
    return near_duplicates(read_words(texts)).tolist()


def test_words_know_their_texts_and_marks_are_told_from_words():
    words = read_words(["Great shop!", "", "Don't, great"])
    assert words.starts.tolist() == [0, 3, 3, 6]
    assert words.hashes[0] == words.hashes[5], "case does not matter"
    assert (words.hashes % 4).tolist() == [1, 1, 0, 1, 0, 1]
    assert words.take(np.array([2, 0])).starts.tolist() == [0, 3, 6]
    assert words.without_marks().starts.tolist() == [0, 2, 2, 4]
    pairs, text = ngrams(words, 2)
    assert text.tolist() == [0, 0, 2, 2] and len(set(pairs.tolist())) == 4
    assert (read_words(["Great shop!"]).hashes == words.hashes[:3]).all(), "in every run the same"
    assert len(ngrams(read_words(["", ""]), 2)[0]) == 0


def test_texts_with_a_word_changed_are_near_duplicates_and_others_are_not():
    long = (
        "Ordered a lamp on Monday and it came on Wednesday, well wrapped, with a card inside. "
        "The lady on the phone had promised as much."
    )
    texts = [long, "Nothing like it.", long.replace("lamp", "chair").upper(), long + " Lovely!"]
    assert clusters(texts) == [0, 1, 0, 0]
    assert clusters(["Awesome!!", "awesome", "Awful", "😀", "👍", ""]) == [0, 0, 2, 3, 4, 5]
    assert clusters(["Came in 3 days, all fine with it", "Came in 4 days, all fine with it"]) == [
        0,
        1,
    ]
    assert clusters([]) == []


def test_planted_near_duplicates_are_found_among_many_reviews(practice):
    rng = random.Random(0)
    long = practice[practice["text"].str.split().str.len() >= 25]
    chosen = long.sample(200, random_state=0)
    planted = []
    for text in chosen["text"]:
        words = text.split()
        words[rng.randrange(len(words))] = "elephant"
        planted.append(" ".join(words))
    cluster = near_duplicates(read_words([*practice["text"], *planted]))
    found = cluster[len(practice) :] == cluster[chosen.index]
    assert found.mean() >= 0.98
    assert len(set(cluster)) >= 0.95 * len(practice), "and reviews of their own stay alone"


def test_near_duplicates_do_not_change_when_others_come_after_them(practice):
    few = practice["text"][:3000]
    before = near_duplicates(read_words(few))
    after = near_duplicates(read_words(practice["text"]))[:3000]
    first, second = np.nonzero(np.triu(before[:, None] == before[None, :], 1))
    assert (after[first] == after[second]).all()


def test_languages_are_told_and_what_cannot_be_told_is_said_so():
    texts = {
        "The staff was kind and it was cheap.": "en",
        "No hot water again. Rude staff.": "en",
        "Le personnel était très aimable et serviable.": "fr",
        "Gerne wieder, alles hat gut geklappt": "de",
        "El servicio fue muy malo y no volveré": "es",
        "Очень плохо": "ru",
        "物流很快，质量很好": "zh",
        "Top!": "und",
        "10/10 👍": "und",
        "": "und",
    }
    assert dict(zip(texts, detect(list(texts)), strict=True)) == texts


def test_a_language_that_the_source_tells_is_believed(practice):
    frame = practice.head(6).assign(language=["fr", "EN-us", "", None, " de ", ""])
    words = read_words(frame["text"])
    assert language_of(frame, words).tolist() == ["fr", "en", "en", "en", "de", "en"]
    detected = language_of(practice, read_words(practice["text"]))
    assert detected.isin(["en", "und"]).all() and (detected == "en").mean() > 0.97


def test_headlines_and_boilerplate_are_found():
    frame = pd.DataFrame(
        {
            "id": list("abcdefg"),
            "company": ["A", "A", "B", "B", "C", "C", "C"],
            "text": [
                "Never Again",
                *[f"Fine {n}. Translated by the shop machine." for n in range(6)],
            ],
            "title": ["never again", "", "Fine", "", "", "", ""],
        }
    )
    assert findings.headline_only(frame).tolist() == [True] + [False] * 6
    assert not findings.headline_only(frame.drop(columns="title")).any()
    table = findings.boilerplate(frame)
    assert table.to_dict("records") == [
        {"sentence": "translated by the shop machine", "reviews": 6, "companies": 3}
    ]


def test_near_duplicates_across_companies_are_listed_largest_first():
    frame = pd.DataFrame({"id": list("abcde"), "company": list("XXYZZ"), "text": list("12345")})
    frame["cluster"] = findings.cluster_ids(frame, np.array([0, 1, 1, 1, 0]))
    assert frame["cluster"].tolist() == ["a", "b", "b", "b", "a"]
    shared = findings.across_companies(frame)
    assert shared["cluster"].tolist() == ["b", "a"]
    assert shared["reviews"].tolist() == [3, 2] and shared["companies"].tolist() == [3, 2]


def test_the_audit_finds_half_of_the_practice_worlds_noise_with_few_false_alarms(world, practice):
    """Two thirds of the default world; on all of it the bench measures it (`bench label`)."""
    probabilities = out_of_fold(
        read_words(practice["text"]), practice["rating"], practice["company"]
    )
    assert np.allclose(probabilities.sum(1), 1) and (probabilities >= 0).all()
    truth = {one.id: np.argmax(one.class_probabilities) for one in world.reviews}
    wrong = class_numbers(practice["label"]) != practice["id"].map(truth)
    found = audit(practice["label"], probabilities)
    marks = found_of(wrong, found.quality)
    precision = marks.loc[marks["recall"] >= 0.5, "precision"].iloc[0]
    assert precision >= 0.6 > 5 * wrong.mean()
    assert found.noise == pytest.approx(wrong.mean(), abs=0.04)
    assert found.joint.to_numpy().sum() == pytest.approx(1)
    assert wrong[found.suspicious].mean() > 5 * wrong.mean()


def test_a_reader_never_learns_from_the_company_it_reads():
    """Each company has a word of its own that gives the class away, to whoever has seen it."""
    frame = tiny_reviews(900, companies=30)
    stars = {f"Company {n}": 1 + 2 * (n % 3) for n in range(30)}
    frame["rating"] = frame["company"].map(stars)
    words = read_words(frame["company"].str.replace(" ", "") + " it was as it was")
    expected = out_of_fold(words, frame["rating"], frame["company"]).argmax(1)
    assert (expected == (frame["rating"] - 1) // 2).mean() < 0.6
    shuffled = frame["company"].sample(frac=1, random_state=0).reset_index(drop=True)
    leaky = out_of_fold(words, frame["rating"], shuffled).argmax(1)
    assert (leaky == (frame["rating"] - 1) // 2).mean() > 0.95


def test_planted_wrong_labels_are_the_first_suspects():
    frame = tiny_reviews(1500)
    flipped = np.random.default_rng(0).choice(1500, 75, replace=False)
    frame.loc[flipped, "rating"] = 6 - frame.loc[flipped, "rating"].where(frame["rating"] != 3, 1)
    frame = prepare(frame.drop(columns="label"))[0]
    words = read_words(frame["text"])
    found = audit(frame["label"], out_of_fold(words, frame["rating"], frame["company"]))
    suspects = found.quality.nsmallest(75).index
    assert len(set(suspects) & set(flipped)) >= 70
    assert found.noise == pytest.approx(0.05, abs=0.01)


def test_what_cannot_be_audited_is_refused_in_words():
    frame = tiny_reviews(60).query("label != 'average'").reset_index(drop=True)
    words = read_words(frame["text"])
    probabilities = out_of_fold(words, frame["rating"], frame["company"])
    with pytest.raises(LabelError, match="all three classes"):
        audit(frame["label"], probabilities)
    with pytest.raises(LabelError, match="too few for an audit"):
        out_of_fold(read_words(["a", "b"]), frame["rating"][:2], frame["company"][:2])
