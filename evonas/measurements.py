"""Measured networks, of a run, a table or an experiment on one: what predictors are fitted to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evonas import config, run_folder
from evonas.component import Component, checked
from evonas.compose import prepare, space_of
from evonas.errors import ConfigError, DataError, nearest
from evonas.evaluation import Metric, Source
from evonas.history import History
from evonas.predictor import Encoding
from evonas.space import Genome, SearchSpace
from evonas.table import Column, read

if TYPE_CHECKING:
    import pyarrow as pa

TABLE_SPACE = "evonas.spaces.table:Table"
COSTS = frozenset({"params", "parameters", "macs", "flops"})
"""Columns of a table that are taken for static costs."""

MOST_OPTIONS = 64
"""A column with more values than that is taken for no gene."""


@dataclass(frozen=True)
class Measurements:
    """Networks of a space, each once, and what was measured of them: columns of the same length, NaN where it was not.

    `declared` are the metrics whose direction and worst value are known. `target` is what to predict unless somebody
    says otherwise. `notes` say what was guessed.
    """

    source: str
    component: Component
    space: SearchSpace
    genomes: Sequence[Genome]
    columns: Mapping[str, np.ndarray]
    declared: Mapping[str, Metric] = field(default_factory=dict)
    target: str | None = None
    notes: Sequence[str] = ()

    def column(self, name: str) -> np.ndarray:
        """Return a column; raise DataError with the nearest name if there is none."""
        if name in self.columns:
            return self.columns[name]
        if name in self.space.costs(self.genomes[0]):
            raise DataError(f"'{name}' is a static cost of the space, which is computed: there is nothing to predict")
        raise DataError(f"{self.source} has no measured '{name}'{nearest(name, self.columns)}")


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are, as far as a person has said it; None is guessed.

    `categorical` are genes whose numbers are codes, without an order: their options become texts.
    """

    genes: Sequence[str] | None = None
    costs: Sequence[str] | None = None
    metrics: Sequence[str] | None = None
    architecture: str | None = None
    pattern: str | None = None
    categorical: Sequence[str] = ()


def measurements(
    source: Path, columns: Columns = Columns(), wanted: Sequence[str] = (), overrides: Sequence[str] = ()
) -> Measurements:
    """Return what a run folder, a table (parquet, CSV) or an experiment (YAML) on a table holds.

    `wanted` names columns that are metrics in any case; `overrides` (key=value) are those of an experiment. Raises an
    EvonasError if `source` is nothing of that, or cannot be understood.
    """
    suffix = source.suffix.lower()
    is_table, is_experiment = suffix in (".parquet", ".csv"), suffix in (".yaml", ".yml")
    if columns != Columns() and not is_table:
        raise ConfigError(f"what columns are is said of a table (.parquet, .csv), and {source} is none: leave it out")
    if overrides and not is_experiment:
        raise ConfigError(
            f"'{overrides[0]}' is said of an experiment, and {source} is none: predictor.KEY=VALUE is for it"
        )
    if is_table:
        return _of_table(source, columns, wanted)
    return _of_experiment(source, overrides) if is_experiment else _of_run(run_folder.find(source))


def _of_run(path: Path) -> Measurements:
    history = History.read(path)
    component, space = Component.of(history.config["space"]), space_of(history)
    if space.fingerprint() != history.header.space_fingerprint:
        raise DataError(f"{path}: the file that its space was read from has changed or gone: bring it back")
    evaluated = {evaluation.candidate.genome: evaluation for evaluation in history.measured}
    if not evaluated:
        raise DataError(f"{path} has no evaluation at its top fidelity yet: let it evaluate networks first")
    rows = list(evaluated.values())
    costs = space.costs(rows[0].candidate.genome)
    names = dict.fromkeys(name for row in rows for name in row.metrics if name not in costs)
    columns = {name: np.array([row.metrics.get(name, np.nan) for row in rows]) for name in names}
    objectives = [Metric(o.metric, o.maximize, o.worst) for o in history.goals.objectives if o.metric in names]
    guessed = sum(row.source is Source.PREDICTED for row in rows)
    notes = [f"{guessed:,} of {len(rows):,} rows were predicted themselves, and not measured"] if guessed else []
    return Measurements(
        str(path), component, space, list(evaluated), columns,
        {metric.name: metric for metric in objectives}, objectives[0].name if objectives else None, notes,
    )  # fmt: skip


def _of_experiment(path: Path, overrides: Sequence[str]) -> Measurements:
    search = prepare(config.load(path, overrides))
    evaluator = search.evaluator
    genomes = evaluator.known_genomes()
    if genomes is None:
        raise ConfigError(
            f"{search.experiment.evaluator.use} measures no network for nothing: run {path}, and predict from its run "
            f"folder"
        )
    rows = [evaluator.measure(genome, None) for genome in genomes]
    columns = {metric.name: np.array([row[metric.name] for row in rows]) for metric in evaluator.metrics}
    declared = {metric.name: metric for metric in evaluator.metrics}
    target = next((o.metric for o in search.goals.objectives if o.metric in declared), None)
    return Measurements(str(path), search.experiment.space, search.space, genomes, columns, declared, target)


