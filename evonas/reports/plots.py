"""The plots of a search: its front, as a page to explore or as a picture, and its progress."""

from __future__ import annotations

import html
from collections import Counter
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from evonas.evaluation import Evaluation, Failure, Rejection
from evonas.history import History
from evonas.pareto import ParetoFront
from evonas.reports.panel import draw_panel
from evonas.reports.picture import FRONT, GENERATIONS, INFEASIBLE, INK, KNEE, MUTED, Axis, Picture
from evonas.space import SearchSpace

FONT = "Inter, Segoe UI, Helvetica, Arial, sans-serif"
SCALE = [[i / (len(GENERATIONS) - 1), colour] for i, colour in enumerate(GENERATIONS)]

PAGE = Template(
    '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>$title</title>\n'
    "<style>html, body { height: 100%; margin: 0; background: white; }</style></head>\n<body>$body</body>\n</html>\n"
)


def write_front_html(history: History, space: SearchSpace, path: Path) -> None:
    """Write a page that shows every evaluation and the front, works offline, and tells a candidate's story on hover.

    Two objectives make a plane, three a space, more make parallel coordinates.
    """
    import plotly.graph_objects as go

    picture = Picture.of(history, space)
    figure = go.Figure()
    note = ""
    layouts = [_plotly_axis(axis) for axis in picture.axes]
    if len(layouts) == 2:
        figure.add_traces(_points(picture, go.Scatter))
        figure.update_layout(xaxis=layouts[1], yaxis=layouts[0])
        note = f"{picture.unseen}, double-click to see" if picture.unseen else ""
    elif len(layouts) == 3:
        figure.add_traces(_points(picture, go.Scatter3d))
        for axis, layout in zip(picture.axes, layouts, strict=True):
            layout["title"] = {"text": f"{html.escape(axis.name)} {'↑' if axis.maximize else '↓'}"}
        scene = {"xaxis": layouts[1], "yaxis": layouts[2], "zaxis": layouts[0]}
        figure.update_layout(scene={**scene, "camera": {"eye": {"x": 1.7, "y": 1.7, "z": 0.8}, "center": {"z": -0.15}}})
    elif layouts:
        figure.add_trace(_parallel_coordinates(picture))
        figure.update_traces(domain={"y": [0, 0.9]})
        note = "  ·  drag along an axis to filter"
    _write_page(figure, picture, "front", path, note=note)


def write_progress_html(history: History, space: SearchSpace, path: Path) -> None:
    """Write a page with the hypervolume over evaluations, and with what became of each generation's candidates."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, row_heights=[0.62, 0.38], vertical_spacing=0.17)
    climb = _hypervolumes(history)
    line = go.Scatter(x=list(range(1, len(climb) + 1)), y=climb, mode="lines", showlegend=False)
    line.update(line={"color": FRONT, "width": 2.5, "shape": "hv"})
    line.update(hovertemplate="after %{x} evaluations: <b>%{y:.4f}</b><extra></extra>")
    figure.add_trace(line, row=1, col=1)
    colours = {"evaluated": GENERATIONS[1], "failed": FRONT, "rejected": KNEE, "turned away": INFEASIBLE}
    for kind, counts in _counts(history).items():
        bars = go.Bar(x=list(range(len(counts))), y=counts, name=kind, marker_color=colours[kind])
        bars.update(hovertemplate=f"generation %{{x}}: <b>%{{y:,}}</b> {kind}<extra></extra>")
        bars.update(visible="legendonly" if kind == "turned away" else True)
        figure.add_trace(bars, row=2, col=1)
    figure.update_layout(
        barmode="stack", legend_traceorder="normal", xaxis_title="evaluations", yaxis_title="hypervolume"
    )
    figure.update_layout(xaxis2_title="generation", yaxis2_title="candidates", bargap=0.25, legend_traceorder="normal")
    figure.update_xaxes(range=[0, max(1, len(climb))], row=1, col=1)
    figure.update_xaxes(tickformat="d", row=2, col=1)
    _write_page(figure, Picture.of(history, space), "progress", path, legend_height=0.33)


def write_front_png(history: History, space: SearchSpace, path: Path) -> None:
    """Write the front as a picture; with three objectives or more, a panel for each pair with the first objective."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    picture = Picture.of(history, space)
    panels = max(1, len(picture.axes) - 1)
    columns = min(panels, 2)
    rows = -(-panels // columns)
    height = 1.0 + (3.6 if panels == 1 else 2.9 * rows)
    figure = Figure(figsize=(7.0, height), dpi=200, facecolor="white")
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - 0.85 / height))
    canvas = FigureCanvasAgg(figure)
    figure.text(0.014, 1 - 0.10 / height, picture.title, va="top", fontsize=13, weight="bold", color=INK)
    figure.text(0.014, 1 - 0.40 / height, picture.subtitle + picture.unseen, va="top", fontsize=9.5, color=MUTED)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, horizontal in zip(grid, picture.axes[1:], strict=False):
        draw_panel(axes, picture, horizontal)
    for unused in grid[max(0, len(picture.axes) - 1) :]:
        unused.set_axis_off()
    if picture.silence:
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        figure.text(0.5, 0.45, picture.silence, ha="center", va="center", fontsize=11, color=MUTED, bbox=box)
    handles, labels = grid[0].get_legend_handles_labels()
    if labels:
        legend = figure.legend(handles, labels, loc="upper left", ncols=len(labels), frameon=False, fontsize=9)
        legend.set_bbox_to_anchor((0.0, 1 - 0.58 / height))
    canvas.print_png(str(path))  # type: ignore[no-untyped-call]


