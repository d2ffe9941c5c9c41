"""The training loop: balanced epochs, early stopping, checkpoints that survive a kill.

    history = train(training, validation, Settings(epochs=3), folder, report=print)

`training` and `validation` are tables with the columns text and label. The folder then holds
model.safetensors and model.json (see starwise.model), and logs that TensorBoard reads. While it
trains it also holds checkpoint.safetensors; a run that is started again with the same settings
and data goes on from there and ends with the very same weights as one that was never stopped.
"""

import dataclasses
import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from starwise import checkpoint, model
from starwise.classes import CLASSES, balancing_weights, class_numbers
from starwise.errors import StarwiseError
from starwise.objectives import LOSSES, Objective, class_weights
from starwise.predict import fit_temperature, predict_logits
from starwise.sampling import disturb, epoch_batches
from starwise.schedules import SCHEDULES

CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_SECONDS = 10.0  # at most so much work is lost to a kill
REPORT_SECONDS = 2.0


class TrainError(StarwiseError):
    """Data or settings that cannot be trained on, and why."""


CHOICES = {
    "schedule": tuple(SCHEDULES),
    "optimizer": ("adamw", "sgd"),
    "loss": LOSSES,
    "balance": ("draws", "weights", "none"),
    "three_stars": ("average", "left out", "bad", "good"),
}


@dataclass(frozen=True)
class Settings:
    """The hyperparameters of a run; one seed gives one result on one machine."""

    preset: str = "compact"
    start_from: str = "scratch"  # or the folder of a model of the same preset
    epochs: int = 3
    reviews_per_epoch: int = 12_000  # drawn anew for each epoch
    batch_size: int = 32
    learning_rate: float = 1e-3  # the highest
    schedule: str = "cosine"  # how the rate moves: see starwise.schedules
    optimizer: str = "adamw"  # or "sgd"
    weight_decay: float = 0.02
    loss: str = "cross_entropy"  # or "focal": see starwise.objectives
    focal_gamma: float = 2.0  # how little the focal loss pays for what is known
    label_smoothing: float = 0.05
    balance: str = "draws"  # "draws" (equal parts), "weights" (in the loss) or "none"
    input_dropout: float | None = None  # share hidden of what the tables say; None: the preset's
    averaging: float = 0.99  # how much of the averaged weights stays at each step, 0 to 1
    patience: int = 2  # epochs without a better validation loss before stopping
    three_stars: str = "average"  # or "left out", or taken for "bad" or "good" in training
    disturb: bool = True  # typos, cut ends, lower case now and then
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise TrainError(
                    f"{name} is {getattr(self, name)!r} and may be one of {', '.join(choices)}"
                )


def device_of_choice() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    training: pd.DataFrame,
    validation: pd.DataFrame,
    settings: Settings,
    folder: Path,
    report: Callable[[str], None] = print,
    on_epoch: Callable[[list[dict]], None] = lambda history: None,
    device: torch.device | None = None,
) -> list[dict]:
    """Train a network into `folder` and return its history, one row an epoch.

    report gets a line of progress every two seconds; on_epoch gets the history after each epoch.
    Rows: epoch, reviews (seen so far), loss, accuracy, validation_loss, validation_accuracy (the
    mean of the three classes' recalls), learning_rate, seconds.
    """
    training, validation = (_regrouped(each, settings) for each in (training, validation))
    _check(training, validation, settings)
    folder = Path(folder)
    run = _Run(training, validation, settings, folder, report, device or device_of_choice())
    try:
        run.fit(on_epoch)
    except torch.OutOfMemoryError:
        report("the GPU is out of memory; the CPU goes on from the last checkpoint")
        run = _Run(training, validation, settings, folder, report, torch.device("cpu"))
        run.fit(on_epoch)
    run.finish()
    return run.history


