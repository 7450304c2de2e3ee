"""Arrays become three disjoint, stratified splits, or are refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest

from evonas.dataset import Dataset
from evonas.errors import DataError

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
IMAGES = RNG.integers(0, 256, (60, 1, 4, 4)).astype(np.uint8)


def make(inputs: object = IMAGES, labels: object = LABELS, **options: object) -> Dataset:
    return Dataset.from_arrays("toy", inputs, labels, **options)  # type: ignore[arg-type]


def numbered(labels: np.ndarray = LABELS, **options: object) -> Dataset:
    """A table whose only feature is the row number, to see where each example goes."""
    return make(np.arange(len(labels))[:, None], labels, **options)


def rows(data: Dataset) -> list[list[int]]:
    return [split.inputs[:, 0].tolist() for split in (data.train, data.valid, data.test)]


def test_every_example_is_in_exactly_one_split() -> None:
    assert sorted(row for part in rows(numbered()) for row in part) == list(range(60))


def test_examples_keep_their_labels() -> None:
    data = numbered()
    for split in (data.train, data.valid, data.test):
        assert np.array_equal(split.labels, LABELS[split.inputs[:, 0]])


def test_splits_are_stratified_also_when_classes_are_unequal() -> None:
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    data = numbered(labels, valid_fraction=0.2, test_fraction=0.1, train_size=56)
    assert np.bincount(data.valid.labels).tolist() == [20, 10, 2]
    assert np.bincount(data.test.labels).tolist() == [10, 5, 1]
    assert np.bincount(data.train.labels).tolist() == [35, 18, 3]


def test_sizes_are_the_fractions_to_one_example() -> None:
    labels = np.arange(1000) % 7
    data = numbered(labels, valid_fraction=0.15, test_fraction=0.25)
    assert (len(data.train), len(data.valid), len(data.test)) == (600, 150, 250)


def test_a_rare_class_is_in_every_split() -> None:
    data = numbered(np.repeat([0, 1], [97, 3]))
    assert all(np.bincount(split.labels)[1] == 1 for split in (data.train, data.valid, data.test))


def test_split_seed_alone_decides_the_split() -> None:
    assert rows(numbered(split_seed=1)) == rows(numbered(split_seed=1))
    assert rows(numbered(split_seed=1)) != rows(numbered(split_seed=2))


def test_train_is_shuffled() -> None:
    labels = numbered().train.labels
    assert not np.array_equal(labels, np.sort(labels))


def test_train_size_leaves_valid_and_test_alone() -> None:
    full, cut = rows(numbered()), rows(numbered(train_size=12))
    assert cut[1:] == full[1:]
    assert len(cut[0]) == 12
    assert set(cut[0]) < set(full[0])


def test_a_given_test_split_is_kept_and_the_rest_divided() -> None:
    test_inputs = np.arange(1000, 1009)[:, None]
    data = numbered(test=(test_inputs, np.arange(9) % 3), test_fraction=0.9)
    assert data.test.inputs is test_inputs or np.array_equal(data.test.inputs, test_inputs)
    assert (len(data.train), len(data.valid)) == (48, 12)


def test_images_get_a_channel_axis() -> None:
    assert make(IMAGES[:, 0]).input_shape == (1, 4, 4)


def test_channels_on_the_last_axis_are_moved_first() -> None:
    coloured = RNG.integers(0, 256, (60, 4, 5, 3)).astype(np.uint8)
    data = make(coloured)
    assert data.input_shape == (3, 4, 5)
    assert data.fingerprint() == make(np.moveaxis(coloured, 3, 1)).fingerprint()


def test_channels_on_the_second_axis_stay_there() -> None:
    assert make(np.zeros((60, 3, 5, 3))).input_shape == (3, 5, 3)
    assert make(np.zeros((60, 16, 5, 5))).input_shape == (16, 5, 5)


def test_bytes_stay_bytes() -> None:
    assert make().train.inputs.dtype == np.uint8


def test_shrunk_images_are_means_of_their_tiles_in_every_split() -> None:
    bytes_ = make(IMAGES, test=(IMAGES[:6], LABELS[:6]), shrink=2)
    assert (bytes_.input_shape, bytes_.train.inputs.dtype) == ((1, 2, 2), np.uint8)
    expected = [[IMAGES[n, 0, y : y + 2, x : x + 2].mean() for y in (0, 2) for x in (0, 2)] for n in range(6)]
    assert np.array_equal(bytes_.test.inputs.reshape(6, 4), np.round(expected))
    floats = make(IMAGES / 255, test=(IMAGES[:6] / 255, LABELS[:6]), shrink=2)
    assert np.allclose(floats.test.inputs.reshape(6, 4), np.array(expected) / 255)
    largest = np.full((60, 1, 4, 4), np.iinfo(np.int32).max, dtype=np.int32)
    assert (make(largest, shrink=2).train.inputs == np.iinfo(np.int32).max).all()
    assert make(IMAGES, shrink=1).fingerprint() == make(IMAGES).fingerprint()


def test_strings_become_sorted_classes() -> None:
    data = make(labels=np.array(["pear", "apple", "fig"])[LABELS])
    assert data.classes == ("apple", "fig", "pear")
    assert np.bincount(data.train.labels).tolist() == [12, 12, 12]


def test_strings_follow_the_given_classes() -> None:
    words = np.array(["pear", "apple", "fig"])[LABELS]
    data = numbered(words, classes=("pear", "apple", "fig"))
    assert np.array_equal(data.train.labels, LABELS[data.train.inputs[:, 0]])
    assert numbered(words.astype(object)).classes == ("apple", "fig", "pear")


def test_whole_floats_and_booleans_are_labels() -> None:
    assert make(labels=LABELS.astype(float)).train.labels.dtype == np.int64
    assert make(labels=LABELS > 0).classes == ("0", "1")


def test_normalisation_is_of_the_training_split() -> None:
    data = make(RNG.normal(5.0, 2.0, (60, 3, 4, 4)))
    mean, std = data.normalisation()
    assert mean.shape == std.shape == (3,)
    assert np.allclose(mean, data.train.inputs.mean(axis=(0, 2, 3)))
    assert np.allclose(std, data.train.inputs.std(axis=(0, 2, 3)))


def test_a_constant_feature_is_normalised_to_zero() -> None:
    table = np.column_stack([np.full(60, 0.1, dtype=np.float32), np.arange(60)])
    assert make(table).normalisation()[1][0] == 1.0


def test_fingerprint_sees_examples_and_split() -> None:
    changed = IMAGES.copy()
    changed[0, 0, 0, 0] ^= 1
    prints = {make().fingerprint(), make(changed).fingerprint(), make(split_seed=1).fingerprint()}
    assert len(prints) == 3
    assert make().fingerprint() == make().fingerprint()


def test_description_has_sizes_shape_and_balance() -> None:
    text = make(labels=np.repeat([0, 1], [40, 20])).describe()
    assert text.splitlines()[0] == "toy: 2 classes, inputs 1 x 4 x 4 (uint8)"
    assert "36 examples, 12 to 24 a class" in text
    assert len(text.splitlines()) == 4


NAN = IMAGES.astype(float)
NAN[7, 0, 0, 0] = np.nan
INFINITE = IMAGES.astype(np.float32)
INFINITE[0] = np.inf


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"inputs": np.zeros((0, 4)), "labels": []}, "must not be empty"),
        ({"inputs": np.zeros((60, 0))}, "must not be empty"),
        ({"inputs": np.zeros(60)}, r"shape \(60,\): reshape"),
        ({"inputs": np.zeros((60, 1, 2, 2, 2))}, "must have 2 axes"),
        ({"inputs": np.full((60, 4), "a")}, "real numbers, not <U1"),
        ({"inputs": np.zeros((60, 4), dtype=complex)}, "real numbers, not complex128"),
        ({"inputs": NAN}, "1 examples hold NaN or infinity, the first is example 7"),
        ({"inputs": INFINITE}, "NaN or infinity"),
        ({"labels": LABELS[:-1]}, "59 for 60 inputs"),
        ({"labels": []}, "0 for 60 inputs"),
        ({"labels": np.eye(3)[LABELS]}, "argmax"),
        ({"labels": LABELS + 0.5}, "whole numbers, not 0.5"),
        ({"labels": np.where(LABELS == 1, np.nan, LABELS)}, "whole numbers, not nan"),
        ({"labels": LABELS - 1}, "between 0 and 1, not -1"),
        ({"labels": LABELS, "classes": 2}, "between 0 and 1, not 2"),
        ({"labels": LABELS * 10**12}, "60 examples of 2000000000001 classes"),
        ({"labels": [None] * 60}, "whole numbers or strings, not object"),
        ({"labels": LABELS + 1}, "class '0' has only 0"),
        ({"classes": 4}, "class '3' has only 0"),
        ({"classes": ("a", "b", "c", "d")}, "class 'd' has only 0"),
        ({"classes": ("a", "b", "a")}, "'a' is given twice"),
        ({"labels": np.zeros(60)}, "at least two classes, not 1"),
        ({"labels": np.array(["cat", "dgo"])[LABELS % 2], "classes": ("cat", "dog")}, "did you mean 'dog'"),
        ({"labels": np.array(["cat", "dog"])[LABELS % 2], "classes": 3}, "have 2 names: 'cat', 'dog'"),
        ({"labels": np.repeat([0, 1], [58, 2])}, "class '1' has only 2"),
        ({"valid_fraction": 0.0}, "valid_fraction must lie between 0 and 1, and is 0.0"),
        ({"test_fraction": 1.0}, "test_fraction must lie"),
        ({"valid_fraction": float("nan")}, "valid_fraction must lie"),
        ({"valid_fraction": 0.5, "test_fraction": 0.5}, "add up to 1"),
        ({"shrink": 0}, "shrink must be a whole number of at least 1, and is 0"),
        ({"shrink": 2.0}, "whole number of at least 1, and is 2.0"),
        ({"shrink": True}, "whole number of at least 1, and is True"),
        ({"shrink": 3}, "shrink must divide the images' 4 x 4 pixels, and is 3"),
        ({"inputs": np.zeros((60, 4)), "shrink": 2}, "shrink is for images"),
        ({"train_size": 37}, "between 3, one a class, and 36, .* and is 37"),
        ({"train_size": 2}, "and is 2"),
        ({"test": (np.zeros((3, 1, 4, 5)), [0, 1, 2])}, r"test inputs must have the shape \(1, 4, 4\)"),
        ({"test": (IMAGES[:0], [])}, "toy, test: inputs must not be empty"),
        ({"test": (IMAGES[:3], [0, 1, 3])}, "toy, test: .* not 3"),
        ({"test": (NAN, LABELS)}, "toy, test: .* NaN"),
    ],
)
def test_unfit_arrays_are_refused_with_the_rule_and_the_value(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(DataError, match=told):
        make(**arguments)
