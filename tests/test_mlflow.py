"""MLflow may be slow, die, come back, or come back empty: a search does not notice, and everything arrives once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import synthetic
from mlflow import MlflowClient
from mlflow_kept import ARTIFACTS, SPACE, Kept, assert_complete, kept_outcomes
from mlflow_server import free_port, wait_until
from tracker_contract import TrackerContract, new_run, play, seconds

from evonas.component import Component
from evonas.errors import JournalError, TrackingError
from evonas.evaluation import Candidate, Evaluation, Failure, FailureKind, Source
from evonas.history import History
from evonas.journal import Event, Header
from evonas.space import Genome, SearchSpace
from evonas.tracking import mlflow as mlflow_module
from evonas.tracking import mlflow_pace
from evonas.tracking import mlflow_records as records
from evonas.tracking.mlflow import MLflow
from evonas.tracking.mlflow_delivery import MANY, Delivery
from evonas.tracking.mlflow_links import Place
from evonas.tracking.mlflow_runs import SearchRuns
from evonas.tracking.mlflow_store import Store


def search(name: str, generations: int = 3, *, closed: bool = True) -> list[Event]:
    """Return the events of a search of its own; a longer one begins like a shorter one."""
    head = replace(synthetic.header(), name="tests", config={"name": name, "search": {"size": 8, "rates": [0.1, 0.5]}})
    return synthetic.events(head, generations, size=8, closed=closed)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of run folders: they share one embedded store."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(autouse=True)
def _no_address_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(autouse=True)
def _busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLOSE_SECONDS", "INTERRUPTED_SECONDS", "CLOSE_SECONDS_AT_MOST"):
        monkeypatch.setattr(mlflow_module, name, 300.0)
    monkeypatch.setattr(mlflow_module, "SILENT_SECONDS", 10.0)
    monkeypatch.setattr(mlflow_module, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(mlflow_pace, "SHARE", 1.0)
    monkeypatch.setattr(mlflow_pace, "SHARE_OF_IDLE", 1.0)


def run_search(run: Path, events: list[Event], uri: str | None = None, **options: Any) -> MLflow:
    """Search to the end, or go on where the journal ends."""
    tracker = MLflow(run, SPACE, uri=uri, **options)
    _, history = play(tracker, run, events)
    tracker.closed(history)
    return tracker


class TestEmbedded(TrackerContract):
    def tracker(self, run_folder: Path, space: SearchSpace) -> MLflow:
        return MLflow(run_folder, space)


class TestUnreachable(TrackerContract):
    close_seconds = 60.0

    def tracker(self, run_folder: Path, space: SearchSpace) -> MLflow:
        return MLflow(run_folder, space, uri=f"http://127.0.0.1:{free_port()}", must_answer=False)


def test_everything_is_there_once_however_often_it_is_sent(root: Path) -> None:
    run = new_run(root, "replayed")
    assert run_search(run, search("replayed")).unsent == 0
    first = assert_complete(run)
    run_search(run, search("replayed"))
    (run / "mlflow.json").unlink()
    run_search(run, search("replayed"))
    again = assert_complete(run)
    assert again.metrics == first.metrics
    assert {id_: child.info.run_id for id_, child in again.children.items()} == {
        id_: child.info.run_id for id_, child in first.children.items()
    }
    assert MLflow(run, SPACE).sync().runs == 0


def test_search_says_what_it_is(root: Path) -> None:
    run = new_run(root, "telling")
    run_search(run, search("telling"))
    parent = Kept.of(run).parent
    history = History.read(run)
    assert parent.data.params == {"name": "telling", "search.size": "8", "search.rates": "[0.1, 0.5]"}
    assert parent.data.tags["evonas.front_digest"] == history.front.digest()
    note = parent.data.tags["mlflow.note.content"]
    assert f"{len(history.front.members)} networks on the front" in note
    assert "params <= 250000" in note
    assert "#/compare-runs" in note
    assert parent.info.end_time - parent.info.start_time == history.elapsed * 1000


def test_search_killed_between_two_calls_is_completed_when_it_is_resumed(root: Path) -> None:
    run = new_run(root, "killed")
    done = in_a_process(
        "import os, signal\n"
        "from evonas.tracking.mlflow_runs import SearchRuns\n"
        "calls, log = [], SearchRuns._log\n"
        "def die(*given):\n"
        "    calls.append(given)\n"
        "    log(*given) if len(calls) < 9 else os.kill(os.getpid(), signal.SIGKILL)\n"
        "SearchRuns._log = die\n"
        "tracker = MLflow(run, SPACE)\n"
        "_, history = play(tracker, run, search('killed', closed=False)[:20])\n"
        "tracker.closed(history)\n",
        run,
    )
    assert done.returncode == -signal.SIGKILL
    assert [child.info.status for child in Kept.of(run).children.values()].count("RUNNING") == 1
    assert run_search(run, search("killed")).unsent == 0
    assert_complete(run)


def test_interrupted_search_runs_again_when_it_is_resumed(root: Path) -> None:
    run, events = new_run(root, "interrupted"), search("interrupted")
    run_search(run, events[:12])
    kept = Kept.of(run)
    assert kept.parent.info.status == "KILLED"
    assert f"evonas resume {run}" in kept.parent.data.tags["mlflow.note.content"]
    tracker = MLflow(run, SPACE)
    _, history = play(tracker, run, events)
    wait_until(lambda: Kept.of(run).parent.info.status == "RUNNING")
    tracker.closed(history)
    assert_complete(run)


def test_network_that_leaves_the_front_loses_its_mark(root: Path) -> None:
    run = new_run(root, "longer")
    run_search(run, search("longer", generations=1))
    early = Kept.of(run).front
    run_search(run, [*search("longer", generations=1), *search("longer", generations=3)[10:]])
    assert early - assert_complete(run).front


@pytest.mark.parametrize("children", ["front", "none"])
def test_only_the_wanted_children_are_sent(root: Path, children: str) -> None:
    run = new_run(root, f"children-{children}")
    run_search(run, search(children), children=children)
    kept, front = Kept.of(run), History.read(run).front.members
    assert kept.children.keys() == ({member.candidate.id for member in front} if children == "front" else set())
    assert kept.front == kept.children.keys()
    assert kept.artifacts.keys() == ARTIFACTS
    assert MLflow(run, SPACE, children="all").sync().runs == len(kept_outcomes(run)) - len(kept.children)
    assert_complete(run)


def test_long_search_sends_the_runs_of_its_front_and_says_how_to_get_all(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="evonas")
    run, events = new_run(root, "long"), search("long")
    header = events[0]
    assert isinstance(header, Header)
    events[0] = replace(header, config={**header.config, "evaluations": MANY + 1})
    run_search(run, events)
    kept, history = Kept.of(run), History.read(run)
    assert kept.children.keys() == {member.candidate.id for member in history.front.members}
    assert f"evonas sync {run} tracking.children=all" in kept.parent.data.tags["mlflow.note.content"]
    assert f"evonas sync {run} tracking.children=all" in caplog.messages[0]
    assert MLflow(run, SPACE).sync().runs == 0
    assert MLflow(run, SPACE, children="all").sync().runs == len(kept_outcomes(run)) - len(kept.children)
    assert_complete(run)


def test_what_a_server_fails_at_holds_up_nothing_else_and_is_still_owed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_child = SearchRuns.put_child

    def fail(runs: SearchRuns, record: records.RunRecord) -> None:
        if record.name == "candidate 3":
            raise OSError("no space left on device")
        put_child(runs, record)

    monkeypatch.setattr(mlflow_module, "FIRST_PAUSE", 0.01)
    run = new_run(root, "failing")
    with monkeypatch.context() as broken:
        broken.setattr(SearchRuns, "put_child", fail)
        assert run_search(run, search("failing")).unsent
        assert Kept.of(run).children.keys() == kept_outcomes(run) - {3}
        with pytest.raises(TrackingError, match=r"candidate 3: no space left on device.*lacks 1 things.*repeat"):
            MLflow(run, SPACE).sync()
    assert MLflow(run, SPACE).sync().runs == 1
    assert_complete(run)


def test_server_that_knows_the_search_need_not_answer_when_it_is_resumed(tmp_path: Path) -> None:
    run, address = new_run(tmp_path), f"http://127.0.0.1:{free_port()}"
    Place(address, "1", "abc").write(run)
    MLflow(run, SPACE, uri=address).check()
    with pytest.raises(TrackingError, match="does not answer"):
        MLflow(run, SPACE, uri=f"http://127.0.0.1:{free_port()}").check()


def test_refused_candidate_is_left_out_and_told_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Odd(synthetic.IntegerSpace):
        def describe(self, genome: Genome) -> dict[str, str]:
            described = super().describe(genome)
            return {"/no/../name": "1"} if genome == refused.genome else described

    run, events = new_run(root, "refused"), search("refused")
    refused = next(o.candidate for o in History.replay(events).outcomes.values() if isinstance(o, Evaluation))
    tracker = MLflow(run, Odd())
    _, history = play(tracker, run, events)
    tracker.closed(history)
    assert tracker.unsent == 0
    (told,) = (record.getMessage() for record in caplog.records if record.name == "evonas")
    assert told.startswith(f"MLflow does not get candidate {refused.id}: ")
    kept = Kept.of(run)
    assert kept.children.keys() == kept_outcomes(run)
    assert kept.children[refused.id].info.status == "FAILED"
    place = Place.read(run)
    assert place is not None
    assert place.refused == 1


def test_search_deleted_by_a_person_is_sent_again(root: Path) -> None:
    run, events = new_run(root, "deleted"), search("deleted")
    tracker = MLflow(run, SPACE)
    _, history = play(tracker, run, events[:12])
    wait_until(lambda: len(Kept.of(run).children) == len(kept_outcomes(run)))
    MlflowClient(tracking_uri=Store.of(root).uri).delete_run(Kept.of(run).parent.info.run_id)
    _, history = play(tracker, run, events)
    tracker.closed(history)
    assert tracker.unsent == 0
    assert_complete(run)


def test_doubled_runs_are_dropped(root: Path) -> None:
    run, events = new_run(root, "doubled"), search("doubled")
    run_search(run, events)
    kept, client = Kept.of(run), MlflowClient(tracking_uri=Store.of(root).uri)
    double = next(iter(kept.children.values()))
    client.create_run(double.info.experiment_id, tags=double.data.tags)
    client.set_tag(kept.parent.info.run_id, "evonas.sent", "")
    MLflow(run, SPACE).sync()
    assert assert_complete(run).children[int(double.data.tags["evonas.id"])].info.run_id == double.info.run_id


def test_renamed_experiment_is_found_by_what_the_run_folder_remembers(tmp_path: Path) -> None:
    run, events = new_run(tmp_path), search("renamed")
    run_search(run, events[:12])
    client = MlflowClient(tracking_uri=Store.of(tmp_path).uri)
    experiment = client.get_experiment_by_name("tests")
    assert experiment is not None
    assert experiment.artifact_location == (tmp_path / "mlartifacts").as_uri()
    client.rename_experiment(experiment.experiment_id, "a better name")
    run_search(run, events)
    assert client.get_experiment_by_name("tests") is None
    client.rename_experiment(experiment.experiment_id, "tests")
    assert_complete(run)


def test_numbers_that_are_not_finite_and_names_that_mlflow_refuses_are_never_sent() -> None:
    assert records.finite({"a": 1.0, "b": float("inf"), "c": float("nan"), "latency (ms)": 2.0}) == {
        "a": 1.0,
        "latency _ms_": 2.0,
    }
    outcome = Evaluation(Candidate(0, (0, 0, 0, 0), 0), {"valid_error": float("inf")}, Source.TRAINED, 1.0, 3)
    history = History(synthetic.header())
    record = records.candidate_record(history, outcome, 1.0, SPACE, on_front=False)
    assert record.metrics == {"evaluation_seconds": 1.0}


def test_long_values_are_cut_visibly_and_a_traceback_keeps_its_end() -> None:
    header = replace(
        synthetic.header(), config={"choices": ["x" * 50] * 200, "gates": [{"metric": "params"}], "none": None}
    )
    params = records.search_record(header, Path("run")).params
    assert params["choices"].endswith("…")
    assert len(params["choices"]) == records.VALUE_LENGTH
    assert params["gates.0.metric"] == "params"
    assert params["none"] == "null"
    failure = Failure(Candidate(0, (0, 0, 0, 0), 0), "line\n" * 5_000 + "ValueError: here", FailureKind.ERROR)
    tags = records.candidate_record(History(header), failure, 1.0, SPACE, on_front=False).tags
    assert tags["evonas.reason"].endswith("ValueError: here")
    assert len(tags["evonas.reason"]) == records.TAG_LENGTH


def test_note_of_a_large_front_stays_within_what_mlflow_keeps(root: Path) -> None:
    from evonas.tracking.mlflow_summary import NOTE_LENGTH, note

    history = synthetic.history(synthetic.FOUR_OBJECTIVES, generations=10)
    place = Place("http://x", "1", "r", front=[f"{i:032}" for i in range(500)])
    text = note(history, SPACE, root / "run", place)
    assert len(text) <= NOTE_LENGTH
    assert len(history.front.members) > 15
    assert "more" in text


def test_note_says_how_much_of_the_true_front_was_reached_where_that_is_known(root: Path) -> None:
    from evonas.tracking.mlflow_summary import note

    history, place = synthetic.history(), Place("http://x", "1", "r", front=[])
    assert "true front" not in note(history, SPACE, root / "run", place)
    history.header = replace(history.header, known_hypervolume=2 * history.front.hypervolume)
    assert "(50.00 % of the hypervolume of the true front)" in note(history, SPACE, root / "run", place)


def test_terminal_stays_silent(tmp_path: Path) -> None:
    done = in_a_process("assert run_search(run, search('quiet')).unsent == 0", new_run(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path.name for path in tmp_path.iterdir()} == {"run", "mlflow.db", "mlartifacts"}


def test_options_of_an_experiment_reach_the_tracker(tmp_path: Path) -> None:
    options = {"uri": "http://127.0.0.1:1", "children": "front", "experiment": "mine", "must_answer": False}
    component = Component("evonas.tracking.mlflow:MLflow", options)
    assert set(component.parameters()) == {"uri", "experiment", "children", "must_answer"}
    assert isinstance(component.build({"run_folder": tmp_path, "space": SPACE}), MLflow)


def test_dead_port_is_named_within_seconds(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    with pytest.raises(TrackingError, match=rf"(?s){address}.*refused.*must_answer=false.*evonas sync"):
        MLflow(tmp_path / "run", SPACE, uri=address).check()
    assert time.monotonic() - began < 30
    MLflow(tmp_path / "run", SPACE, uri=address, must_answer=False).check()


@pytest.mark.parametrize(
    ("status", "way_out"), [(401, "MLFLOW_TRACKING_USERNAME"), (403, "--allowed-hosts"), (404, "404")]
)
def test_server_that_turns_us_away_is_named(tmp_path: Path, status: int, way_out: str) -> None:
    class Doorman(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(status)

        do_GET = do_POST  # noqa: N815

        def log_message(self, format: str, *given: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Doorman) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tracker = MLflow(tmp_path / "run", SPACE, uri=f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(TrackingError, match=way_out):
            tracker.check()
        server.shutdown()


@pytest.mark.parametrize(
    ("uri", "way_out"),
    [
        ("http://me:secret@host:5000", "before http://host:5000 .* MLFLOW_TRACKING_USERNAME"),
        ("https://secret@host", "MLFLOW_TRACKING_TOKEN"),
        ("http://me:sec/secret@host", "before http://host "),
        ("postgresql://me:secret@host/db", "set MLFLOW_TRACKING_URI"),
    ],
)
def test_password_in_the_address_is_refused_and_not_shown(tmp_path: Path, uri: str, way_out: str) -> None:
    tracker = MLflow(tmp_path / "run", SPACE, uri=uri, must_answer=False)
    for use in (tracker.check, tracker.sync):
        with pytest.raises(TrackingError, match=way_out) as raised:
            use()
        assert "sec" not in str(raised.value)


def test_database_takes_its_password_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Store.of(Path("runs"), "postgresql://me@host:5432/db").check_scheme()
    Store.of(Path("runs"), "sqlite:////home/a:b@c/mlflow.db").check_scheme()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg2://me:secret@host:5432/db")
    Store.of(Path("runs")).check_scheme()


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "htp://host:5000", "ftp://host"])
def test_address_that_makes_no_sense_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(TrackingError, match=r"sqlite:////"):
        MLflow(tmp_path / "run", SPACE, uri=uri, must_answer=False).check()


def test_address_comes_from_the_option_then_the_environment_then_the_run_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Store.of(Path("runs")) == Store(f"sqlite:///{tmp_path}/runs/mlflow.db", tmp_path / "runs" / "mlartifacts")
    assert Store.of(Path("runs"), "sqlite:///mine.db").uri == f"sqlite:///{tmp_path}/mine.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000/")
    assert Store.of(Path("runs")) == Store("http://server:5000", None)
    assert Store.of(Path("runs"), "http://other").uri == "http://other"


def _endless(delivery: Delivery, *, ending: bool) -> bool:
    """Send something, slowly, and never come to an end."""
    time.sleep(0.1)
    return True


def _interrupt_when(announced: Callable[[], object]) -> None:
    while not announced():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def test_interrupted_search_waits_for_seconds_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Delivery, "step", _endless)
    monkeypatch.setattr(mlflow_module, "INTERRUPTED_SECONDS", 0.5)
    run = new_run(tmp_path)
    tracker = MLflow(run, SPACE)
    _, history = play(tracker, run, search("impatient")[:12])
    assert seconds(lambda: tracker.closed(history)) < 60
    assert tracker.unsent
    assert f"evonas sync {run}" in caplog.messages[-1]


def test_ctrl_c_skips_the_wait_at_the_end_which_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Delivery, "step", _endless)
    monkeypatch.setattr(mlflow_module, "SILENT_SECONDS", 0.2)
    run = new_run(tmp_path)
    tracker = MLflow(run, SPACE)
    _, history = play(tracker, run, search("skipped"))
    threading.Thread(target=_interrupt_when, args=(lambda: caplog.messages,)).start()
    assert seconds(lambda: tracker.closed(history)) < 60
    assert tracker.unsent
    announced, missing = caplog.messages
    assert "Ctrl-C skips it" in announced
    assert "lacks" in missing
    assert seconds(lambda: tracker.closed(history)) < 20


def test_sync_needs_a_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        MLflow(new_run(tmp_path), SPACE).sync()


def in_a_process(script: str, run: Path) -> subprocess.CompletedProcess[str]:
    """Run a script that knows this module's names, and its `run` folder, in a process that may die."""
    known = f"import sys\nfrom pathlib import Path\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    known += f"from test_mlflow import *\nrun = Path({str(run)!r})\n"
    for name in ("CLOSE_SECONDS", "INTERRUPTED_SECONDS", "CLOSE_SECONDS_AT_MOST", "SILENT_SECONDS"):
        known += f"mlflow_module.{name} = 300.0\n"  # on a busy machine
    return subprocess.run([sys.executable, "-c", known + script], capture_output=True, text=True, cwd=run)


def test_mlflow_hears_of_an_outcome_when_the_search_says_that_it_is_on_the_disk(tmp_path: Path) -> None:
    events = synthetic.events(generations=2)
    history = History.replay(events[:6])
    delivery = Delivery(history, tmp_path / "run", SPACE, Store.of(tmp_path, None), None, "all")
    delivery.follow(history)
    delivery._read()
    assert len(delivery._queue) == 4
    for event in events[6:9]:
        history.apply(event)
    delivery._read()
    assert len(delivery._queue) == 4, "what was only written may be lost with the machine"
    delivery.follow(history)
    delivery._read()
    assert len(delivery._queue) == 7
