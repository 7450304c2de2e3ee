"""The plots show what the history holds, work offline, and never crash for want of a front."""

from __future__ import annotations

import base64
import html
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import ERROR_AND_PARAMS, FOUR_OBJECTIVES, IntegerSpace, events, header, history

from evonas.evaluation import Evaluation
from evonas.history import History
from evonas.journal import Event, Finished
from evonas.reports.plots import write_front_html, write_front_png, write_progress_html

SPACE = IntegerSpace()
THROUGHPUT = FOUR_OBJECTIVES[3]
CASES: dict[str, History] = {
    "two objectives": history(),
    "maximised": history([ERROR_AND_PARAMS[0], THROUGHPUT]),
    "one objective": history(ERROR_AND_PARAMS[:1]),
    "three objectives": history([*ERROR_AND_PARAMS, THROUGHPUT]),
    "four objectives": history(FOUR_OBJECTIVES),
    "constrained": history(constraints=[{"metric": "params", "at_most": 20_000.0}]),
    "one evaluation": history(generations=1, size=1),
    "nothing evaluated": history(generations=0),
    "nothing feasible": history(constraints=[{"metric": "params", "at_most": 2.0}]),
    "nothing feasible of four": history(FOUR_OBJECTIVES, constraints=[{"metric": "params", "at_most": 2.0}]),
}


@pytest.mark.parametrize("case", CASES)
def test_every_history_can_be_plotted(case: str, tmp_path: Path) -> None:
    for write in (write_front_html, write_progress_html):
        write(CASES[case], SPACE, tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert page.startswith("<!doctype html>")
        assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page), "the page must work offline"
        assert len(page) > 1_000_000, "plotly.js must be inside the page"
        said = _layout(page)["annotations"][0]["text"] if "nothing" in case else ""
        assert said.startswith("no") == ("nothing" in case)
    write_front_png(CASES[case], SPACE, tmp_path / "front.png")
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_page_says_name_hypervolume_and_evaluations(tmp_path: Path) -> None:
    searched = CASES["two objectives"]
    write_front_html(searched, SPACE, tmp_path / "front.html")
    title = _layout((tmp_path / "front.html").read_text(encoding="utf-8"))["title"]["text"]
    assert "synthetic" in title
    assert f"hypervolume {searched.front.hypervolume:.4f}" in title
    assert f"{len(searched.evaluations)} evaluated" in title
    assert f"{len(searched.front.members)} on the front" in title


def test_every_evaluation_is_shown_once_in_its_part(tmp_path: Path) -> None:
    searched = CASES["constrained"]
    traces = _traces(searched, tmp_path)
    assert list(traces) == ["infeasible", "evaluated", "front", "knee"]
    sizes = {name: len(_values(trace["x"])) for name, trace in traces.items()}
    assert sizes["infeasible"] + sizes["evaluated"] + sizes["front"] == len(searched.evaluations)
    assert sizes["front"] == len(searched.front.members)
    assert sizes["knee"] == 1
    assert min(_values(traces["infeasible"]["x"])) > 20_000 > max(_values(traces["evaluated"]["x"]))


def test_axes_keep_natural_units_and_directions(tmp_path: Path) -> None:
    searched = CASES["maximised"]
    front = _traces(searched, tmp_path)["front"]
    members = {(m.metrics["throughput"], m.metrics["valid_error"]) for m in searched.front.members}
    assert set(zip(_values(front["x"]), _values(front["y"]), strict=True)) == members
    layout = _layout((tmp_path / "front.html").read_text(encoding="utf-8"))
    assert layout["xaxis"]["title"]["text"] == "throughput (higher is better)"
    assert layout["yaxis"]["title"]["text"] == "valid_error (lower is better)"


def test_costs_over_more_than_a_decade_are_logarithmic_and_go_across(tmp_path: Path) -> None:
    swapped = history(ERROR_AND_PARAMS[::-1])
    write_front_html(swapped, SPACE, tmp_path / "front.html")
    layout = _layout((tmp_path / "front.html").read_text(encoding="utf-8"))
    assert layout["xaxis"]["title"]["text"].startswith("params")
    assert (layout["xaxis"]["type"], layout["yaxis"]["type"]) == ("log", "linear")


def test_values_far_out_do_not_flatten_the_front_and_are_owned_up_to(tmp_path: Path) -> None:
    searched = CASES["two objectives"]
    broken = History.replay([_diverged(event, ids={0, 1}) for event in events()])
    write_front_html(broken, SPACE, tmp_path / "front.html")
    layout = _layout((tmp_path / "front.html").read_text(encoding="utf-8"))
    low, high = layout["yaxis"]["range"]
    errors = [member.metrics["valid_error"] for member in broken.front.members]
    assert low < min(errors) <= max(errors) < high < 1.0
    assert "2 far out of view" in layout["title"]["text"]
    write_front_html(searched, SPACE, tmp_path / "front.html")
    layout = _layout((tmp_path / "front.html").read_text(encoding="utf-8"))
    assert "range" not in layout["yaxis"]
    assert "out of view" not in layout["title"]["text"]


