"""Training learns, repeats to the bit, stops at what is not finite, and augments as it says."""

from __future__ import annotations

import math
import subprocess
import sys
import traceback
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from one_thread import one_thread  # noqa: F401
from tiny_space import TinySpace
from torch import Tensor, nn

from evonas.dataset import Dataset, Split
from evonas.errors import ConfigError, ResourceError
from evonas.evaluation import NotFinite
from evonas.spaces.cell201 import Cell201
from evonas.workers.augmentation import cutout, flip, shift
from evonas.workers.datasets import digits
from evonas.workers.devices import (
    DEVICE_VARIABLE,
    SHARE_VARIABLE,
    MemoryMeter,
    MemoryUse,
    choose_device,
    device_facts,
    device_share,
    memory_errors,
)
from evonas.workers.examples import Examples, fits, one_ahead
from evonas.workers.gpu_memory import CONTEXT_BYTES
from evonas.workers.recipe import Recipe
from evonas.workers.training import Epoch, lay_out, score, seeded, train

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, batch_size=64, learning_rate=0.1, warmup_epochs=0.5, weight_decay=5e-4)
DATA = digits(train_size=300)
TRAIN, VALID = Examples.of(DATA, DATA.train, CPU), Examples.of(DATA, DATA.valid, CPU)


def trained(recipe: Recipe = RECIPE, seed: int = 0) -> tuple[nn.Module, Epoch]:
    with seeded(seed, CPU):
        network = TinySpace().build((2, 1, 0))
        return network, train(network, TRAIN, recipe, seed)


def weights(network: nn.Module) -> list[float]:
    return torch.cat([value.flatten().double() for value in network.state_dict().values()]).tolist()


def test_training_learns() -> None:
    network, last = trained(replace(RECIPE, epochs=12))
    untrained = TinySpace().build((2, 1, 0))
    assert score(network, VALID, RECIPE).error < 0.25 < 0.7 < score(untrained, VALID, RECIPE).error
    assert last.train_loss < 1.0
    assert last.number == 12


def test_training_repeats_to_the_bit_and_follows_its_seed() -> None:
    assert weights(trained(seed=1)[0]) == weights(trained(seed=1)[0])
    assert weights(trained(seed=1)[0]) != weights(trained(seed=2)[0])


@pytest.mark.parametrize("changed", [{"flip": True}, {"shift": 2}, {"cutout": 3}])
def test_augmentation_changes_training_repeatably(changed: dict[str, int]) -> None:
    recipe = replace(RECIPE, **changed)  # type: ignore[arg-type]
    assert weights(trained(recipe)[0]) == weights(trained(recipe)[0])
    assert weights(trained(recipe)[0]) != weights(trained()[0])


@pytest.mark.parametrize(
    "changed",
    [
        {"learning_rate": 0.05},
        {"optimizer": "adamw"},
        {"momentum": 0.5},
        {"weight_decay": 0.1},
        {"warmup_epochs": 0.0},
        {"label_smoothing": 0.1},
        {"gradient_clip": 0.1},
        {"batch_size": 32},
        {"mixed_precision": True},
    ],
)
def test_every_option_of_the_recipe_matters(changed: dict[str, float]) -> None:
    assert weights(trained(replace(RECIPE, **changed))[0]) != weights(trained()[0])  # type: ignore[arg-type]


ADAMW = replace(RECIPE, optimizer="adamw", learning_rate=0.03)


def test_adamw_learns_and_repeats_to_the_bit() -> None:
    network, last = trained(replace(ADAMW, epochs=12))
    assert score(network, VALID, ADAMW).error < 0.25
    assert last.train_loss < 1.0
    assert weights(trained(ADAMW)[0]) == weights(trained(ADAMW)[0])
    for changed in ({"momentum": 0.5}, {"weight_decay": 0.1}):
        assert weights(trained(replace(ADAMW, **changed))[0]) != weights(trained(ADAMW)[0])  # type: ignore[arg-type]


