"""Random changes to a batch of images, on whatever device it lies (zero is the mean: images are normalised)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from evonas.workers.recipe import Recipe


def augment(images: Tensor, recipe: Recipe, noise: torch.Generator) -> Tensor:
    """Return the images, shape (batch, channels, height, width), changed as the recipe says, each in its own way."""
    if recipe.flip:
        images = flip(images, noise)
    if recipe.shift:
        images = shift(images, recipe.shift, noise)
    if recipe.cutout:
        images = cutout(images, recipe.cutout, noise)
    return images


def flip(images: Tensor, noise: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability 1/2."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=noise, device=images.device) < 0.5
    return torch.where(mirrored, images.flip(-1), images)


def shift(images: Tensor, pixels: int, noise: torch.Generator) -> Tensor:
    """Move each image by up to `pixels` up or down and left or right and fill with zeros: a random crop of a frame."""
    batch, _, height, width = images.shape
    device = images.device
    corner = torch.randint(0, 2 * pixels + 1, (2, batch, 1), generator=noise, device=device)
    rows = corner[0] + torch.arange(height, device=device)
    columns = corner[1] + torch.arange(width, device=device)
    padded = functional.pad(images, (pixels, pixels, pixels, pixels))
    image = torch.arange(batch, device=device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def cutout(images: Tensor, side: int, noise: torch.Generator) -> Tensor:
    """Blank a square in each image, centred anywhere and cut off at the borders (DeVries and Taylor 2017)."""
    batch, _, height, width = images.shape
    device = images.device
    top = torch.randint(0, height, (batch, 1), generator=noise, device=device) - side // 2
    left = torch.randint(0, width, (batch, 1), generator=noise, device=device) - side // 2
    row, column = torch.arange(height, device=device), torch.arange(width, device=device)
    blank_rows = (row >= top) & (row < top + side)
    blank_columns = (column >= left) & (column < left + side)
    return images.masked_fill((blank_rows[:, :, None] & blank_columns[:, None, :])[:, None], 0.0)
