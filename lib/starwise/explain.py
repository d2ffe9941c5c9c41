"""Why a text got its score: how far each word moved it.

scorer = Scorer.load()
explain(scorer, "Lovely lamp, but it arrived broken.")
# [Effect(start=0, end=6, effect=0.31), ..., Effect(start=28, end=34, effect=-0.42)]

Two ways are known. *Hiding* (occlusion) leaves a word out and scores the text again: true by
definition, and slow, a prediction a word. *Gradient times input* asks the network in one pass
backwards how the sentiment would follow a small change of each character: quick, and only about
right (Denil et al., "Extraction of Salient Sentences from Labelled Documents", 2015, section 4).
`explain` lets the gradient choose the words that matter and hides those.
"""

import copy
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from starwise.score import Scorer, sentiment_of

# A word, with what a reader would not part from it (an accent, the joints of an emoji), or signs.
WORD = re.compile(r"\w(?:[\w\u0300-\u036f\u200d\ufe0e\ufe0f\u20e3]|['’-](?=\w))*|[^\w\s]+")
NEUTRAL = 0.5  # the sentiment of a text of which nothing is left
# Every word of a text is hidden while that makes the network read no more characters than this:
# a short text needs no choice.
CHEAP = 3_000

Span = tuple[int, int]


@dataclass(frozen=True)
class Effect:
    """How far one word moved the score of its text."""

    start: int  # of the word, in code points of the text
    end: int  # past its last code point
    effect: float  # sentiment with the word less sentiment without it, -1 to 1; above 0: to good


