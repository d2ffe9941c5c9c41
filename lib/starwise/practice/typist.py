"""The hands that type a review: spelling, capitals, punctuation and emoji, each with its habits.

habits = Habits.draw(rng)
type_out(["great food", "I would eat here again"], habits, smile="👍", rng=rng)
"""

import random
import re
from dataclasses import dataclass

from starwise.practice.grammar import pick

_MISHEARD = {
    "definitely": ("definately", "definitly", "defiantly"),
    "received": ("recieved", "recived"),
    "receive": ("recieve",),
    "recommend": ("recomend", "reccomend", "recommed"),
    "recommended": ("recomended", "reccomended"),
    "their": ("there", "thier"),
    "there": ("their",),
    "they're": ("their",),
    "your": ("you're",),
    "too": ("to",),
    "than": ("then",),
    "its": ("it's",),
    "separate": ("seperate",),
    "disappointed": ("dissapointed", "disapointed"),
    "disappointing": ("dissapointing", "disapointing"),
    "because": ("becuase", "becouse"),
    "really": ("realy", "rly"),
    "friend": ("freind",),
    "believe": ("beleive",),
    "quality": ("qualtiy", "quailty"),
    "excellent": ("excelent", "exellent"),
    "experience": ("experiance", "expirience"),
    "service": ("servise", "sevice"),
    "customer": ("custumer", "costumer"),
    "terrible": ("terible",),
    "horrible": ("horible",),
    "awful": ("aweful",),
    "immediately": ("immediatly",),
    "professional": ("proffesional", "profesional"),
    "comfortable": ("comfertable", "confortable"),
    "beautiful": ("beatiful", "beautifull"),
    "delicious": ("delicous",),
    "restaurant": ("resturant", "restaraunt"),
    "unfortunately": ("unfortunatly",),
    "wonderful": ("wonderfull",),
    "helpful": ("helpfull",),
    "okay": ("ok", "okey"),
    "you": ("u",),
    "are": ("r",),
    "with": ("w/",),
    "thanks": ("thx",),
}
_KEYS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "w",
    "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu",
    "z": "x",
}  # fmt: skip
_CONTRACTED = {
    "do not": "don't", "does not": "doesn't", "did not": "didn't", "is not": "isn't",
    "was not": "wasn't", "were not": "weren't", "will not": "won't", "would not": "wouldn't",
    "could not": "couldn't", "cannot": "can't", "have not": "haven't", "it is": "it's",
    "It is": "It's", "I am": "I'm", "I have": "I've", "they are": "they're", "They are": "They're",
    "I would": "I'd", "that is": "that's", "we are": "we're", "there is": "there's",
}  # fmt: skip
_LONG_FORM = re.compile(r"\b(" + "|".join(_CONTRACTED) + r")\b(?=\s)")
_WORD = re.compile(r"[A-Za-z']+")


@dataclass(frozen=True)
class Habits:
    """How one reviewer types; none of it knows how the visit was."""

    misspelling: float  # chance for each word
    case: str  # "normal", "lower" or "shout"
    contractions: float  # share of "do not" that become "don't"
    apostrophes: bool
    ending: str  # of most sentences
    last_ending: bool  # whether the last sentence gets one
    smiles: bool

    @classmethod
    def draw(cls, rng: random.Random) -> "Habits":
        """Return the habits of a random reviewer."""
        dice = rng.random()
        return cls(
            misspelling=0.0 if rng.random() < 0.55 else min(0.12, rng.expovariate(55)),
            case="lower" if dice < 0.07 else "shout" if dice < 0.082 else "normal",
            contractions=pick((0.0, 0.5, 0.9), rng),
            apostrophes=rng.random() > 0.1,
            ending=pick((".",) * 13 + ("!", "!", "..", "...", ","), rng),
            last_ending=rng.random() > 0.18,
            smiles=rng.random() < 0.14,
        )


def type_out(sentences: list[str], habits: Habits, smile: str, rng: random.Random) -> str:
    """Return the sentences as this reviewer types them, `smile` at the end where they use them."""
    typed = []
    for number, sentence in enumerate(sentences):
        last = number == len(sentences) - 1
        end = habits.ending if rng.random() < 0.75 or not habits.last_ending else "."
        if last and (not habits.last_ending or end == ","):
            end = "" if not habits.last_ending else "."
        if sentence[-1] in "!?" and end:
            end = ""
        joined = typed and typed[-1].endswith(",")
        typed.append((sentence if joined else sentence[0].upper() + sentence[1:]) + end)
    text = " ".join(typed)
    text = _LONG_FORM.sub(
        lambda match: _CONTRACTED[match[0]] if rng.random() < habits.contractions else match[0],
        text,
    )
    if habits.smiles:
        text = f"{text} {smile}"
    if habits.misspelling:
        text = _WORD.sub(lambda match: _misspell(match.group(), habits.misspelling, rng), text)
    if not habits.apostrophes:
        text = text.replace("'", "")
    if habits.case == "lower":
        return text.lower()
    return text.upper() if habits.case == "shout" else text


def _misspell(word: str, chance: float, rng: random.Random) -> str:
    known = _MISHEARD.get(word)
    # Words that many people misspell go wrong far more often than others.
    if known and rng.random() < 6 * chance:
        return pick(known, rng)
    if len(word) < 4 or rng.random() > chance:
        return word
    at = 1 + int(rng.random() * (len(word) - 2))
    slip = int(rng.random() * 4)
    if slip == 0:  # two letters swapped
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if slip == 1:  # one left out
        return word[:at] + word[at + 1 :]
    if slip == 2:  # one doubled
        return word[:at] + word[at] + word[at:]
    near = _KEYS.get(word[at])
    return word[:at] + pick(near, rng) + word[at + 1 :] if near else word
