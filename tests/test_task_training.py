"""One table, three tasks: trained, calibrated, stored, loaded and predicted, against scikit-learn."""

import csv
import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch.nn.functional import softmax

import zoo
from zoo.cli import main
from zoo.data import create_data
from zoo.evaluation import examples
from zoo.registry import list_models, model_class
from zoo.task import Classification, MultiLabel, Regression

N = 500
CONFIG = """\
model: {{name: {model}, {extra}}}
data: {{name: table, file: {file}, features: [age, dose, sex], batch_size: 64, {data}}}
phases:
{phases}
trainer: {{accelerator: cpu}}
seed: 0
"""
JOINT = "  joint: {{epochs: {epochs}, lr: {{{lr}}}, schedule: cosine, loss: {{{loss}}}}}"
MLP = "backbone: mlp, backbone_args: {hidden: [16]}"
FAMILIES = {
    "bilinear_mlp": ("width: 8, bias: true", "embed: 1e-2, layers: 1e-2, head: 1e-2", ""),
    "blackbox": (MLP, "backbone: 1e-2, head: 1e-2", ""),
    "cbm": (
        "backbone: mlp, backbone_args: {hidden: [16]}, mode: joint",
        "backbone: 1e-2, concepts: 1e-2",
        "concept: 1",
    ),
    "cem": ("backbone: mlp, backbone_args: {hidden: [16]}, width: 4", "backbone: 1e-2, embeddings: 1e-2", "concept: 1"),
}
TARGETS = {"classification": "grade", "regression": "price", "multilabel": "[smokes, fever]"}


def rows():
    g = np.random.default_rng(0)
    age, dose, sex = g.normal(50, 12, N).round(1), g.uniform(0, 10, N).round(2), g.choice(["F", "M"], N)
    z = (age - 50) / 12 + (dose - 5) / 3 + (sex == "M") * 0.5
    return {
        "age": age,
        "dose": dose,
        "sex": sex,
        "price": (20_000 + 6_000 * z + g.normal(0, 1_500, N)).round(1),
        "grade": np.array(["low", "mid", "top"])[np.digitize(z + g.normal(0, 0.4, N), (-0.7, 0.9))],
        "ill": np.where(z + g.normal(0, 0.4, N) > 2.9, "ill", "well"),
        "smokes": (z + g.normal(0, 0.6, N) > 0).astype(int),
        "fever": (dose - 5 + g.normal(0, 1, N) > 1).astype(int),
        "high": (dose > 5).astype(int),
        "old": (age > 50).astype(int),
        "patient": g.integers(0, 60, N),
        "w": g.uniform(0.5, 2, N).round(2),
        "day": [f"2024-{1 + i * 11 // N:02d}-{1 + i * 7 % 27:02d}" for i in range(N)],
    }


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    file = tmp_path_factory.mktemp("table") / "t.csv"
    columns = rows()
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return file


def config_of(table, folder, family, target, *, epochs=12, data="", more=""):
    extra, lr, loss = FAMILIES[family]
    lr += "" if "head" in lr else ", head: 3e-2"
    data = f"target: {target}, {data}" + ("concept_columns: [high, old]" if family in ("cbm", "cem") else "")
    phases = JOINT.format(epochs=epochs, lr=lr, loss=loss)
    file = folder / f"{family}.yaml"
    text = CONFIG.format(model=family, extra=extra, file=table, data=data, phases=phases)
    file.write_text(text + more)
    return file


@pytest.fixture(scope="module")
def runs(table, tmp_path_factory):
    """Finished runs by family and task, trained when first asked for."""
    done = {}

    def run(family, task):
        if (family, task) not in done:
            folder = tmp_path_factory.mktemp("runs")
            file = config_of(table, folder, family, TARGETS[task], epochs=30 if family == "cbm" else 12)
            done[family, task] = zoo.train(file, out=folder / "run")
        return done[family, task]

    return run


BEST = {"classification": ("balanced_accuracy", 0.5), "regression": ("r2", 0.5), "multilabel": ("auroc", 0.8)}


