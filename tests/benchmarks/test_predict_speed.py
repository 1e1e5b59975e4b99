"""Every family on a user's file whose training data are gone: answers, rows a second, peak memory, another process.

``pytest -m benchmark -s tests/benchmarks/test_predict_speed.py`` prints the table. A bare pass reads the file with the
same reader and computes the logits; ``zoo predict`` adds the explanation of each row, its probabilities and the file of
answers. Times are CPU time of one thread for the rows beyond the first 1000, so that loading the model does not count.
Columns: family; rows a second of ``zoo predict``, of the bare pass and of reading alone; time of ``zoo predict`` over
that of the bare pass, and the same of ``zoo predict --shown 0``, which computes no explanation; peak memory in MB after
1000 and after 10 000 rows.
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

import zoo
from zoo import paths
from zoo.cli import main

pytestmark = pytest.mark.benchmark
ROWS = (1_000, 10_000)
TABLE = "data: {name: table, file: gone/table.csv, target: state, features: [a, b, c], batch_size: 64CONCEPTS}\n"
CONCEPTS = ", concept_columns: [fever, cough]"
WORDS = "data: {name: categories, file: gone/table.csv, target: state, batch_size: 32}\n"
PICTURES = """\
model: {name: NAME, num_classes: 2, backbone: resnet10t, backbone_level: 1MORE}
data: {name: folder, root: gone, size: 16, batch_size: 16, val: 0.2VIEWS}
phases: {joint: {epochs: 1, lr: {PARTS}}THEN}
"""
TEXT = """\
model: {name: NAME, width: 16, depth: 1, heads: 2MORE}
data: {name: text, file: gone/texts.txt, context: 16, batch_size: 16, limit: 48}
phases: {joint: {epochs: 1, lr: {embed: 1e-2, blocks: 1e-2, norm: 1e-2, head: 1e-2PARTS}}}
"""
SENTENCES = """\
model: {name: NAME, num_classes: 2MORE}
data: {name: sentences, file: gone/table.csv, text: review, label: stateASPECTS, length: 16, batch_size: 32}
phases: {PHASES}
"""
SMALL = ", width: 16, depth: 0, dropout: 0.0"
ENCODE = "encode: {epochs: 2, lr: {encoder: 1e-2, probe: 1e-2}}, "
EXPERTS = ", experts: 2, k: 1, hidden: 16"
PROJECTED = ", project: {then: project}"


def numbers(model, parts, concepts=""):
    rates = ", ".join(f"{part}: 1e-2" for part in parts.split())
    return (
        f"model: {{{model}}}\n{TABLE.replace('CONCEPTS', concepts)}phases: {{joint: {{epochs: 2, lr: {{{rates}}}}}}}\n"
    )


def pictures(name, parts, more="", then="", views=""):
    rates = ", ".join(f"{part}: 1e-3" for part in parts.split())
    config = PICTURES.replace("NAME", name).replace("MORE", more).replace("VIEWS", views)
    return config.replace("PARTS", rates).replace("THEN", then)


def text(name, more="", parts=""):
    return TEXT.replace("NAME", name).replace("MORE", more).replace("PARTS", parts)


def fitted(name, phases, more="", concepts=CONCEPTS):
    """A model of three numbers whose phases fit it at once."""
    table = TABLE.replace("64CONCEPTS", f"64{concepts}, val: 0.2")
    return f"model: {{name: {name}{more}}}\n{table}phases: {{{phases}}}\n"


def sentences(name, phases, more="", aspects=""):
    config = SENTENCES.replace("NAME", name).replace("MORE", more).replace("ASPECTS", aspects)
    return config.replace("PHASES", phases)


FAMILIES = {
    "bilinear_mlp": numbers("name: bilinear_mlp, width: 8, patterns: 3", "embed layers head"),
    "blackbox": numbers("name: blackbox, backbone: mlp", "backbone head"),
    "cbm": numbers("name: cbm, backbone: mlp", "backbone concepts head", CONCEPTS),
    "cem": numbers("name: cem, backbone: mlp", "backbone embeddings head", CONCEPTS),
    "additive": "model: {name: additive}\n"
    + TABLE.replace("64CONCEPTS", "64, val: 0")
    + "phases: {convex: {then: {fit_tables: {max_pairs: 1}}}}\n",
    "nam": fitted(
        "nam",
        "bins: {then: set_bins}, nets: {epochs: 1, lr: {nets: 1e-3, tables: 1e-2, intercept: 1e-3}}, "
        "tables: {then: tabulate}",
        ", hidden: [8], members: 2",
        "",
    ),
    "boosting": fitted("boosting", "trees: {then: {fit_trees: {max_iter: 10}}}", concepts=""),
    "scoring_card": fitted("scoring_card", "card: {then: {fit_card: {rules: 3, nodes: 50}}}", concepts=""),
    "optimal_tree": fitted("optimal_tree", "tree: {then: {fit_tree: {max_depth: 2}}}", concepts=""),
    "posthoc_cbm": fitted(
        "posthoc_cbm",
        "concepts: {then: fit_concepts}, head: {then: {fit_head: {penalty: 0.01}}}",
        ", num_classes: 2, backbone: mlp",
    ),
    "labelfree_cbm": fitted(
        "labelfree_cbm",
        "concepts: {then: {project: {scores: annotations}}}, head: {then: {fit_head: {penalty: 0.01}}}",
        ", num_classes: 2, backbone: mlp, concept_names: [fever, cough]",
    ),
    "scbm": fitted(
        "scbm",
        "joint: {epochs: 1, lr: {backbone: 1e-3, concepts: 1e-2, covariance: 1e-2}, loss: {task: 0, concept: 1, "
        "precision: 0.02}}, head: {then: fit_head}",
        ", num_classes: 2, backbone: mlp, covariance: global",
    ),
    "sdm": fitted(
        "sdm",
        "net: {epochs: 1, lr: {backbone: 1e-2, adaptor: 1e-2, head: 1e-2}}, match: {then: {match: {val: true}}}",
        ", num_classes: 2, backbone: mlp, width: 4",
        "",
    ),
    "probcbm": fitted(
        "probcbm",
        "concepts: {epochs: 1, lr: {backbone: 1e-3, embeddings: 1e-2}, loss: {task: 0, concept: 1, kl: 5e-5}}, "
        "class: {epochs: 1, lr: {head: 1e-2}, loss: {concept: 0, kl: 0}}",
        ", num_classes: 2, backbone: mlp, width: 4, samples: 10",
    ),
    "text_prototype": sentences("text_prototype", ENCODE + "choose: {then: {choose_anchors: {val: true}}}", SMALL),
    "bag_of_concepts": sentences("bag_of_concepts", "fit: {then: {fit_words: {val: true}}}"),
    "text_cbm": sentences(
        "text_cbm",
        ENCODE + "concepts: {then: {fit_concepts: {val: true}}}, head: {then: {fit_head: {val: true}}}",
        SMALL,
        ", concept_columns: [food, staff]",
    ),
    "text_labelfree": sentences(
        "text_labelfree",
        ENCODE + "fit: {then: {fit_phrases: {val: true}}}",
        SMALL + ", phrases: [good food, bad staff, a long walk]",
    ),
    "rationale": sentences("rationale", ENCODE + "fit: {then: {fit_rationale: {val: true}}}", SMALL),
    "transformer_program": """\
