"""Every shipped config is right and says how to run it; every slip is answered with the right word.

Golden losses: ``ZOO_GOLDEN=write pytest tests/test_configs.py -k golden`` writes them anew. Do that only on purpose,
when the config or the mathematics was meant to change.
"""

import json
import os
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

import zoo
from zoo import paths
from zoo.config import check, load, plain, read_yaml, save, schema
from zoo.config.plain_yaml import from_config_yaml
from zoo.data import data_class
from zoo.metrics.suite import Suite
from zoo.model import SelfExplaining
from zoo.phase import methods
from zoo.training.run import build, classes, load_config, validate

CONFIGS = sorted(p for p in paths.configs().rglob("*.yaml") if p.parent.name != "evaluate")
SUITES = sorted((paths.configs() / "evaluate").glob("*.yaml"))
GOLDEN = Path(__file__).parent / "golden"
named = lambda p: f"{p.parent.name}/{p.stem}"  # noqa: E731


@pytest.fixture(autouse=True)
def _some_data_root(monkeypatch, tmp_path):
    if "ZOO_DATA" not in os.environ:
        monkeypatch.setenv("ZOO_DATA", str(tmp_path))


def test_classes_that_do_not_fit_the_data(tiny):
    with pytest.raises(ValueError, match="model.num_classes is 7; digits has 10 classes"):
        build(load_config(str(tiny), ["model.num_classes=7"]))


def test_environment_variables_are_read_where_a_config_is_named(tiny, tmp_path, monkeypatch):
    monkeypatch.delenv("ZOO_DATA")
    override = "model.backbone_weights=${oc.env:ZOO_DATA}/x"
    with pytest.raises(ValueError, match="override .*'ZOO_DATA' is not set .at model.backbone_weights"):
        load_config(str(tiny), [override])
    assert load_config(str(tiny), [override.replace("}", ",/there}")]).model.backbone_weights == "/there/x"
    text = tiny.read_text().replace("name: protopnet, ", 'name: protopnet, backbone_weights: "${oc.env:ZOO_DATA}/y", ')
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(text)
    with pytest.raises(ValueError, match="tiny.yaml: .*'ZOO_DATA' is not set .at model.backbone_weights"):
        load_config(str(tiny))
    monkeypatch.setenv("ZOO_DATA", "/here")
    assert load_config(str(tiny)).model.backbone_weights == "/here/y"
    stored = {**plain(load_config(str(tiny))), "reference": "${oc.env:HOME}"}  # a checkpoint cannot read a variable
    assert check(stored, where="there").reference == "${oc.env:HOME}"


NAMES = [
    "${x}",
    "${seed}",
    "${x",
    "a${",
    "${oc.decode:'1'}",
    "\\${x}",
    "???",
    "{}",
    "1e3",
    "NO",
    "2024-01-31",
    "\0",
    "\ud800",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_the_data_are_texts(name, tmp_path):
    data = {"file": "a.csv", "target": "y" + name, "features": [name, "b"], "units": {name: name}}
    raw = {"model": {"name": "bilinear_mlp", "num_classes": 2}, "data": {"name": "table", **data}}
    other = name if name != "???" else "id"  # ??? is what must be given
    config = check(raw, [f"data.id={json.dumps(other)}"], where="here", classes=classes)
    assert (config.data.id, config.data.target, config.data.features) == (other, "y" + name, [name, "b"])
    assert config.data.units == {name: name}
    save(config, tmp_path / "config.yaml")
    assert check(read_yaml(tmp_path / "config.yaml"), where="there", classes=classes) == config
    source = zoo.create_data(**plain(config.data))
    assert (source.targets, source.features, source.id) == (["y" + name], [name, "b"], other)
    sequence = {"tokens": [name, "b"], "length": 3, "classes": ["0", "1"]}
    model = zoo.create_model("dense_encoder", num_classes=2, sequence=sequence, depth=1, width=8, heads=1)
    assert model.hparams.sequence["tokens"] == [name, "b"]


def test_a_value_that_must_be_given(tiny):
    with pytest.raises(ValueError, match="model.num_classes is missing; protopnet needs it"):
        load_config(str(tiny), ["model.num_classes=???"])
    with pytest.raises(ValueError, match="per_class.*'many\\$'|many"):
        check({"model": {"name": "protopnet", "per_class": "many${"}, "data": {}}, where="here", classes=classes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a [1, 2]\nb: [*a, *a]", None),
        ("a: &a {x: 1}\nb: {<<: *a, y: 2}", None),
        ("a: &a [*a]", "nested"),
        ("a: 1\na: 2", "a key is given twice: 'a'"),
        ("a: !!python/object:os.system {}", "not valid YAML"),
        ("a: !!binary aGk=", "holds a bytes"),
        ("? [1]\n: 2", "not valid YAML"),
        ("{}" + "[" * 3000, "not valid YAML|nested too deeply"),
        ("[" * 3000 + "]" * 3000, "nested too deeply"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(7)),
            "more than",
        ),
    ],
)
def test_odd_yaml(text, words):
    if words is None:
        assert isinstance(from_config_yaml(text, "here"), dict)
        return
    with pytest.raises(ValueError, match=words) as error:
        from_config_yaml(text, "here")
    assert "\n" not in str(error.value)


