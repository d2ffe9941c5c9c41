"""A text in; class probabilities, sentiment and stars out.

scorer = Scorer.load()
scorer.score("Arrived broken, and nobody answers.")
# Score(sentiment=0.06, stars=1, label='bad', probabilities={...}, model='bundled')
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from starwise import model
from starwise.classes import ADDED, CLASSES
from starwise.model import ModelError
from starwise.paths import Outputs
from starwise.predict import Calibration, predict_logits, undecided

if TYPE_CHECKING:
    import pandas as pd  # for tables only: the service, which scores single texts, goes without it

BUNDLED = Path(__file__).parent / "bundled"
BATCH_CHARACTERS = 10_000  # the most that is read at once, padding included


@dataclass(frozen=True)
class Score:
    """What the network makes of one text."""

    sentiment: float  # 0 (bad) to 1 (good)
    stars: int  # 1 to 5
    label: str  # the most probable class
    probabilities: dict[str, float]  # of bad, average and good
    model: str


def sentiment_of(probabilities: np.ndarray) -> np.ndarray:
    """Return P(good) + P(average) / 2, shape (rows,), of probabilities (rows, 3).

    This is the expected class on a scale from 0 to 1: it never falls when probability moves from
    bad to average or from average to good.
    """
    return probabilities[:, 2] + probabilities[:, 1] / 2


# Where two, three, four and five stars begin. Three get the widest step: with five equal ones,
# 17% of 3,700 validation reviews had stars of another class than their label (6% with these), and
# mostly it was the label that was right.
STEPS = (0.15, 0.30, 0.70, 0.85)


def stars_of(sentiment: np.ndarray) -> np.ndarray:
    """Return 1 to 5 stars, int8, of sentiments from 0 to 1: three from 0.3 to below 0.7."""
    return (1 + np.searchsorted(STEPS, sentiment, side="right")).astype("int8")


class Scorer:
    """A loaded model with its calibration."""

    def __init__(self, network: torch.nn.Module, name: str, calibration: Calibration):
        self.network, self.name, self.calibration = network, name, calibration
        # A network that reads every text at full length (the article's) is slow with each.
        self.quick = not getattr(network, "fixed_length", False)

    @classmethod
    def load(cls, folder: Path | None = None) -> "Scorer":
        """Load a model folder, or the serving model; raises ModelError in a sentence."""
        folder = serving_folder() if folder is None else Path(folder)
        network, card = model.load(folder)
        calibration = _calibration(card, folder)
        network = network.fused() if hasattr(network, "fused") else network
        return cls(network, str(card.get("name", folder.name)), calibration)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Return P(bad), P(average), P(good) of each text, shape (len(texts), 3), float64."""
        texts = list(texts)
        # Long texts go in small batches: what the network keeps meanwhile stays the same.
        longest = max([1, *map(len, texts)])
        batch_size = max(4, min(64, BATCH_CHARACTERS // longest))
        logits = predict_logits(self.network, texts, batch_size)
        return undecided(self.calibration.probabilities(logits, list(map(len, texts))))

    def score(self, text: str) -> Score | None:
        """Return the score of one text, or None where there is nothing to read."""
        if not text.strip():
            return None
        probabilities = self.probabilities([text])
        sentiment = sentiment_of(probabilities)
        return Score(
            sentiment=float(sentiment[0]),
            stars=int(stars_of(sentiment)[0]),
            label=CLASSES[int(probabilities[0].argmax())],
            probabilities=dict(zip(CLASSES, probabilities[0].tolist(), strict=True)),
            model=self.name,
        )

    def frame(self, texts: Sequence[str]) -> "pd.DataFrame":
        """Return a table with bad, average, good, sentiment, stars; empty texts have none."""
        import pandas as pd

        texts = ["" if text is None or text != text else str(text) for text in texts]
        probabilities = self.probabilities(texts)
        sentiment = sentiment_of(probabilities)
        table = pd.DataFrame(probabilities, columns=list(CLASSES))
        table["sentiment"] = sentiment
        table["stars"] = pd.array(stars_of(sentiment), dtype="Int8")
        blank = [not text.strip() for text in texts]
        table.loc[blank, list(ADDED)] = pd.NA
        return table


def _calibration(card: dict, folder: Path) -> Calibration:
    """Return the calibration that a model's card tells, if it can be used; raises ModelError."""
    temperature, cooling = card.get("temperature", 1.0), card.get("cooling", 0.0)
    if not isinstance(temperature, int | float) or not 0.01 <= temperature <= 100:
        raise ModelError(f"{folder}/model.json has no usable temperature: {temperature!r}")
    if not isinstance(cooling, int | float) or not 0 <= cooling <= 1:
        raise ModelError(f"{folder}/model.json has no usable cooling: {cooling!r}")
    return Calibration(float(temperature), float(cooling))


def serving_folder(outputs: Outputs | None = None) -> Path:
    """Return the folder of the model that serves: notebook 04's verdict, else the bundled one."""
    outputs = outputs or Outputs.default()
    try:
        name = json.loads(outputs.serving.read_text())["model"]
    except FileNotFoundError:
        return BUNDLED
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(
            f"{outputs.serving} cannot be read; run notebook 04_evaluate again, or delete it to "
            "serve the bundled model"
        ) from None
    return BUNDLED if name == "bundled" else outputs.models / name
