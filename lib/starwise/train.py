"""The training loop: balanced epochs, early stopping, checkpoints that survive a kill.

    history = train(training, validation, Settings(epochs=3), folder, report=print)

`training` and `validation` are tables with the columns text and label. Where `training` also has
columns bad, average and good, those are what the network is to answer (probabilities, rows summing
to 1) in place of the label alone; where it has a column draws, a row is drawn so often a round.
The folder then holds model.safetensors and model.json (see starwise.model), and logs that
TensorBoard reads. While it trains it also holds checkpoint.safetensors; a run that is started again
with the same settings and data goes on from there and ends with the very same weights as one that
was never stopped. Started by torchrun, several processes train one network (starwise.together).
"""

import dataclasses
import hashlib
import itertools
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from starwise import checkpoint, model
from starwise.classes import CLASSES, balancing_weights, class_numbers
from starwise.errors import StarwiseError
from starwise.objectives import LOSSES, Objective, class_weights
from starwise.predict import calibrate, predict_logits
from starwise.sampling import Batches
from starwise.schedules import SCHEDULES
from starwise.together import Team, joined

CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_FORMAT = 2  # raised when what a checkpoint holds changes: a former one is not read
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
    "precision": ("auto", "bfloat16", "float32"),
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
    longest: int = 2048  # characters that training reads of a review: its first and last ones
    averaging: float = 0.99  # how much of the averaged weights stays at each step, 0 to 1
    patience: int = 2  # epochs without a better validation loss before stopping
    three_stars: str = "average"  # or "left out", or taken for "bad" or "good" in training
    disturb: bool = True  # typos, cut ends, lower case now and then
    cut: float = 0.3  # share of the disturbed reviews that are cut at a random place
    precision: str = "auto"  # "bfloat16", "float32", or the first where the machine has it built in
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise TrainError(
                    f"{name} is {getattr(self, name)!r} and may be one of {', '.join(choices)}"
                )


