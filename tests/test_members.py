"""Members that learn without some rows: who leaves out what, and the deviation that follows."""

from __future__ import annotations

import numpy as np

from evonas.predictors.members import errors_of, held_out, pooled


def test_every_row_is_left_out_by_a_fifth_of_the_members() -> None:
    masks = np.array(held_out(53, 10, np.random.default_rng(0)))
    assert (masks.sum(axis=0) == 2).all()
    assert {int(mask.sum()) for mask in masks} == {10, 11}
    assert not np.array_equal(masks[0], masks[5]), "dealt again"


def test_of_few_rows_some_are_still_learnt() -> None:
    for rows in range(2, 12):
        masks = np.array(held_out(rows, 5, np.random.default_rng(0)))
        assert (masks.sum(axis=1) <= (rows + 1) / 2).all()
        assert masks.any() == (rows >= 4)


def test_errors_and_differences_are_those_of_rows_left_out() -> None:
    rng = np.random.default_rng(1)
    targets = rng.normal(size=500)
    left_out = held_out(500, 20, rng)
    absent = np.array(left_out)
    predictions = np.where(absent, targets + 0.3 + 0.2 * rng.normal(size=(20, 500)), targets)  # what is learnt is known
    error, spread = errors_of(predictions, left_out, targets)
    assert abs(spread - 0.2**2) < 0.004
    assert abs(error - (0.3**2 + 0.2**2 / 4)) < 0.01, "the bias stays, the rest shrinks with four members a row"


def test_a_row_that_members_differ_about_is_doubted_more() -> None:
    predictions = np.array([[1.0, 0.0, -30.0], [1.0, 2.0, 30.0]])
    mean, std = pooled(predictions, np.array([4.0, 1.0]))
    assert mean.tolist() == [1.0, 1.0, 0.0]
    np.testing.assert_allclose(std**2, [2.0, 4.0, 22.0])
    assert pooled(predictions, np.array([4.0, 0.0]))[1].tolist() == [2.0, 2.0, 2.0]
