"""An experiment file is understood exactly, or refused with the key, the rule, the value and the nearest known key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
import pytest

from evonas.component import Component
from evonas.config import CHANGEABLE, Experiment, Quantile, load, parse
from evonas.errors import ComponentError, ConfigError

if TYPE_CHECKING:
    from evonas.space import SearchSpace

BASE: dict[str, Any] = {
    "space": "toy:ToySpace",
    "data": None,
    "evaluator": "toy:ToyEvaluator",
    "strategy": {"population": 12},
    "pool": "evonas.workers.local_pool:LocalPool",
    "tracking": None,
}
RANDOM = "evonas.strategies.random_search:RandomSearch"
NSGA2 = {
    "use": "evonas.strategies.pymoo_nsga2:NSGA2",
    "population": 40,
    "offspring": None,
    "crossover": "uniform",
    "crossover_probability": 0.9,
    "mutation": None,
}
LOCAL, RAY = "evonas.workers.local_pool:LocalPool", "evonas.workers.ray_pool:RayPool"


class Options:
    """A component with options of many types; `space`, which evonas supplies, has a type known to checkers only."""

    def __init__(
        self,
        space: SearchSpace,
        *,
        depth: int = 2,
        rate: float = 1,
        mode: Literal["fast", "slow"] = "fast",
        shape: tuple[int, ...] = (3, 4),
        folder: Path = Path("here"),
        limit: int = None,  # type: ignore[assignment]  # noqa: RUF013 - as many people write
        copy: bool = False,
        either: bool | Literal["auto"] = "auto",
        weights: dict[str, float] | None = None,
        share: Annotated[float, pydantic.Field(le=1)] = 0.5,
        anything=None,  # type: ignore[no-untyped-def]
    ) -> None: ...


class UnknownType:
    def __init__(self, *, space_to_use: SearchSpace) -> None: ...


class Fitted:
    """A space that must be told the shape of its inputs and the number of classes."""

    def __init__(self, *, input_shape: tuple[int, ...], classes: int, width: int) -> None: ...


class Keywords:
    def __init__(self, **options: int) -> None: ...


def parsed(*overrides: str, **changes: Any) -> Experiment:
    return parse({**BASE, **changes}, overrides)


def options(*overrides: str, **given: Any) -> dict[str, Any]:
    """Return the checked options of `Options`."""
    component = parsed(*overrides, evaluator={"use": f"{__name__}:Options", **given}).evaluator
    return dict(component.options)


def test_an_experiment_says_only_what_differs() -> None:
    experiment = parse({"tracking": None, "strategy": {"population": 30}})
    assert experiment.plain()["strategy"] == {**NSGA2, "population": 30}
    assert (experiment.evaluations, experiment.seed, experiment.runs) == (400, 0, Path("runs"))
    assert [objective.metric for objective in experiment.objectives] == ["valid_error", "params"]
    assert experiment.data is not None
    assert experiment.data.use == Experiment.model_fields["data"].default.use


def test_null_leaves_a_part_out() -> None:
    experiment = parsed()
    assert (experiment.data, experiment.tracking) == (None, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stratgy": {}}, "stratgy: there is no such key; did you mean 'strategy'?"),
        ({"strategy": {"populaton": 3}}, "strategy: populaton: there is no such key; did you mean 'population'?"),
        ({"strategy": {"seed": 3}}, "strategy: seed: there is no such key"),
        (
            {"gates": [{"metric": "params", "at_mots": 3}]},
            "gates.0.at_mots: there is no such key; did you mean 'at_most'?",
        ),
        (
            {"gates": [{"metric": "params", "at_most": {"quantil": 0.5}}]},
            "gates.0.at_most.quantil: there is no such key",
        ),
        ({"gates": [{"metric": "params", "at_most": {"quantil": 0.5}}]}, "did you mean 'quantile'?"),
        (
            {"gates": [{"metric": "params", "at_most": {"quantile": 2}}]},
            "at_most.quantile: input should be less than or equal",
        ),
        ({"gates": [{"metric": "params", "at_most": "low"}]}, "gates.0.at_most: must be a number, or {quantile: 0.5}"),
        ({"gates": [{"metric": "params", "at_most": [1]}]}, "gates.0.at_most: must be a number, or {quantile: 0.5}"),
        ({"gates": [{"metric": "params", "at_least": True}]}, "gates.0.at_least: must be a number"),
        (
            {"gates": [{"metric": "params", "at_most": float("nan")}]},
            "at_most: input should be a finite number, not nan",
        ),
        ({"gates": [{"metric": "params"}]}, "gates.0: needs a bound on 'params': at_most, at_least or both"),
        ({"gates": [{"at_most": 3}]}, "gates.0.metric: this key is needed"),
        (
            {"gates": [{"metric": "params", "at_most": 3, "applies_to": "al"}]},
            "applies_to: input should be 'all' or 'initial'",
        ),
        ({"constraints": [{"metric": "params", "atmost": 3}]}, "constraints.0.atmost: there is no such key; did you"),
        ({"constraints": [{"metric": "params", "at_most": "3"}]}, "0.at_most: input should be a valid number, not '3'"),
        (
            {"objectives": [{"metric": "x", "maximise": True}]},
            "maximise: there is no such key; did you mean 'maximize'?",
        ),
        ({"objectives": "params"}, "objectives: input should be a valid array, not 'params'"),
        ({"objectives": ["params", 5]}, "objectives.1: input should be an object, not 5"),
        ({"evaluations": "many"}, "evaluations: input should be a valid integer, not 'many'"),
        ({"evaluations": "40"}, "evaluations: input should be a valid integer, not '40'"),
        ({"evaluations": True}, "evaluations: input should be a valid integer, not True"),
        ({"evaluations": 3.5}, "evaluations: input should be a valid integer, not 3.5"),
        ({"evaluations": 0}, "evaluations: input should be greater than or equal to 1, not 0"),
        ({"seed": -1}, "seed: input should be greater than or equal to 0, not -1"),
        ({"name": "my search"}, "name: must start with a letter or digit and hold only letters, digits, '.', '_' and"),
        ({"name": "-x"}, "name: must start with a letter or digit"),
        ({"name": "a\n"}, "name: must start with a letter or digit"),
        ({"strategy": {"population": "x" * 200}}, "not 'xxx"),
        (
            {"strategy": {"crossover": "point"}},
            "crossover: input should be 'uniform', 'one_point' or 'two_point', not 'point'",
        ),
        ({"space": 5}, "space: must be 'package.module:Name', or {use: package.module:Name} with options, not 5"),
        ({"space": None}, "space: must be 'package.module:Name'"),
        ({"space": {"use": 5}}, "space: needs 'use: package.module:Name'"),
        ({"space": "toy"}, "space: 'use: toy' must read 'package.module:Name'"),
        (
            {"space": "toy:ToySpac"},
            "space: 'use: toy:ToySpac': module 'toy' has no 'ToySpac'; did you mean 'ToySpace'?",
        ),
        ({"evaluator": f"{__name__}:Keywords"}, "takes *options: a component must name its options one by one"),
        (
            {"evaluator": f"{__name__}:UnknownType"},
            "evaluator: test_config:UnknownType: the type of an option is not known",
        ),
        ({"evaluator": "builtins:dict"}, "does not tell which options it takes"),
    ],
)
def test_a_mistake_is_told_with_key_rule_value_and_the_nearest(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(**changes)
    assert said in str(refused.value)
    assert str(refused.value).startswith("experiment: ") or "\n  " in str(refused.value)
    assert max(map(len, str(refused.value).splitlines())) < 300


@pytest.mark.parametrize("bound", [{"quantile": 2}, float("nan"), "low", [1]])
def test_a_wrong_bound_is_one_mistake(bound: object) -> None:
    with pytest.raises(ConfigError, match=r"^experiment: gates\.0\.at_most[^\n]*$"):
        parsed(gates=[{"metric": "params", "at_most": bound}])


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(evaluations=0, stratgy={}, gates=[{"metric": "params", "at_most": "x"}])
    assert [line.partition(":")[0].strip() for line in str(refused.value).splitlines()] == [
        "experiment", "gates.0.at_most", "evaluations", "stratgy"
    ]  # fmt: skip


def test_options_are_completed_with_their_defaults_as_plain_values() -> None:
    assert options() == {
        "depth": 2, "rate": 1.0, "mode": "fast", "shape": [3, 4], "folder": "here", "limit": None, "copy": False,
        "either": "auto", "weights": None, "share": 0.5, "anything": None,
    }  # fmt: skip


def test_options_are_checked_against_their_types() -> None:
    given = options(depth=5, rate=3, shape=[1], folder="there", limit=7, either=True, weights={"a": 1}, anything=[1])
    assert (given["rate"], type(given["rate"]), given["weights"]) == (3.0, float, {"a": 1.0})
    assert (given["shape"], given["folder"], given["either"], given["anything"]) == ([1], "there", True, [1])


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("depth", "2"),
        ("depth", True),
        ("depth", 2.5),
        ("rate", "1e-3"),
        ("rate", float("inf")),
        ("mode", "slower"),
        ("shape", 3),
        ("shape", ["a"]),
        ("copy", "yes"),
        ("either", "perhaps"),
        ("weights", {"a": "b"}),
        ("limit", "x"),
        ("share", 1.5),
    ],
)
def test_an_option_of_another_type_is_refused(name: str, wrong: object) -> None:
    with pytest.raises(ConfigError, match=rf"experiment: evaluator:\s+{name}\S*: input should be .*, not "):
        options(**{name: wrong})


SURROGATE = "evonas.strategies.expected_hypervolume:ExpectedHypervolume"


def test_a_nested_component_is_completed_with_its_defaults() -> None:
    left_out, short, long = (
        parsed(strategy={"use": SURROGATE, **given}).strategy.options["predictor"]
        for given in ({}, {"predictor": "evonas.predictors.gp:GP"}, {"predictor": {"use": "evonas.predictors.gp:GP"}})
    )
    assert short == long == {"use": "evonas.predictors.gp:GP", "tuning_rows": 200, "rows": 2000}
    assert left_out == {**short, "tuning_rows": 120}, "of the strategy's own default"
    experiment = parsed(strategy={"use": SURROGATE})
    assert parse(experiment.plain()).identity() == experiment.identity()


def test_an_override_reaches_into_a_nested_component() -> None:
    given = {"use": SURROGATE, "predictor": {"use": "evonas.predictors.gp:GP"}}
    experiment = parsed("strategy.predictor.tuning_rows=50", strategy=given)
    assert experiment.strategy.options["predictor"]["tuning_rows"] == 50


@pytest.mark.parametrize(
    ("predictor", "said"),
    [
        ({"use": "evonas.predictors.gp:GP", "tuning_row": 5}, "tuning_row.*did you mean 'tuning_rows'"),
        ({"use": "evonas.predictors.gp:GP", "tuning_rows": "many"}, "tuning_rows.*whole number|tuning_rows.*integer"),
        ({"use": "evonas.predictors.gp:PG"}, "evonas.predictors.gp:PG': module .* has no 'PG'; known: .*GP"),
        ({"tuning_rows": 5}, "predictor: needs 'use: package.module:Name'"),
        (7, "predictor: must be 'package.module:Name', or"),
    ],
)
def test_a_mistake_in_a_nested_component_is_told_with_its_name(predictor: object, said: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s)strategy.*{said}"):
        parsed(strategy={"use": SURROGATE, "predictor": predictor})


def test_a_resolved_experiment_is_read_back_as_it_is() -> None:
    experiment = parsed(
        evaluator={"use": f"{__name__}:Options"}, gates=[{"metric": "params", "at_most": {"quantile": 0.5}}]
    )
    again = parse(experiment.plain())
    assert again == experiment
    assert again.identity() == experiment.identity()
    assert experiment.gates[0].at_most == Quantile(quantile=0.5)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("seed=3", "seed", 3),
        ("name=fast-1", "name", "fast-1"),
        (" seed = 4 ", "seed", 4),
        ("data=null", "data", None),
        ("data=", "data", None),
        ("runs=/tmp/a=b", "runs", "/tmp/a=b"),
        ("objectives=[macs]", "objectives", [{"metric": "macs", "maximize": None, "worst": None}]),
        (
            "constraints=[{metric: macs, at_most: 1e6}]",
            "constraints",
            [{"metric": "macs", "at_most": 1e6, "at_least": None}],
        ),
        ("space.length=4", "space", {"use": "toy:ToySpace", "length": 4, "redundant": True}),
        ("pool.threads=2", "pool", {"use": LOCAL, "threads": 2, "device": "cpu"}),
        (f"strategy={RANDOM}", "strategy", {"use": RANDOM, "block": 20}),
        (f"strategy.use={RANDOM}", "strategy", {"use": RANDOM, "block": 20}),
        ("strategy={mutation: 0.5}", "strategy", {**NSGA2, "mutation": 0.5}),
    ],
)
def test_an_override_replaces_a_value(override: str, key: str, value: object) -> None:
    assert parsed(override).plain()[key] == value


def test_overrides_reach_into_lists_and_short_forms() -> None:
    gates = [{"metric": "params", "at_most": 9}, {"metric": "macs", "at_least": {"quantile": 0.1}}]
    experiment = parsed(
        "gates.1.at_least.quantile=0.25",
        "gates.0.at_most=1e3",
        "objectives.1.worst=80",
        gates=gates,
        objectives=["valid_error", "params"],
    )
    assert [gate.at_most for gate in experiment.gates] == [1000.0, None]
    assert experiment.gates[1].at_least == Quantile(quantile=0.25)
    assert experiment.objectives[1].worst == 80
    assert parsed("objectives.0.worst=5e-1").objectives[0].worst == 0.5, "of the default ones too"


def test_another_class_takes_none_of_the_options_of_the_last_in_whatever_order_they_are_given() -> None:
    for overrides in ([f"strategy.use={RANDOM}", "strategy.block=5"], ["strategy.block=5", f"strategy.use={RANDOM}"]):
        assert parsed(*overrides).strategy == Component(RANDOM, {"block": 5})
    same = parsed("strategy.use=evonas.strategies.pymoo_nsga2:NSGA2").strategy
    assert same.options["population"] == 12, "and the same class keeps them"
    resolved = parsed(pool=RAY).plain()
    assert parse(resolved, [f"pool.use={LOCAL}"]).pool.use == LOCAL


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed", "an override reads key=value, e.g. strategy.population=20, not 'seed'"),
        ("=3", "an override reads key=value"),
        ("strategy..population=3", "an override reads key=value"),
        ("seed=[1,", "the value of override 'seed=[1,' is not valid YAML"),
        ("seed.deep=3", "override 'seed.deep=3': 'seed' is 0 and has no keys of its own"),
        ("gates.0.at_most=3", "'gates.0.at_most=3': the list is empty and has no item '0'"),
        ("objectives.2.worst=3", "'objectives.2.worst=3': '2' must be a number from 0 to 1, an item of the list"),
        ("objectives.first.worst=3", "'first' must be a number from 0 to 1"),
        ("objectives.-1.worst=3", "'-1' must be a number from 0 to 1"),
        ("strategy.popultion=3", "popultion: there is no such key; did you mean 'population'?"),
        ("strtegy.population=3", "strtegy: there is no such key; did you mean 'strategy'?"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(override)
    assert said in str(refused.value)


def written(folder: Path, text: str) -> Path:
    path = folder / "toy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


SPARE = "space: toy:ToySpace\ndata: null\nevaluator: toy:ToyEvaluator\ntracking: null\n"


def test_a_file_is_read_with_its_overrides(tmp_path: Path) -> None:
    path = written(
        tmp_path, f"# Größe\n{SPARE}gates:\n- {{metric: params, at_most: 1e3}}\nstrategy: {{mutation: 5e-1}}\n"
    )
    experiment = load(path, ["seed=9"])
    assert (experiment.seed, experiment.gates[0].at_most, experiment.strategy.options["mutation"]) == (9, 1000.0, 0.5)


@pytest.mark.parametrize("number", ["1e-3", "1E-3", "+1e-3", ".1e-2", "0.001", "1.e-3", "1.0e-3"])
def test_numbers_may_be_written_as_in_yaml_1_2(number: str, tmp_path: Path) -> None:
    mutation = load(written(tmp_path, f"{SPARE}strategy: {{mutation: {number}}}")).strategy.options["mutation"]
    assert mutation == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gates: [{metric: params", ["is not valid YAML", "line 1"]),
        ("a: b: c", ["is not valid YAML", "line 1"]),
        ("seed: 1\nspace:\n\tx: 1", ["is not valid YAML", "line 3"]),
        ("seed: 1\nname: x\nseed: 2\n", ["the key 'seed' is given twice", "line 3"]),
        ("strategy:\n  mutation: 0.1\n  mutation: 0.2\n", ["the key 'mutation' is given twice", "line 3"]),
        ("gates:\n- {metric: params, metric: macs}\n", ["the key 'metric' is given twice", "line 2"]),
        ("space: !!python/object/apply:os.system ['true']", ["could not determine a constructor", "line 1"]),
        ("name: 2025-13-45", ["is not valid YAML", "month"]),
        ("a: &a [*a]", ["only plain keys and values"]),
        ("[1, 2]", ["must hold keys and values, not a list"]),
        ("seed", ["must hold keys and values, not a str"]),
        ("seed: 1\n---\nseed: 2\n", ["is not valid YAML", "line 2"]),
        ("? [a, b]\n: 3\n", ["is not valid YAML"]),
        ("1: 2", ["1: there is no such key"]),
        ("seed: .nan", ["seed: input should be a valid integer"]),
    ],
)
def test_a_file_that_is_no_experiment_is_refused_with_the_place(text: str, said: list[str], tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert str(refused.value).startswith(str(path))
    assert not [word for word in said if word not in str(refused.value)], str(refused.value)


def test_merged_keys_may_be_overridden_in_yaml(tmp_path: Path) -> None:
    text = "gates:\n- &small {metric: params, at_most: 9}\n- {<<: *small, metric: macs}\n- {<<: *small, at_most: 3}\n"
    gates = load(written(tmp_path, SPARE + text)).gates
    assert [(gate.metric, gate.at_most) for gate in gates] == [("params", 9), ("macs", 9), ("params", 3)]


def test_an_empty_file_is_the_default_experiment(tmp_path: Path) -> None:
    assert load(written(tmp_path, ""), ["tracking=null"]).identity() == parse({"tracking": None}).identity()


def test_a_missing_file_is_told_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    with pytest.raises(ConfigError, match=f"there is no experiment file {tmp_path}/toy.yml; did you mean '{path}'"):
        load(tmp_path / "toy.yml")
    with pytest.raises(ConfigError, match=r"cannot be read: .*Is a directory"):
        load(tmp_path)
    path.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read: 'utf-8' codec"):
        load(path)


@pytest.mark.parametrize(
    "override", ["seed=1", "space.length=5", "strategy.population=9", "objectives.0.worst=0.5", "pool.threads=2"]
)
def test_identity_changes_with_what_decides_the_outcome(override: str) -> None:
    assert parsed(override).identity() != parsed().identity()


def test_identity_stays_with_what_does_not() -> None:
    identity = parsed().identity()
    for override in ["name=other", "evaluations=7", "max_consecutive_failures=3", "runs=elsewhere", "pool.device=cpu"]:
        assert parsed(override).identity() == identity
    assert parsed("tracking=evonas.tracking.base:Tracker").identity() == identity
    assert Experiment.model_fields.keys() > CHANGEABLE


def test_identity_holds_the_threads_of_a_worker_whatever_the_pool() -> None:
    """Weights depend on the number of torch threads: `cpus` of RayPool, rounded down, and `threads` of LocalPool."""
    one, two = parsed().identity(), parsed("pool.threads=2").identity()
    assert parsed(pool={"use": RAY, "workers": 4, "retries": 3}).identity() == one
    assert parsed(pool={"use": RAY, "cpus": 0.5}).identity() == parsed(pool={"use": RAY, "cpus": 1.9}).identity() == one
    assert parsed(pool={"use": RAY, "cpus": 2}).identity() == two != one
    assert parsed(pool={"use": RAY, "cpus": 2}).decisive()["pool.cpus"] == 2


def test_identity_holds_the_kind_of_device_of_a_worker_whatever_the_pool() -> None:
    cpu, gpu = parsed().identity(), parsed("pool.device=cuda:0").identity()
    assert cpu != gpu
    assert parsed(pool={"use": RAY, "gpus": 0.5}).identity() == parsed(pool={"use": RAY, "gpus": 1}).identity() == gpu
    assert parsed(pool={"use": RAY, "gpus": 0}).identity() == parsed(pool=RAY).identity() == cpu
    assert (parsed().decisive()["pool.device"], parsed("pool.device=cuda:0").decisive()["pool.device"]) == (
        "cpu",
        "gpu",
    )


def test_a_space_need_not_be_told_what_follows_the_data() -> None:
    data = "evonas.workers.datasets:digits"
    space: dict[str, Any] = {"use": f"{__name__}:Fitted", "width": 3}
    experiment = parsed(data=data, space=space)
    assert experiment.space.options == {"width": 3}
    assert parse(experiment.plain()) == experiment
    assert parsed(data=data, space={**space, "classes": 7}).space.options == {"classes": 7, "width": 3}


@pytest.mark.parametrize(
    ("data", "space", "said"),
    [
        (None, {"width": 3}, ["input_shape: this key is needed", "classes: this key is needed"]),
        ("evonas.workers.datasets:digits", {}, ["width: this key is needed"]),
        ("evonas.workers.datasets:digits", {"width": 3, "clases": 7}, ["clases: there is no such key", "'classes'"]),
        ("evonas.workers.datasets:digits", {"width": 3, "classes": "7"}, ["classes: input should be a valid integer"]),
    ],
)
def test_what_does_not_follow_the_data_is_needed_and_checked(data: Any, space: Any, said: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        parsed(data=data, space={"use": f"{__name__}:Fitted", **space})
    assert not [words for words in said if words not in str(refused.value)], str(refused.value)


def test_an_experiment_never_changes() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        parsed().seed = 3  # type: ignore[misc]


def test_an_error_of_a_component_names_its_key() -> None:
    with pytest.raises(ComponentError, match=r"experiment: strategy: 'use: nosuch:Thing': there is no module 'nosuch'"):
        parsed(strategy="nosuch:Thing")
