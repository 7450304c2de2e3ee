"""What a cache keeps comes back whole or not at all, and searches that share one agree with those that have none."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from commands import EVONAS, TESTS, environment, evonas, start, write_experiment
from private_mount import in_a_namespace
from test_search import wait_for_outcomes

from evonas import config, search
from evonas.cache import Cache
from evonas.errors import ConfigError
from evonas.evaluation import Candidate, Evaluation, Source, Worker
from evonas.history import History
from evonas.pareto import digest

FACTS = {"space": {"use": "a:B", "depth": 3}, "genome": [1, 2], "budget": None, "seed": 7}
ENTRY = Evaluation(
    Candidate(3, (1, 2), 0), {"valid_error": 0.1 + 0.2, "params": 1e6}, Source.TRAINED, 2.5, 7,
    Worker("here", "cpu, 1 thread", (("numpy", "2"), ("torch", "3"))),
)  # fmt: skip
LATER = Candidate(90, (1, 2), 4, parents=(1,))


def kept(folder: Path, facts: Mapping[str, Any] = FACTS) -> Path:
    """Keep the entry and return its file."""
    Cache(folder).keep(facts, ENTRY, "first/3")
    [path] = folder.glob("??/*")
    return path


class TestEntries:
    def test_an_evaluation_comes_back_with_its_provenance_for_another_candidate(self, tmp_path: Path) -> None:
        kept(tmp_path)
        entry = Cache(tmp_path).look_up(dict(reversed(FACTS.items())))
        assert entry is not None
        assert entry.evaluation(LATER) == Evaluation(
            LATER, ENTRY.metrics, ENTRY.source, ENTRY.seconds, ENTRY.seed, ENTRY.worker, reused_from="first/3"
        )

    @pytest.mark.parametrize(
        "change",
        [{"budget": 2}, {"seed": 8}, {"genome": [2, 1]}, {"space": {"use": "a:C", "depth": 3}}, {"threads": 2}],
    )
    def test_another_fact_is_another_evaluation(self, change: Mapping[str, Any], tmp_path: Path) -> None:
        kept(tmp_path)
        assert Cache(tmp_path).look_up({**FACTS, **change}) is None

    def test_an_entry_damaged_at_any_place_counts_as_missing_and_is_replaced(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = kept(tmp_path)
        whole, rng = path.read_bytes(), random.Random(0)
        for place in [0, *(rng.randrange(len(whole)) for _ in range(50))]:
            for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
                path.write_bytes(damaged)
                found = Cache(tmp_path).look_up(FACTS)
                assert found is None or (damaged.strip() == whole.strip()), (place, damaged)
        Cache(tmp_path).keep(FACTS, ENTRY, "second/5")
        replaced = Cache(tmp_path).look_up(FACTS)
        assert replaced is not None
        assert replaced.made_for == "second/5"
        assert caplog.text == "", "nobody needs to be told"

    @pytest.mark.parametrize("document", ["[]", "7", '{"entry": {}}', '{"entry": [], "checksum": ""}', "\x00\x00"])
    def test_a_file_that_is_no_entry_counts_as_missing(self, document: str, tmp_path: Path) -> None:
        path = kept(tmp_path)
        path.write_text(document)
        assert Cache(tmp_path).look_up(FACTS) is None

    def test_an_entry_under_the_name_of_another_counts_as_missing(self, tmp_path: Path) -> None:
        kept(tmp_path / "one").replace(kept(tmp_path / "two", {**FACTS, "seed": 8}))
        assert Cache(tmp_path / "two").look_up({**FACTS, "seed": 8}) is None

    def test_a_disk_that_fails_is_told_of_once(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        prefix = kept(tmp_path).parent
        for path in prefix.iterdir():
            path.unlink()
        prefix.rmdir()
        prefix.touch()  # where the entries' folder should be
        cache = Cache(tmp_path)
        for _ in range(3):
            cache.keep(FACTS, ENTRY, "first/3")
            assert cache.look_up(FACTS) is None
        assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
        assert "cannot be written (File exists): the search goes on" in caplog.text
        assert "cannot be read (Not a directory)" in caplog.text

    def test_a_file_is_no_cache(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError, match=r"'cache' must name a folder, and .*file is none"):
            Cache(tmp_path / "file")


def test_writers_and_readers_in_many_processes_see_whole_entries_only(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from test_cache import ENTRY, FACTS
        from evonas.cache import Cache
        cache = Cache(Path(sys.argv[1]))
        for turn in range(150):
            cache.keep(FACTS, ENTRY, f"run/{turn}")
            found = cache.look_up(FACTS)
            assert found is not None and found.metrics == ENTRY.metrics, turn
    """)
    writers = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path], env=environment(), cwd=TESTS) for _ in range(3)
    ]
    assert [writer.wait(timeout=300) for writer in writers] == [0, 0, 0]
    assert len(list(tmp_path.rglob("*"))) == 2, "a folder and an entry, and no drafts"


def searched_in(folder: Path, run: str, **changes: Any) -> History:
    """Search with the cache `cache`, and return what happened."""
    experiment = write_experiment(folder, cache="cache", **{"evaluator": "slow:SlowFormula", **changes})
    with chdir(folder):
        search.run(config.load(experiment), Path(run))
        return History.read(Path(run))


def facts(history: History) -> tuple[str, str]:
    return digest(history.evaluations), history.front.digest()


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History]:
    """A folder where a search has filled a cache."""
    folder = tmp_path_factory.mktemp("searched")
    return folder, searched_in(folder, "first")


