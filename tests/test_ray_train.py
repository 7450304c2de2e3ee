"""Several workers train the supernet that one would, also when one of them dies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from one_thread import one_thread  # noqa: F401
from plain_supernet import plain_experiment
from ray_fixture import ray_cluster  # noqa: F401

from evonas import config_supernet, supernet_run
from evonas.errors import ConfigError
from evonas.supernet_folder import read_progress
from evonas.workers.supernets import files


def trained(folder: Path, **changes: object) -> dict[str, np.ndarray]:
    experiment = config_supernet.parse(plain_experiment(**changes))
    supernet_run.run(experiment, folder, lambda prepared, path: ())
    return dict(files.load(folder).arrays)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")  # what Ray says of its own settings
@pytest.mark.usefixtures("ray_cluster")
def test_two_workers_of_which_one_dies_give_the_weights_of_one(tmp_path: Path) -> None:
    method = {"use": "plain_supernet:DyingOnce", "marker": str(tmp_path / "died"), "dies_at": 3}
    (tmp_path / "unharmed").touch()
    alone = trained(tmp_path / "one", method={**method, "marker": str(tmp_path / "unharmed")})
    together = trained(tmp_path / "two", method=method, workers=2)
    assert (tmp_path / "died").exists()
    assert alone.keys() == together.keys()
    for name, array in alone.items():
        np.testing.assert_allclose(together[name], array, rtol=0, atol=1e-5)
    losses, others = ([record.train_loss for record in read_progress(tmp_path / run)] for run in ("one", "two"))
    assert losses == pytest.approx(others, abs=1e-5)
    assert len(losses) == 3


def test_batches_that_are_too_small_for_the_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"batches of 4 leave a worker of 3 with 1 examples"):
        trained(tmp_path / "run", recipe={"batch_size": 4}, workers=3)
    assert not (tmp_path / "run").exists()
