"""What the network sees and in which order: balanced draws, batches of like length, small noise.

for rows, ids, seed in Batches(training, network, settings, team, device).loader(start=0): ...
batches = epoch_batches(lengths, labels, reviews=12_000, batch_size=32, rng=rng)
text = disturb("Great service!", rng)      # often with typos, a cut end, or in lower case
"""

import dataclasses
import os
import string
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from starwise.classes import class_numbers
from starwise.text import STEP, pad
from starwise.together import Team

if TYPE_CHECKING:
    from starwise.train import Settings

# Neighbours on a QWERTY keyboard: a slip of the finger lands on one of these.
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    letter: (row[place - 1 : place] + row[place + 1 : place + 2])
    for row in _ROWS
    for place, letter in enumerate(row)
}


WORKERS = 12  # processes that make batches for a GPU, at most


class Batches(Dataset):
    """What each step of a training reads, found from the step's number alone.

    A resumed training reads the same, and so do several processes, each its part.

        batches[step]    # rows (batch,), ids (part of the batch, length) uint8, a seed for dropout
    """

    def __init__(
        self,
        training: pd.DataFrame,
        network: nn.Module,
        settings: "Settings",
        team: Team,
        device: torch.device,
    ):
        encoder = network.config.encoder
        longest = min(settings.longest, encoder.max_length)
        self.encoder = dataclasses.replace(encoder, max_length=longest)
        self.shortest = longest if network.fixed_length else 1
        self.texts = training["text"].tolist()
        self.labels = class_numbers(training["label"])
        self.draws = training["draws"].to_numpy() if "draws" in training else None
        self.lengths = training["text"].str.len().to_numpy().clip(1, longest)
        self.settings, self.team = settings, team
        self.for_gpu = device.type == "cuda"
        self.step = STEP if self.for_gpu and not network.fixed_length else 1
        self.orders: dict[int, list[np.ndarray]] = {}  # the batches of the last epoch asked for
        # The noise of an epoch does not change how many batches it has.
        self.per_epoch = len(self._order(0))

    def __len__(self) -> int:
        return self.settings.epochs * self.per_epoch

    def __getitem__(self, step: int) -> tuple[np.ndarray, Tensor, int]:
        epoch, number = divmod(step, self.per_epoch)
        rng = np.random.default_rng([self.settings.seed, epoch, number])
        rows = self._order(epoch)[number]
        texts = [self.texts[row] for row in rows]
        if self.settings.disturb:
            texts = [disturb(text, rng, self.settings.cut) for text in texts]
        ids = [self.encoder.ids(text) for text in texts]
        # Every process pads to the longest of the whole batch: the batch norms count padding.
        padded = pad(ids, self.shortest, self.step)
        mine = self.team.part(np.arange(len(rows)))
        return rows, torch.from_numpy(padded[mine]), int(rng.integers(2**31))

    def loader(self, start: int) -> DataLoader:
        """Return the batches from a step on, made in time by as many processes as it takes.

        Who makes a batch does not change it.
        """
        workers = _workers(self.for_gpu, self.team.size)
        return DataLoader(
            self,
            batch_size=None,
            sampler=range(start, len(self)),
            num_workers=workers,
            prefetch_factor=8 if workers else None,
            collate_fn=_as_it_is,
            pin_memory=self.for_gpu,
        )

    def _order(self, epoch: int) -> list[np.ndarray]:
        settings = self.settings
        if epoch not in self.orders:
            rng = np.random.default_rng([settings.seed, epoch])
            size = settings.batch_size
            if self.draws is not None:
                order = drawn_batches(self.lengths, self.draws, size, rng)
            else:
                order = epoch_batches(
                    self.lengths,
                    self.labels,
                    settings.reviews_per_epoch,
                    size,
                    rng,
                    equal=settings.balance == "draws",
                )
            self.orders = {epoch: order}
        return self.orders[epoch]


