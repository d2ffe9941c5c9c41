"""A file from which an interrupted training goes on: named groups of tensors, and a note.

write(path, {"network": network.state_dict()}, {"step": 120})
tensors, told = read(path)          # tensors["network"], told["step"]
"""

import json
import zlib
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, uint8

from starwise.paths import whole_file

_SEPARATOR = "/"  # does not occur in the names that torch gives to weights


class DamagedError(Exception):
    """The file is no whole checkpoint."""


def write(path: Path, tensors: dict[str, dict[str, Tensor]], told: dict[str, Any]) -> None:
    """Write groups of tensors and a note (JSON) whole or not at all, replacing a former file."""
    flat = {
        f"{group}{_SEPARATOR}{name}": tensor.detach().cpu().contiguous().clone()
        for group, members in tensors.items()
        for name, tensor in members.items()
    }
    with whole_file(path) as temporary:
        note = json.dumps(told)
        checksum = str(_checksum(note, flat))
        save_file(flat, temporary, metadata={"told": note, "checksum": checksum})


def read(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Return what `write` wrote; empty groups are missing. Raises DamagedError."""
    try:
        with safe_open(path, "pt") as file:
            note = file.metadata()
            told, checksum = json.loads(note["told"]), note["checksum"]
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(str(error)) from error
    if str(_checksum(note["told"], flat)) != checksum:
        raise DamagedError("its contents have changed since it was written")
    tensors: dict[str, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        group, _, member = name.partition(_SEPARATOR)
        tensors.setdefault(group, {})[member] = tensor
    return tensors, told


def _checksum(note: str, flat: dict[str, Tensor]) -> int:
    """Return the CRC-32 of a checkpoint: a disk's slip, not an enemy, is what it is to notice."""
    found = zlib.crc32(note.encode())
    for name in sorted(flat):
        found = zlib.crc32(name.encode(), found)
        found = zlib.crc32(flat[name].reshape(-1).view(uint8).numpy(), found)
    return found
