"""A supernet of slices of the largest network, which may have been trained before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from one_thread import one_thread  # noqa: F401
from safetensors.torch import save_file
from supernet_contract import logits
from torch import nn

from evonas.errors import DataError
from evonas.space import SearchSpace
from evonas.spaces.entangled_supernet import EntangledSupernet
from evonas.spaces.mobile import Mobile
from evonas.spaces.transformer import Transformer

OPTIONS: dict[str, Any] = {
    "widths": (6, 8), "head_width": 2, "depths": (1, 2), "heads": (1, 2), "expansions": (1.0, 2.0),
    "input_shape": (1, 8, 8),
}  # fmt: skip
TRANSFORMER = Transformer(**OPTIONS)
MOBILE = Mobile(skeleton="tiny", widths=(0.25,), depths=(1, 2), kernels=(3,), input_shape=(1, 8, 8))


@pytest.mark.parametrize("space", [TRANSFORMER, MOBILE], ids=["transformer", "mobile"])
def test_the_largest_network_is_all_there_is(space: SearchSpace) -> None:
    supernet = EntangledSupernet(space)
    largest = supernet.subnet(space.largest()).standalone(space.build(space.largest()))
    assert sum(w.numel() for w in largest.parameters()) == sum(w.numel() for w in supernet.parameters())


@pytest.mark.parametrize("space", [TRANSFORMER, MOBILE], ids=["transformer", "mobile"])
def test_a_trained_network_is_the_largest_subnet(space: SearchSpace, tmp_path: Path) -> None:
    network, images = space.build(space.largest()), torch.randn(4, 1, 8, 8)
    supernet = EntangledSupernet(space, pretrained=_saved(network, tmp_path))
    assert torch.equal(logits(supernet.subnet(space.largest()).train()(images)), logits(network.train()(images)))


def test_what_is_no_largest_network_of_the_space_is_refused(tmp_path: Path) -> None:
    for file in (tmp_path / "none.safetensors", Path(__file__)):
        with pytest.raises(DataError, match=r"'pretrained: .*' cannot be read"):
            EntangledSupernet(TRANSFORMER, pretrained=str(file))
    trained = _saved(TRANSFORMER.build(TRANSFORMER.largest()), tmp_path)
    wider = Transformer(**{**OPTIONS, "expansions": (1.0, 3.0)})
    with pytest.raises(DataError, match=r"'blocks.0.perceptron.0.weight' of shape \[24, 8\] has the shape \[16, 8\]"):
        EntangledSupernet(wider, pretrained=trained)
    deeper = Transformer(**{**OPTIONS, "depths": (1, 3)})
    with pytest.raises(DataError, match=r"'blocks.2.attention_norm.weight' .* is not in it: give the space"):
        EntangledSupernet(deeper, pretrained=trained)


def _saved(network: nn.Module, folder: Path) -> str:
    save_file(network.state_dict(), folder / "trained.safetensors")
    return str(folder / "trained.safetensors")
