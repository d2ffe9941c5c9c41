"""A file from which an interrupted training goes on: named groups of tensors, and a note.

write(path, {"network": network.state_dict()}, {"step": 120})
tensors, told = read(path)          # tensors["network"], told["step"]
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

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
        save_file(flat, temporary, metadata={"told": json.dumps(told)})


def read(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Return what `write` wrote; empty groups are missing. Raises DamagedError."""
    tensors: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, "pt") as file:
            told = json.loads(file.metadata()["told"])
            for name in file.keys():  # noqa: SIM118 (not a dictionary)
                group, _, member = name.partition(_SEPARATOR)
                tensors.setdefault(group, {})[member] = file.get_tensor(name)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(str(error)) from error
    return tensors, told