def _plotly_axis(axis: Axis) -> dict[str, Any]:
    layout: dict[str, Any] = {"title": {"text": html.escape(axis.label)}, "type": "linear"}
    if axis.logarithmic:
        layout |= {"type": "log", "dtick": 1 if axis.decades > 3 else "D2"}
    layout |= {"range": axis.view} if axis.view else {}
    return layout | ({"tickformat": "~s"} if axis.large else {})


def _points(picture: Picture, kind: Any) -> list[Any]:
    """Return the traces of a plane or a space: infeasible and beaten evaluations, the front, its knee."""
    flat = len(picture.axes) == 2
    upwards, *across = [axis.values for axis in picture.axes]
    names = ("x", "y") if flat else ("x", "y", "z")

    def trace(name: str, rows: list[int], **style: Any) -> Any:
        points = {letter: values[rows] for letter, values in zip(names, [*across, upwards], strict=True)}
        style = {"mode": "markers", "text": [picture.story(row) for row in rows], **style}
        return kind(**points, name=name, hovertemplate="%{text}<extra></extra>", **style)

    generations = picture.generations
    beaten = {
        "size": 8 if flat else 3.5,
        "opacity": 0.8,
        "color": generations[picture.beaten],
        "cmin": int(generations.min()),
        "cmax": max(1, int(generations.max())),
        "colorscale": SCALE,
        "showscale": bool(generations.max() > generations.min()),
        "colorbar": {"title": {"text": "generation"}, "thickness": 10, "len": 0.6, "tickformat": "d"},
    }
    infeasible = {"size": 7 if flat else 3, "color": INFEASIBLE, "symbol": "x-thin-open" if flat else "x"}
    front = {"size": 11 if flat else 6, "color": FRONT, "line": {"color": "white", "width": 1}}
    knee = {"size": 19 if flat else 9, "color": KNEE, "line": {"color": INK, "width": 1}}
    knee["symbol"] = "star" if flat else "diamond"
    steps = {"mode": "lines+markers", "line": {"color": FRONT, "width": 2, "shape": picture.axes[1].steps}}
    traces = [
        (picture.infeasible, trace("infeasible", picture.infeasible, marker=infeasible)),
        (picture.beaten, trace("evaluated", picture.beaten, marker=beaten)),
        (picture.front, trace("front", picture.front, marker=front, **(steps if flat else {}))),
        (picture.knee, trace("knee", picture.knee, marker=knee)),
    ]
    return [made for rows, made in traces if rows]


