"""The files of NAS-Bench-Graph, as the PyPI package nas_bench_graph has them: `light/cora.bench` and eight others."""

from __future__ import annotations

from pathlib import Path

from evonas import restricted_pickle
from evonas.convert.base import Converted, Tell, watched
from evonas.errors import DataError

LINKS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
"""The macro structures: for each of four layers the one that it reads, 0 for the input."""

OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")

DATA_SETS = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv", "proteins")

_BASE = 10  # one more than there are operations


def convert(source: Path, tell: Tell) -> Converted:
    """Return the table of a file, or of all those in a folder, with columns of each data set.

    A file (Qin et al., NeurIPS 2022) is a pickle of a dictionary: the hash of a graph network to `valid_perf` and
    `perf` (accuracy from 0 to 1, ROC-AUC for proteins, on the test split), `latency` in seconds and `para` in millions
    of parameters. The hash is the macro structure followed by four digits, the operations. Only one of isomorphic
    networks has a row. `proteins` has 2,021 networks, the others 26,206; there, its values are missing. How long a
    training took is not in these files. Raises DataError for a file that is not of this format.
    """
    files = sorted(source.glob("*.bench"), key=_rank) if source.is_dir() else [source]
    if not files:
        raise DataError(f"there is no *.bench file in {source}: name the folder 'light' of the package nas_bench_graph")
    columns: dict[str, dict[int, float | int]] = {}
    for number, file in enumerate(files):
        share = number / len(files)
        columns |= _columns(file, lambda done, share=share: tell(share + done / len(files)))  # type: ignore[misc]
    networks = sorted({network for column in columns.values() for network in column})
    genes = {"link": [LINKS[network // _BASE**4] for network in networks]}
    for position in range(4):
        genes[f"op_{position + 1}"] = [OPERATIONS[network // _BASE ** (3 - position) % _BASE] for network in networks]
    measured = {name: [column.get(network) for network in networks] for name, column in columns.items()}
    return Converted({**genes, **measured}, _experiment(files[0].stem))


def _columns(file: Path, tell: Tell) -> dict[str, dict[int, float | int]]:
    """Return the columns of one data set, each by network."""
    with watched(file, tell) as stream:
        rows = restricted_pickle.load(stream, file)
    if not isinstance(rows, dict) or not rows:
        raise DataError(f"{file} is no file of NAS-Bench-Graph: it holds {type(rows).__name__}, no dictionary of rows")
    name, score = file.stem, _score(file.stem)
    columns: dict[str, dict[int, float | int]] = {
        f"{name}_{column}": {} for column in (f"valid_{score}", f"test_{score}", "latency_ms", "params")
    }
    valid, test, latency, params = columns.values()
    for network, row in rows.items():
        _check(network, file)
        try:
            valid[network], test[network] = float(row["valid_perf"]), float(row["perf"])
            latency[network], params[network] = 1000 * float(row["latency"]), round(1e6 * float(row["para"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{file}: the row of {network} must have numbers for valid_perf, perf, latency and para: {error!r}; "
                f"convert the files of the package nas_bench_graph"
            ) from error
    return columns


def _check(network: object, file: Path) -> None:
    digits = [network // _BASE**place % _BASE for place in range(4)] if isinstance(network, int) else [_BASE]
    if max(digits) >= len(OPERATIONS) or not 0 <= network // _BASE**4 < len(LINKS):  # type: ignore[operator]
        raise DataError(f"{file} is no file of NAS-Bench-Graph: {network!r} is no network's hash, from 0 to 88888")


def _rank(file: Path) -> tuple[int, str]:
    return (DATA_SETS.index(file.stem) if file.stem in DATA_SETS else len(DATA_SETS), file.stem)


def _score(data_set: str) -> str:
    return "roc_auc" if data_set == "proteins" else "accuracy"


def _experiment(data_set: str) -> str:
    return f"""\
name: nas-bench-graph-{data_set}
space:
  use: evonas.spaces.table:Table
  file: FILE
  genes: [link, op_1, op_2, op_3, op_4]
  costs: {{params: {data_set}_params}}
data: null
evaluator:
  use: evonas.workers.tabular:Tabular
  metrics:
    valid_error: {{column: {data_set}_valid_{_score(data_set)}, scale: -1, offset: 1}}
    latency_ms: {data_set}_latency_ms
objectives: [valid_error, latency_ms]
evaluations: 400
pool: evonas.workers.local_pool:LocalPool
"""