def explain(scorer: Scorer, text: str, limit: int = 12) -> list[Effect]:
    """Return the `limit` words that moved the score most, in the order of the text.

    Each effect is measured by hiding the word. The work is bounded for any text: it grows with
    what the network reads of it (at most max_length characters), times `limit`.
    """
    if not text.strip() or limit < 1:
        return []
    # What the network reads of the text: of a long one a part, in some alphabets not every sign.
    places = np.unique(scorer.network.config.encoder.places(text))
    read = "".join([text[place] for place in places])
    told = words(text)
    spans = [tuple(np.searchsorted(places, span)) for span in told]
    rows = [row for row, (start, end) in enumerate(spans) if start < end]
    if len(rows) * len(read) > CHEAP:
        sums = np.concatenate([[0.0], np.cumsum(gradient(scorer, read))])
        strength = {row: abs(sums[spans[row][1]] - sums[spans[row][0]]) for row in rows}
        rows = sorted(rows, key=strength.get, reverse=True)
        rows = rows[: limit + limit // 2]  # half as many again: the estimate is rough
    effects = hiding(scorer, read, [spans[row] for row in rows])
    strongest = np.argsort(-np.abs(effects), kind="stable")[:limit]
    found = [Effect(*told[rows[place]], float(effects[place])) for place in strongest]
    return sorted(found, key=lambda effect: effect.start)


def words(text: str) -> list[Span]:
    """Return start and end of each word and each run of signs of a text."""
    return [match.span() for match in WORD.finditer(text)]


def hiding(scorer: Scorer, text: str, spans: Sequence[Span]) -> np.ndarray:
    """Return by how much the sentiment is higher with each span than without, (len(spans),)."""
    texts = [text, *(without(text, span) for span in spans)]
    sentiment = sentiment_of(scorer.probabilities(texts))
    sentiment[[not text.strip() for text in texts]] = NEUTRAL
    return sentiment[0] - sentiment[1:]


def without(text: str, span: Span) -> str:
    """Return a text less one word."""
    before, after = text[: span[0]], text[span[1] :]
    # Between two spaces, one of them goes with the word.
    return before + (after[1:] if before[-1:] in ("", " ") and after[:1] == " " else after)


def gradient(scorer: Scorer, text: str) -> np.ndarray:
    """Return the gradient's estimate of what each character does to the sentiment, (len(text),).

    What a text is compared with is its own mean: a character counts by how it differs from the
    others. Characters that the network does not read get 0.
    """
    if scorer.network not in _WATCHED:
        _WATCHED[scorer.network] = _Watched(scorer.network)
    places = scorer.network.config.encoder.places(text)
    effects = np.zeros(len(text))
    temperature = scorer.calibration.temperatures([len(text)])[0]
    np.add.at(effects, places, _WATCHED[scorer.network].effects(text, temperature))
    return effects


class _Watched:
    """A twin of a network, with the same weights, that keeps what its first layer makes of a text.

    A twin, since another thread may be scoring with the network meanwhile. The first layer are the
    tables (`nn.Embedding`), or the first convolution where characters enter it one-hot.
    """

    def __init__(self, network: nn.Module):
        shared = {id(t): t for t in (*network.parameters(), *network.buffers())}
        self.network = copy.deepcopy(network, shared).eval()
        self.lock = threading.Lock()
        self.looked_up: list[Tensor] = []  # rows asked of each table, (1, length) or (1, length, n)
        self.signals: list[Tensor] = []  # what it answered, the same with (..., width)
        layers = list(self.network.modules())
        tables = [layer for layer in layers if isinstance(layer, nn.Embedding)]
        for table in tables:
            table.register_forward_hook(self._keep_answer)
        if not tables:
            first = next(layer for layer in layers if isinstance(layer, nn.Conv1d))
            first.register_forward_pre_hook(self._keep_input)
        self.reaches = self._find_reaches()

    def _keep_answer(self, _table: nn.Module, asked: tuple[Tensor], answer: Tensor) -> Tensor:
        self.looked_up.append(asked[0])
        self.signals.append(answer.detach().requires_grad_())
        return self.signals[-1]

    def _keep_input(self, _layer: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        self.signals.append(given[0].detach().transpose(1, 2).requires_grad_())
        return (self.signals[-1].transpose(1, 2),)

    def _forward(self, text: str) -> Tensor:
        self.looked_up.clear()
        self.signals.clear()
        encoder = self.network.config.encoder
        ids = encoder.batch([text], fixed=getattr(self.network, "fixed_length", False))
        device = next(self.network.parameters()).device
        return self.network(torch.from_numpy(ids).to(device))

    def _find_reaches(self) -> list[list[list[int]]]:
        """Return, for each table and each row looked up in it at a position, a list of offsets.

        They say where a character enters, relative to its own position: [0] for a table of
        characters, [0, 1, 2] for n-grams of three that are kept where they end. Found by changing
        one character and looking which look-ups change.
        """
        plain = "abcdefghijklmnopqrstuvwxyz" * 3
        middle = len(plain) // 2
        self._forward(plain)
        before = list(self.looked_up)
        self._forward(plain[:middle] + "!" + plain[middle + 1 :])
        reaches = []
        for one, other in zip(before, self.looked_up, strict=True):
            changed = (one != other).reshape(len(plain), -1).T.cpu()
            reaches.append([(row.nonzero()[:, 0] - middle).tolist() or [0] for row in changed])
        return reaches or [[[0]]]

    def effects(self, text: str, temperature: float) -> np.ndarray:
        """Return the estimated effect of each id of a text, (ids,)."""
        with self.lock, torch.inference_mode(False), torch.enable_grad():
            probabilities = (self._forward(text) / temperature).softmax(1)
            sentiment = probabilities[0, 2] + probabilities[0, 1] / 2
            slopes = torch.autograd.grad(sentiment, self.signals)
            signals = [signal.detach() for signal in self.signals]
        length = len(self.network.config.encoder.ids(text))
        total = np.zeros(length)
        for signal, slope, reaches in zip(signals, slopes, self.reaches, strict=True):
            signal, slope = signal[0, :length], slope[0, :length]
            moved = slope * (signal - signal.mean(0))
            moved = moved.reshape(length, len(reaches), -1).sum(2).T.cpu().numpy()
            for row, reach in zip(moved, reaches, strict=True):
                for offset in reach:  # an n-gram's effect is shared out among its characters
                    start, end = max(0, -offset), min(length, length - offset)
                    total[start:end] += row[start + offset : end + offset] / len(reach)
        return total


_WATCHED: "WeakKeyDictionary[nn.Module, _Watched]" = WeakKeyDictionary()