def test_the_listing_is_the_folder():
    assert paths.list_configs() == sorted(map(named, CONFIGS))


@pytest.mark.parametrize("file", CONFIGS, ids=named)
def test_header(file):
    lines = file.read_text().splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    assert head[0].startswith(f"# {named(file)}: "), head[:1]
    assert any(f"zoo train {named(file)}" in line for line in head[1:])


@pytest.mark.parametrize("file", CONFIGS, ids=named)
def test_valid(file):
    validate(named(file), [])


@pytest.mark.parametrize("file", CONFIGS, ids=named)
def test_model_builds_and_names_what_exists(file):
    config = load_config(named(file))
    config.finetune = None
    model, data = build(config, dry=True)
    assert model.name == file.parent.name
    assert type(data) is data_class(config.data.name)
    assert config.reference is None or config.reference in paths.list_configs()
    assert paths.config_file(f"evaluate/{config.suite}").is_file()


@pytest.mark.parametrize("file", SUITES, ids=named)
def test_suites(file, tiny):
    model, _ = build(load_config(str(tiny)))
    assert Suite(named(file), model.units, ("beak",), control=True).compute()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.per_clas=3", r"override 'model.per_clas=3'.*per_class"),
        ("model.per_class=many", "override 'model.per_class=many'.*many"),
        ("model.similarity=cosin", "model.similarity"),
        ("model.name=protopnt", "no model 'protopnt', did you mean protopnet"),
        ("data.batchsize=3", "batch_size"),
        ("data.name=digit", "no data 'digit', did you mean digits"),
        ("data.size=big", "data.size"),
        ("phases.jint.epochs=3", "override 'phases.jint.epochs=3'.*joint"),
        ("phases.joint.epoch=3", "epochs"),
        ("phases.joint.epochs=x", "phases.joint.epochs"),
        ("phases.joint.optimizer=adamm", "phases.joint.optimizer"),
        ("phases.joint.schedule=exp", "phases.joint.schedule"),
        ("phases.joint.lr.adon=1", "phases.joint: protopnet has no part 'adon', did you mean addon"),
        ("phases.joint.loss.clster=1", "phases.joint: protopnet has no loss term 'clster', did you mean cluster"),
        ("phases.project.then=projct", "phases.project: protopnet has no method 'projct', did you mean project"),
        ("phases.last.then={prune: {kk: 1}}", "phases.last: prune takes no 'kk'"),
        ("phases.last.then=[project]", "phases.last: then is .*expected a method's name"),
        ("phases.joint.lr={}", "phases.joint: epochs is 3 and lr names no part"),
        ("phases.joint.cache=2", "phases.joint: cache is set and lr trains the backbone"),
        ("trainer.precision=bf16", "trainer.precision"),
        ("trainer.devices=two", "trainer.devices"),
        ("sed=1", "override 'sed=1'.*seed"),
        ("seed=1.5", "seed"),
        ("phases.joint.lr={head: {a: 1}}", "lr.head is {'a': 1}; expected a finite number|phases.joint.lr"),
        ("phases.joint.lr.head=1e400", "phases.joint: lr.head is inf; expected a finite number"),
        ("phases.joint.weight_decay=.nan", "phases.joint: weight_decay is nan; expected 0 or more"),
        ("phases.joint.loss.cluster=.nan", "phases.joint: loss.cluster is nan; expected a finite number"),
        ("data.limit=[#x]", "quote a text that has #"),
        ("seed", "override 'seed'; expected key=value"),
        ("seed=[", r"override 'seed=\['"),
        ("model.num_classes=0", "num_classes is 0"),
        ("finetune.fro=x", "finetune.fro"),
    ],
)
def test_slips(tiny, override, words):
    with pytest.raises(ValueError, match=words):
        validate(str(tiny), [override])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("per_class: 2", "per_clas: 2", "per_clas.*per_class"),
        ("per_class: 2", "per_class: {a: 1}", "per_class"),
        ("name: protopnet, ", "", "model.name is missing"),
        ("seed: 3", "sead: 3", "sead.*seed"),
        ("seed: 3", "- seed", "tiny.yaml is not valid YAML: "),
        ("seed: 3", "seed: [", "tiny.yaml is not valid YAML: "),
        ("schedule: step", "schedule: steps", "schedule"),
        ("epochs: 3", "epoch: 3", "epoch.*epochs"),
        ("epochs: 3", "epochs: three", "three"),
        ("size: 16", "sise: 16", "sise.*size"),
        ("save_every: 3", "save_every: often", "save_every"),
    ],
)
def test_slips_in_a_file(tiny, tmp_path, old, new, words):
    text = tiny.read_text()
    assert old in text
    file = tmp_path / "tiny.yaml"
    file.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=words) as error:
        validate(str(file), [])
    assert "\n" not in str(error.value)
    assert "tiny.yaml" in str(error.value)