model: {name: transformer_program, num_classes: 2, pooled: true, layers: 1, heads: 1, counters: 0, tables: 1,
        number_tables: 0, restarts: 1, anneal: 2}
"""
    + WORDS
    + "phases: {anneal: {epochs: 2, lr: {network: 0.05, readout: 0.05}, clip: 1.0, then: {discretise: {l2: 1e-4}}}}\n",
    "dense_encoder": "model: {name: dense_encoder, num_classes: 2, pooled: true, width: 16, depth: 1, heads: 2}\n"
    + WORDS
    + "phases: {joint: {epochs: 2, lr: {embed: 1e-3, blocks: 1e-3, norm: 1e-3, head: 1e-3}}}\n",
    "protopnet": pictures("protopnet", "backbone addon prototypes", ", per_class: 2, dim: 8", PROJECTED),
    "deformable_protopnet": pictures("deformable_protopnet", "backbone addon prototypes", ", per_class: 2", PROJECTED),
    "sdfa_sa": pictures("sdfa_sa", "backbone addon prototypes attention", ", per_class: 2, dim: 8", PROJECTED),
    "prototree": pictures("prototree", "backbone addon prototypes leaves", ", height: 2, dim: 8", PROJECTED),
    "protopool": pictures(
        "protopool", "backbone addon prototypes assignment", ", pool: 4, slots: 2, dim: 8", ", hard: {then: harden}"
    ),
    "pipnet": pictures("pipnet", "backbone addon head", views=", views: 2"),
    "cbc": pictures("cbc", "backbone addon head", views=", views: 2"),
    "dense_transformer": text("dense_transformer"),
    "codebook_transformer": text("codebook_transformer", ", codes: 8, k: 2, sites: [mix]", ", codebooks: 1e-2"),
    "moex": text("moex", EXPERTS),
    "switch_transformer": text("switch_transformer", EXPERTS),
}
PREDICT = """
import json, resource, sys, time, zoo
few, many, out = json.load(sys.stdin)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def seconds(inputs, **keys):
    times = []
    while len(times) < 5 and sum(times) < 2:
        start = time.process_time()
        zoo.predict("run", inputs, out=out, overwrite=True, **keys)
        times.append(time.process_time() - start)
    return min(times)
