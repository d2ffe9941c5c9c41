"""The network: two presets, saving and loading.

    network = build("compact")
    logits = network(ids)                 # ids (batch, length) -> logits (batch, 3)
    save(folder, network, card)
    network, card = load(folder)

Classes are always in the order bad, average, good.
"""

import copy
import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from starwise.classes import CLASSES
from starwise.errors import StarwiseError
from starwise.paths import whole_file
from starwise.text import ASCII_SYMBOLS, PAD, Encoder, vocabulary_size

FORMAT = 4  # of model.json; raised when an older reader could not understand a newer file

SCALE = ".scale"  # ends the name of the tensor that scales an 8-bit one


class ModelError(StarwiseError):
    """A model folder that cannot be used, and why."""


@dataclass(frozen=True)
class NetworkConfig:
    """Everything it takes to rebuild a network without its weights."""

    preset: str  # "compact" or "article"
    alphabet: str  # which alphabet of starwise.text
    max_length: int  # characters kept of a text
    channels: int = 96  # of every convolution
    dilations: tuple[int, ...] = (1, 2, 4, 8)  # of two convolutions a residual block (compact)
    heads: int = 4  # means of all positions, each with weights of its own (compact)
    hidden: int = 128  # units between pooled numbers and logits, beside the straight way
    character_width: int = 24  # numbers that stand for a character (compact)
    ngrams: tuple[int, ...] = (3, 4, 6, 8)  # lengths of the hashed character n-grams (compact)
    buckets: int = 32_768  # rows of the table that each length of n-gram has (compact)
    ngram_width: int = 13  # numbers that stand for an n-gram (compact)
    dropout: float = 0.3  # share of the pooled numbers hidden from the last layer in training
    input_dropout: float = 0.25  # share of the n-grams hidden in training (compact)

    @property
    def encoder(self) -> Encoder:
        return Encoder(self.alphabet, self.max_length)


PRESETS = {
    "compact": NetworkConfig("compact", "ascii", 2048),
    "article": NetworkConfig("article", "article", 1014, channels=256, dropout=0.5),
}