def test_weight_decay_of_adamw_is_decoupled_and_spares_vectors() -> None:
    """What has no gradient decays by the learning rate alone: Adam's step would have the size of the learning rate."""

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 10)
            self.matrix, self.vector = nn.Parameter(torch.full((2, 2), 0.5)), nn.Parameter(torch.full((2,), 0.5))

        def forward(self, images: Tensor) -> Tensor:
            idle: Tensor = 0 * (self.matrix.sum() + self.vector.sum())
            logits: Tensor = self.linear(images.flatten(1))
            return logits + idle

    recipe = replace(ADAMW, weight_decay=0.5, epochs=3)
    batches = math.ceil(len(TRAIN) / recipe.batch_size)
    network = Idle()
    train(network, TRAIN, recipe, 0)
    steps = (recipe.learning_rate_at(epoch + (step + 1) / batches) for epoch in range(3) for step in range(batches))
    expected = 0.5 * math.prod(1 - rate * 0.5 for rate in steps)
    assert network.matrix.flatten().tolist() == pytest.approx([expected] * 4, rel=1e-5)
    assert network.vector.tolist() == [0.5, 0.5]


class _TwoHeads(nn.Module):
    """Has a second head in training, and notes the probability with which it is told to drop paths."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(64, 10), nn.Linear(64, 10)])
        self.drop_path = -1.0
        self.told: list[float] = []

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits, auxiliary_logits = (head(images.flatten(1)) for head in self.heads)
        if not self.training:
            return logits
        self.told.append(self.drop_path)
        return logits, auxiliary_logits


def two_heads(recipe: Recipe) -> tuple[_TwoHeads, Epoch]:
    with seeded(0, CPU):
        network = _TwoHeads()
        return network, train(network, TRAIN, recipe, 0)


def test_auxiliary_logits_are_learnt_from_with_the_weight_of_the_recipe() -> None:
    recipe = replace(RECIPE, epochs=1, batch_size=300, learning_rate=1e-12)
    losses = {weight: two_heads(replace(recipe, auxiliary_weight=weight))[1].train_loss for weight in (0.0, 0.4, 1.0)}
    assert losses[0.4] - losses[0.0] == pytest.approx(0.4 * (losses[1.0] - losses[0.0]), rel=1e-4)
    assert losses[1.0] > 1.5 * losses[0.0]
    with seeded(0, CPU):
        initial = _TwoHeads().heads[1].state_dict()["weight"]
    ignored = two_heads(replace(RECIPE, auxiliary_weight=0.0, weight_decay=0.0))[0].heads[1].state_dict()["weight"]
    learnt = two_heads(replace(RECIPE, auxiliary_weight=0.4, weight_decay=0.0))[0].heads[1].state_dict()["weight"]
    assert torch.equal(ignored, initial)
    assert not torch.equal(learnt, initial)


def test_the_probability_of_dropping_a_path_rises_by_epochs() -> None:
    network, _ = two_heads(replace(RECIPE, epochs=4, drop_path=0.2, batch_size=300))
    assert network.told == pytest.approx([0.0, 0.05, 0.1, 0.15])
    network, _ = two_heads(RECIPE)
    assert set(network.told) == {-1.0}, "without the option a network is left as it is"


def test_dropping_paths_of_a_network_that_has_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'drop_path: 0.2' needs networks with paths to drop"):
        trained(replace(RECIPE, drop_path=0.2))


def test_dropout_repeats_too() -> None:
    def run() -> list[float]:
        with seeded(5, CPU):
            network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))
            train(network, TRAIN, RECIPE, 5)
        return weights(network)

    assert run() == run()


def test_global_generator_is_as_before_after_a_training_also_one_that_fails() -> None:
    before = torch.get_rng_state()
    trained()
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(NotFinite):
        trained(replace(RECIPE, learning_rate=1e30, warmup_epochs=0.0))
    assert torch.equal(torch.get_rng_state(), before)


def test_each_epoch_sees_every_example_once_in_batches_of_nearly_equal_size() -> None:
    batches = TRAIN.shuffled(7, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(batches).tolist()) == list(range(300))
    assert {len(batch) for batch in batches} == {42, 43}


def test_batches_of_bytes_and_of_floats_are_normalised_alike() -> None:
    as_floats = Dataset.from_arrays("floats", DATA.train.inputs / 1.0, DATA.train.labels, train_size=100)
    as_bytes = Dataset.from_arrays("bytes", DATA.train.inputs, DATA.train.labels, train_size=100)
    floats, label = Examples.of(as_floats, as_floats.train, CPU).batch(slice(0, 100))
    bytes_, same_label = Examples.of(as_bytes, as_bytes.train, CPU).batch(slice(0, 100))
    assert floats.dtype == bytes_.dtype == torch.float32
    assert torch.allclose(floats, bytes_, atol=1e-5)
    assert torch.equal(label, same_label)
    assert floats.mean().item() == pytest.approx(0, abs=1e-5)
    assert floats.std().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_how_data_lies_in_memory_changes_nothing(dtype: type) -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 16, (300, 1, 8, 8)).astype(dtype)
    odd = np.lib.stride_tricks.as_strided(grey, strides=(*grey.strides[:1], 1, *grey.strides[2:]))
    skewed = np.frombuffer(b"x" + grey.tobytes(), dtype=np.uint8)[1:].view(dtype).reshape(grey.shape)
    labels = np.arange(300) % 10
    space = Cell201(stem_channels=4, cells_per_stage=1, stages=2, input_shape=(1, 8, 8), classes=10)
    network = space.build((3, 3, 2, 3, 4, 3))
    scores = []
    for inputs in (grey, odd, skewed):
        data = replace(DATA, train=Split(inputs, labels), valid=Split(inputs, labels))
        examples = Examples.of(data, data.valid, CPU)
        assert examples.inputs.stride() == (64, 64, 8, 1)
        scores.append(score(network, examples, RECIPE))
    assert scores[0] == scores[1] == scores[2]


def test_batches_do_not_write_into_the_data() -> None:
    before = DATA.fingerprint()
    TRAIN.batch(slice(0, 10))[0].fill_(0)
    trained(replace(RECIPE, flip=True, shift=1, cutout=3))
    assert DATA.fingerprint() == before


def test_batches_one_after_the_other_are_those_asked_for_singly() -> None:
    rows: list[Tensor | slice] = [*TRAIN.shuffled(5, torch.Generator().manual_seed(3)), slice(290, 400)]
    together, singly = list(TRAIN.batches(rows)), [TRAIN.batch(some) for some in rows]
    assert len(together) == len(singly) == 6
    for (inputs, labels), (same_inputs, same_labels) in zip(together, singly, strict=True):
        assert torch.equal(inputs, same_inputs)
        assert torch.equal(labels, same_labels)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_the_next_batch_is_on_its_way_before_a_batch_is_used(count: int) -> None:
    """Never two ahead: each batch on its way holds memory."""
    done: list[tuple[str, int]] = []

    def noted(verb: str, number: int) -> int:
        done.append((verb, number))
        return number

    for number in one_ahead(range(count), partial(noted, "send"), partial(noted, "await")):
        noted("use", number)
    events = {event: place for place, event in enumerate(done)}
    assert len(done) == len(events) == 3 * count
    for number in range(count):
        assert events["send", number] < events["await", number] < events["use", number]
        if number + 1 < count:
            assert events["send", number + 1] < events["use", number]
        if number + 2 < count:
            assert events["use", number] < events["send", number + 2]


def test_the_copy_of_a_batch_is_not_awaited_with_that_of_the_next() -> None:
    """A stream is awaited with all that was sent on it, so the next batch is sent after."""
    done: list[str] = []
    list(one_ahead("ab", lambda name: done.append(f"send {name}"), lambda _: done.append("await")))
    assert done == ["send a", "await", "send b", "await"]


def test_data_of_all_workers_of_a_device_leaves_it_half_for_networks() -> None:
    for workers in (1, 2, 4, 8):
        largest = max(size for size in range(1001) if fits(size, 1000, 1 / workers))
        assert 2 * workers * largest <= 500  # train and valid
        assert largest > 0


@pytest.mark.parametrize(
    ("given", "share"), [(None, 1.0), ("0.25", 0.25), ("1", 1.0), ("2", 1.0), ("0", 1.0), ("x", 1.0)]
)
def test_a_worker_knows_its_share_of_the_device(
    given: str | None, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SHARE_VARIABLE, raising=False)
    if given is not None:
        monkeypatch.setenv(SHARE_VARIABLE, given)
    assert device_share() == share


def test_tables_with_large_offsets_keep_their_digits() -> None:
    table = 1.6e9 + np.random.default_rng(0).normal(size=(100, 2))
    data = Dataset.from_arrays("times", table, np.arange(100) % 2)
    inputs, _ = Examples.of(data, data.train, CPU).batch(slice(0, 60))
    assert inputs.std(dim=0, correction=0).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert len(set(inputs.flatten().tolist())) == 2 * len(inputs)


def test_score_is_the_mean_over_all_examples_whatever_the_batches() -> None:
    network, _ = trained()
    one, other = (score(network, VALID, replace(RECIPE, batch_size=size)) for size in (7, 1000))
    assert one.error == other.error
    assert one.loss == pytest.approx(other.loss)
    inputs, labels = VALID.batch(slice(0, len(VALID)))
    logits = network.eval()(inputs)
    assert one.loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item())
    assert one.error == pytest.approx((logits.argmax(1) != labels).float().mean().item())


class _NanFrom(nn.Module):
    """Answers NaN from its n-th call in training on."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self.linear, self.call = nn.Linear(64, 10), call

    def forward(self, inputs: Tensor) -> Tensor:
        self.call -= self.training
        logits: Tensor = self.linear(inputs.flatten(1))
        return logits * (math.nan if self.call <= 0 else 1.0)