def _regrouped(frame: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Return the rows with those of three stars as the settings want them."""
    if settings.three_stars == "average":
        return frame
    if settings.three_stars == "left out":
        return frame[frame["label"] != "average"]
    return frame.assign(label=frame["label"].replace("average", settings.three_stars))


def _check(training: pd.DataFrame, validation: pd.DataFrame, settings: Settings) -> None:
    needed = [name for name in CLASSES if name != "average" or settings.three_stars == "average"]
    for name, frame in [("training", training), ("validation", validation)]:
        counts = frame["label"].value_counts()
        unknown = set(counts.index) - set(CLASSES)
        if unknown:
            raise TrainError(f"the {name} rows have labels that are no classes: {sorted(unknown)}")
        few = {label: int(counts.get(label, 0)) for label in needed if counts.get(label, 0) < 2}
        if few:
            raise TrainError(
                f"the {name} rows hold too few reviews of a class: "
                + ", ".join(f"{label} {count}" for label, count in few.items())
                + "; collect more companies, or lower the shares of the other splits"
            )
    shared = set(training["text"]) & set(validation["text"])
    if shared:
        raise TrainError(
            f"{len(shared)} texts are in both the training and the validation rows, so the "
            "validation would measure memory; run notebook 02_label again"
        )


class _Run:
    """One training run: what is being trained, and how far it has come."""

    def __init__(self, training, validation, settings, folder, report, device):
        self.settings, self.folder, self.report, self.device = settings, folder, report, device
        torch.manual_seed(settings.seed)
        if settings.start_from == "scratch":
            self.network = model.build(settings.preset)
        else:
            self.network, _ = model.load(Path(settings.start_from))
            if self.network.config.preset != settings.preset:
                raise TrainError(
                    f"start_from is a network of preset {self.network.config.preset!r}, "
                    f"not {settings.preset!r}; set start_from to 'scratch'"
                )
        if settings.input_dropout is not None:
            self.network.input_dropout.p = settings.input_dropout
        self.network.to(device)
        # The average of the last hundred or so steps reads better than the last step itself, which
        # is still shaken by its batch (Polyak and Juditsky 1992). It is what is validated and kept.
        self.average = AveragedModel(
            self.network, multi_avg_fn=get_ema_multi_avg_fn(settings.averaging), use_buffers=True
        )
        self.encoder = self.network.config.encoder
        self.texts = training["text"].tolist()
        self.labels = class_numbers(training["label"])
        self.lengths = training["text"].str.len().to_numpy().clip(1, self.encoder.max_length)
        self.validation_texts = validation["text"].tolist()
        self.validation_labels = class_numbers(validation["label"])
        weights = torch.tensor(class_weights(self.labels), dtype=torch.float32, device=device)
        self.objective = Objective(
            settings.loss,
            settings.label_smoothing,
            settings.focal_gamma,
            weights if settings.balance == "weights" else None,
        )
        self.optimizer = _optimizer(self.network, settings)
        # The noise of an epoch does not change how many batches it has.
        self.batches_per_epoch = len(self._draw(epoch=0))
        self.steps = settings.epochs * self.batches_per_epoch
        self.history: list[dict] = []
        self.step = 0  # batches trained on so far, over all epochs
        self.sums = {"loss": 0.0, "right": 0, "seen": 0}  # of the epoch under way
        self.seconds = 0.0
        self.best: dict[str, Tensor] = {}
        self.best_loss = float("inf")
        # Settings and data in one digest: a checkpoint of other work is not continued.
        told = json.dumps(dataclasses.asdict(settings), sort_keys=True).encode()
        rows = pd.util.hash_pandas_object(training[["text", "label"]], index=False).to_numpy()
        others = pd.util.hash_pandas_object(validation[["text", "label"]], index=False).to_numpy()
        self.digest = hashlib.sha256(told + rows.tobytes() + others.tobytes()).hexdigest()
        self.data_digest = hashlib.sha256(rows.tobytes()).hexdigest()[:16]

    # -- the loop

    def _draw(self, epoch: int) -> list[np.ndarray]:
        """Return the batches of an epoch, which depend on seed and epoch only."""
        return epoch_batches(
            self.lengths,
            self.labels,
            self.settings.reviews_per_epoch,
            self.settings.batch_size,
            np.random.default_rng([self.settings.seed, epoch]),
            equal=self.settings.balance == "draws",
        )

    def fit(self, on_epoch: Callable[[list[dict]], None]) -> None:
        # Imported here: it takes two seconds and loading a model for scoring does not need it.
        from torch.utils.tensorboard import SummaryWriter

        if not self._resume():
            shutil.rmtree(self.folder / "tensorboard", ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        with SummaryWriter(self.folder / "tensorboard", purge_step=self.step) as log:
            while self.step < self.steps and not self._stale():
                self._epoch(log)
                on_epoch(self.history)
        if self._stale():
            self.report(
                f"stopped early: the validation loss has not improved for "
                f"{self.settings.patience} epochs"
            )

    def _stale(self) -> bool:
        losses = [row["validation_loss"] for row in self.history]
        return bool(losses) and len(losses) - 1 - int(np.argmin(losses)) >= self.settings.patience

    def _epoch(self, log) -> None:
        epoch, done = divmod(self.step, self.batches_per_epoch)
        order = self._draw(epoch)  # a resumed run draws the same
        self.network.train()
        started = reported = saved = time.monotonic()
        before, seen_before = self.seconds, self.sums["seen"]
        for number, rows in enumerate(order[done:], start=done):
            rng = np.random.default_rng([self.settings.seed, epoch, number])
            loss, right = self._train_batch(rows, rng)
            self.step += 1
            self.sums["loss"] += loss * len(rows)
            self.sums["right"] += right
            self.sums["seen"] += len(rows)
            now = time.monotonic()
            self.seconds = before + now - started
            if self.step % 20 == 0:
                log.add_scalar("train/loss", loss, self.step)
                log.add_scalar("train/accuracy", right / len(rows), self.step)
            if now - reported >= REPORT_SECONDS:
                reported = now
                speed = (self.sums["seen"] - seen_before) / (now - started)
                self.report(f"{self._progress()}   {speed:,.0f} reviews/s")
            if now - saved >= CHECKPOINT_SECONDS:
                saved = now
                self._checkpoint()
        self._close_epoch(epoch, log)

    def _train_batch(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[float, int]:
        settings = self.settings
        texts = [self.texts[row] for row in rows]
        if settings.disturb:
            texts = [disturb(text, rng) for text in texts]
        ids = torch.from_numpy(self.encoder.batch(texts, self.network.fixed_length))
        targets = torch.from_numpy(self.labels[rows]).to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * SCHEDULES[settings.schedule](
                self.step / self.steps
            )
        logits = self.network(ids.to(self.device))
        loss = self.objective(logits, targets)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return loss.item(), int((logits.argmax(1) == targets).sum())

    def _progress(self) -> str:
        epoch = min(self.step - 1, self.steps - 1) // self.batches_per_epoch + 1
        seen = self.sums["seen"]
        return (
            f"epoch {epoch} of {self.settings.epochs}   {seen:>7,} reviews   "
            f"loss {self.sums['loss'] / seen:.3f}   accuracy {self.sums['right'] / seen:.3f}"
        )

    def _close_epoch(self, epoch: int, log) -> None:
        started = time.monotonic()
        averaged = self.average.module
        logits = predict_logits(averaged, self.validation_texts)
        weights = balancing_weights(self.validation_labels)
        losses = F.cross_entropy(
            torch.from_numpy(logits), torch.from_numpy(self.validation_labels), reduction="none"
        ).numpy()
        right = logits.argmax(1) == self.validation_labels
        line = self._progress()
        self.seconds += time.monotonic() - started
        row = {
            "epoch": epoch + 1,
            "reviews": (epoch + 1) * self.sums["seen"],
            "loss": self.sums["loss"] / self.sums["seen"],
            "accuracy": self.sums["right"] / self.sums["seen"],
            "validation_loss": float((losses * weights).sum()),
            "validation_accuracy": float((right * weights).sum()),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": round(self.seconds, 2),
        }
        self.history.append(row)
        self.sums = {"loss": 0.0, "right": 0, "seen": 0}
        log.add_scalar("validation/loss", row["validation_loss"], self.step)
        log.add_scalar("validation/accuracy", row["validation_accuracy"], self.step)
        self.report(
            f"{line}   validation loss {row['validation_loss']:.3f}   "
            f"accuracy {row['validation_accuracy']:.3f}"
        )
        if row["validation_loss"] < self.best_loss:
            self.best_loss = row["validation_loss"]
            self.best = {n: t.detach().cpu().clone() for n, t in averaged.state_dict().items()}
        self._checkpoint()

    def finish(self) -> None:
        """Keep the best epoch's weights, calibrate them, and write the model folder."""
        self.network.load_state_dict(self.best)
        self.network.cpu().eval()
        logits = predict_logits(self.network, self.validation_texts)
        model.save(
            self.folder,
            self.network,
            {
                "name": self.folder.name,
                "temperature": fit_temperature(logits, self.validation_labels),
                "settings": dataclasses.asdict(self.settings),
                "history": self.history,
                "data": {
                    "training": len(self.texts),
                    "validation": len(self.validation_texts),
                    "digest": self.data_digest,
                },
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "versions": {"python": platform.python_version(), "torch": torch.__version__},
            },
        )
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    # -- stopping and going on

    def _checkpoint(self) -> None:
        """Write all it takes to go on: weights, their average, the best so far, the optimizer."""
        optimizer = self.optimizer.state_dict()["state"]
        tensors = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best,
            **{f"optimizer.{number}": state for number, state in optimizer.items()},
            "random": {"cpu": torch.get_rng_state()},
        }
        if self.device.type == "cuda":
            tensors["random"]["cuda"] = torch.cuda.get_rng_state(self.device)
        told = {
            "digest": self.digest,
            "step": self.step,
            "sums": self.sums,
            "seconds": self.seconds,
            "best_loss": self.best_loss,
            "history": self.history,
        }
        checkpoint.write(self.folder / CHECKPOINT, tensors, told)

    def _resume(self) -> bool:
        path = self.folder / CHECKPOINT
        if not path.exists():
            return False
        try:
            tensors, told = checkpoint.read(path)
        except checkpoint.DamagedError:
            self.report("the checkpoint in the run's folder is damaged; starting over")
            return False
        if told["digest"] != self.digest:
            self.report("the checkpoint is of other settings or data; starting over")
            return False
        self.network.load_state_dict(tensors["network"])
        self.average.load_state_dict(tensors["average"])
        self.best = tensors.get("best", {})
        groups = self.optimizer.state_dict()["param_groups"]
        numbers = range(sum(len(group["params"]) for group in groups))
        state = {n: tensors[f"optimizer.{n}"] for n in numbers if f"optimizer.{n}" in tensors}
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        torch.set_rng_state(tensors["random"]["cpu"])
        if self.device.type == "cuda" and "cuda" in tensors["random"]:
            torch.cuda.set_rng_state(tensors["random"]["cuda"], self.device)
        self.step, self.sums, self.seconds = told["step"], told["sums"], told["seconds"]
        self.best_loss, self.history = told["best_loss"], told["history"]
        self.report(f"going on from the checkpoint after {self.step:,} of {self.steps:,} batches")
        return True


def _optimizer(network: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
    # Decay pulls on what multiplies a signal, not on what shifts or scales it.
    groups = [
        {
            "params": [p for p in network.parameters() if p.ndim > 1],
            "weight_decay": settings.weight_decay,
        },
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=0.9, fused=True)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
