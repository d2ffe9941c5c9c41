"""One training in several processes: each reads a part of every batch, all take the same step.

    torchrun --nproc-per-node 2 -m starwise pretrain --reviews FOLDER --output FOLDER

    with together.joined() as team:          # alone where torchrun has not started several
        network = team.same(network)         # the batch normalisation of all sees all rows
        mine = team.part(rows)               # of a batch
        loss.backward(); team.add_up(network, len(mine), len(rows), told)

Gradients are added over the processes, which talk through gloo (CPU) or NCCL (GPUs), on one machine
or many. The step is that of one process which reads the whole batch, up to rounding.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = timedelta(days=3)  # of those who wait while the first asks a teacher


class Team:
    """The processes of one training; a team of one needs no communication at all."""

    def __init__(self, number: int = 0, size: int = 1):
        self.number, self.size = number, size

    @property
    def first(self) -> bool:
        """Whether this process reports and writes files."""
        return self.number == 0

    def device(self) -> torch.device:
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))

    def part(self, rows: np.ndarray) -> np.ndarray:
        """Return this process's rows of a batch; a batch too small to share is read by all."""
        return rows[self.number :: self.size] if len(rows) >= self.size else rows

    def same(self, network: nn.Module) -> nn.Module:
        """Return the network with batch normalisation over the rows of all processes."""
        if self.size > 1:
            for module in network.modules():
                for name, child in module.named_children():
                    if isinstance(child, nn.BatchNorm2d):
                        setattr(module, name, _SharedBatchNorm.of(child))
        return network

    def add_up(self, network: nn.Module, rows: int, batch: int, told: Tensor) -> Tensor:
        """Make the gradients those of the whole batch; return the sum of `told` over all.

        rows, batch: how many rows this process has read of how many; the loss was their mean.
        """
        if self.size == 1:
            return told
        # A batch that all have read whole counts once.
        share = rows / batch if rows < batch else 1 / self.size
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        told = told * (1.0 if rows < batch else 1 / self.size)
        flat = torch.cat([*((g * share).flatten() for g in gradients), told.to(gradients[0])])
        dist.all_reduce(flat)
        sizes = [g.numel() for g in gradients]
        for gradient, summed in zip(gradients, flat[: sum(sizes)].split(sizes), strict=True):
            gradient.copy_(summed.view_as(gradient))
        return flat[sum(sizes) :]

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined() -> Iterator[Team]:
    """Give the team that torchrun has started, or a team of one; within a team, that team."""
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        yield Team()
        return
    if dist.is_initialized():
        yield Team(dist.get_rank(), size)
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        yield Team(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


class _SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over all processes; PyTorch's own SyncBatchNorm is for GPUs only."""

    @classmethod
    def of(cls, alone: nn.BatchNorm2d) -> "_SharedBatchNorm":
        shared = cls(alone.num_features, alone.eps, alone.momentum).to(alone.weight.device)
        shared.load_state_dict(alone.state_dict())
        return shared

    def forward(self, signal: Tensor) -> Tensor:
        if not self.training:
            return super().forward(signal)
        signal = signal.float()  # sums over a batch are too long for 16 bits
        count = signal.new_full((1,), signal.numel() / self.num_features)
        sums = torch.cat([signal.sum((0, 2, 3)), signal.square().sum((0, 2, 3)), count])
        summed = _Summed.apply(sums)
        *moments, count = summed.split([self.num_features, self.num_features, 1])
        mean = moments[0] / count
        variance = moments[1] / count - mean.square()
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return signal * scale[:, None, None] + shift[:, None, None]


class _Summed(torch.autograd.Function):
    """The sum over all processes; what each contributed gets the sum of all their gradients."""

    @staticmethod
    def forward(ctx, numbers: Tensor) -> Tensor:
        total = numbers.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total