def test_a_loss_that_is_not_finite_ends_the_training_in_that_step() -> None:
    network = _NanFrom(8)  # 5 steps an epoch
    with pytest.raises(NotFinite, match="training loss is nan in epoch 2, step 3"):
        train(network, TRAIN, RECIPE, 0)
    assert network.call == 0


def test_a_loss_that_is_not_finite_after_training_is_told() -> None:
    with pytest.raises(NotFinite, match="loss after training is nan"):
        score(_NanFrom(0), VALID, RECIPE)


def test_an_epoch_is_reported_and_may_stop_the_training() -> None:
    class EnoughError(Exception):
        pass

    epochs: list[Epoch] = []

    def look(epoch: Epoch) -> None:
        epochs.append(epoch)
        if epoch.number == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        train(TinySpace().build((0, 0, 0)), TRAIN, replace(RECIPE, epochs=5), 0, look)
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert epochs[1].seconds > epochs[0].seconds > 0
    assert all(math.isfinite(epoch.train_loss) for epoch in epochs)


def test_weight_decay_spares_biases_and_batch_norms() -> None:
    norm, linear = nn.BatchNorm1d(64), nn.Linear(64, 10)
    for parameter in (norm.weight, linear.weight):
        parameter.register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]  # what moves now is decay alone
    before = norm.weight.tolist(), linear.weight.norm().item()
    train(nn.Sequential(nn.Flatten(), norm, linear), TRAIN, replace(RECIPE, weight_decay=0.1), 0)
    assert norm.weight.tolist() == before[0]
    assert linear.weight.norm().item() < before[1]


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    recipe = replace(RECIPE, epochs=10, warmup_epochs=2.0, learning_rate=0.4)
    assert [recipe.learning_rate_at(e) for e in (0, 1, 2, 6, 10)] == pytest.approx([0, 0.2, 0.4, 0.2, 0])
    short = replace(recipe, epochs=1)
    assert short.learning_rate_at(0.5) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"epochs": 0}, "'epochs' must be 1 or more, and is 0"),
        ({"batch_size": 1}, "'batch_size' must be 2 or more"),
        ({"learning_rate": 0.0}, "'learning_rate' must be above 0"),
        ({"learning_rate": math.nan}, "'learning_rate' must be above 0, and is nan"),
        ({"momentum": 1.0}, "'momentum' must be 0 or more, below 1"),
        ({"weight_decay": -1.0}, "'weight_decay'"),
        ({"warmup_epochs": -1.0}, "'warmup_epochs'"),
        ({"label_smoothing": 1.0}, "'label_smoothing'"),
        ({"gradient_clip": 0.0}, "'gradient_clip' must be above 0, or null"),
        ({"shift": -1}, "'shift'"),
        ({"cutout": -1}, "'cutout'"),
        ({"auxiliary_weight": -0.1}, "'auxiliary_weight' must be 0 or more"),
        ({"drop_path": 1.0}, "'drop_path' must be 0 or more, below 1"),
    ],
)
def test_numbers_out_of_range_are_refused(changed: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        replace(RECIPE, **changed)  # type: ignore[arg-type]


IMAGES = torch.arange(1, 1 + 500 * 2 * 6 * 7, dtype=torch.float32).reshape(500, 2, 6, 7)


def noise() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_flip_mirrors_about_half_of_the_images_whole() -> None:
    flipped = flip(IMAGES, noise())
    same = (flipped == IMAGES).all(dim=(1, 2, 3))
    mirrored = (flipped == IMAGES.flip(3)).all(dim=(1, 2, 3))
    assert torch.equal(same, ~mirrored)
    assert 200 < same.sum() < 300


def test_shift_moves_each_image_whole_by_every_allowed_distance() -> None:
    seen = set()
    for before, after in zip(IMAGES, shift(IMAGES, 2, noise()), strict=True):
        moves = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
        seen.update(found := [m for m in moves if torch.equal(after, _moved(before, *m))])
        assert len(found) == 1
    assert len(seen) == 25


def _moved(image: Tensor, down: int, right: int) -> Tensor:
    framed = nn.functional.pad(image, (2, 2, 2, 2))
    return framed[:, 2 - down : 8 - down, 2 - right : 9 - right]


@pytest.mark.parametrize("side", [1, 2, 3, 6])
def test_cutout_blanks_one_square_centred_anywhere_in_all_channels(side: int) -> None:
    blank = cutout(IMAGES, side, noise()) == 0
    assert torch.equal(blank[:, 0], blank[:, 1])
    rows, columns = blank[:, 0].any(dim=2), blank[:, 0].any(dim=1)
    assert torch.equal(blank[:, 0], rows[:, :, None] & columns[:, None, :])
    assert rows.sum(dim=1).max() == columns.sum(dim=1).max() == side
    assert rows.any(dim=0).all()
    assert columns.any(dim=0).all()
    assert torch.equal(cutout(IMAGES, side, noise())[~blank], IMAGES[~blank])


@pytest.mark.parametrize("change", [flip, lambda i, n: shift(i, 2, n), lambda i, n: cutout(i, 3, n)])
def test_augmentation_leaves_its_input_alone(change: Callable[[Tensor, torch.Generator], Tensor]) -> None:
    before = IMAGES.clone()
    change(IMAGES, noise())
    assert torch.equal(IMAGES, before)


@pytest.mark.parametrize(("given", "wanted"), [("cpu", "auto"), ("cpu", "cpu"), ("cuda:0", "cpu"), ("", "cpu")])
def test_the_cpu_is_used_where_it_is_wanted_or_all_there_is(
    given: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, given)
    assert choose_device(wanted) == CPU  # type: ignore[arg-type]


def test_outside_a_pool_cuda_is_used_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DEVICE_VARIABLE, raising=False)
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_worker_without_a_gpu_cannot_be_asked_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    with pytest.raises(ResourceError, match="gave this worker none"):
        choose_device("cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize(("given", "wanted"), [("", "cuda"), ("cuda:0", "auto"), ("cuda:0", "cuda")])
def test_cuda_where_there_is_none_is_refused_with_advice(
    given: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, given)
    with pytest.raises(ResourceError, match="finds none: use 'device: auto'"):
        choose_device(wanted)  # type: ignore[arg-type]


def test_too_little_memory_becomes_a_memory_error_and_nothing_else_does() -> None:
    with pytest.raises(MemoryError, match="DefaultCPUAllocator"), memory_errors():
        torch.empty(10**15)
    with pytest.raises(RuntimeError, match="must match"), memory_errors():
        torch.zeros(2) + torch.zeros(3)


@pytest.mark.parametrize(
    "said",
    [
        "CUDA error: out of memory\nCompile with TORCH_USE_CUDA_DSA",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED",
    ],
)
def test_a_full_gpu_is_recognised_in_whatever_words_its_libraries_say_it(said: str) -> None:
    with (
        pytest.raises(MemoryError, match=said.splitlines()[0].replace("(", r"\(").replace(")", r"\)")),
        memory_errors(),
    ):
        raise RuntimeError(said)


def test_a_memory_error_lets_go_of_what_the_failed_code_had() -> None:
    kept: list[weakref.ref[Tensor]] = []

    @memory_errors()
    def fails() -> None:
        large = torch.zeros(1000)
        kept.append(weakref.ref(large))
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryError) as caught:
        fails()
    assert "fails" in "".join(traceback.format_exception(caught.value)), "the place is still told"
    assert [reference() for reference in kept] == [None]


