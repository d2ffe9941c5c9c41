"""Texts become ids: nothing is lost that should be kept, and nothing can break it."""

import numpy as np
import pytest

from starwise.text import ARTICLE_SYMBOLS, PAD, Encoder, vocabulary_size


def test_the_article_alphabet_has_seventy_different_symbols():
    assert len(ARTICLE_SYMBOLS) == 70
    assert len(set(ARTICLE_SYMBOLS)) == 70


def test_the_article_encoder_lowers_strips_reverses_and_drops_what_it_does_not_know():
    ids = Encoder("article", 1014).ids("  Good é! ")
    assert "".join(ARTICLE_SYMBOLS[i - 1] for i in ids) == "! doog"


def test_the_article_encoder_keeps_the_end_of_a_long_text():
    ids = Encoder("article", 5).ids("abcdefgh")
    assert "".join(ARTICLE_SYMBOLS[i - 1] for i in ids) == "hgfed"


def test_our_encoder_tells_cases_apart_and_folds_typography_and_accents():
    encoder = Encoder()
    assert not np.array_equal(encoder.ids("great"), encoder.ids("GREAT"))
    assert np.array_equal(encoder.ids("“Café” — naïve’s"), encoder.ids('"Cafe" - naive\'s'))


def test_a_long_text_keeps_its_beginning_and_its_end():
    encoder = Encoder(max_length=10)
    assert np.array_equal(encoder.ids("abcde" + "x" * 100 + "vwxyz"), encoder.ids("abcdevwxyz"))


@pytest.mark.parametrize(
    "text",
    ["", "a", "\x00\x1b\u2028", "😀👨‍👩‍👧", "\ud800", "م" * 50, "é" * 5, "x" * 100_000],
    ids=["empty", "one", "control", "emoji", "surrogate", "arabic", "accents", "long"],
)
@pytest.mark.parametrize("alphabet", ["ascii", "article"])
def test_any_text_gets_ids_within_the_vocabulary(alphabet, text):
    encoder = Encoder(alphabet, 1014)
    ids = encoder.ids(text)
    assert ids.dtype == np.uint8
    assert len(ids) <= 1014
    assert (ids < vocabulary_size(alphabet)).all()
    assert (ids != PAD).all()


def test_a_batch_is_filled_with_padding_to_its_longest_text():
    batch = Encoder().batch(["ab", "a", ""])
    assert batch.shape == (3, 2)
    assert batch[1, 1] == PAD
    assert (batch[2] == PAD).all()


def test_an_unknown_alphabet_is_refused_by_name():
    with pytest.raises(ValueError, match="'greek'"):
        Encoder("greek").ids("a")
