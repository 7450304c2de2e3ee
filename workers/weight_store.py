"""Tensors that outlive the worker that made them: a file each, in a folder that workers share."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

ABANDONED_SECONDS = 3600.0
"""A draft that old is of a worker that was killed."""

_CHECKSUM, _KEY = "checksum", "key"
_log = logging.getLogger(__name__)


class WeightStore:
    """Files of safetensors in `folder`, each under a key of any text.

    A file is written under a name of its own and renamed, so that others see it whole or not at all; what a crash of
    the machine has torn is told by a checksum. Nothing depends on what was `save`d being there: who misses it computes
    it again. So trouble with the disk is said once and stops nothing, and the folder may be emptied at any time. What
    must be there is `keep`t. The folder is made when it is first needed, if the folder around it is there: a machine
    that does not share that one keeps nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._complained = False

    def save(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Save tensors, which may lie anywhere, and facts about them, in place of what the key had."""
        try:
            self._write(key, tensors, facts, durable=False)
        except (OSError, SafetensorError) as error:
            self._complain(error)

    def keep(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        """Save, and return when all is on the disk; raise OSError or SafetensorError if it cannot be."""
        self._write(key, tensors, facts, durable=True)

    def load(self, key: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """Return the tensors, on the CPU, and the facts of a key; None if they are not there, or not whole."""
        try:
            with safe_open(self._path(key), framework="pt") as file:
                facts = dict(file.metadata())
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            whole = facts.pop(_KEY) == key and facts.pop(_CHECKSUM) == _checksum(tensors, facts)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain(error)
            return None
        except (SafetensorError, LookupError, TypeError):
            whole = False
        if not whole:
            _log.info("%s is damaged, and is taken for missing", self._path(key))
            return None
        return tensors, facts

    def discard(self, key: str) -> None:
        """Forget a key; nothing happens if it is not there."""
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            self._complain(error)

    def _write(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, str], *, durable: bool) -> None:
        whole = {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
        }
        path = self._path(key)
        draft = path.with_name(f".{path.stem}.{secrets.token_hex(4)}")
        metadata = {**facts, _KEY: key, _CHECKSUM: _checksum(whole, facts)}
        self.folder.mkdir(exist_ok=True)
        for abandoned in [*self.folder.glob(f".{path.stem}.*")]:
            with contextlib.suppress(FileNotFoundError):  # another worker may write the same at this moment
                if time.time() - abandoned.stat().st_mtime > ABANDONED_SECONDS:
                    abandoned.unlink()
        try:
            save_file(whole, draft, metadata)
            if durable:
                with draft.open("rb") as file:
                    os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _log.warning(
                "weights cannot be kept in %s (%s): what they would save is computed again", self.folder, error
            )


def _checksum(tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    sha = hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