zoo.predict("run", few, out=out, overwrite=True)  # imports what the next calls use
short = seconds(few), peak()
long = seconds(many), peak()
alone = seconds(many, shown=0) - seconds(few, shown=0)
zoo.predict("run", many, out=out, overwrite=True)  # the file that is compared
print(json.dumps({"seconds": long[0] - short[0], "few": short[1], "many": long[1], "alone": alone}))
"""
BARE = """
import json, sys, time, torch, zoo
few, many, out = json.load(sys.stdin)
result = zoo.predict("run", many, out=out)
model = zoo.load("run")
@torch.inference_mode()
def seconds(inputs, forward):
    times = []
    while len(times) < 5 and sum(times) < 2:
        start = time.process_time()
        for reading in model.inputs.scan(inputs, labels=False):
            for x in reading.x.split(1024) if forward else ():
                model(x)
        times.append(time.process_time() - start)
    return min(times)
seconds(few, True)
rest = {"read": False, "bare": True}
print(json.dumps({k: seconds(many, v) - seconds(few, v) for k, v in rest.items()} | {"rows": result.count}))
"""


def rows_of(n, draw):
    for _ in range(n):
        a, b = draw.gauss(0, 1), draw.gauss(0, 1)
        yield [f"{a:.3f}", f"{b:.3f}", f"{draw.random():.3f}", int(a > 0), int(b > 0), "ill" if a + b > 0 else "well"]


def opinion(draw):
    """Return a review of two marked aspects, and whether it praises the food."""
    food, staff = draw.choice(["good", "bad", "warm", "cold"]), draw.choice(["kind", "rude"])
    texts = f"on day {draw.randrange(1000)} the food was {food} and the staff was {staff}"
    good = food in ("good", "warm")
    return [texts, int(good), int(staff == "kind"), "well" if good else "ill"]


def write(file, header, rows):
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([header, *rows])


def prepare(name, folder):
    """Write the training data into ``gone``; return what to predict for each number of rows, and one input."""
    draw = random.Random(0)
    gone = folder / "gone"
    gone.mkdir()
    config = FAMILIES[name]
    if "name: text, file" in config:
        (gone / "texts.txt").write_text("it rained, said the dog to the cat.\n" * 300)
        for n in ROWS:
            (folder / f"{n}.txt").write_text("".join(f"said the {draw.choice(['dog', 'cat'])}\n" for _ in range(n)))
        return {n: f"{n}.txt" for n in ROWS}, "said the dog"
    if "name: folder" in config:
        for label, color in (("ill", (200, 30, 30)), ("well", (30, 30, 200))):
            (gone / label).mkdir()
            for i in range(20):
                shade = tuple(min(255, c + draw.randrange(40)) for c in color)
                Image.new("RGB", (16, 16), shade).save(gone / label / f"{i}.png")
        (folder / "new").mkdir()
        for i in range(100):
            Image.new("RGB", (16, 16), (draw.randrange(256), 99, i)).save(folder / "new" / f"{i}.png")
        return {n: [f"new/{i % 100}.png" for i in range(n)] for n in ROWS}, "new/0.png"
    if "name: sentences" in config:
        header = ["review", "food", "staff", "state"]
        rows = [opinion(draw) for _ in range(300)]
        write(gone / "table.csv", header, rows)
        for n in ROWS:
            write(folder / f"{n}.csv", header[:1], (opinion(draw)[:1] for _ in range(n)))
        return {n: f"{n}.csv" for n in ROWS}, "the food was good and the staff was rude today"
    if "name: categories" in config:
        header = ["shape", "color", "state"]
        rows = [[draw.choice("ab"), draw.choice("xyz")] for _ in range(300)]
        write(gone / "table.csv", header, [[*row, "ill" if row[0] == "a" else "well"] for row in rows])
        for n in ROWS:
            write(folder / f"{n}.csv", header[:2], [[draw.choice("ab"), draw.choice("xyz")] for _ in range(n)])
        return {n: f"{n}.csv" for n in ROWS}, "shape=a,color=x"
    header = ["a", "b", "c", "fever", "cough", "state"]
    write(gone / "table.csv", header, rows_of(300, draw))
    for n in ROWS:
        write(folder / f"{n}.csv", header[:3], (row[:3] for row in rows_of(n, draw)))
    return {n: f"{n}.csv" for n in ROWS}, "a=0.5,b=-0.2,c=0.1"


def process(code, few, many, out):
    path = os.pathsep.join([str(paths.PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    given = json.dumps([few, many, out])
    done = subprocess.run(
        [sys.executable, "-c", code], input=given, capture_output=True, text=True, env=env, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_family_is_measured():
    assert set(FAMILIES) == set(zoo.list_models())


@pytest.mark.parametrize("name", FAMILIES)
def test_without_its_training_data(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    inputs, one = prepare(name, tmp_path)
    (tmp_path / "mine.yaml").write_text(FAMILIES[name])
    assert main(["train", "mine.yaml", "--out", "run", "trainer.accelerator=cpu"]) in (0, None)
    shutil.rmtree(tmp_path / "gone")
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    assert main(["explain", "run", one, "--out", "pages"]) in (0, None)
    few, many = (inputs[n] for n in ROWS)
    result = process(PREDICT, few, many, "one.csv")
    bare = process(BARE, few, many, "two.csv")
    assert bare["rows"] == ROWS[1]
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert result["many"] - result["few"] < 8  # MB
    with capsys.disabled():
        rate, pure, read = ((ROWS[1] - ROWS[0]) / s for s in (result["seconds"], bare["bare"], bare["read"]))
        cells = [
            f"{rate:.0f}",
            f"{pure:.0f}",
            f"{read:.0f}",
            *(f"{s / bare['bare']:.2f}" for s in (result["seconds"], result["alone"])),
        ]
        print("\n|", " | ".join([name, *cells, f"{result['few']:.0f}", f"{result['many']:.0f}"]), "|")