@pytest.mark.parametrize("error_up", [False, True])
@pytest.mark.parametrize("speed_up", [False, True])
def test_staircase_bounds_what_the_front_dominates(error_up: bool, speed_up: bool, tmp_path: Path) -> None:
    objectives: Sequence[Mapping[str, Any]] = [
        {"metric": "valid_error", "maximize": error_up, "worst": float(not error_up)},
        {"metric": "throughput", "maximize": speed_up, "worst": 0.0 if speed_up else 1e5},
    ]
    searched = history(objectives)
    front = _traces(searched, tmp_path)["front"]
    x, y = _values(front["x"]), _values(front["y"])
    assert x == sorted(x)
    for left in range(len(x) - 1):
        corner = (x[left + 1], y[left]) if front["line"]["shape"] == "hv" else (x[left], y[left + 1])
        losses = searched.goals.losses({"throughput": corner[0], "valid_error": corner[1]})
        for neighbour in (left, left + 1):
            better = searched.goals.losses({"throughput": x[neighbour], "valid_error": y[neighbour]})
            assert (better <= losses).all(), "a corner that no member dominates promises too much"


def test_hovering_tells_genes_metrics_and_origin(tmp_path: Path) -> None:
    searched = CASES["two objectives"]
    trace = _traces(searched, tmp_path)["knee"]
    knee = searched.front.knee
    assert knee is not None
    story = trace["text"][0]
    assert f"candidate {knee.candidate.id}<" in story
    assert f"generation {knee.candidate.generation}" in story
    assert "seed" in story
    for name, option in SPACE.describe(knee.candidate.genome).items():
        assert f"{name}={option}" in story
    for metric in knee.metrics:
        assert metric in story


def test_names_are_text_and_not_markup(tmp_path: Path) -> None:
    name = "<script>alert(1)</script> & co"
    searched = History.replay([replace(header(), name=name), *events()[1:]])
    write_front_html(searched, SPACE, tmp_path / "front.html")
    page = (tmp_path / "front.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert html.escape(name) in _layout(page)["title"]["text"]


def test_parallel_coordinates_hold_all_objectives_and_the_ids(tmp_path: Path) -> None:
    searched = CASES["four objectives"]
    write_front_html(searched, SPACE, tmp_path / "front.html")
    (lines,) = _data((tmp_path / "front.html").read_text(encoding="utf-8"))
    labels = [dimension["label"].split("<")[0] for dimension in lines["dimensions"]]
    assert labels == ["valid_error", "throughput", "params", "macs", "candidate"]
    assert len(_values(lines["dimensions"][0]["values"])) == len(searched.evaluations)
    assert np.sum(np.array(_values(lines["line"]["color"])) >= 2) == len(searched.front.members)


def test_progress_ends_at_the_final_hypervolume_and_counts_every_candidate(tmp_path: Path) -> None:
    searched = CASES["two objectives"]
    write_progress_html(searched, SPACE, tmp_path / "progress.html")
    climb, *bars = _data((tmp_path / "progress.html").read_text(encoding="utf-8"))
    volumes = _values(climb["y"])
    assert len(volumes) == len(searched.evaluations)
    assert volumes == sorted(volumes)
    assert volumes[-1] == searched.front.hypervolume
    counts = {bar["name"]: sum(_values(bar["y"])) for bar in bars}
    assert counts == {
        "evaluated": len(searched.evaluations),
        "failed": len(searched.failures),
        "rejected": len(searched.rejections),
        "turned away": searched.turned_away.total(),
    }


def test_picture_suits_a_readme(tmp_path: Path) -> None:
    from PIL import Image

    for case in ("two objectives", "four objectives"):
        write_front_png(CASES[case], SPACE, tmp_path / "front.png")
        with Image.open(tmp_path / "front.png") as picture:
            assert picture.width == 1400, "twice the 700 pixels of a README, for sharp screens"
            assert picture.height < 1.1 * picture.width
            assert len(set(picture.convert("RGB").resize((140, 100)).get_flattened_data())) > 50
        assert (tmp_path / "front.png").stat().st_size < 300_000


def test_reports_load_nothing_heavy_and_no_pyplot(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import evonas.reports.result, evonas.reports.table, evonas.tracking.console
heavy = {{"plotly", "matplotlib", "pyarrow", "rich", "torch", "ray", "mlflow", "pymoo"}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from pathlib import Path
from synthetic import IntegerSpace, history
from evonas.reports.plots import write_front_png
write_front_png(history(), IntegerSpace(), Path({str(tmp_path / "front.png")!r}))
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=120)


def _diverged(event: Event, ids: set[int]) -> Event:
    if isinstance(event, Finished) and isinstance(event.outcome, Evaluation) and event.outcome.candidate.id in ids:
        metrics = {**event.outcome.metrics, "valid_error": 30.0}
        return Finished(replace(event.outcome, metrics=metrics), event.elapsed)
    return event


def _traces(searched: History, folder: Path) -> dict[str, Any]:
    write_front_html(searched, SPACE, folder / "front.html")
    return {trace["name"]: trace for trace in _data((folder / "front.html").read_text(encoding="utf-8"))}


def _data(page: str) -> list[Any]:
    return _plot(page)[0]


def _layout(page: str) -> Any:
    return _plot(page)[1]


def _plot(page: str) -> tuple[list[Any], Any]:
    """Return the data and the layout that a page gives to Plotly."""
    start = page.rindex("Plotly.newPlot(")
    decoder = json.JSONDecoder()
    data, end = decoder.raw_decode(page, page.index("[", start))
    layout, _ = decoder.raw_decode(page, page.index("{", end))
    return data, layout


def _values(array: Any) -> list[float]:
    """Return the numbers of an array, which Plotly may have packed."""
    if isinstance(array, dict):
        return [float(v) for v in np.frombuffer(base64.b64decode(array["bdata"]), dtype=np.dtype(array["dtype"]))]
    return [float(v) for v in array]
