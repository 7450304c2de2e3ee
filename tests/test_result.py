"""The result is plain JSON that repeats the history, and its files are whole or absent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from rich.console import Console
from synthetic import FOUR_OBJECTIVES, FormulaEvaluator, IntegerSpace, events, header, history
from toy import ToySpace, evaluated
from toy import header as toy_header

from evonas.early_exit import receipt
from evonas.evaluation import Candidate, Evaluation, Source, Worker
from evonas.history import History
from evonas.journal import Asked, Finished
from evonas.pareto import digest
from evonas.reports import result as result_module
from evonas.reports.result import evaluations_table, result, write_result
from evonas.reports.table import duration, failures_table, front_table, gates_table, last_line, readable
from evonas.space import Gene

SPACE = IntegerSpace()
FILES = {"front.json", "front.html", "front.png", "progress.html", "evaluations.parquet"}


def test_result_repeats_the_history() -> None:
    searched = history()
    found = result(searched, SPACE)
    assert found["name"] == "synthetic"
    assert found["closed"] == "budget"
    assert found["hypervolume"] == searched.front.hypervolume
    assert found["reference"] == {"valid_error": 1.0, "params": 1_000_000.0}
    assert found["counts"] == {
        "evaluated": len(searched.evaluations),
        "reused": 0,
        "failed": len(searched.failures),
        "rejected": len(searched.rejections),
        "turned_away": searched.turned_away.total(),
    }
    assert sum(found["counts"].values()) - found["counts"]["turned_away"] == 80
    assert found["gates"] == receipt(searched)
    assert found["front_hash"] == searched.front.digest()
    assert found["evaluations_hash"] == digest(searched.evaluations)
    assert (found["seed"], found["config_hash"]) == (7, "0123456789abcdef")
    assert found["seconds"] == searched.elapsed
    assert found["evaluation_seconds"] == 2.0 * len(searched.evaluations)


def test_front_of_the_result_can_be_built_again() -> None:
    searched = history(FOUR_OBJECTIVES)
    rows = result(searched, SPACE)["front"]
    assert [row["id"] for row in rows] == [member.candidate.id for member in searched.front.members]
    assert [row["contribution"] for row in rows] == searched.front.contributions.tolist()
    assert [row["id"] for row in rows if row["knee"]] == [searched.front.knee and searched.front.knee.candidate.id]
    for row in rows:
        genome = SPACE.validate(row["genome"])
        assert SPACE.describe(genome) == row["genes"]
        assert FormulaEvaluator(SPACE, seed=7).measure(genome, None).items() <= row["metrics"].items()


@pytest.mark.parametrize("searched", [history(), history(generations=0), history(FOUR_OBJECTIVES, generations=1)])
def test_result_is_json_and_comes_back_equal(searched: History) -> None:
    found = result(searched, SPACE)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_numbers_that_are_not_finite_become_null() -> None:
    searched = history(constraints=[{"metric": "params", "at_most": float("inf")}])
    assert result(searched, SPACE)["constraints"] == [{"metric": "params", "at_most": None}]


def test_hashes_do_not_depend_on_time() -> None:
    def slower(event: Any) -> Any:
        if isinstance(event, Finished) and isinstance(event.outcome, Evaluation):
            return Finished(replace(event.outcome, seconds=99.0), event.elapsed * 3)
        return event

    found, late = (result(History.replay(made), SPACE) for made in (events(), map(slower, events())))
    assert late["evaluation_seconds"] != found["evaluation_seconds"]
    assert (late["front_hash"], late["evaluations_hash"]) == (found["front_hash"], found["evaluations_hash"])


def test_run_folder_gets_all_files_and_no_drafts(tmp_path: Path) -> None:
    searched = history()
    for _ in range(2):
        write_result(searched, SPACE, tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == FILES
    text = (tmp_path / "front.json").read_text(encoding="utf-8")
    assert json.loads(text) == result(searched, SPACE)
    assert parquet.read_table(tmp_path / "evaluations.parquet").num_rows == len(searched.evaluations)


def test_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_result(history(), SPACE, tmp_path)
    before = (tmp_path / "front.png").read_bytes()

    def break_halfway(history: History, space: IntegerSpace, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(result_module, "write_front_png", break_halfway)
    with pytest.raises(OSError, match="no space left"):
        write_result(history(generations=2), SPACE, tmp_path)
    assert (tmp_path / "front.png").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == FILES


def test_table_has_a_row_for_every_evaluation() -> None:
    searched = history()
    table = evaluations_table(searched, SPACE)
    assert table.column_names == [
        *("id", "generation", "depth", "width", "kernel", "act", "params", "macs", "valid_error", "throughput"),
        *("source", "seconds", "seed", "on_front", "budget", "host", "device", "reused_from"),
    ]
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [evaluation.candidate.id for evaluation in searched.evaluations]
    assert {row["id"] for row in rows if row["on_front"]} == {m.candidate.id for m in searched.front.members}
    for row, evaluation in zip(rows, searched.evaluations, strict=True):
        assert SPACE.describe(evaluation.candidate.genome).items() <= row.items()
        assert evaluation.metrics.items() <= row.items()
        assert (row["source"], row["seed"], row["budget"]) == ("tabular", evaluation.seed, None)


def test_empty_table_has_the_types_of_a_full_one() -> None:
    empty, full = evaluations_table(history(generations=0), SPACE), evaluations_table(history(), SPACE)
    assert empty.num_rows == 0
    for name in empty.column_names:
        assert empty.schema.field(name).type == full.schema.field(name).type


def test_gene_and_metric_named_like_a_column_do_not_hide_it() -> None:
    class Awkward(IntegerSpace):
        genes = (Gene("seed", (1, 2, 3, 4, 6, 8)), *IntegerSpace.genes[1:3], Gene("params", ("x", "y", "z")))

    searched = History.replay(events(generations=2))
    for row, evaluation in zip(evaluations_table(searched, Awkward()).to_pylist(), searched.evaluations, strict=True):
        assert row["seed"] == evaluation.seed
        assert row["gene_seed"] == str(Awkward.genes[0].options[evaluation.candidate.genome[0]])
        assert row["params"] in {"x", "y", "z"}
        assert row["metric_params"] == evaluation.metrics["params"]


def test_front_table_marks_the_knee_and_shows_options_as_text() -> None:
    searched = history()
    text = _printed(front_table(searched, SPACE))
    assert text.count("knee") == 1
    assert "act=[swish]" in text
    assert len(text.splitlines()) == 1 + len(searched.front.members)


def test_limited_front_table_keeps_both_ends_and_the_knee() -> None:
    searched = history()
    members = searched.front.members
    for limit in range(3, len(members)):
        lines = _printed(front_table(searched, SPACE, limit=limit)).splitlines()
        assert len(lines) == 1 + limit + 1
        assert lines[1].split()[0] == str(members[0].candidate.id)
        assert lines[-2].split()[0] == str(members[-1].candidate.id)
        assert "knee" in "".join(lines)
        assert f"{len(members) - limit} more" in lines[-1]
    assert len(_printed(front_table(searched, SPACE, limit=1)).splitlines()) == 3


def test_empty_front_table_says_so() -> None:
    assert "the front is empty" in _printed(front_table(history(generations=0), SPACE))


def test_numbers_that_nobody_measured_are_told_by_their_source() -> None:
    assert "source" not in _printed(front_table(history(), SPACE))
    predicted = [
        replace(event, outcome=replace(event.outcome, source=Source.PREDICTED))
        if isinstance(event, Finished) and isinstance(event.outcome, Evaluation)
        else event
        for event in events()
    ]
    lines = _printed(front_table(History.replay(predicted), SPACE)).splitlines()
    assert "source" in lines[0]
    assert all("predicted" in line for line in lines[1:])


def test_what_all_rows_share_is_said_once() -> None:
    everything = history()
    narrow = History(header())
    for event in events():
        if isinstance(event, Asked) or (isinstance(event, Finished) and event.outcome.candidate.genome[3] == 1):
            narrow.apply(event)
    assert "all have" not in _printed(front_table(everything, SPACE))
    text = _printed(front_table(narrow, SPACE))
    assert text.count("act=") == 1
    assert "all have act=[swish]" in text


def test_many_genes_are_shown_by_value() -> None:
    class Long(IntegerSpace):
        def describe(self, genome: tuple[int, ...]) -> dict[str, str]:
            return {f"block{i}.kernel": str(3 + 2 * ((sum(genome) * i + genome[1]) % 4)) for i in range(1, 20)}

    text = _printed(front_table(history(), Long()))
    assert "block3.kernel=" not in text.splitlines()[1]
    assert "genes: block1.kernel" in text


def test_gates_and_failures_have_their_tables() -> None:
    searched = history()
    gates = _printed(gates_table(searched))
    assert "params <= 250000" in gates
    assert "synflow >= 3" in gates
    failures = _printed(failures_table(searched))
    assert f"{len(searched.failures)}  candidate 16: ValueError: no [such] layer" in failures
    assert "\x1b" not in failures


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0512345, "0.05123"), (0.9, "0.9000"), (300_000.0, "300,000"), (1467.3, "1,467"), (12.0, "12"), (0.0, "0"),
     (-0.25, "-0.2500"), (123.456, "123.5"), (1.5e-7, "1.500e-07"), (2.5e20, "2.500e+20")],
)  # fmt: skip
def test_numbers_are_readable(value: float, text: str) -> None:
    assert readable(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.97, "1m 00s"), (185.2, "3m 05s"), (3599.7, "1h 00m"), (7830, "2h 10m"), (270_000, "3d 03h")],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_last_line_of_a_reason_is_one_line_of_plain_text() -> None:
    assert last_line("Traceback\n  File x\nValueError: \x1b[31mbad\x1b[0m [value]\r\n\n") == "ValueError: bad [value]"
    assert last_line(" \n") == "no reason was given"


def _printed(table: Any) -> str:
    console = Console(width=200, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_a_result_says_where_its_evaluations_were_made() -> None:
    alpha, beta = Worker("alpha", "cpu", (("torch", "2.13.0"),)), Worker("beta", "cuda:0, H100")
    asked = [Candidate(number, (number % 3,), 0) for number in range(4)]
    made = [replace(evaluated(c, 0.1 * c.id), worker=w) for c, w in zip(asked, [alpha, beta, alpha, None], strict=True)]
    searched = History.replay([toy_header(), Asked(asked), *[Finished(outcome, 1.0) for outcome in made]])
    space = ToySpace(1, redundant=False)
    assert result(searched, space)["workers"] == [
        {"host": "alpha", "device": "cpu", "versions": {"torch": "2.13.0"}, "evaluations": 2},
        {"host": "beta", "device": "cuda:0, H100", "versions": {}, "evaluations": 1},
    ]
    assert evaluations_table(searched, space)["host"].to_pylist() == ["alpha", "beta", "alpha", None]
