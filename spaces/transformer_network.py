"""The networks of the transformer space, as torch modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from evonas.spaces.transformer import Block, Plan


class TransformerNetwork(nn.Module):
    """A vision transformer: images (batch, channels, height, width) to logits (batch, classes).

    Block n has the same name in every network, `blocks.n`, so that networks can share weights by name.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.patches = nn.Conv2d(plan.image_channels, plan.width, plan.patch, stride=plan.patch)
        self.positions = nn.Parameter(torch.empty(plan.tokens, plan.width))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.blocks = nn.Sequential(*(EncoderBlock(block, plan.width, plan.head_width) for block in plan.blocks))
        self.norm = nn.LayerNorm(plan.width)
        self.head = nn.Linear(plan.width, plan.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape (batch, classes)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        logits: Tensor = self.head(self.norm(self.blocks(tokens)).mean(1))
        return logits


class EncoderBlock(nn.Module):
    """Self-attention, then a perceptron: each reads normalised tokens and adds to them."""

    def __init__(self, block: Block, width: int, head_width: int) -> None:
        super().__init__()
        attended = block.heads * head_width
        self.heads = block.heads
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, attended)
        self.key = nn.Linear(width, attended)
        self.value = nn.Linear(width, attended)
        self.project = nn.Linear(attended, width)
        self.perceptron_norm = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(nn.Linear(width, block.hidden), nn.GELU(), nn.Linear(block.hidden, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the shape of `tokens`, (batch, tokens, width)."""
        normed = self.attention_norm(tokens)
        query, key, value = (
            layer(normed).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.project(attended.transpose(1, 2).flatten(2))
        sum_: Tensor = tokens + self.perceptron(self.perceptron_norm(tokens))
        return sum_
