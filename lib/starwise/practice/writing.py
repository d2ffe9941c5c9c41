"""From what a reviewer tells to the words: the text and the title of a review.

    title, text = write(live(...), line, company="Oakmere", rng=rng)

Only the telling and dice go in, never the stars: that is what makes the best possible accuracy
known (see `telling`).
"""

import random

from starwise.practice.aspects import Aspect, aspects
from starwise.practice.catalogue import Line, trades
from starwise.practice.grammar import expand, pick, with_articles
from starwise.practice.phrases import phrases
from starwise.practice.telling import Telling
from starwise.practice.typist import Habits, type_out

_SINCE = "[{when}|{months} ago|for {months} now]"
_SAME = (", and ", " and ", ". Also, ", ". ", ", ", ". Plus, ", ", also ", " and ")
_OTHER = (", but ", " but ", ". However, ", ", however ", ", although ", ", though ", ". But ")
_LEADS = {
    2: "[luckily, |honestly, |I must say that |best of all, ]",
    1: "[to be fair, |luckily, |thankfully, |on the plus side, |I must say, ]",
    0: "[to be honest, |honestly, |I suppose |I thought that |I found that ]",
    -1: "[unfortunately, |sadly, |on the down side, |to be honest, ]",
    -2: "[unfortunately, |sadly, |worse, |to top it off, |on top of that, |apparently, ]",
}
# A lead goes before a whole sentence only: "Sadly, the room", not "Sadly, no hot water".
_WHOLE = ("the ", "it ", "they ", "I ", "we ", "my ", "our ", "there ", "nobody ", "you ")
_STRONG = {
    2: ("absolutely", "truly", "just", "simply", "really", "so"),
    1: ("very", "really", "so", "pretty", "quite"),
    0: ("just", "only", "pretty", "fairly", "kind of"),
    -1: ("a bit", "a little", "rather", "quite", "somewhat", "slightly", "pretty"),
    -2: ("absolutely", "truly", "just", "so", "really", "extremely", "completely"),
}


class _Writer:
    """One review in the making: its fixed values, its dice, and its tense."""

    def __init__(self, line: Line, company: str, told: Telling, rng: random.Random):
        self.rng = rng
        self.told = told
        self.trade = trades()[line.trade]
        self.past = rng.random() < 0.7
        self.used: set[str] = set()
        self.values = {"company": company, "item": line.item, "items": line.items}
        self.values["ill"] = self.pick(phrases().slots["illness"])
        self.values["when_since"] = self.say(_SINCE)
        for name in ("place", "person", "this", "again", "elsewhere"):
            self.values[name] = self.say(getattr(self.trade, name))
        self.values["role"] = self.values["person"]
        self.values["places"] = _plural(self.values["place"])

    def say(self, template: str) -> str:
        return expand(template, phrases().slots, self.values, self.rng)

    def pick(self, options):
        return pick(options, self.rng)

    def fresh(self, templates: tuple[str, ...]) -> str:
        """Return one of these that this review has not used, if a few tries find one."""
        for _ in range(4):
            template = self.pick(templates)
            if template not in self.used:
                break
        self.used.add(template)
        return template

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def opinion(self, templates: tuple[str, ...]) -> str:
        """Return one of these, about two of the trade's aspects where it names any."""
        template = self.fresh(templates)
        if "{" in template:
            names = dict.fromkeys(name for name, _ in self.told.events)
            words = [bare for name in names for bare in aspects()[name].bare]
            words = self.rng.sample(words, min(2, len(words)))
            while len(words) < 2:
                word = self.pick(aspects()[self.pick(self.trade.aspects)].bare)
                words += [word] if word not in words else []
            self.values |= {"bare": self.say(words[0]), "bare2": self.say(words[1])}
            if template == "{short}":
                level = self.told.overall or 0
                return self.say(self.pick(phrases().short[level]))
        return self.say(template)

    def event(self, aspect: Aspect, level: int) -> str:
        """Return a clause that tells this event, now and then in milder words than it deserves."""
        if abs(level) == 2 and self.chance(0.16):
            level //= 2
        clauses = aspect.clauses[level]
        if clauses and self.chance(0.5):
            return self.say(self.fresh(clauses))
        name = self.pick(aspect.names)
        plural = name.endswith("+")
        verb = ("were" if plural else "was") if self.past else ("are" if plural else "is")
        judged = self.judgement(aspect, level)
        if self.chance(0.2) and " " not in judged:
            joint = "but" if level == 0 else "and"
            judged = f"{judged} {joint} {self.judgement(aspect, level)}"
        return self.say(f"{name.removesuffix('+')} {verb} {judged}")

    def judgement(self, aspect: Aspect, level: int) -> str:
        """Return what follows "is": an adjective of the aspect or of any, or the other, negated."""
        dice = self.rng.random()
        if dice < 0.1 and level == 1:
            opposite = self.pick(aspect.adjectives[-1]).removeprefix("not ")
            return self.pick((f"not {opposite} at all", f"never {opposite}", f"not {opposite}"))
        if dice < 0.12 and level == -1:
            opposite = self.pick(phrases().adjectives[1]).removeprefix("very ")
            return self.pick(("not ", "not really ", "not exactly ", "not very ")) + opposite
        if dice < 0.25:
            return self.pick(phrases().predicates[level])
        own = dice < 0.65
        adjective = self.pick(aspect.adjectives[level] if own else phrases().adjectives[level])
        if " " in adjective or self.chance(0.6):
            return adjective
        return f"{self.pick(_STRONG[level])} {adjective}"

    def headline(self) -> str:
        """Return a title that tells no more than the text does."""
        if self.told.overall is not None:
            return self.opinion(("{short}",))
        name, level = self.told.events[0]
        bare = self.say(self.pick(aspects()[name].bare))
        return f"{self.pick(phrases().adjectives[level])} {bare}"