def _workers(for_gpu: bool, team: int) -> int:
    """Return how many processes make batches: a GPU reads them faster than one makes them."""
    return max(1, min(WORKERS, (os.cpu_count() or 1) // team - 1)) if for_gpu else 0


def _as_it_is(batch: Any) -> Any:
    return batch


def epoch_batches(
    lengths: np.ndarray,
    labels: np.ndarray,
    reviews: int,
    batch_size: int,
    rng: np.random.Generator,
    equal: bool = True,
) -> list[np.ndarray]:
    """Return batches of row numbers for one epoch.

    lengths: characters of each row, (rows,); labels: class numbers, (rows,); reviews: how many
    rows to draw; equal: each class equally often, not as often as it occurs. A class with too few
    rows is gone through again, each time in a new order. Rows of a batch are of like length, so
    little is spent on padding; batches come in random order.
    """
    if not equal:
        labels = np.zeros_like(labels)
    classes = np.unique(labels)
    drawn = np.concatenate(
        [
            _cycle(np.flatnonzero(labels == number), reviews // len(classes), rng)
            for number in classes
        ]
    )
    return _batches(drawn, lengths, batch_size, rng)


def drawn_batches(
    lengths: np.ndarray, draws: np.ndarray, batch_size: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return batches of row numbers for one epoch, row i drawn `draws[i]` times on average.

    The number of draws is the same in every epoch, up to one.
    """
    # The rows lie in random order along a line, each as long as its draws; a comb whose teeth are
    # one apart is laid over it, and a row is drawn for each tooth that meets it.
    rows = rng.permutation(len(draws))
    teeth = np.floor(np.cumsum(draws[rows]) + rng.random()).astype(int)
    drawn = np.repeat(rows, np.diff(teeth, prepend=0))
    return _batches(drawn, lengths, batch_size, rng)


def _batches(
    drawn: np.ndarray, lengths: np.ndarray, batch_size: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return drawn rows in batches of like length, the batches in random order."""
    # A little jitter keeps two reviews of the same length from always sharing a batch.
    order = np.argsort(lengths[drawn] * rng.uniform(0.9, 1.1, len(drawn)), kind="stable")
    drawn = drawn[order]
    batches = [drawn[start : start + batch_size] for start in range(0, len(drawn), batch_size)]
    return [batches[number] for number in rng.permutation(len(batches))]


def _cycle(rows: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
    rounds = -(-wanted // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:wanted]


def disturb(text: str, rng: np.random.Generator, cut: float = 0.3) -> str:
    """Return `text` as a hurried visitor might leave it: one time in three as it is, else changed.

    A share `cut` is cut at a random place (the dashboard scores texts that are still being typed),
    every other one gets typos in 2 to 20% of its letters, one in five is written in lower case, in
    capitals, or in both at random.
    """
    end, typos, case = rng.random(3)
    if end < cut and len(text) > 40:
        text = text[: max(12, int(len(text) * rng.uniform(0.15, 0.95)))]
    if typos < 0.5:
        text = with_typos(text, rng.choice([0.02, 0.05, 0.1, 0.2]), rng)
    if case < 0.12:
        return text.lower()
    if case < 0.16:
        return text.upper()
    return with_random_case(text, rng) if case < 0.22 else text


def with_random_case(text: str, rng: np.random.Generator) -> str:
    """Return `text` with each letter a capital or not, as a coin falls."""
    capital = rng.random(len(text)) < 0.5
    return "".join(c.upper() if up else c.lower() for c, up in zip(text, capital, strict=True))


def with_typos(text: str, share: float, rng: np.random.Generator) -> str:
    """Return `text` with a typo at `share` (0 to 1) of its letters.

    A typo drops, doubles, swaps with the next, or replaces the letter by a neighbouring key.
    """
    letters = list(text)
    for place in np.flatnonzero(rng.random(len(letters)) < share):
        letter = letters[place]
        if letter.lower() not in string.ascii_lowercase or not letter:
            continue
        match rng.integers(4):
            case 0:
                letters[place] = ""
            case 1:
                letters[place] = letter * 2
            case 2 if place + 1 < len(letters):
                letters[place], letters[place + 1] = letters[place + 1], letter
            case _:
                near = _NEIGHBOURS[letter.lower()]
                slip = near[rng.integers(len(near))]
                letters[place] = slip.upper() if letter.isupper() else slip
    return "".join(letters)