def test_files_that_are_no_config(tmp_path):
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    path = tmp_path / "list.yaml"
    path.write_text("- a\n- b\n")
    for name, words in (
        ("protopnet/digit", "no config 'protopnet/digit', did you mean protopnet/digits"),
        (str(tmp_path / "none.yaml"), "no config"),
        (str(empty), "model.name is missing"),
        (str(path), "a config is a mapping"),
    ):
        with pytest.raises(ValueError, match=words):
            load(name)


def test_overrides_are_typed_and_kept(tiny):
    config = load_config(
        str(tiny),
        [
            "model.per_class=4",
            "data.batch_size=8",
            "phases.joint.epochs=1",
            "phases.joint.lr.head=1e-4",
            "seed=7",
            "phases.last.then.fit_head.l1=0.5",
            "phases.warm.clip=1",
            "model.backbone_args.drop_rate=0.1",
            "data.limit=null",
        ],
    )
    assert (config.model.per_class, config.data.batch_size, config.seed) == (4, 8, 7)
    assert (config.phases.joint.epochs, config.phases.joint.lr.head, config.phases.joint.lr.addon) == (1, 1e-4, 3e-3)
    assert config.phases.last.then.fit_head == {"l1": 0.5, "l2": 1e-3}
    assert config.phases.warm.clip == 1.0
    assert config.model.backbone_args == {"drop_path_rate": 0.2, "drop_rate": 0.1}
    assert config.data.limit is None
    assert plain(config)["model"]["similarity"] == "log_l2"


def test_a_key_is_deleted(tiny, capsys):
    given = ["data.name=folder", "data.root=pictures"]
    file = "protopnet/cub200"
    with pytest.raises(ValueError, match=r"Key 'source' not in 'Folder'.*delete it with '~data.source'"):
        load_config(file, given)
    config = load_config(file, [*given, "~data.source"])
    assert (config.data.name, config.data.root, config.data.augment, "source" in config.data) == (
        "folder",
        "pictures",
        "full",
        False,
    )
    assert list(load_config(str(tiny), ["~phases.project"]).phases) == ["warm", "joint", "last"]
    assert load_config(str(tiny), ["~seed", "~data.limit", "data.limit=7"]).data.limit == 7
    assert load_config(str(tiny), ["~seed"]).seed == 0
    assert "cluster" not in load_config(str(tiny), ["~phases.joint.loss.cluster"]).phases.joint.loss