def test_a_second_search_evaluates_nothing_and_ends_alike(searched: tuple[Path, History]) -> None:
    folder, first = searched
    measured = (folder / "measured.jsonl").read_bytes()
    done = evonas("run", folder / "experiment.yaml", "--run", "second", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("60 of 60 reused from the cache") == 2, "at the end of the search, and below the front"
    second = History.read(folder / "second")
    assert (folder / "measured.jsonl").read_bytes() == measured
    assert facts(second) == facts(first)
    assert [e.reused_from for e in second.evaluations] == [f"first/{e.candidate.id}" for e in first.evaluations]
    assert [(e.worker, e.seconds) for e in second.evaluations] == [(e.worker, e.seconds) for e in first.evaluations]
    assert (second.evaluated_seconds, second.mean_seconds) == (0.0, first.mean_seconds)
    result = json.loads((folder / "second" / "front.json").read_text())
    assert (result["counts"]["reused"], result["evaluation_seconds"]) == (60, 0.0)
    assert all(member["reused_from"].startswith("first/") for member in result["front"])


def test_a_longer_search_of_another_name_evaluates_the_rest(searched: tuple[Path, History]) -> None:
    folder, _ = searched
    assert searched_in(folder, "longer", evaluations=72, name="other", max_consecutive_failures=3).reused == 60


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"evaluator": {"use": "slow:SlowFormula", "pause": 0.0}},
        {"evaluator": "slow:OtherSlowFormula"},
        {"space": "synthetic:OtherIntegerSpace"},
        {"data": "counted:blobs"},
        {"pool": {"use": "evonas.workers.local_pool:LocalPool", "threads": 2}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_decides_an_evaluation_leaves_nothing_to_reuse(
    change: Mapping[str, Any], searched: tuple[Path, History]
) -> None:
    folder, _ = searched
    key, value = next(iter(change.items()))
    assert searched_in(folder, f"{key}-{len(str(value))}", evaluations=13, **change).reused == 0


def test_an_evaluator_whose_code_has_changed_is_another(tmp_path: Path) -> None:
    code = "from synthetic import FormulaEvaluator\nclass Mine(FormulaEvaluator):\n    pass\n"
    for run, text in (("one", code), ("two", f"{code}    bias = 1\n")):
        (tmp_path / "mine.py").write_text(text)
        experiment = write_experiment(tmp_path, cache="cache", evaluator="mine:Mine", evaluations=13)
        assert evonas("run", experiment, "--run", run, cwd=tmp_path).returncode == 0
        assert History.read(tmp_path / run).reused == 0


def test_two_searches_at_once_share_a_cache_and_end_alike(searched: tuple[Path, History], tmp_path: Path) -> None:
    experiment = write_experiment(tmp_path, cache="cache", evaluator="slow:SlowFormula")
    both = [start("run", experiment, "--run", run, cwd=tmp_path) for run in ("one", "two")]
    assert [process.wait(timeout=120) for process in both] == [0, 0], (tmp_path / "output.log").read_text()
    assert facts(History.read(tmp_path / "one")) == facts(History.read(tmp_path / "two")) == facts(searched[1])
    assert searched_in(tmp_path, "three").reused == 60


def test_a_search_killed_at_any_moment_leaves_a_cache_that_is_whole(
    searched: tuple[Path, History], tmp_path: Path
) -> None:
    moments = random.Random(1)
    for kill in range(3):
        experiment = write_experiment(tmp_path, cache="cache", evaluator="slow:SlowFormula")
        process = start("run", experiment, "--run", f"killed-{kill}", cwd=tmp_path)
        wait_for_outcomes(tmp_path / f"killed-{kill}", 15 * kill + moments.randint(1, 12), process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = evonas("resume", "killed-2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert facts(History.read(tmp_path / "killed-2")) == facts(searched[1])
    measured = len((tmp_path / "measured.jsonl").read_text().splitlines())
    assert 60 <= measured <= 63, "at most the one under way at each kill is measured again"


def test_the_cache_may_be_named_or_dropped_when_a_run_is_resumed(tmp_path: Path) -> None:
    with chdir(tmp_path):
        run, _ = search.run(config.load(write_experiment(tmp_path, evaluations=24)), Path("run"))
        for overrides in (["evaluations=36", "cache=late"], ["evaluations=48", "cache=null"]):
            search.resume(run, overrides)
            assert len(list(Path("late").rglob("*.json"))) == 12


@pytest.mark.parametrize("options", ["ro", "size=16k"], ids=["read-only", "full"])
def test_a_cache_that_cannot_be_written_stops_nothing(
    options: str, searched: tuple[Path, History], tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    experiment = write_experiment(tmp_path, cache="cache", evaluator="slow:SlowFormula")
    done = in_a_namespace(
        f"mount -t tmpfs -o {options} tmpfs cache && {EVONAS} run {experiment} --run run", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the cache cache cannot be written") == 1
    assert facts(History.read(tmp_path / "run")) == facts(searched[1])


def test_a_simulation_keeps_nothing_in_a_cache(tmp_path: Path) -> None:
    simulated = {"use": "evonas.workers.simulated_pool:SimulatedPool", "workers": 4}
    experiment = write_experiment(tmp_path, pool=simulated, cache=str(tmp_path / "cache"))
    done = evonas("run", experiment, "--run", "run", cwd=tmp_path)
    assert done.returncode == 2
    assert "only pretends to take time: say cache=null" in " ".join(done.stderr.split())
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "run").exists()
