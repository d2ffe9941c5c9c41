"""What a network says of many texts, and how sure it should be.

logits = predict_logits(network, ["Great shop!", "Never again."])     # (2, 3)
temperature = fit_temperature(logits, labels)
undecided(softmax(logits / temperature))
"""

import numpy as np
import torch

from starwise.classes import CLASSES, balancing_weights
from starwise.text import pad

# How probable both ends are where "average" begins to win, and has won: the mildest of eight pairs
# with which 350 validation reviews, typed letter by letter, jumped fewer than 0.05 times each.
UNDECIDED = (0.20, 0.25)


@torch.inference_mode()
def predict_logits(network: torch.nn.Module, texts: list[str], batch_size: int = 64) -> np.ndarray:
    """Return the logits of texts in their order, shape (len(texts), 3), float32.

    Texts of like length share a batch; the network is left in evaluation mode.
    """
    if network.training:  # walking through all modules takes as long as a convolution
        network.eval()
    encoder = network.config.encoder
    device = next(network.parameters()).device
    minimum = encoder.max_length if network.fixed_length else 1
    rows = [encoder.ids(text) for text in texts]
    logits = np.zeros((len(texts), len(CLASSES)), dtype=np.float32)
    order = np.argsort([len(row) for row in rows], kind="stable")
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        ids = torch.from_numpy(pad([rows[row] for row in chosen], minimum))
        logits[chosen] = network(ids.to(device)).float().cpu().numpy()
    return logits


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the number to divide logits by so that probabilities mean what they say.

    Guo et al., "On Calibration of Modern Neural Networks" (2017), section 4.2; the three classes
    weigh the same, as in training.
    """
    weights = balancing_weights(labels)

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled = scaled - scaled.max(1, keepdims=True)
        log_probabilities = scaled - np.log(np.exp(scaled).sum(1, keepdims=True))
        return float(-(weights * log_probabilities[np.arange(len(labels)), labels]).sum())

    # Only who calibrates needs scipy: the service, which reads this module too, goes without it.
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(loss, bounds=(np.log(0.3), np.log(5.0)), method="bounded")
    return round(float(np.exp(found.x)), 4)


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
    lowered = ends - share[:, None] * (ends - level[:, None]).clip(min=0.0)
    middle = probabilities[:, 1] + (ends - lowered).sum(1)
    return np.stack([lowered[:, 0], middle, lowered[:, 1]], axis=1)