@pytest.mark.parametrize("task", TARGETS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore:label leakage")
def test_every_family_learns_every_task(runs, table, family, task, tmp_path):
    """Scores above those of the majority or mean predictor; sums are exact; the task is stored and predicts alike."""
    result = runs(family, task)
    name, least = BEST[task]
    score = result.scores[name]
    assert score.value > least
    beside = next(value for key, value in score.more.items() if key.endswith("predictor"))
    assert score.value > beside
    model = zoo.load(str(result.folder))
    assert model.task == result.model.task
    assert model.task.kind == task
    data = create_data("table", file=str(table), target=list(model.inputs.schema.target.columns))
    data.use_inputs(model.inputs)
    batch = data.samples("test", range(40))
    explanation = model.explain(batch.x)
    total = explanation.contribution.sum(1) + explanation.base
    at_target = explanation.logits.gather(1, explanation.target[:, None])[:, 0]
    torch.testing.assert_close(total, at_target, rtol=1e-4, atol=1e-3)
    if len(model.units):
        strengths = explanation.strength
        mask = torch.ones_like(strengths, dtype=torch.bool)
        torch.testing.assert_close(model.intervene(batch.x, strengths, mask), explanation.logits, rtol=1e-3, atol=1e-2)
    prediction = model.predict(str(table), shown=1)
    columns = prediction.columns()
    logits = prediction.logits.double()
    if task == "regression":
        truth = rows()["price"]
        assert np.corrcoef(columns["prediction"], truth)[0, 1] > 0.7
        assert abs(columns["prediction"].mean() - truth.mean()) < 0.1 * truth.std()  # in units of y
        np.testing.assert_allclose(columns["prediction"], logits[:, 0].numpy(), rtol=1e-6)
        assert not any(key.startswith("p_") for key in columns)
    elif task == "classification":
        p = softmax(logits / model.task.temperature, 1).numpy()
        for i, key in enumerate(("low", "mid", "top")):
            np.testing.assert_allclose(columns[f"p_{key}"], p[:, i], rtol=1e-5)
        assert columns["prediction"] == [model.class_names[k] for k in logits.argmax(1)]
    else:
        p = torch.sigmoid(logits / model.task.temperature).numpy()
        np.testing.assert_allclose(columns["p_smokes"], p[:, 0], rtol=1e-5)
        expected = {(True, True): "smokes; fever", (True, False): "smokes", (False, True): "fever", (False, False): ""}
        assert columns["prediction"] == [expected[tuple(row)] for row in (logits >= 0).tolist()]
    page = result.page.read_text()
    assert ("= prediction of" if task == "regression" else "= logit of") in page
    stored = json.loads((result.checkpoint / "metrics.json").read_text())["scores"]
    assert stored[name]["value"] == score.value
    assert f"{name} low" in stored[name]["more"]
    others = {"r2", "balanced_accuracy", "label_accuracy"} - {"label_accuracy" if task == "multilabel" else name}
    assert all(stored[other].get("note", "").startswith("n/a") for other in others)


def test_a_linear_head_fitted_exactly_is_that_of_scikit_learn(table, tmp_path):
    """A concept model's head on the true concepts: least squares and logistic regression, in units of y."""
    concepts = np.stack([rows()["high"], rows()["old"]], 1)
    phases = "  head: {then: {fit_head: {l1: 0, l2: 1e-9}}}"
    for target, task in (("price", "regression"), ("[smokes, fever]", "multilabel")):
        text = CONFIG.format(
            model="cbm",
            extra="backbone: mlp, backbone_args: {hidden: [4]}, mode: independent",
            file=table,
            data=f"target: {target}, concept_columns: [high, old]",
            phases=phases,
        )
        file = tmp_path / "cbm.yaml"
        file.write_text(text)
        model = zoo.train(file, out=tmp_path / task).model
        data = create_data("table", file=str(table), target=list(model.inputs.schema.target.columns))
        data.use_inputs(model.inputs)
        train = [int(name.removeprefix("row ")) - 1 for name in data.splits["train"].names]
        x = concepts[train]
        strengths = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
        inputs = data.samples("test", range(3)).x
        ours = model.intervene(inputs, strengths, torch.ones(3, 2, dtype=torch.bool)).detach().numpy()
        if task == "regression":
            oracle = LinearRegression().fit(x, rows()["price"][train]).predict(strengths.numpy())
            np.testing.assert_allclose(ours[:, 0], oracle, rtol=1e-3)
        else:
            for i, name in enumerate(("smokes", "fever")):
                logistic = LogisticRegression(C=1e9).fit(x, rows()[name][train])
                np.testing.assert_allclose(ours[:, i], logistic.decision_function(strengths.numpy()), atol=2e-2)


def test_what_is_chosen_on_validation_samples(table, tmp_path):
    """Temperature, threshold of least cost and abstention are those of the validation split, stored and used."""
    file = config_of(table, tmp_path, "blackbox", "ill")
    overrides = ["task.cost.ill=20", "task.max_risk=0.02", "data.val=0.3"]
    result = zoo.train(file, out=tmp_path / "run", overrides=overrides)
    model = zoo.load(str(result.folder))
    task = model.task
    assert isinstance(task, Classification)
    data = create_data("table", file=str(table), target="ill", features=["age", "dose", "sex"], val=0.3)
    val = data.samples("val", range(len(data.splits["val"])))
    with torch.no_grad():
        logits = model(val.x).double()

    def nll(temperature):
        return float(torch.nn.functional.cross_entropy(logits / temperature, val.y))

    assert nll(task.temperature) <= min(nll(t) for t in np.geomspace(0.05, 20, 200)) + 1e-9
    p = softmax(logits / task.temperature, 1)[:, 1]

    def cost(threshold):  # missing one who is ill costs 20: class 0 is ill, so a false positive does
        well = p >= threshold
        return float(20 * (well & (val.y == 0)).sum() + (~well & (val.y == 1)).sum())

    assert cost(task.threshold) <= min(cost(t) for t in np.linspace(0.001, 0.999, 999))
    answers = task.answer(logits)
    kept = ~answers.abstained
    assert (answers.prediction != val.y)[kept].double().mean() <= 0.02
    columns = model.predict(str(table), shown=0).columns()
    assert set(columns["abstained"]) <= {"yes", "no"}
    decided = ["well" if value >= task.threshold else "ill" for value in columns["p_well"].astype(float)]
    assert sum(a != b for a, b in zip(decided, columns["prediction"], strict=True)) <= 1  # by rounding
    assert 0 < result.scores["risk_coverage"].more["coverage"] <= 1
    explanation = model.explain(val.x)
    assert torch.equal(explanation.target, answers.prediction), "the answer is what is explained"


def test_a_rare_class_that_is_never_found_is_visible(table, tmp_path, capsys):
    """At a glance: in the printed table, in a line of its own and at the top of the page."""
    file = config_of(table, tmp_path, "blackbox", "ill", epochs=0)
    argv = ["train", str(file), "--out", str(tmp_path / "run"), "phases.joint.epochs=1", "phases.joint.lr.backbone=0"]
    assert main([*argv, "phases.joint.lr.head=1e-9", "task.class_weights={ill: 0.001, well: 1}"]) == 0
    printed = capsys.readouterr().out
    found = [line for line in printed.splitlines() if line.startswith("WARNING: ")]
    if not any("'ill': 0 of" in line for line in found):
        assert any("'well': 0 of" in line for line in found)  # an untrained model gives one class
    assert "target ill: 2 classes: ill" in printed
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.index('class="warnings"') < page.index("How to read this page")
    assert "Confusion matrix" in page


def test_class_weights_move_decisions_and_keep_probabilities_calibrated(table, tmp_path):
    plain, weighted = (
        zoo.train(
            config_of(table, tmp_path, "blackbox", "ill", epochs=20),
            out=tmp_path / str(i),
            task={"class_weights": weights},
            data={"val": 0.3},
        )
        for i, weights in enumerate((None, "balanced"))
    )
    assert weighted.model.task.weights[0] > 5
    assert weighted.scores["balanced_accuracy"].value >= plain.scores["balanced_accuracy"].value
    share = float((rows()["ill"] == "ill").mean())
    columns = weighted.model.predict(str(table), shown=0).columns()
    assert abs(float(np.mean(columns["p_ill"])) - share) < 0.05  # not the half that the weights train for


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ('task.cost={"sick": 2}', "task.cost has 'sick'; expected ill and well and false_positive"),
        ('task.class_weights={"sick": 2}', "task.class_weights has 'sick'; expected ill, well"),
        ("task.class_weights=heavy", "task.class_weights is 'heavy'; expected balanced"),
        ("task.loss=huber", "task.loss is given, and the target is a class of 2; take it out"),
        ("task.max_risk=2", "task.max_risk is 2"),
        ("task.losss=huber", "losss"),
        ("data.group=nobody", "nobody"),
        ("data.group=patient data.time=day", "data.group and data.time are both given"),
        ("data.weight=grade", "expected a number, 0 or more"),
        ("data.time=grade", "expected numbers or dates"),
    ],
)
def test_mistakes_are_named(table, tmp_path, override, words, capsys):
    file = config_of(table, tmp_path, "blackbox", "ill", epochs=1)
    overrides = override.split() if override.startswith("data.") else [override]
    assert main(["train", str(file), "--out", str(tmp_path / "run"), *overrides]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert words in err


ABLE = {
    "regression": "additive, bilinear_mlp, blackbox, boosting, cbm, cem, labelfree_cbm, nam, posthoc_cbm",
    "multilabel": "bilinear_mlp, blackbox, cbm, cem, labelfree_cbm, posthoc_cbm",
}


def test_a_task_that_a_family_cannot_do_is_refused_at_creation():
    for name in list_models():
        for kind in {"regression", "multilabel"} - {*model_class(name).tasks}:
            with pytest.raises(ValueError, match=f"{name} cannot do {kind}; {ABLE[kind]} can") as error:
                zoo.create_model(name, task=kind, num_classes=3)
            assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="task is 'regresion', did you mean regression"):
        zoo.create_model("blackbox", task="regresion")
    model = zoo.create_model("blackbox", num_classes=3, backbone="mlp", input_shape=[2])
    with pytest.raises(ValueError, match="the task has 1 outputs; num_classes of this blackbox is 3"):
        model.task = Regression()
    assert model.task == Classification(3)
    assert (
        zoo.create_model("blackbox", task="multilabel", num_classes=4, backbone="mlp", input_shape=[2]).task.outputs
        == 4
    )