def _parallel_coordinates(picture: Picture) -> Any:
    """Return one line per evaluation across all objectives, coloured by its part; drag on an axis to filter."""
    import plotly.graph_objects as go

    part = np.ones(len(picture.evaluations))
    part[picture.infeasible], part[picture.front], part[picture.knee] = 0, 2, 3
    order = np.argsort(part, kind="stable")
    ids = np.array([evaluation.candidate.id for evaluation in picture.evaluations], dtype=float)
    dimensions = []
    for axis in [*picture.axes, Axis("candidate", None, ids)]:
        values = np.log10(axis.values) if axis.logarithmic else axis.values
        ticks = np.unique(np.linspace(values.min(), values.max(), 6).round(0 if axis.maximize is None else 12))
        texts = [_short(10**tick if axis.logarithmic else tick) for tick in ticks]
        label = html.escape(axis.label).replace(" (", "<br>(")
        dimensions.append({"label": label, "values": values[order], "tickvals": ticks, "ticktext": texts})
    colours = [INFEASIBLE, GENERATIONS[0], FRONT, KNEE]
    scale = [[(i + step) / 4, colour] for i, colour in enumerate(colours) for step in (0, 1)]
    bar = {"tickvals": [0, 1, 2, 3], "ticktext": ["infeasible", "evaluated", "front", "knee"], "len": 0.5}
    line = {"color": part[order], "colorscale": scale, "cmin": -0.5, "cmax": 3.5, "showscale": True, "colorbar": bar}
    return go.Parcoords(line=line, dimensions=dimensions, labelfont={"size": 13})


def _short(value: float) -> str:
    """Return a tick with three significant digits, thousands and more abbreviated."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.3g}"


def _hypervolumes(history: History) -> list[float]:
    """Return the hypervolume after each evaluation, in the order in which they finished."""
    front = ParetoFront(history.goals, ())
    climb = []
    for outcome in history.outcomes.values():
        if isinstance(outcome, Evaluation) and not outcome.candidate.is_audit:
            front = front.including(outcome) if outcome.candidate.at_top else front
            climb.append(front.hypervolume)
    return climb


def _counts(history: History) -> dict[str, list[int]]:
    """Return for each generation what became of its candidates, and what the gates turned away meanwhile."""
    kinds = {Evaluation: "evaluated", Failure: "failed", Rejection: "rejected"}
    tally: dict[str, Counter[int]] = {kind: Counter() for kind in kinds.values()}
    own = [outcome for outcome in history.outcomes.values() if not outcome.candidate.is_audit]
    for outcome in own:
        tally[kinds[type(outcome)]][outcome.candidate.generation] += 1
    last = max((outcome.candidate.generation for outcome in own), default=-1)
    counts = {kind: [tally[kind][number] for number in range(last + 1)] for kind in tally}
    totals = [generation.turned_away for generation in history.generations]
    counts["turned away"] = [int(step) for step in np.diff([0, *totals])]
    return {kind: row for kind, row in counts.items() if any(row)}


def _write_page(
    figure: Any, picture: Picture, what: str, path: Path, *, note: str = "", legend_height: float = 1.02
) -> None:
    small = f"<span style='font-size:13px;color:{MUTED}'>{picture.subtitle}{note}</span>"
    title = f"<b>{html.escape(picture.title)}</b>  {what}<br>{small}"
    figure.update_layout(
        template="plotly_white",
        title={"text": title, "x": 0.02, "xanchor": "left", "y": 1, "yanchor": "top", "pad": {"t": 24}},
        title_font={"size": 19},
        font={"family": FONT, "size": 13, "color": INK},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": legend_height, "yanchor": "bottom"},
        hoverlabel={"bgcolor": "white", "align": "left", "font": {"color": INK, "size": 12}},
    )
    figure.update_layout(margin={"t": 110, "l": 90, "r": 60, "b": 60})
    if picture.silence:
        figure.add_annotation(text=picture.silence, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
        figure.update_annotations(font={"size": 18, "color": MUTED}, bgcolor="white")
    if not picture.evaluations:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    body = figure.to_html(
        full_html=False, include_plotlyjs=True, div_id=what, default_height="100vh",
        config={"responsive": True, "displaylogo": False},
    )  # fmt: skip
    path.write_text(PAGE.substitute(title=html.escape(f"{picture.title}: {what}"), body=body), encoding="utf-8")
