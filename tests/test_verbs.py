"""``zoo.train`` and the other verbs: typed functions that return objects, print nothing and name every mistake."""

import inspect

import pytest

import zoo
from zoo import paths
from zoo.config import keyword_overrides
from zoo.recipe_support import recipe, verb
from zoo.recipe_support.recipe_results import EvaluateResult, ExplainResult, TrainResult
from zoo.training.run import load_config

VERBS = sorted(file.stem for file in paths.recipes().glob("*.py"))


@pytest.fixture
def work_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_recipe_is_a_verb():
    assert VERBS == [
        "compare",
        "edit",
        "evaluate",
        "explain",
        "export",
        "finetune",
        "intervene",
        "migrate",
        "predict",
        "pull",
        "push",
        "report",
        "steer",
        "train",
    ]
    for name in VERBS:
        assert name in zoo.__all__
        assert getattr(zoo, name) is getattr(recipe(name), name)


@pytest.mark.parametrize("name", VERBS)
def test_a_recipe_is_short_typed_and_parses_no_command_line(name):
    text = (paths.recipes() / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 120
    assert not [word for word in ("argparse", " print(", "sys.stdout", "rich") if word in text]
    signature = inspect.signature(getattr(zoo, name))
    assert signature.return_annotation is not inspect.Parameter.empty
    assert all(p.annotation is not inspect.Parameter.empty for p in signature.parameters.values())


def test_train_evaluate_and_explain_in_python(tiny, work_dir, capsys):
    small = {"limit": 20}
    trained = zoo.train(tiny, seed=4, data=small, phases={"joint": {"epochs": 1}}, overrides=["model.dim=8"], out="run")
    assert isinstance(trained, TrainResult)
    assert trained.folder.resolve() == work_dir / "run"
    assert trained.page.is_file()
    assert 0 <= trained.scores["accuracy"].value <= 1
    config = zoo.load("run").config
    assert (config["seed"], config["data"]["limit"], config["model"]["dim"]) == (4, 20, 8)
    assert config["phases"]["joint"]["epochs"] == 1
    assert config["phases"]["joint"]["lr"] == {"backbone": 1e-3, "addon": 3e-3, "prototypes": 3e-3}

    scored = zoo.evaluate("run", out="scores")
    assert isinstance(scored, EvaluateResult)
    assert scored.metrics.is_file()
    assert scored.scores["accuracy"].value == trained.scores["accuracy"].value

    explained = zoo.explain("run", 3)
    assert isinstance(explained, ExplainResult)
    assert explained.page.is_file()
    assert explained.answers[0] in "0123456789"

    name = explained.explanation.units.names[0]
    changed = zoo.intervene("run", 3, {name: 9.0}, dry_run=True)
    assert changed.page is None
    assert [step.name for step in changed.steps] == ["", name]
    assert capsys.readouterr() == ("", "")


def test_compare_in_python(finished, work_dir, capsys):
    with pytest.raises(ValueError, match="2 or more|two or more"):
        zoo.compare(finished)
    with pytest.raises(ValueError, match="by is 'colors'; expected activations"):
        zoo.compare(finished, finished, by="colors")
    assert list(work_dir.iterdir()) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"sede": 1}, "unexpected argument 'sede', did you mean seed"),
        ({"data": {"limit": object()}}, "data.limit is <object"),
        ({"seed": float("nan")}, "seed is nan"),
        ({"model": {"per_clas": 3}}, "per_clas"),
        ({"phases": {"jint": {"epochs": 1}}}, "jint"),
    ],
)
def test_mistakes_in_keywords(tiny, work_dir, keys, words):
    with pytest.raises(ValueError, match=words):
        zoo.train(tiny, **keys)
    assert list(work_dir.iterdir()) == []


def test_keywords_are_overrides(tiny, tmp_path):
    keys = {
        "seed": 7,
        "suite": "quick",
        "reference": None,
        "model": {"per_class": 4, "backbone_args": {"drop_path_rate": 0.1}},
        "phases": {"joint": {"epochs": 1, "lr": {"head": 1e-5}}, "last": {"then": {"prune": {"k": 2}}}},
        "trainer": {"loggers": ["tensorboard"], "compile": False},
    }
    config = load_config(str(tiny), keyword_overrides(keys))
    assert (config.seed, config.reference, config.model.per_class) == (7, None, 4)
    assert config.model.backbone_args == {"drop_path_rate": 0.1}
    assert config.phases.joint.lr == {"head": 1e-5}
    assert config.phases.joint.schedule == "step"
    assert config.phases.last.then == {"prune": {"k": 2}}
    assert list(config.trainer.loggers) == ["tensorboard"]
    assert keyword_overrides({"data": {"root": tmp_path}}) == [f'data.root="{tmp_path}"']
    assert load_config("blackbox/digits", keyword_overrides({"data": {"name": "digits"}})).data.name == "digits"


def test_a_recipe_without_its_function(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def other(): ...\n")
    with pytest.raises(ValueError, match=r"mine.py defines no function train\(...\)"):
        verb("train", file)
    with pytest.raises(ValueError, match="no recipe .*gone.py"):
        verb("train", tmp_path / "gone.py")