@pytest.mark.parametrize("value", ["null", "", " null ", "~"])
def test_a_phase_that_is_null_is_removed(tiny, value):
    assert list(load_config(str(tiny), [f"phases.project={value}"]).phases) == ["warm", "joint", "last"]
    with pytest.raises(ValueError, match="has no key 'phases.projekt', did you mean project"):
        load_config(str(tiny), [f"phases.projekt={value}"])


@pytest.mark.parametrize("loss", ["phases.concepts.loss.task=0", "phases.concepts.loss={task: 0, concept: 1}"])
def test_a_joint_model_needs_a_task_loss(loss):
    with pytest.raises(ValueError, match="model.mode is 'joint', but no phase trains concepts or backbone with a task"):
        validate("cbm/digits", ["model.mode=joint", loss])
    validate("cbm/digits", ["model.mode=sequential", loss])
    validate("cbm/digits", ["model.mode=joint", "phases.concepts.loss.task=0.1"])
    validate("cbm/digits_joint")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("~data.sise", "override '~data.sise': .*tiny.yaml has no key 'data.sise', did you mean size"),
        ("~model", "model.name is missing"),
        ("~seed.x", "has no key 'seed.x'"),
        ("~", "has no key ''"),
        ("~phases.joint.lr=1", "has no key 'phases.joint.lr=1'"),
    ],
)
def test_a_key_that_cannot_be_deleted(tiny, override, words):
    with pytest.raises(ValueError, match=words):
        validate(str(tiny), [override])


def test_deletion_on_the_command_line(tiny, capsys):
    from zoo.cli import main

    assert main(["validate", str(tiny), "~phases.project"]) == 0
    assert main(["validate", str(tiny), "--debug", "~trainer.save_every"]) == 0
    assert main(["evaluate", "protopnet-digits", "~model.dim", "--out", "x"]) == 2
    assert "a trained model is fixed" in capsys.readouterr().err


@pytest.mark.parametrize("depth", [60, 500, pytest.param(5000, marks=pytest.mark.slow)])
def test_yaml_that_is_nested_too_deeply(tiny, tmp_path, depth):
    """Early: OmegaConf takes seconds for 60 levels."""
    deep = "[" * depth + "]" * depth
    file = tmp_path / "deep.yaml"
    file.write_text(f"seed: {deep}\n")
    for name, overrides in ((str(file), []), (str(tiny), [f"seed={deep}"])):
        start = time.process_time()
        with pytest.raises(ValueError, match=r"(deep.yaml|override 'seed=\[.*) is nested") as error:
            load(name, overrides)
        assert "\n" not in str(error.value)
        assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model: [1]", r"model is \[1\]; expected a mapping"),
        ("data: []", r"data is \[\]; expected a mapping"),
        ("phases: [{epochs: 1}]", "phases is .*epochs.*; expected a mapping"),
        ("phases: {joint: [1]}", r"phases.joint is \[1\]; expected a mapping"),
        ("phases: {joint: {lr: [1]}}", r"phases.joint.lr is \[1\]; expected a mapping"),
        ("phases: {joint: {lr: {a: 1}, loss: [task]}}", "phases.joint.loss is .*; expected a mapping"),
        ("finetune: {source: x, replace: {a: 1}}", "finetune.replace is .*; expected a list"),
    ],
)
def test_a_list_in_place_of_a_mapping(tmp_path, text, words):
    sections = {"model": "{name: blackbox}", "data": "{name: toys}"}
    rest = [f"{key}: {value}" for key, value in sections.items() if not text.startswith(key)]
    (tmp_path / "odd.yaml").write_text("\n".join([text, *rest]))
    with pytest.raises(ValueError, match=f"odd.yaml: {words}"):
        load(str(tmp_path / "odd.yaml"), [])


