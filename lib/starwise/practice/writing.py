"""From what a reviewer tells to the words: the text and the title of a review.

    told = live(...)
    title, text = write(told, line, company="Oakmere", rng=rng)

Only the telling and dice go in, never the stars: that is what makes the best possible accuracy
known (see `telling`).
"""

import random

from starwise.practice.aspects import Aspect, aspects
from starwise.practice.catalogue import Line, trades
from starwise.practice.grammar import expand, pick
from starwise.practice.phrases import phrases
from starwise.practice.telling import Telling
from starwise.practice.typist import Habits, type_out

_SINCE = "[{when}|{months} ago|for {months} now]"
_SAME = (", and ", " and ", ". Also, ", ". ", ", ", ". Plus, ", ", also ", " and ")
_OTHER = (", but ", " but ", ". However, ", ", however ", ", although ", ", though ", ". But ")
_LEAD = {
    1: ("", "", "", "", "[To be fair|Luckily|Thankfully|On the plus side], ", "I must say "),
    0: ("", "", "", "[To be honest|Honestly], ", "I [thought|felt|found] that "),
    -1: ("", "", "", "[Unfortunately|Sadly|The only thing is|On the down side], ",
         "[To be honest|Honestly|My only problem: |The problem is that], "),
    -2: ("", "", "", "[Unfortunately|Sadly|Worse|To top it off|On top of that], ",
         "[Apparently|Believe it or not|Honestly|Seriously], "),
}  # fmt: skip


class _Writer:
    """One review in the making: its fixed values, its dice, and its tense."""

    def __init__(self, line: Line, company: str, rng: random.Random):
        self.rng = rng
        self.trade = trades()[line.trade]
        self.past = rng.random() < 0.7
        self.values = {
            "company": company,
            "item": line.item,
            "items": line.items,
            "ill": pick(phrases().slots["illness"], rng),
            "when_since": "",
        }
        for name in ("place", "person", "this", "again", "elsewhere"):
            self.values[name] = self.say(getattr(self.trade, name))
        self.values["role"] = self.values["person"]
        self.values["when_since"] = self.say(_SINCE)

    def say(self, template: str) -> str:
        return expand(template, phrases().slots, self.values, self.rng)

    def pick(self, options):
        return pick(options, self.rng)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def event(self, aspect: Aspect, level: int) -> str:
        """Return a clause that tells this event."""
        clauses = aspect.clauses[level]
        if clauses and self.chance(0.55):
            return self.say(self.pick(clauses))
        name = self.pick(aspect.names)
        plural = name.endswith("+")
        verb = ("were" if plural else "was") if self.past else ("are" if plural else "is")
        return self.say(f"{name.removesuffix('+')} {verb} {self.judgement(aspect, level)}")

    def judgement(self, aspect: Aspect, level: int) -> str:
        """Return what follows "is": an adjective of the aspect or of any, or the other, negated."""
        dice = self.rng.random()
        if dice < 0.1 and level in (-1, 1):
            opposite = self.pick(aspect.adjectives[-level]).removeprefix("not ")
            if level > 0:
                return self.pick((f"not {opposite} at all", f"never {opposite}", f"not {opposite}"))
            return self.pick(
                ("not {x}", "not really {x}", "not exactly {x}", "not very {x}")
            ).replace("{x}", self.pick(phrases().adjectives[1]).removeprefix("very "))
        if dice < 0.25:
            return self.pick(phrases().predicates[level])
        if dice < 0.6:
            return self.strengthened(self.pick(phrases().adjectives[level]), level)
        return self.pick(aspect.adjectives[level])

    def strengthened(self, adjective: str, level: int) -> str:
        if " " in adjective or self.chance(0.6):
            return adjective
        if abs(level) == 2:
            return self.pick(("absolutely", "truly", "just", "simply", "really")) + " " + adjective
        return (
            adjective
            if level
            else self.pick(("just", "only", "pretty", "fairly")) + f" {adjective}"
        )

    def short(self, level: int, told: Telling) -> str:
        """Return a headline, or all that a person in a hurry types."""
        names = [name for name, _ in told.events] or list(self.trade.aspects)
        bare = self.pick(aspects()[self.pick(names)].bare)
        others = [word for name in self.trade.aspects for word in aspects()[name].bare]
        bare2 = self.pick([word for word in others if word != bare])
        self.values |= {"bare": self.say(bare), "bare2": self.say(bare2)}
        return self.say(self.pick(phrases().short[level]))

    def headline(self, told: Telling) -> str:
        """Return a title that tells no more than the text does."""
        if told.overall is not None:
            return self.short(told.overall, told)
        name, level = told.events[0]
        bare = self.say(self.pick(aspects()[name].bare))
        return f"{self.pick(phrases().adjectives[level])} {bare}"


def write(told: Telling, line: Line, company: str, rng: random.Random) -> tuple[str, str]:
    """Return (title, text) of a review of `company`, a company of this `line`."""
    writer = _Writer(line, company, rng)
    sentences = _short_text(writer, told) if told.length == 1 else _long_text(writer, told)
    habits = Habits.draw(rng)
    level = told.overall if told.overall is not None else round(told.score)
    text = type_out(sentences, habits, pick(phrases().smiles[level], rng), rng)
    title = writer.headline(told)
    return title[0].upper() + title[1:], text


def _short_text(writer: _Writer, told: Telling) -> list[str]:
    if told.overall is None:
        name, level = told.events[0]
        return [writer.event(aspects()[name], level)]
    if writer.chance(0.6):
        return [writer.short(told.overall, told)]
    return [writer.say(writer.pick(phrases().verdicts[told.overall]))]


def _long_text(writer: _Writer, told: Telling) -> list[str]:
    head, tail = [], []
    if writer.chance(0.55):
        head.append(writer.say(writer.pick(writer.trade.openings)))
    if told.turn:
        writer.short(told.overall or 0, told)  # sets what the doubters speak of
        (head if writer.chance(0.7) else tail).append(
            writer.say(writer.pick(phrases().turns[told.turn]))
        )
    if told.overall is not None:
        verdict = writer.chance(0.8)
        if verdict:
            wanted = head if writer.chance(0.3) else tail
            wanted.append(writer.say(writer.pick(phrases().verdicts[told.overall])))
        if not verdict or writer.chance(0.5):
            tail.append(writer.say(writer.pick(phrases().advice[told.overall])))
    sentences = head + _events(writer, told) + tail
    asides = int(writer.rng.random() * (0.25 + 0.3 * told.length))
    for _ in range(asides):
        at = int(writer.rng.random() * (len(sentences) + 1))
        sentences.insert(at, writer.say(writer.pick(phrases().asides)))
    return sentences


def _events(writer: _Writer, told: Telling) -> list[str]:
    """Return the events as sentences, some of them two in one."""
    sentences: list[str] = []
    before: int | None = None
    for name, level in told.events:
        clause = writer.event(aspects()[name], level)
        if before is not None and writer.chance(0.45):
            # "and" where both please or both annoy, "but" where they differ.
            joint = writer.pick(_SAME if (level > 0) == (before > 0) else _OTHER)
            clause = clause[0].upper() + clause[1:] if joint == ". " else clause
            sentences[-1] += joint + clause
            before = None
        else:
            lead = writer.say(writer.pick(_LEAD[min(level, 1)]))
            sentences.append(lead + clause)
            before = level
    return sentences