def _of_table(path: Path, columns: Columns, wanted: Sequence[str]) -> Measurements:
    table = read(path)
    columns = _understood(table, columns, wanted)
    costs, metrics = columns.costs or [], columns.metrics or []
    if not metrics:
        raise ConfigError(
            f"no column of {path} looks measured (numbers that are no gene and no static cost): say what to predict, "
            f"with --target: {', '.join(table.column_names)}"
        )
    written = {"architecture": columns.architecture, "pattern": columns.pattern, "genes": columns.genes}
    component = Component(TABLE_SPACE, {"file": str(path), **written, "costs": costs, "duplicates": "mean"})
    space: Any = checked(component, SearchSpace).build()
    if columns.categorical:
        component = replace(component, options={**component.options, "genes": _options(space, columns.categorical)})
        space = checked(component, SearchSpace).build()
    told = "" if columns.architecture is None else f", as '{columns.architecture}' tells"
    notes = [
        f"genes: {_listed(gene.name for gene in space.genes)}{told}",
        f"static costs: {_listed(costs)}",
        f"measured: {_listed(metrics)}",
    ]
    if ordered := Encoding(space).ordered:
        notes.insert(1, f"taken as ordered numbers: {_listed(ordered)}; name those that are codes with --categorical")
    known = {*(columns.genes or ()), *costs, *metrics, columns.architecture}
    if left_out := [name for name in table.column_names if name not in known]:
        notes.append(f"left out: {_listed(left_out)}")
    if len(space.table) < table.num_rows:
        notes.append(f"{table.num_rows:,} rows are {len(space.table):,} networks: what several say of one is averaged")
    numbers = {name: space.table.numbers(Column(name)) for name in metrics}
    target = metrics[0] if len(metrics) == 1 else None
    return Measurements(str(path), component, space, list(space.table.row_of), numbers, target=target, notes=notes)


def _options(space: SearchSpace, categorical: Sequence[str]) -> dict[str, list[str] | None]:
    """Return the options of `categorical` genes as texts, None of the others; raise ConfigError for what is no gene."""
    genes = {gene.name: gene.options for gene in space.genes}
    for name in categorical:
        if name not in genes:
            raise ConfigError(f"--categorical: '{name}' is no gene{nearest(name, genes)}")
    return {name: [str(option) for option in genes[name]] if name in categorical else None for name in genes}


def _understood(table: pa.Table, columns: Columns, wanted: Sequence[str]) -> Columns:
    """Return what columns are: as they are said to be, else by their types and names."""
    said = {*(columns.genes or ()), *(columns.costs or ()), *(columns.metrics or ()), *wanted, columns.architecture}
    for name in said - {None} - set(table.column_names):
        raise DataError(f"the table has no column '{name}'{nearest(str(name), table.column_names)}")
    _check_roles(columns, wanted)
    kinds = {name: _kind(name, table[name]) for name in table.column_names if name not in said}
    kinds |= {name: "gene" for name in columns.categorical if name in kinds}
    looks = {kind: [name for name in kinds if kinds[name] == kind] for kind in ("gene", "cost", "metric", "text")}
    costs = looks["cost"] if columns.costs is None else list(columns.costs)
    metrics = looks["metric"] if columns.metrics is None else list(columns.metrics)
    metrics = [*dict.fromkeys([*wanted, *metrics])]
    columns = replace(columns, costs=costs, metrics=metrics)
    if columns.architecture is not None:
        return columns
    genes = looks["gene"] if columns.genes is None else list(columns.genes)
    if not genes and len(looks["text"]) == 1:
        return replace(columns, genes=None, architecture=looks["text"][0])
    if not genes:
        raise ConfigError(
            f"no column looks like a gene (whole numbers or names, up to {MOST_OPTIONS} of them): say which are, "
            f"--genes a,b,c, or in which column an architecture is written, --architecture"
        )
    return replace(columns, genes=genes)


def _check_roles(columns: Columns, wanted: Sequence[str]) -> None:
    """Raise ConfigError for a column that is said to be two things: what is predicted would be its own feature."""
    roles = {
        "a gene": columns.genes or (),
        "a static cost": columns.costs or (),
        "the architecture": [columns.architecture],
        "measured (--metrics, --target, --with)": [*(columns.metrics or ()), *wanted],
    }
    for name in dict.fromkeys(name for named in roles.values() for name in named if name is not None):
        if len(twice := [role for role, named in roles.items() if name in named]) > 1:
            raise ConfigError(
                f"'{name}' is said to be {' and '.join(twice)}: a column is one of them, leave out the rest"
            )


def _kind(name: str, column: pa.ChunkedArray) -> str | None:
    """Return what a column looks like: a gene, a cost, a metric, or a text; None if all its values are the same."""
    import pyarrow as pa
    from pyarrow import compute

    numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    different = compute.count_distinct(column).as_py()
    if numeric and re.sub(r"^(n|num)_", "", name.lower()) in COSTS:
        return "cost"
    if different < 2:
        return None
    if pa.types.is_floating(column.type):
        return "metric"
    if different <= MOST_OPTIONS:
        return "gene"
    return "metric" if numeric else "text"


def _listed(names: Any) -> str:
    return ", ".join(names) or "none"