def test_nothing_is_measured_or_told_of_a_cpu() -> None:
    with MemoryMeter("cpu") as meter:
        torch.zeros(1000)
    assert meter.use is None
    assert device_facts("cpu") is None


def test_a_peak_is_told_apart_from_what_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The allocator's answers are made up: it has 300 bytes of data, and reserved 1000 at the worst."""
    reserved = iter([300])
    answers = {
        "memory_allocated": 290,
        "reset_peak_memory_stats": None,
        "max_memory_reserved": 1000,
        "empty_cache": None,
    }
    allocator = SimpleNamespace(
        memory_reserved=lambda _: next(reserved), **{name: lambda *_, a=answer: a for name, answer in answers.items()}
    )
    monkeypatch.setattr(MemoryMeter, "_cuda", allocator)
    with MemoryMeter("cuda:0") as meter:
        pass
    assert meter.use == MemoryUse(peak_bytes=700, standing_bytes=300 + CONTEXT_BYTES)


def test_measuring_neither_imports_torch_nor_starts_cuda() -> None:
    code = """
import sys
from evonas.workers.devices import MemoryMeter
with MemoryMeter("cuda:0") as meter:
    pass
sys.exit("torch" in sys.modules or meter.use is not None)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=False).returncode == 0


class _Viewing(nn.Module):
    """Reshapes images by `view`, as many networks do, or by `flatten`, whose values are the same."""

    def __init__(self, *, view: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.linear, self.view = nn.Linear(4 * 64, 10), view

    def forward(self, inputs: Tensor) -> Tensor:
        images = self.second(self.first(inputs).relu())
        logits: Tensor = self.linear(images.view(-1, 4 * 64) if self.view else images.flatten(1))
        return logits


@pytest.mark.parametrize("view", [True, False])
def test_images_lie_channels_last_on_a_cpu_where_the_network_takes_that(view: bool) -> None:
    with seeded(0, CPU):
        network = _Viewing(view=view)
    network.linear.eval()
    assert lay_out(network, network, TRAIN, None) is (torch.preserve_format if view else torch.channels_last)
    assert (network.training, network.linear.training) == (True, False), "it was only tried"
    assert network.second.weight.is_contiguous(memory_format=torch.channels_last) == (not view)
    assert network.second.weight.is_contiguous() == view
    train(network, TRAIN, RECIPE, 0)
    assert 0 < score(network, TRAIN, RECIPE).error < 0.9