def device_of_choice() -> torch.device:
    return Team().device()


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 itself; elsewhere it would be slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)


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
    with joined() as team:
        work = (training, validation, settings, folder, report, team)
        try:
            run = _Run(*work, device or team.device())
            run.fit(on_epoch)
        except torch.OutOfMemoryError:
            if team.size > 1:  # the others wait for gradients that this one cannot give
                raise
            report("the GPU is out of memory; the CPU goes on from the last checkpoint")
            run = _Run(*work, torch.device("cpu"))
            run.fit(on_epoch)
        if team.first:
            run.finish()
        team.wait()
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

    def __init__(self, training, validation, settings, folder, report, team, device):
        self.settings, self.folder, self.team, self.device = settings, folder, team, device
        self.report = report if team.first else lambda line: None
        # Convolutions in 16 bits, weights and sums in 32 (Kalamkar et al., "A Study of BFLOAT16 for
        # Deep Learning Training", 2019): a third faster where the processor has it built in.
        precision = settings.precision
        self.short = precision == "bfloat16" or (precision == "auto" and has_bfloat16(device))
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
            self.network.input_dropout = settings.input_dropout
        self.network = team.same(self.network.to(device))
        # The average of the last hundred or so steps reads better than the last step itself, which
        # is still shaken by its batch (Polyak and Juditsky 1992). It is what is validated and kept.
        self.average = AveragedModel(
            self.network, multi_avg_fn=_averaging(settings.averaging), use_buffers=True
        )
        self.batches = Batches(training, self.network, settings, team, device)
        self.labels = torch.from_numpy(self.batches.labels)
        soft = set(CLASSES) <= set(training)
        targets = training[list(CLASSES)].to_numpy() if soft else np.eye(3)[self.labels]
        self.targets = torch.from_numpy(targets.astype(np.float32))
        self.validation_texts = validation["text"].tolist()
        self.validation_labels = class_numbers(validation["label"])
        weights = torch.tensor(
            class_weights(self.batches.labels), dtype=torch.float32, device=device
        )
        self.objective = Objective(
            settings.loss,
            settings.label_smoothing,
            settings.focal_gamma,
            weights if settings.balance == "weights" else None,
        )
        self.optimizer = _optimizer(self.network, settings)
        self.steps = len(self.batches)
        self.history: list[dict] = []
        self.step = 0  # batches trained on so far, over all epochs
        # Of the epoch under way: loss and right answers, summed where they are found, since a GPU
        # that is asked for a number has first to end what it does.
        self.told = torch.zeros(2, dtype=torch.float64, device=device)
        self.seen = 0
        self.seconds = 0.0
        self.best: dict[str, Tensor] = {}
        self.best_loss = float("inf")
        # Settings and data in one digest: a checkpoint of other work is not continued.
        told = json.dumps(
            [CHECKPOINT_FORMAT, dataclasses.asdict(settings)], sort_keys=True
        ).encode()
        told += self.targets.numpy().tobytes() + (
            b"" if self.batches.draws is None else self.batches.draws.tobytes()
        )
        rows = pd.util.hash_pandas_object(training[["text", "label"]], index=False).to_numpy()
        others = pd.util.hash_pandas_object(validation[["text", "label"]], index=False).to_numpy()
        self.digest = hashlib.sha256(told + rows.tobytes() + others.tobytes()).hexdigest()
        self.data_digest = hashlib.sha256(rows.tobytes()).hexdigest()[:16]

    # -- the loop

    def fit(self, on_epoch: Callable[[list[dict]], None]) -> None:
        if not self._resume() and self.team.first:
            shutil.rmtree(self.folder / "tensorboard", ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.team.wait()
        with self._log() as log:
            batches = iter(self.batches.loader(self.step))
            while self.step < self.steps and not self._stale():
                self._epoch(batches, log)
                on_epoch(self.history)
        if self._stale():
            self.report(
                f"stopped early: the validation loss has not improved for "
                f"{self.settings.patience} epochs"
            )

    @contextmanager
    def _log(self):
        """Give a writer of TensorBoard's files; the other processes would only repeat its lines."""
        # Imported here: it takes two seconds and loading a model for scoring does not need it.
        from torch.utils.tensorboard import SummaryWriter

        with tempfile.TemporaryDirectory() as nowhere:
            place = self.folder / "tensorboard" if self.team.first else nowhere
            with SummaryWriter(place, purge_step=self.step) as log:
                yield log

    def _stale(self) -> bool:
        losses = [row["validation_loss"] for row in self.history]
        return bool(losses) and len(losses) - 1 - int(np.argmin(losses)) >= self.settings.patience

    def _epoch(self, batches: Iterator, log) -> None:
        epoch, done = divmod(self.step, self.batches.per_epoch)
        self.network.train()
        started = reported = saved = time.monotonic()
        before, seen_before = self.seconds, self.seen
        for rows, ids, seed in itertools.islice(batches, self.batches.per_epoch - done):
            told = self._train_batch(rows, ids, seed)
            self.step += 1
            self.told += told
            self.seen += len(rows)
            now = time.monotonic()
            self.seconds = before + now - started
            if self.step % 20 == 0:
                loss, right = (told / len(rows)).tolist()
                log.add_scalar("train/loss", loss, self.step)
                log.add_scalar("train/accuracy", right, self.step)
            if now - reported >= REPORT_SECONDS:
                reported = now
                speed = (self.seen - seen_before) / (now - started)
                self.report(f"{self._progress()}   {speed:,.0f} reviews/s")
            if now - saved >= CHECKPOINT_SECONDS and self.team.first:
                saved = now
                self._checkpoint()
        self._close_epoch(epoch, log)

    def _train_batch(self, rows: np.ndarray, ids: Tensor, seed: int) -> Tensor:
        """Take a step; return the loss, summed over the rows, and how many were right."""
        settings = self.settings
        mine = torch.from_numpy(self.team.part(rows))
        targets = self.targets[mine].to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * SCHEDULES[settings.schedule](
                self.step / self.steps
            )
        # What dropout hides depends on the batch and the process, so a resumed run hides the same.
        torch.manual_seed(seed + self.team.number)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.short):
            logits = self.network(ids.to(self.device, non_blocking=True))
        loss = self.objective(logits.float(), targets)
        self.optimizer.zero_grad()
        loss.backward()
        right = (logits.argmax(1) == self.labels[mine].to(self.device)).sum()
        told = torch.stack([loss.detach() * len(mine), right.float()])
        told = self.team.add_up(self.network, len(mine), len(rows), told)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return told

    def _means(self) -> tuple[float, float]:
        """Return the loss and the accuracy of the epoch under way."""
        loss, right = (self.told / self.seen).tolist()
        return loss, right

    def _progress(self) -> str:
        epoch = min(self.step - 1, self.steps - 1) // self.batches.per_epoch + 1
        loss, right = self._means()
        return (
            f"epoch {epoch} of {self.settings.epochs}   {self.seen:>7,} reviews   "
            f"loss {loss:.3f}   accuracy {right:.3f}"
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
        loss, accuracy = self._means()
        row = {
            "epoch": epoch + 1,
            "reviews": (epoch + 1) * self.seen,
            "loss": loss,
            "accuracy": accuracy,
            "validation_loss": float((losses * weights).sum()),
            "validation_accuracy": float((right * weights).sum()),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": round(self.seconds, 2),
        }
        self.history.append(row)
        self.told.zero_()
        self.seen = 0
        log.add_scalar("validation/loss", row["validation_loss"], self.step)
        log.add_scalar("validation/accuracy", row["validation_accuracy"], self.step)
        self.report(
            f"{line}   validation loss {row['validation_loss']:.3f}   "
            f"accuracy {row['validation_accuracy']:.3f}"
        )
        if row["validation_loss"] < self.best_loss:
            self.best_loss = row["validation_loss"]
            self.best = {n: t.detach().cpu().clone() for n, t in averaged.state_dict().items()}
        if self.team.first:
            self._checkpoint()

    def finish(self) -> None:
        """Keep the best epoch's weights, calibrate them, and write the model folder."""
        self.network.load_state_dict(self.best)
        self.network.cpu().eval()
        calibration = calibrate(self.network, self.validation_texts, self.validation_labels)
        model.save(
            self.folder,
            self.network,
            {
                "name": self.folder.name,
                **dataclasses.asdict(calibration),
                "settings": dataclasses.asdict(self.settings),
                "history": self.history,
                "data": {
                    "training": len(self.labels),
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
        }
        told = {
            "digest": self.digest,
            "step": self.step,
            "told": self.told.tolist(),
            "seen": self.seen,
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
        self.step, self.seen, self.seconds = told["step"], told["seen"], told["seconds"]
        self.told = self.told.new_tensor(told["told"])
        self.best_loss, self.history = told["best_loss"], told["history"]
        self.report(f"going on from the checkpoint after {self.step:,} of {self.steps:,} batches")
        return True


def _averaging(kept: float) -> Callable:
    """Return the rule of the running average: the first weights, which know nothing, fade fast."""

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
        share = ((1 + steps) / (10 + steps)).clamp(max=kept)  # stays where it is: on the GPU
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - share)
            else:
                old.copy_(new)

    return update


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
