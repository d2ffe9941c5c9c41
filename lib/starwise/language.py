"""Which language a text is in, for a review whose page does not say.

language("Très bon service, livraison rapide")      # "fr"
language("Ok!")                                     # "": too little to tell

py3langid does the reading, offline, in about 0.2 ms a text; its model takes 2 s to load, when the
first text comes, and about 100 MB of memory.
"""

import tempfile
from functools import cache

from starwise.errors import StarwiseError

ENOUGH_CHARACTERS = 200  # what comes later in a text hardly changes the answer
SURE = 0.5  # how likely a language must be, 0 to 1; below stands what a few words leave open

# Languages in which review sites are written. A smaller choice errs less on short texts, which
# the full one takes for creoles and for Latin.
LANGUAGES = (
    *("ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi"),
    *("hr", "hu", "id", "is", "it", "ja", "ko", "lt", "lv", "ms", "nl", "no", "pl", "pt", "ro"),
    *("ru", "sk", "sl", "sr", "sv", "th", "tr", "uk", "ur", "vi", "zh"),
)


def language(text: str) -> str:
    """Return the ISO 639-1 code of a text's language, "" where it cannot be told."""
    known, sure = identifier().classify(text[:ENOUGH_CHARACTERS])
    return known if sure >= SURE else ""


@cache
def identifier():
    """Return py3langid's model, to be asked with `classify(text)`: a code and its probability.

    Raises StarwiseError where the temporary folder has no room for the model, which it unpacks.
    """
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # loads numpy's linear algebra

    try:
        identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except OSError as error:
        raise StarwiseError(
            "The languages of the reviews cannot be told: the temporary folder "
            f"{tempfile.gettempdir()} cannot be written: {error.strerror}."
        ) from error
    identifier.set_languages(LANGUAGES)
    return identifier
