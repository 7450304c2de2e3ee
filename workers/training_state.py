"""The state of a training between two epochs, as named tensors that can be kept and put back to the bit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Generators = Mapping[str, torch.Generator]


def generators(device: torch.device, own: Generators) -> Generators:
    """Return a training's `own` generators, and those that networks draw from: torch's of the CPU and of the device."""
    global_ones = {"torch": torch.default_generator}
    if device.type == "cuda":
        global_ones["cuda"] = torch.cuda.default_generators[device.index or 0]
    return {**own, **global_ones}


def captured(network: nn.Module, optimizer: torch.optim.Optimizer, generators: Generators) -> dict[str, Tensor]:
    """Return weights, statistics, the optimizer's moments and the states of the generators, copied to the CPU."""
    moments = optimizer.state_dict()["state"]
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"optimizer.{row}.{name}": value for row, state in moments.items() for name, value in state.items()}
    tensors |= {f"generator.{name}": generator.get_state() for name, generator in generators.items()}
    return {name: value.detach().cpu().clone() for name, value in tensors.items()}


def put_back(
    tensors: Mapping[str, Tensor], network: nn.Module, optimizer: torch.optim.Optimizer, generators: Generators
) -> None:
    """Give a network, its optimizer and the generators the state that was captured from others of their kind.

    Moments take the memory layout of their parameters, which fused optimizers require.
    """
    network.load_state_dict(_of("network", tensors))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for path, value in _of("optimizer", tensors).items():
        row, _, name = path.partition(".")
        like = parameters[int(row)]
        moments.setdefault(int(row), {})[name] = (
            torch.empty_like(like).copy_(value) if value.shape == like.shape else value
        )
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    for name, generator in generators.items():
        generator.set_state(tensors[f"generator.{name}"])


def _of(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}
