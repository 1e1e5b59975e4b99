"""``zoo predict`` on 10 000 sentences against the bare pass of the text encoder over the same sentences.

``pytest -m benchmark -s tests/benchmarks/test_encoder_speed.py`` prints one row for each encoder: pieces of a sentence,
sentences a second of ``zoo predict`` with explanations, of the encoder alone, and the ratio of their times. CPU time of
one thread; loading is left out. The encoder of others needs ``ZOO_DATA`` and the package transformers; its bare pass is
timed on the first 1000 sentences, and nothing is cached beforehand.
"""

import csv
import json
import os
import random
import subprocess
import sys
from importlib.util import find_spec

import pytest

from zoo import paths
from zoo.cli import main

pytestmark = pytest.mark.benchmark
ROWS = 10_000
CONFIG = """\
model: {name: text_prototype, num_classes: 2OWN}
data: {name: sentences, file: table.csv, text: review, label: state, length: 32, batch_size: 32, val: 0.2OTHERS}
phases: {ENCODEchoose: {then: {choose_anchors: {val: true, max_units: 30}}}}
"""
ENCODERS = {
    "own, 1 block, 64 wide": {
        "OWN": ", width: 64, depth: 1, heads: 2",
        "ENCODE": "encode: {epochs: 2, lr: {encoder: 1e-2, probe: 1e-2}}, ",
        "OTHERS": "",
    },
    "MiniLM-L6": {"OWN": "", "ENCODE": "", "OTHERS": ", encoder: minilm_l6"},
}
TIME = """
import json, sys, time, torch, zoo
bare = int(sys.argv[1])
model = zoo.load("run")
zoo.predict("run", "few.csv", out="few_out.csv")  # imports and loads
x = torch.cat([reading.x for reading in model.inputs.scan("many.csv", labels=False)])
with torch.inference_mode():
    model.encoder.states(x[:64] * 0 + x[:64])
    start = time.process_time()
    for rows in x[:bare].split(1024):
        model.encoder.states(rows)
    alone = (time.process_time() - start) / bare
start = time.process_time()
result = zoo.predict("run", "many.csv", out="many_out.csv")
whole = (time.process_time() - start) / len(x)
pieces = float((x >= 0).sum(1).float().mean())
print(json.dumps({"rows": result.count, "whole": whole, "alone": alone, "pieces": pieces}))
"""


def opinion(draw, i):
    food, staff = draw.choice(["good", "bad", "warm", "cold"]), draw.choice(["kind", "rude"])
    return f"visit {i}: the food was {food}, the staff {staff}", "well" if food in ("good", "warm") else "ill"


def write(file, header, rows):
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([header, *rows])


@pytest.mark.parametrize("name", ENCODERS)
def test_predictions_cost_little_more_than_the_encoder(name, tmp_path, monkeypatch, capsys):
    parts = ENCODERS[name]
    if parts["OTHERS"] and not (find_spec("transformers") and (paths.data() / "text_encoders" / "minilm_l6").is_dir()):
        pytest.skip("no transformers, or no encoder in ZOO_DATA")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    draw = random.Random(0)
    write(tmp_path / "table.csv", ["review", "state"], [opinion(draw, -i) for i in range(1, 121)])
    for file, first, number in (("few.csv", 100_000, 100), ("many.csv", 0, ROWS)):
        write(tmp_path / file, ["review"], [opinion(draw, first + i)[:1] for i in range(number)])
    config = CONFIG
    for key, value in parts.items():
        config = config.replace(key, value)
    (tmp_path / "mine.yaml").write_text(config)
    assert main(["train", "mine.yaml", "--out", "run", "trainer.accelerator=cpu"]) in (0, None)
    path = os.pathsep.join([str(paths.PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TIME, str(1000 if parts["OTHERS"] else ROWS)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=1800)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["rows"] == ROWS
    with open("many_out.csv") as file:
        assert sum(1 for _ in file) == ROWS + 1
    with capsys.disabled():
        cells = [f"{result['pieces']:.0f}", f"{1 / result['whole']:.0f}", f"{1 / result['alone']:.0f}"]
        print("\n|", " | ".join([name, *cells, f"{result['whole'] / result['alone']:.2f}"]), "|")
