"""Every family on a user's file whose training data are gone: answers, rows a second, peak memory, another process.

``pytest -m benchmark -s tests/benchmarks/test_predict_speed.py`` prints the table; each row has processes of its own.
"""

import csv
import json
import os
import random
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from zoo import paths
from zoo.cli import main

pytestmark = pytest.mark.benchmark
ROWS = (1_000, 10_000)
TABLE = "data: {name: table, file: gone.csv, target: state, batch_size: 64EXTRA}\n"
NUMBERS = "phases: {joint: {epochs: 2, lr: {PARTS}}}\n"
TEXT = """\
model: {name: NAME, width: 16, depth: 1, heads: 2MORE}
data: {name: text, file: gone.txt, context: 16, batch_size: 16, limit: 48}
phases: {joint: {epochs: 1, lr: {embed: 1e-2, blocks: 1e-2, norm: 1e-2, head: 1e-2PARTS}}}
"""
PICTURES = """\
model: {name: NAME, num_classes: 2, backbone: resnet10t, backbone_level: 1MORE}
data: {name: folder, root: gone, size: 16, batch_size: 16, val: 0.2}
phases: {joint: {epochs: 1, lr: {PARTS}}}
"""


def numbers(model, parts, extra=""):
    return f"model: {model}\n" + TABLE.replace("EXTRA", extra) + NUMBERS.replace("PARTS", parts)


def text(name, more="", parts=""):
    return TEXT.replace("NAME", name).replace("MORE", more).replace("PARTS", parts)


def pictures(name, parts, more=""):
    return PICTURES.replace("NAME", name).replace("MORE", more).replace("PARTS", parts)


EACH = "{}: 1e-2, {}: 1e-2, head: 1e-2"
CONCEPTS = ", concept_columns: [fever, cough], features: [a, b]"
FAMILIES = {
    "bilinear_mlp": numbers(
        "{name: bilinear_mlp, num_classes: 2, width: 8, patterns: 3}", "embed: 1e-2, layers: 1e-2, head: 1e-2"
    ),
    "blackbox": numbers("{name: blackbox, num_classes: 2, backbone: mlp}", "backbone: 1e-2, head: 1e-2"),
    "cbm": numbers(
        "{name: cbm, num_classes: 2, backbone: mlp}", "backbone: 1e-2, concepts: 1e-2, head: 1e-2", CONCEPTS
    ),
    "cem": numbers(
        "{name: cem, num_classes: 2, backbone: mlp}", "backbone: 1e-2, embeddings: 1e-2, head: 1e-2", CONCEPTS
    ),
    "dense_transformer": text("dense_transformer"),
    "codebook_transformer": text("codebook_transformer", ", codes: 8, k: 2, sites: [mix]", ", codebooks: 1e-2"),
    "protopnet": pictures("protopnet", "backbone: 1e-3, addon: 1e-3, prototypes: 1e-3", ", per_class: 2, dim: 8"),
    "transformer_program": """\
model: {name: transformer_program, num_classes: 2, pooled: true, layers: 1, heads: 1, counters: 0, tables: 1,
        number_tables: 0, restarts: 1, anneal: 2}
data: {name: categories, file: words.csv, target: state, batch_size: 32}
phases: {anneal: {epochs: 2, lr: {network: 0.05, readout: 0.05}, clip: 1.0, then: {discretise: {l2: 1e-4}}}}
""",
}
PREDICT = """
import json, os, resource, sys, time, zoo
from zoo.recipe_support import verb
raw = json.loads(sys.argv[1])
predict = verb("predict")
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(2):  # the first call imports what the second one uses
    start = time.process_time()
    result = predict("run", raw, out=sys.argv[2], overwrite=True)
    seconds = time.process_time() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"rows": result.count, "seconds": seconds, "MB": peak / 1024}))
"""
BARE = """
import json, sys, time, torch, zoo
raw = json.loads(sys.argv[1])
model = zoo.load("run")
for _ in range(2):
    start = time.process_time()
    with torch.inference_mode():
        for reading in model.inputs.scan(raw, labels=False):
            for x in reading.x.split(256):
                model(x)
    seconds = time.process_time() - start
print(json.dumps({"seconds": seconds}))
"""