def test_a_config_that_is_not_utf8(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("# größe\nseed: 1\n".encode("latin-1"))
    with pytest.raises(ValueError, match="latin.yaml"):
        load(str(tmp_path / "latin.yaml"))


def test_another_model_by_override(tiny):
    given = ["model.name=blackbox"]
    with pytest.raises(ValueError, match="per_class|dim"):  # arguments of a ProtoPNet
        load_config(str(tiny), given)


def test_a_resolved_config_is_a_config(tiny, tmp_path):
    first = load_config(str(tiny))
    save(first, tmp_path / "again.yaml")
    assert plain(load_config(str(tmp_path / "again.yaml"))) == plain(first)


def test_finetune_is_spelt_from(tiny, tmp_path):
    file = tmp_path / "fine.yaml"
    file.write_text(tiny.read_text() + "finetune: {from: some-checkpoint, replace: [head]}\n")
    config = load_config(str(file), ["finetune.replace=[head,prototypes]"])
    assert (config.finetune.source, list(config.finetune.replace)) == ("some-checkpoint", ["head", "prototypes"])
    assert load_config(str(tiny), ["finetune.from=x"]).finetune.source == "x"


def test_methods():
    assert methods(None) == {}
    assert methods("project") == {"project": {}}
    assert methods({"prune": {"k": 3}, "project": None}) == {"prune": {"k": 3}, "project": {}}
    with pytest.raises(ValueError, match="then is 3"):
        methods(3)


def test_schema_needs_types():
    class Untyped(SelfExplaining):
        def __init__(self, width):
            super().__init__()

    with pytest.raises(TypeError, match="Untyped.__init__: width has no type"):
        schema(Untyped)


def test_check_without_classes_leaves_sections_open():
    raw = {"model": {"name": "mine", "anything": 1}, "data": {"name": "digits"}}
    assert check(raw, where="here").model.anything == 1


FEW = ("data.batch_size=8", "data.n_train=160", "data.n_val=8", "data.n_test=8")
TRAINED = {
    name: ()
    for name in ("protopnet/digits", "cbm/digits", "cem/digits", "bilinear_mlp/digits", "transformer_program/hist")
}
TRAINED |= {"dense_transformer/tokfsm": FEW, "codebook_transformer/tokfsm": FEW}


def as_double(batch):
    """The batch with its floating-point tensors in float64."""
    tensors = {f.name: getattr(batch, f.name) for f in fields(batch)}
    floating = {k: v.double() for k, v in tensors.items() if isinstance(v, torch.Tensor) and v.is_floating_point()}
    return replace(batch, **floating)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("steps", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_golden(name, steps, tmp_path):
    """The first losses on the CPU, one thread, seed 0, in float64; 20 of them are stored."""
    import pytorch_lightning as pl

    from zoo.training.phases import run_phases

    steps = 20 if os.environ.get("ZOO_GOLDEN") == "write" else steps
    config = load_config(name, ["seed=0", "trainer.accelerator=cpu", *TRAINED[name]])
    first = next(name for name, phase in config.phases.items() if phase.epochs)
    config.phases = {first: config.phases[first]}
    config.phases[first].then = None
    losses = []

    class Note(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, *_):
            losses.append(float(outputs["loss"]))
            trainer.should_stop = trainer.should_stop or len(losses) == steps

    model, data = build(config)
    model.double()  # float64: the losses of different processors agree
    model.on_before_batch_transfer = lambda batch, _: as_double(batch)
    run_phases(model, data, config, tmp_path, limit=20, callbacks=[Note()], progress=False)
    file = GOLDEN / f"{name.replace('/', '-')}.json"
    if os.environ.get("ZOO_GOLDEN") == "write":
        file.write_text(json.dumps({"config": name, "torch": torch.__version__, "losses": losses}, indent=1) + "\n")
    golden = json.loads(file.read_text())["losses"]
    assert (len(losses), len(golden)) == (steps, 20)
    torch.testing.assert_close(torch.tensor(losses), torch.tensor(golden[:steps]), rtol=1e-6, atol=0)
