"""Every config of tables on the same mixed CSV file: trained, loaded in a new process, predicting and explaining."""

import csv
import json
import subprocess
import sys

import pytest
from models.test_mixed_tables import mixed

from zoo.cli import main

pytestmark = pytest.mark.slow
CONCEPTS = "data.concept_columns=[smokes,fever]"
EPOCHS = "phases.{}.epochs=2"
PROGRAM = [EPOCHS.format("race"), EPOCHS.format("anneal"), "model.restarts=2"]
CONFIGS = {
    "additive": ["phases.convex.then={fit_tables: {max_pairs: 1, inner_splits: 2}}"],
    "nam": [EPOCHS.format("nets")],
    "scoring_card": [],
    "boosting": [],
    "blackbox": [EPOCHS.format("joint")],
    "bilinear_mlp": [EPOCHS.format("joint")],
    "cbm": [CONCEPTS, EPOCHS.format("concepts")],
    "cem": [CONCEPTS, EPOCHS.format("joint")],
    "transformer_program": [*PROGRAM, "data.features=[age,town,smokes,fever]", "model.num_classes=2"],
}
FRESH = """
import json, sys
import torch
import zoo
from zoo.cli import main
answers = {}
for name in sys.argv[1:]:
    model = zoo.load(name)
    answer = model.predict("new.csv")
    x = model.inputs.read("new.csv", labels=False).x
    explanation = model.explain(x)
    error = 0.0
    if len(model.units):
        total = explanation.contribution.sum(1) + explanation.base
        chosen = explanation.logits.gather(1, explanation.target[:, None])[:, 0]
        error = float((total - chosen).detach().abs().max())
    answers[name] = [answer.probabilities.tolist(), error, len(answer.rows)]
    assert not main(["predict", name, "new.csv", "-o", f"{name}.csv"])
    cells = {"age": "61", "town": "v", "smokes": "?", "fever": "no", "day": "2024-03-11"}
    columns = model.inputs.sequence.columns if name == "transformer_program" else model.inputs.schema.names
    row = ",".join(f"{column}={cells[column]}" for column in columns)
    assert not main(["explain", name, row, "--out", f"{name}-page"])
print(json.dumps(answers))
"""


def write(path, columns):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(["" if v is None else v for v in row] for row in zip(*columns.values(), strict=True))


def test_all_configs_of_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = mixed(240)
    rows = {"fever": [str("yes" if k % 3 else "no") for k in range(240)]} | rows
    write("rows.csv", rows)
    new = {name: cells[:5] for name, cells in rows.items() if name != "state"}
    new["age"] = [None, 1e6, -3.0, 40.5, 61]
    new["town"][1] = None
    write("new.csv", dict(reversed(new.items())))
    for name, overrides in CONFIGS.items():
        given = ["data.file=rows.csv", "data.target=state", "trainer.accelerator=cpu", *overrides]
        assert not main(["train", f"{name}/table", *given, "--out", name]), capsys.readouterr().err
    done = subprocess.run([sys.executable, "-c", FRESH, *CONFIGS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout.strip().splitlines()[-1])
    assert list(answers) == list(CONFIGS)
    for name, (probabilities, error, count) in answers.items():
        assert count == 5
        assert all(abs(sum(row) - 1) < 1e-5 for row in probabilities), name
        assert error < 1e-4, name
        lines = (tmp_path / f"{name}.csv").read_text().splitlines()
        assert len(lines) == 6
        assert {line.split(",")[1] for line in lines[1:]} <= {"ill", "well"}
