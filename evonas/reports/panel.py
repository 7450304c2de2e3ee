"""One panel of the picture of a front: the plane of two objectives, drawn by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evonas.reports.picture import FRONT, GENERATIONS, INFEASIBLE, INK, KNEE, MUTED, Axis, Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_panel(axes: Axes, picture: Picture, horizontal: Axis) -> None:
    """Draw the plane of two objectives; the staircase only where there are no others."""
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    vertical = picture.axes[0]
    x, y, rows = horizontal.values, vertical.values, picture.beaten
    blues = LinearSegmentedColormap.from_list("generations", GENERATIONS)
    last = max(1, int(picture.generations.max()))
    if picture.infeasible:
        crosses = axes.scatter(x[picture.infeasible], y[picture.infeasible], s=22, c=INFEASIBLE, marker="x", lw=1)
        crosses.set_label("infeasible")
    if rows:
        colours = picture.generations[rows]
        axes.scatter(x[rows], y[rows], s=20, c=colours, cmap=blues, vmin=0, vmax=last, lw=0, alpha=0.9)
        spread = f", light to dark: generation 0 to {last}" if picture.generations.any() else ""
        axes.scatter([], [], s=20, c=GENERATIONS[1], lw=0, label=f"evaluated{spread}")
    if picture.front:
        style = "steps-pre" if horizontal.steps == "vh" else "steps-post"
        line, kind = ("-", style) if len(picture.axes) == 2 else ("none", "default")
        axes.plot(x[picture.front], y[picture.front], color=FRONT, lw=1.6, linestyle=line, drawstyle=kind, zorder=3)
        axes.scatter(x[picture.front], y[picture.front], s=42, c=FRONT, ec="white", lw=0.8, zorder=4, label="front")
    if picture.knee:
        star = axes.scatter(x[picture.knee], y[picture.knee], s=190, c=KNEE, marker="*", ec=INK, lw=0.8, zorder=5)
        star.set_label("knee")
    axes.set_xlabel(horizontal.label, color=INK)
    axes.set_ylabel(vertical.label, color=INK)
    for axis, scale, ticks in ((horizontal, axes.set_xscale, axes.xaxis), (vertical, axes.set_yscale, axes.yaxis)):
        if axis.logarithmic:
            scale("log")
            ticks.set_major_locator(LogLocator(subs=(1,) if axis.decades > 3 else (1, 2, 5)))
            ticks.set_minor_locator(NullLocator())
        if axis.view and axis is horizontal:
            axes.set_xlim(axis.view)
        elif axis.view:
            axes.set_ylim(axis.view)
        if axis.large:
            ticks.set_major_formatter(EngFormatter(sep=""))
    axes.grid(color="#e6eaee", lw=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9aa5b1")
    axes.tick_params(colors=MUTED, labelsize=9)