def test_tasks_are_seen_from_the_target(table):
    kinds = {"ill": Classification, "grade": Classification, "price": Regression, "smokes": Classification}
    for target, kind in kinds.items():
        data = create_data("table", file=str(table), target=target)
        assert isinstance(data.model_task, kind)
    both = create_data("table", file=str(table), target=["smokes", "fever"])
    assert isinstance(both.model_task, MultiLabel)
    train = create_data("table", file=str(table), target="price").splits["train"].y.double()
    task = create_data("table", file=str(table), target="price").model_task
    assert (task.mean, task.std) == pytest.approx((float(train.mean()), float(train.std(correction=0))))
    forced = create_data("table", file=str(table), target="smokes", task="regression")
    assert isinstance(forced.model_task, Regression)
    assert forced.splits["test"].y.dtype == torch.float32


def test_groups_stay_together(table):
    for seed in range(3):
        data = create_data("table", file=str(table), target="grade", group="patient", seed=seed)
        patients = rows()["patient"]
        of = {
            name: {int(patients[int(row.removeprefix("row ")) - 1]) for row in split.names}
            for name, split in data.splits.items()
        }
        assert not of["train"] & of["test"] | of["train"] & of["val"] | of["val"] & of["test"]
        assert 0.15 < len(data.splits["test"]) / N < 0.25
        assert 0.04 < len(data.splits["val"]) / N < 0.12
        share = torch.bincount(data.splits["test"].y) / len(data.splits["test"])
        whole = torch.bincount(torch.cat([split.y for split in data.splits.values()])) / N
        assert (share - whole).abs().max() < 0.1
        assert "patient" not in data.feature_names