class ArticleNetwork(nn.Module):
    """The article's network: 6 convolutions, 2 dense layers of 1,024, 11.3 million parameters.

    Zhang, Zhao and LeCun (2015), table 1 and 2, "small"; one text of any length costs as much as
    one of 1,014 characters, since the dense layers need a fixed width.
    """

    fixed_length = True  # needs texts padded to max_length

    def __init__(self, config: NetworkConfig):
        super().__init__()
        symbols = vocabulary_size(config.alphabet) - 1
        width = config.channels
        layers: list[nn.Module] = []
        for inputs, kernel, pool in [
            (symbols, 7, True),
            (width, 7, True),
            (width, 3, False),
            (width, 3, False),
            (width, 3, False),
            (width, 3, True),
        ]:
            layers += [nn.Conv1d(inputs, width, kernel), nn.ReLU()]
            layers += [nn.MaxPool1d(3)] if pool else []
        self.symbols = symbols
        # Hides whole symbols, as the article's trainer can; off unless asked for.
        self.input_dropout = 0.0
        self.convolutions = nn.Sequential(*layers)
        # (1014 - 96) / 27 = 34 positions are left (section 2.3 of the paper).
        positions = (config.max_length - 96) // 27
        self.dense = nn.Sequential(
            nn.Linear(width * positions, 1024),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(1024, 1024),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(1024, len(CLASSES)),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.normal_(module.weight, 0.0, 0.05)

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits (batch, 3) of ids (batch, 1014)."""
        # One-hot without the PAD column: padding is a column of zeros, as in the paper.
        one_hot = F.one_hot(ids.long(), self.symbols + 1)[..., 1:].float()
        picture = F.dropout1d(one_hot.transpose(1, 2), self.input_dropout, self.training)
        return self.dense(self.convolutions(picture).flatten(1))


def _convolution(inputs: int, channels: int, dilation: int = 1) -> nn.Conv2d:
    """Return a convolution over 3 places, `dilation` apart, of signals (batch, inputs, 1, length).

    A text is a picture one high: of pictures torch knows the layout in which the numbers of one
    character lie side by side (channels last), as the tables give them. Nothing is rearranged, and
    a step of training takes a quarter less time.
    """
    return nn.Conv2d(
        inputs, channels, (1, 3), padding=(0, dilation), dilation=(1, dilation), bias=False
    )


class ResidualBlock(nn.Module):
    """Two convolutions of 3 with batch normalisation, added to what came in.

    Conneau et al., "Very Deep Convolutional Networks for Text Classification" (2017), section 2.
    """

    def __init__(self, channels: int, first_dilation: int, second_dilation: int):
        super().__init__()
        self.first = _convolution(channels, channels, first_dilation)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = _convolution(channels, channels, second_dilation)
        self.second_norm = nn.BatchNorm2d(channels)
        # Each block starts as the identity, which steadies the first steps (He et al. 2019, 3.1).
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, signal: Tensor, mask: Tensor | None) -> Tensor:
        # In place: two fifths of a training step go into writing such signals to memory.
        hidden = _masked_(self.first_norm(self.first(signal)), mask).relu_()
        return _masked_(self.second_norm(self.second(hidden)).add_(signal), mask).relu_()


class CompactNetwork(nn.Module):
    """Ours: characters beside hashed character n-grams, residual convolutions, global pooling.

    Pooling over all positions in place of the article's flattening makes length free, so a short
    review is a quick review, and the dense layers (88% of the article's parameters) shrink away.
    The n-gram tables are the hashing trick of fastText (Bojanowski et al. 2017, section 3.2) put
    under a convolution: "awful" is recognised in one step, and "awfull" shares most of it. Their
    mean also goes straight to the last layers: a bag of n-grams beside the convolutions, as in
    "Wide & Deep Learning" (Cheng et al. 2016). The convolutions look ever further apart, so that at
    the same cost the last one sees a hundred characters, as far as from a "not" to its word and to
    the "but" after it (Yu and Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions",
    2016, section 3).
    """

    fixed_length = False
    alone: "_Alone | None" = None  # reads single texts, in a copy for scoring only

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.ngrams = config.ngrams
        self.buckets = config.buckets
        self.input_dropout = config.input_dropout
        self.characters = nn.Embedding(
            vocabulary_size(config.alphabet), config.character_width, padding_idx=PAD
        )
        # The tables of all lengths lie one below the other, so that one look-up reads them all.
        self.tables = nn.Embedding(len(config.ngrams) * config.buckets, config.ngram_width)
        # N-grams are looked up in lower case: case is a matter for the character path.
        self.register_buffer("lower", _lowered(config.alphabet), persistent=False)
        inputs = config.character_width + config.ngram_width * len(config.ngrams)
        self.first = _convolution(inputs, config.channels)
        self.first_norm = nn.BatchNorm2d(config.channels)
        pairs = zip(config.dilations[::2], config.dilations[1::2], strict=True)
        self.blocks = nn.ModuleList(ResidualBlock(config.channels, *pair) for pair in pairs)
        self.attend = nn.Linear(config.channels, config.heads)
        self.dropout = nn.Dropout(config.dropout)
        pooled = (1 + config.heads) * config.channels + inputs
        self.classify = nn.Linear(pooled, len(CLASSES))
        self.hidden = nn.Linear(pooled, config.hidden)
        self.classify_hidden = nn.Linear(config.hidden, len(CLASSES), bias=False)
        for table in (self.characters, self.tables):
            nn.init.normal_(table.weight, 0.0, 0.1)
        for last in (self.classify, self.classify_hidden):
            nn.init.normal_(last.weight, 0.0, 0.01)
        with torch.no_grad():
            self.characters.weight[PAD] = 0.0

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits (batch, 3) of ids (batch, length); padding does not change them."""
        here = ids.device.type == "cpu" and not torch.is_grad_enabled()
        if self.alone and here and len(ids) == 1 and ids.all():
            return torch.from_numpy(self.alone.logits(ids[0].numpy()))[None]
        ids = ids.long()
        mask = (ids != PAD).unsqueeze(2)
        # Without padding, as of a single text, there is nothing to mask: the same numbers, sooner.
        mask = None if not self.training and mask.all() else mask.to(self.attend.weight.dtype)
        grams = self.tables(hash_ngrams(self.lower[ids], self.ngrams, self.buckets))
        if self.training and self.input_dropout > 0:
            # Whole n-grams are hidden: otherwise the tables learn rare phrases by heart.
            shown = torch.rand(grams.shape[:3], device=grams.device) >= self.input_dropout
            grams = grams * (shown / (1 - self.input_dropout)).unsqueeze(3)
        signal = _masked_(torch.cat([self.characters(ids), grams.flatten(2)], dim=2), mask)
        length = ids.shape[1] if mask is None else mask.sum(1).clamp(min=1.0)
        bag = signal.sum(1) / length
        signal = signal.transpose(1, 2).unsqueeze(2)  # (batch, width, 1, length), channels last
        mask = None if mask is None else mask.transpose(1, 2).unsqueeze(2)
        signal = self.first_norm(self.first(signal))
        if mask is not None:
            signal += (mask - 1) * 1e4  # so that padding wins no maximum
            mask = F.max_pool2d(mask, (1, 3), ceil_mode=True)
        signal = F.max_pool2d(signal, (1, 3), ceil_mode=True).relu_()  # of the third that is left
        for block in self.blocks:
            signal = block(signal, mask)
        signal = signal.squeeze(2)
        # Besides the maximum, means in which the network itself says what weighs how much.
        attention = self.attend(signal.transpose(1, 2)).transpose(1, 2)
        if mask is not None:
            attention = attention.masked_fill(mask.squeeze(2) == 0, -1e4)
        means = attention.softmax(2) @ signal.transpose(1, 2)  # (batch, heads, channels)
        pooled = self.dropout(torch.cat([signal.amax(2), means.flatten(1), bag], dim=1))
        return self.classify(pooled) + self.classify_hidden(F.relu(self.hidden(pooled)))

    def fused(self) -> "CompactNetwork":
        """Return a copy for scoring only, each normalisation worked into the convolution before it.

        The same numbers, up to rounding, in fewer steps; of a single text in the fewest.
        """
        twin = copy.deepcopy(self).eval()
        for holder in (twin, *twin.blocks):
            for name in ("first", "second"):
                if convolution := getattr(holder, name, None):
                    norm = getattr(holder, f"{name}_norm")
                    setattr(holder, name, fuse_conv_bn_eval(convolution, norm))
                    setattr(holder, f"{name}_norm", nn.Identity())
        twin.alone = _Alone(twin.requires_grad_(False))
        return twin


class _Alone:
    """A fused network for one text without padding, which is what a letter on the dashboard asks.

    Of so few numbers torch takes longer to find what to do than to do it: NumPy needs half the time
    for the same steps, and a third for a beginning. Torch multiplies the matrices.
    """

    def __init__(self, network: CompactNetwork):
        self.ngrams, self.buckets = network.ngrams, network.buckets
        self.lower = network.lower.numpy()
        self.characters = network.characters.weight.numpy()
        self.tables = network.tables.weight.numpy()
        self.factors = _hash_factors(tuple(network.ngrams), network.lower.device).numpy()
        self.first = _matrix(network.first)
        self.blocks = [(_matrix(block.first), _matrix(block.second)) for block in network.blocks]
        self.attend = network.attend.weight.numpy().T  # a softmax has no use for its bias
        # The straight way and the hidden units read the same numbers: one matrix for both.
        last = network.classify, network.hidden
        self.pooled = np.concatenate([layer.weight.numpy() for layer in last])
        self.bias = np.concatenate([layer.bias.numpy() for layer in last])
        self.classify_hidden = network.classify_hidden.weight.numpy()

    def logits(self, ids: np.ndarray) -> np.ndarray:
        """Return the logits (3,) of ids (length,), as `CompactNetwork.forward` finds them."""
        length, widest = len(ids), self.ngrams[-1]
        letters = np.full(length + widest - 1, PAD)
        letters[widest - 1 :] = self.lower[ids]
        windows = letters[np.arange(length)[:, None] + np.arange(widest)]
        hashed = windows @ self.factors & 0xFFFFFFFFFF
        rows = ((hashed * 2_654_435_761) >> 20) & (self.buckets - 1)
        grams = self.tables[rows + np.arange(len(self.ngrams)) * self.buckets]
        signal = np.concatenate([self.characters[ids], grams.reshape(length, -1)], axis=1)
        bag = signal.sum(0) / length
        signal = np.maximum(_convolved(signal, *self.first), 0)
        whole = np.zeros((-(-length // 3) * 3, signal.shape[1]), np.float32)
        whole[:length] = signal
        signal = whole.reshape(-1, 3, signal.shape[1]).max(1)
        for first, second in self.blocks:
            hidden = np.maximum(_convolved(signal, *first), 0)
            signal = np.maximum(signal + _convolved(hidden, *second), 0)
        attention = signal @ self.attend
        attention = np.exp(attention - attention.max(0))
        means = (attention / attention.sum(0)).T @ signal
        last = self.pooled @ np.concatenate([signal.max(0), means.ravel(), bag]) + self.bias
        straight, hidden = last[: len(CLASSES)], np.maximum(last[len(CLASSES) :], 0)
        return straight + self.classify_hidden @ hidden


def _matrix(convolution: nn.Conv2d) -> tuple[Tensor, Tensor, int]:
    """Return a convolution as a matrix (3 * inputs, channels), its bias and its dilation."""
    assert convolution.bias is not None  # which it has from the normalisation
    weight = convolution.weight.squeeze(2).permute(2, 1, 0)
    matrix = weight.reshape(-1, weight.shape[2]).contiguous()
    return matrix, convolution.bias, convolution.dilation[1]


def _convolved(signal: np.ndarray, weight: Tensor, bias: Tensor, apart: int) -> np.ndarray:
    """Return (length, channels) of a signal (length, inputs): one product for all three places."""
    beside = np.zeros((len(signal), 3, signal.shape[1]), np.float32)
    beside[:, 1], beside[apart:, 0], beside[:-apart, 2] = signal, signal[:-apart], signal[apart:]
    return torch.addmm(bias, torch.from_numpy(beside.reshape(len(signal), -1)), weight).numpy()


def _masked_(signal: Tensor, mask: Tensor | None) -> Tensor:
    """Set what is padding to zero, in place."""
    # In the signal's own precision: a 32-bit mask would make all that follows 32-bit.
    return signal if mask is None else signal.mul_(mask.to(signal.dtype))


def hash_ngrams(ids: Tensor, lengths: Sequence[int], buckets: int) -> Tensor:
    """Return the table rows of the n-grams that end at each position.

    ids: (batch, length), int64; lengths: of the n-grams, rising; buckets: rows of the table of
    each length, a power of two. Returned: (batch, length, len(lengths)), int64, in which n-grams
    of the second length have the rows from `buckets` on, and so forth. Before the start of a text
    the n-gram is filled with PAD.
    """
    windows = F.pad(ids, (lengths[-1] - 1, 0)).unfold(1, lengths[-1], 1)
    factors = _hash_factors(tuple(lengths), ids.device)
    hashed = (windows.unsqueeze(3) * factors).sum(2) & 0xFFFFFFFFFF
    rows = ((hashed * 2_654_435_761) >> 20) & (buckets - 1)
    return rows + torch.arange(len(lengths), device=ids.device) * buckets


@functools.cache
def _hash_factors(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Return what each character of a window counts in the hash of each length, (window, lengths).

    A polynomial hash: the newest character has factor 1, and those beyond a length have 0.
    """
    factors = [1]
    for _ in range(lengths[-1] - 1):
        factors.append((factors[-1] * 1_000_003) & 0xFFFFFFF)
    rows = [[factor * (back < n) for n in lengths] for back, factor in enumerate(factors)]
    with torch.inference_mode(False):  # or training could not use what scoring has kept
        return torch.tensor(rows[::-1], device=device)


def _lowered(alphabet: str) -> Tensor:
    lower = torch.arange(vocabulary_size(alphabet))
    if alphabet == "ascii":
        for number, symbol in enumerate(ASCII_SYMBOLS, start=1):
            lower[number] = 1 + ASCII_SYMBOLS.index(symbol.lower())
    return lower


def build(config: NetworkConfig | str) -> ArticleNetwork | CompactNetwork:
    """Return a network with fresh weights, of a preset's name or a configuration."""
    if isinstance(config, str):
        if config not in PRESETS:
            raise ModelError(f"there is no preset {config!r}; choose one of {', '.join(PRESETS)}")
        config = PRESETS[config]
    network = (ArticleNetwork if config.preset == "article" else CompactNetwork)(config)
    network.config = config
    return network


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def save(folder: Path, network: nn.Module, card: dict[str, Any], packed: bool = False) -> None:
    """Write model.safetensors and model.json; `card` says how the model came to be.

    packed: store the n-gram tables in 8 bits and all else in 16, a third of the size. The weights
    are written first: model.json names their digest, so a folder is complete when, and only when,
    model.json fits.
    """
    tensors = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    if packed:
        tensors = _packed(tensors)
    weights = dump_tensors({name: tensor.contiguous() for name, tensor in tensors.items()})
    with whole_file(Path(folder) / "model.safetensors") as temporary:
        temporary.write_bytes(weights)
    described = {
        "format": FORMAT,
        "config": dataclasses.asdict(network.config),
        "classes": list(CLASSES),
        "parameters": parameter_count(network),
        "sha256": hashlib.sha256(weights).hexdigest(),
        **card,
    }
    with whole_file(Path(folder) / "model.json") as temporary:
        temporary.write_text(json.dumps(described, indent=2) + "\n")


def _packed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in 16 bits, and those of a table in 8 bits with a 16-bit scale a row."""
    packed = {}
    for name, tensor in tensors.items():
        if name == "tables.weight":
            # A row's largest number becomes 127; a scale a row, since rare n-grams stay small.
            scale = (tensor.abs().amax(1, keepdim=True) / 127).half().float().clamp(min=6e-8)
            packed[name] = (tensor / scale).round().clamp(-127, 127).to(torch.int8)
            packed[name + SCALE] = scale.half()
        else:
            packed[name] = tensor.half() if tensor.is_floating_point() else tensor
    return packed


def _unpacked(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return what `_packed` was given, as 32-bit floats; what is not packed stays as it is."""
    whole = {}
    for name, tensor in tensors.items():
        if tensor.dtype == torch.int8:
            whole[name] = tensor.float() * tensors[name + SCALE].float()
        elif not name.endswith(SCALE):
            whole[name] = tensor.float() if tensor.is_floating_point() else tensor
    return whole


def load(folder: Path) -> tuple[ArticleNetwork | CompactNetwork, dict[str, Any]]:
    """Return the network of a model folder, ready to score, and its card (model.json).

    Raises ModelError, in a sentence, for whatever is missing, damaged or of another kind.
    """
    folder = Path(folder)
    try:
        card = json.loads((folder / "model.json").read_text())
        weights = (folder / "model.safetensors").read_bytes()
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} holds no model: {Path(error.filename).name} is missing"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(f"{folder} cannot be read as a model: {error}") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelError(f"{folder}/model.json is not of format {FORMAT}, which this version reads")
    if hashlib.sha256(weights).hexdigest() != card.get("sha256"):
        raise ModelError(
            f"{folder}/model.safetensors is damaged or belongs to another model.json: "
            "its digest is not the recorded one"
        )
    try:
        lists = {k: tuple(v) for k, v in card["config"].items() if isinstance(v, list)}
        network = build(NetworkConfig(**{**card["config"], **lists}))
        network.load_state_dict(_unpacked(load_tensors(weights)))
    except Exception as error:  # whatever a damaged description can lead to
        told = " ".join(str(error).split())  # torch tells it in many lines
        raise ModelError(f"{folder} does not describe its own weights: {told}") from None
    return network.eval(), card


def newest(models: Path) -> str:
    """Return the name of the model in folder `models` that was finished last."""
    cards = sorted(Path(models).glob("*/model.json"), key=lambda card: card.stat().st_mtime)
    if not cards:
        raise ModelError(f"there is no model in {models}: run notebook 03_train first")
    return cards[-1].parent.name
