"""The supernet of the transformer space: first blocks, heads and channels, and a beginning from a trained network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from one_thread import one_thread  # noqa: F401
from safetensors.torch import save_file
from supernet_contract import SupernetContract
from torch import nn

from evonas.spaces.transformer import Transformer
from evonas.spaces.transformer_supernet import TransformerSupernet
from evonas.supernet_folder import SupernetHeader
from evonas.workers.supernets.files import WEIGHT, SupernetFile, restored

SPACE = Transformer(
    widths=(6, 8), head_width=2, depths=(1, 2), heads=(1, 2, 3), expansions=(1.0, 2.0), input_shape=(1, 8, 8), classes=5
)


class TestTransformerSupernet(SupernetContract):
    space = SPACE
    weights = (
        (16 + 1) * 8 + 4 * 8  # patches of 4 x 4 pixels, four positions
        + 2 * (2 * 8 + 3 * (8 + 1) * 6 + (6 + 1) * 8 + 2 * 8 + (8 + 1) * 16 + (16 + 1) * 8)
        + 2 * 8 + (8 + 1) * 5
    )  # fmt: skip
    sampled = 4

    def supernet(self) -> nn.Module:
        return TransformerSupernet(SPACE)

    def test_statistics_are_fresh_with_each_subnet_and_the_shared_weights_are_not_written(
        self, shared: nn.Module
    ) -> None:
        """Layer norms have no statistics."""
        kept = {name: tensor.clone() for name, tensor in shared.state_dict().items()}
        subnet = self.subnet(shared, SPACE.largest())
        subnet(self.inputs())
        assert not subnet.state_dict()
        assert all(torch.equal(kept[name], tensor) for name, tensor in shared.state_dict().items())


@pytest.fixture
def trained() -> nn.Module:
    """A network whose weights are not those of any initialisation."""
    torch.manual_seed(1)
    network = SPACE.build(SPACE.largest()).eval()
    for weight in network.parameters():
        weight.data.add_(torch.randn_like(weight), alpha=0.3)
    return network


@pytest.mark.parametrize("ordered", [False, True])
def test_the_largest_subnet_is_the_trained_network(trained: nn.Module, ordered: bool, tmp_path: Path) -> None:
    images = torch.randn(3, 1, 8, 8)
    supernet = TransformerSupernet(SPACE, pretrained=_saved(trained, tmp_path), ordered=ordered)
    outputs = supernet.subnet(SPACE.largest()).eval()(images), trained(images)
    assert torch.allclose(*outputs, rtol=1e-4, atol=1e-5)
    assert torch.equal(*outputs) or ordered  # sums in another order


def test_small_subnets_have_the_heads_and_channels_that_weigh_most(trained: nn.Module, tmp_path: Path) -> None:
    supernet = TransformerSupernet(SPACE, pretrained=_saved(trained, tmp_path))
    one_head = tuple(
        0 if gene.name.startswith(("heads", "expansion")) else len(gene.options) - 1 for gene in SPACE.genes
    )
    subnet = supernet.subnet(one_head).standalone(SPACE.build(one_head))
    given, taken = (dict(network.named_parameters()) for network in (trained, subnet))
    for number in range(2):
        heads = given[f"blocks.{number}.project.weight"].unflatten(1, (3, 2))
        heaviest = int(heads.abs().sum((0, 2)).argmax())
        assert torch.equal(taken[f"blocks.{number}.project.weight"], heads[:, heaviest])
        queries = given[f"blocks.{number}.query.weight"].unflatten(0, (3, 2))
        assert torch.equal(taken[f"blocks.{number}.query.weight"], queries[heaviest])
        channels = given[f"blocks.{number}.perceptron.2.weight"].abs().sum(0).argsort(descending=True)[:8]
        assert torch.equal(
            taken[f"blocks.{number}.perceptron.0.bias"], given[f"blocks.{number}.perceptron.0.bias"][channels]
        )


def test_a_supernet_is_restored_without_the_file_that_its_training_began_with(
    trained: nn.Module, tmp_path: Path
) -> None:
    file = _saved(trained, tmp_path)
    supernet = TransformerSupernet(SPACE, pretrained=file)
    Path(file).unlink()
    config = {
        "seed": 0,
        "space": "a space",
        "supernet": {"use": "evonas.spaces.transformer_supernet:TransformerSupernet", "pretrained": file},
        "method": {"use": "evonas.workers.supernets.single_path:SinglePath"},
    }
    header = SupernetHeader("of a transformer", config, "hash", "fingerprint", {}, "today")
    arrays = {f"{WEIGHT}{name}": value.numpy() for name, value in supernet.state_dict().items()}
    again = restored(SupernetFile(header, arrays), SPACE, arrays)
    images = torch.randn(3, 1, 8, 8)
    for genome in (SPACE.smallest(), SPACE.largest()):
        assert torch.equal(again.subnet(genome)(images), supernet.subnet(genome)(images))  # type: ignore[operator]


def _saved(network: nn.Module, folder: Path) -> str:
    save_file(network.state_dict(), folder / "trained.safetensors")
    return str(folder / "trained.safetensors")