def write(told: Telling, line: Line, company: str, rng: random.Random) -> tuple[str, str]:
    """Return (title, text) of a review of `company`, a company of this `line`."""
    writer = _Writer(line, company, told, rng)
    sentences = _short_text(writer) if told.length == 1 else _long_text(writer)
    sentences = [with_articles(_tidy(sentence)) for sentence in sentences]
    habits = Habits.draw(rng)
    level = told.overall if told.overall is not None else round(told.score)
    text = type_out(sentences, habits, pick(phrases().smiles[level], rng), rng)
    title = with_articles(_tidy(writer.headline()))
    return title[0].upper() + title[1:], text


def _tidy(sentence: str) -> str:
    """Return a sentence without the spaces that empty alternatives leave behind."""
    return " ".join(sentence.split()).replace(" ,", ",").replace(" .", ".")


def _plural(noun: str) -> str:
    if noun.endswith("y"):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith("s") else "s")


def _short_text(writer: _Writer) -> list[str]:
    told = writer.told
    if told.overall is None:
        name, level = told.events[0]
        return [writer.event(aspects()[name], level)]
    if writer.chance(0.5):
        return [writer.opinion(("{short}",))]
    return [writer.opinion(phrases().verdicts[told.overall])]


def _long_text(writer: _Writer) -> list[str]:
    told, words = writer.told, phrases()
    head, tail = [], []
    if writer.chance(0.55):
        head.append(writer.say(writer.pick(writer.trade.openings)))
    if told.turn:
        (head if writer.chance(0.7) else tail).append(writer.opinion(words.turns[told.turn]))
    if told.overall is not None:
        verdict = writer.chance(0.8)
        if verdict:
            wanted = head if writer.chance(0.3) else tail
            wanted.append(writer.opinion(words.verdicts[told.overall]))
        if not verdict or writer.chance(0.5):
            tail.append(writer.opinion(words.advice[told.overall]))
    sentences = head + _events(writer) + tail
    asides = int(writer.rng.random() * (0.6 + 0.4 * told.length))
    for _ in range(asides):
        table = words.asides if writer.chance(0.5) else writer.trade.details
        at = int(writer.rng.random() * (len(sentences) + 1))
        sentences.insert(at, writer.say(writer.fresh(table)))
    return sentences


def _events(writer: _Writer) -> list[str]:
    """Return the events as sentences, some of them two in one, some with more to say."""
    sentences: list[str] = []
    before: int | None = None
    for name, level in writer.told.events:
        clause = writer.event(aspects()[name], level)
        if before is not None and writer.chance(0.45):
            # "and" where both please or both annoy, "but" where they differ.
            joint = writer.pick(_SAME if (level > 0) == (before > 0) else _OTHER)
            clause = clause[0].upper() + clause[1:] if joint == ". " else clause
            sentences[-1] += joint + clause
            before = None
            continue
        if clause.startswith(_WHOLE) and writer.chance(0.15):
            clause = writer.say(_LEADS[level]) + clause
        sentences.append(clause)
        before = level
        if writer.chance(0.4):
            sentences.append(writer.opinion(phrases().more[level]))
            before = None
    return sentences
