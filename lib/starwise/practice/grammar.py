"""A little grammar engine: templates with alternatives and slots become sentences.

`[a|b]` picks one alternative (`[really |]` may pick nothing), `{name}` is a value of the review
("company", "item") or else a template drawn from the table of that name.

    tables = {"greeting": ["hello[, again|]", "good morning"]}
    expand("{greeting}, {who}", tables, {"who": "Ann"}, random.Random(1))   # 'hello, again, Ann'
"""

import random
import re
from collections.abc import Mapping, Sequence
from functools import cache

Node = str | tuple  # text, ("slot", name), ("choice", nodes) or ("all", nodes)

_TOKEN = re.compile(r"[\[\]|]|\{\w+\}|[^\[\]|{}]+")
# After an "a" on its own, before a vowel that is spoken as one: "a user", but "an evening".
_AN = re.compile(r"(?<=\b[Aa])(?= (?!one\b|once\b|uni|us[eu]|eu)[aeiouAEIOU])")


def expand(
    template: str,
    tables: Mapping[str, Sequence[str]],
    values: Mapping[str, str],
    rng: random.Random,
) -> str:
    """Return one sentence that `template` can make.

    Raises KeyError for a slot that neither `values` nor `tables` knows.
    """
    return _render(parse(template), tables, values, rng)


def with_articles(text: str) -> str:
    """Return the text with "a" turned to "an" where a vowel follows."""
    return _AN.sub("n", text)


def pick(options: Sequence, rng: random.Random):
    """Return one of `options`, all alike likely."""
    # Faster than rng.choice, and the same on every Python version.
    return options[int(rng.random() * len(options))]


@cache
def parse(template: str) -> Node:
    """Return the tree of a template. Raises ValueError where brackets do not match."""
    tokens = _TOKEN.findall(template)
    if "".join(tokens) != template:
        raise ValueError(f"Stray brace in the template {template!r}.")
    node, rest = _sequence(tokens, 0, top=True)
    if rest != len(tokens):
        raise ValueError(f"Unmatched bracket in the template {template!r}.")
    return node


def _sequence(tokens: list[str], at: int, top: bool = False) -> tuple[Node, int]:
    parts: list[Node] = []
    while at < len(tokens):
        token = tokens[at]
        if token == "[":
            options = []
            while tokens[at] != "]":
                option, at = _sequence(tokens, at + 1)
                options.append(option)
                if at >= len(tokens):
                    raise ValueError(f"Unmatched bracket in the template {''.join(tokens)!r}.")
            parts.append(("choice", tuple(options)))
        elif token in "]|" and not top:
            break
        elif token in "]|":
            raise ValueError(f"Unmatched bracket in the template {''.join(tokens)!r}.")
        elif token[0] == "{":
            parts.append(("slot", token[1:-1]))
        else:
            parts.append(token)
        at += 1
    return (parts[0] if len(parts) == 1 else ("all", tuple(parts))), at


def _render(node: Node, tables, values, rng: random.Random) -> str:
    if isinstance(node, str):
        return node
    kind, content = node
    if kind == "all":
        return "".join([_render(part, tables, values, rng) for part in content])
    if kind == "choice":
        return _render(pick(content, rng), tables, values, rng)
    if content in values:
        return values[content]
    return _render(parse(pick(tables[content], rng)), tables, values, rng)