def test_time_is_ordered(table):
    data = create_data("table", file=str(table), target="price", time="day", features=["age", "dose", "sex"])
    day = np.array(rows()["day"])
    of = {n: day[[int(row.removeprefix("row ")) - 1 for row in s.names]] for n, s in data.splits.items()}
    assert max(of["train"]) < min(of["val"])
    assert max(of["val"]) < min(of["test"])
    assert 0.18 < len(of["test"]) / N < 0.26


def test_weights_of_samples_are_those_of_repeated_rows(table, tmp_path):
    """Fitted heads: weights of 1 and 2 give what rows written twice give."""
    columns = rows()
    columns["w"] = 1 + (np.arange(N) % 3 == 0)
    columns["split"] = np.where(np.arange(N) % 5 == 0, "test", "train")
    heads = []
    for i, repeat in enumerate((np.ones(N, int), np.where(columns["split"] == "train", columns["w"], 1))):
        file = tmp_path / f"{i}.csv"
        with file.open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(columns)
            writer.writerows(np.repeat(np.array(list(zip(*columns.values(), strict=True)), object), repeat, axis=0))
        text = CONFIG.format(
            model="cbm",
            extra="backbone: mlp, backbone_args: {hidden: [4]}, mode: independent",
            file=file,
            data="target: grade, concept_columns: [high, old], split: split, val: 0"
            + (", weight: w" if i == 0 else ""),
            phases="  head: {then: {fit_head: {l1: 0, l2: 1e-3}}}",
        )
        config = tmp_path / f"{i}.yaml"
        config.write_text(text)
        heads.append(zoo.train(config, out=tmp_path / str(i)).model.head)
    torch.testing.assert_close(heads[0].weight, heads[1].weight, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(heads[0].bias, heads[1].bias, rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore:label leakage")
def test_pages_explain_each_kind_of_answer(runs, table):
    for task, explained in (("regression", 1), ("multilabel", 2)):
        model = runs("bilinear_mlp", task).model
        data = create_data("table", file=str(table), target=list(model.inputs.schema.target.columns))
        data.use_inputs(model.inputs)
        shown = examples.first_of_each_class(model, data)
        assert len(shown.explanations) == explained
        context = examples.page_context(model, data, shown, title="t")
        answers = context.answers
        if task == "regression":
            assert [float(a.name) for a in answers] == pytest.approx(
                shown.explanations[0].logits[:, 0].tolist(), rel=1e-5
            )
            assert [float(a.truth) for a in answers] == sorted(float(a.truth) for a in answers)
            assert context.quantity == "prediction"
        else:
            assert all(set(a.name.split("; ")) <= {"smokes", "fever", "none of the labels"} for a in answers)


@pytest.mark.slow
def test_a_run_that_is_resumed_chooses_the_same(processes, table, tmp_path):
    """Killed in the second epoch and resumed: bit-identical weights, the same temperature, threshold and scores."""
    file = config_of(table, tmp_path, "bilinear_mlp", "ill", epochs=3)
    argv = ["train", str(file), "task.cost.ill=5", "data.group=patient", "data.weight=w", "--out"]
    assert processes.run("cli", [*argv, str(tmp_path / "whole")], {}) == 0
    how = {"phase": "joint", "step": 9, "signal": 9}
    assert processes.run("cli", [*argv, str(tmp_path / "killed")], how) == -9
    assert processes.run("cli", [*argv, str(tmp_path / "killed"), "--resume"], {}) == 0
    one, two = (zoo.load(str(tmp_path / name)) for name in ("whole", "killed"))
    assert one.task == two.task
    assert one.task.temperature != 1
    assert one.task.threshold is not None
    state = two.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in one.state_dict().items())
    scores = [
        json.loads((tmp_path / n / "checkpoint" / "metrics.json").read_text())["scores"] for n in ("whole", "killed")
    ]
    assert scores[0] == scores[1]


def test_checkpoints_with_a_damaged_task_are_refused(runs, tmp_path):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(runs("bilinear_mlp", "regression").checkpoint, folder)
    for text, words in (
        ("format: 1\nkind: ranking\n", "kind 'ranking'"),
        ("format: 2\nkind: regression\n", "expected a task of format 1"),
        ("format: 1\nkind: regression\nstd: .nan\n", "std above 0"),
        ("format: 1\nkind: classification\nclasses: 3\n", "3 outputs"),
        ("- a\n", "expected a task of format 1"),
    ):
        (folder / "task.yaml").write_text(text)
        with pytest.raises(ValueError, match=words):
            zoo.load(str(folder))