def rows_of(n, draw):
    for _ in range(n):
        a, b = draw.gauss(0, 1), draw.gauss(0, 1)
        yield [f"{a:.3f}", f"{b:.3f}", int(a > 0), int(b > 0), "ill" if a + b > 0 else "well"]


def write(file, header, rows):
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([header, *rows])


def prepare(name, folder):
    """Write the training data; return the inputs to predict for each number of rows."""
    draw = random.Random(0)
    if "{name: text" in FAMILIES[name]:
        (folder / "gone.txt").write_text("it rained, said the dog to the cat.\n" * 300)
        for n in ROWS:
            (folder / f"{n}.txt").write_text("".join(f"said the {draw.choice(['dog', 'cat'])}\n" for _ in range(n)))
        return {n: f"{n}.txt" for n in ROWS}
    if "name: folder" in FAMILIES[name]:
        for label, color in (("ill", (200, 30, 30)), ("well", (30, 30, 200))):
            (folder / "gone" / label).mkdir(parents=True)
            for i in range(20):
                shade = tuple(min(255, c + draw.randrange(40)) for c in color)
                Image.new("RGB", (16, 16), shade).save(folder / "gone" / label / f"{i}.png")
        shutil.copy(folder / "gone" / "ill" / "0.png", folder / "new.png")
        return {n: ["new.png"] * n for n in ROWS}
    if "categories" in FAMILIES[name]:
        header, words = ["shape", "color", "state"], lambda: [draw.choice("ab"), draw.choice("xyz")]
        rows = [words() for _ in range(300)]
        write(folder / "words.csv", header, [[*row, "ill" if row[0] == "a" else "well"] for row in rows])
        for n in ROWS:
            write(folder / f"{n}.csv", header[:2], [words() for _ in range(n)])
    else:
        header = ["a", "b", "fever", "cough", "state"]
        write(folder / "gone.csv", header, rows_of(300, draw))
        for n in ROWS:
            write(folder / f"{n}.csv", header[:-1], (row[:-1] for row in rows_of(n, draw)))
    return {n: f"{n}.csv" for n in ROWS}


def process(code, *args):
    path = os.pathsep.join([str(paths.PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", FAMILIES)
def test_without_its_training_data(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    inputs = prepare(name, tmp_path)
    (tmp_path / "mine.yaml").write_text(FAMILIES[name])
    assert main(["train", "mine.yaml", "--out", "run", "trainer.accelerator=cpu"]) in (0, None)
    for gone in ("gone.csv", "gone.txt", "words.csv"):
        (tmp_path / gone).unlink(missing_ok=True)
    shutil.rmtree(tmp_path / "gone", ignore_errors=True)
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    one = {".csv": "a=0.5,b=-0.2,fever=1,cough=0", ".txt": "said the dog"}
    given = "new.png" if isinstance(inputs[1000], list) else one[inputs[1000][-4:]]
    given = "shape=a,color=x" if name == "transformer_program" else given
    given = "a=0.5,b=-0.2" if name in ("cbm", "cem") else given
    assert main(["explain", "run", given, "--out", "pages"]) in (0, None)
    few, many = (process(PREDICT, json.dumps(inputs[n]), f"{n}.out.csv") for n in ROWS)
    again = process(PREDICT, json.dumps(inputs[ROWS[1]]), "again.csv")
    bare = process(BARE, json.dumps(inputs[ROWS[1]]))
    assert (few["rows"], many["rows"]) == ROWS
    same = (tmp_path / "again.csv").read_bytes() == (tmp_path / f"{ROWS[1]}.out.csv").read_bytes()
    assert same
    assert many["MB"] - few["MB"] < 40  # the rest is what the allocator keeps
    with capsys.disabled():
        print(
            f"\n{name:22} {many['rows'] / many['seconds']:8.0f} rows/s, reading and bare pass"
            f" {many['rows'] / bare['seconds']:8.0f}, peak MB {few['MB']:.0f} -> {many['MB']:.0f}"
        )
    assert again["rows"] == ROWS[1]
