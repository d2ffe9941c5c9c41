"""What a network says of many texts, and how sure it should be.

calibration = calibrate(network, texts, labels)
logits = predict_logits(network, ["Great shop!", "Never again."])     # (2, 3)
undecided(calibration.probabilities(logits, [11, 12]))
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from starwise.classes import CLASSES, balancing_weights
from starwise.text import STEP, pad

# How probable both ends are where "average" begins to win, and has won: the mildest of eight pairs
# with which 350 validation reviews, typed letter by letter, jumped fewer than 0.05 times each. With
# the network that is bundled now, 0.25 and 0.30 would do.
UNDECIDED = (0.20, 0.25)
# Of a text, from its beginning, that a calibration is made for: who types sees all of them scored.
PARTS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
LENGTHS = (20, 400)  # characters: a shorter text has the temperature of the first, and so on


@torch.inference_mode()
def predict_logits(network: torch.nn.Module, texts: list[str], batch_size: int = 64) -> np.ndarray:
    """Return the logits of texts in their order, shape (len(texts), 3), float32.

    Texts of like length share a batch; the network is left in evaluation mode.
    """
    if network.training:  # walking through all modules takes as long as a convolution
        network.eval()
    encoder = network.config.encoder
    device = next(network.parameters()).device
    rows = [encoder.ids(text) for text in texts]
    logits = np.zeros((len(texts), len(CLASSES)), dtype=np.float32)
    order = np.argsort([len(row) for row in rows], kind="stable")
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        shortest = encoder.max_length if network.fixed_length else 1
        step = 1 if network.fixed_length or len(chosen) == 1 else STEP
        ids = torch.from_numpy(pad([rows[row] for row in chosen], shortest, step))
        logits[chosen] = network(ids.to(device)).float().cpu().numpy()
    return logits


@dataclass(frozen=True)
class Calibration:
    """How sure a network should be: its logits are divided by a temperature before the softmax.

    Guo et al., "On Calibration of Modern Neural Networks" (2017), section 4.2; there it is one
    number. But of a beginning a network is too sure, and of a long text not sure enough, so here it
    falls with the length of a text: temperature * (length / 100) ** -cooling.
    """

    temperature: float = 1.0  # at 100 characters
    cooling: float = 0.0  # 0: the same for every length

    def temperatures(self, lengths: Sequence[int]) -> np.ndarray:
        """Return the number by which to divide the logits of texts of such lengths, (texts,)."""
        lengths = np.clip(lengths, *LENGTHS) / 100
        return self.temperature * lengths**-self.cooling

    def probabilities(self, logits: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
        """Return P(bad), P(average), P(good), (texts, 3), of logits (texts, 3).

        lengths: characters of each text, (texts,).
        """
        return softmax(logits.astype(float) / self.temperatures(lengths)[:, None])


def calibrate(network: torch.nn.Module, texts: Sequence[str], labels: np.ndarray) -> Calibration:
    """Return the calibration that suits texts and their beginnings alike.

    labels: class numbers (texts,), which weigh the same, as in training. A network whose input has
    a fixed length (the article's) is slow, and was never shown beginnings: it gets one temperature.
    """
    parts = (1.0,) if network.fixed_length else PARTS
    read = [text[: max(1, round(len(text) * part))] for part in parts for text in texts]
    return fit_calibration(
        predict_logits(network, read),
        np.tile(labels, len(parts)),
        None if network.fixed_length else [len(text) for text in read],
    )


def fit_calibration(
    logits: np.ndarray, labels: np.ndarray, lengths: Sequence[int] | None = None
) -> Calibration:
    """Return the calibration with the smallest loss; without lengths its cooling is 0.

    logits: (rows, 3); labels: class numbers (rows,); lengths: characters read, (rows,).
    """
    weights = balancing_weights(labels)
    steepest = 0.5 if lengths is not None else 0.0
    lengths = np.full(len(labels), 100) if lengths is None else lengths

    def calibration(guess: np.ndarray) -> Calibration:
        return Calibration(float(np.exp(guess[0])), float(guess[1]))

    def loss(guess: np.ndarray) -> float:
        found = calibration(guess).probabilities(logits, lengths)
        return float(-(weights * np.log(found[np.arange(len(labels)), labels] + 1e-12)).sum())

    # Only who calibrates needs scipy: the service, which reads this module too, goes without it.
    from scipy.optimize import minimize

    found = minimize(
        loss, [0.0, 0.0], bounds=[(np.log(0.3), np.log(5.0)), (0.0, steepest)], method="L-BFGS-B"
    )
    return Calibration(round(float(np.exp(found.x[0])), 4), round(float(found.x[1]), 4))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits (rows, 3), same shape; each row sums to 1."""
    powers = np.exp(logits - logits.max(1, keepdims=True, initial=-np.inf))
    return powers / powers.sum(1, keepdims=True)


def undecided(probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities in which a text that may be bad as well as good is an average one.

    Where both bad and good have 25% or more, the more probable of them gives way until "average" is
    just ahead; from 20% on it begins to. While a review is typed the class so
    goes from bad to good by way of average, where else a letter would throw it from one end to the
    other; of whole reviews hardly any is that open.

    probabilities: (rows, 3); returned: the same shape; each row sums to 1.
    """
    ends = probabilities[:, [0, 2]]
    share = ((ends.min(1) - UNDECIDED[0]) / (UNDECIDED[1] - UNDECIDED[0])).clip(0.0, 1.0)
    # Where the larger end meets the middle; if the smaller one is above that, where all three meet.
    level = np.maximum((1.0 - ends.min(1)) / 2, 1 / 3) - 0.001
    # Not quite down to it: the one that was ahead stays ahead.
    lowered = ends - 0.998 * share[:, None] * (ends - level[:, None]).clip(min=0.0)
    middle = probabilities[:, 1] + (ends - lowered).sum(1)
    return np.stack([lowered[:, 0], middle, lowered[:, 1]], axis=1)
