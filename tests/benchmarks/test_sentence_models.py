"""Accuracy of models of sentences beside their baselines.

``pytest -m benchmark -s tests/benchmarks/test_sentence_models.py``

Needs ZOO_DATA with text/ and text_encoders/minilm_l6, and the extra text. Sizes and penalties are chosen on validation
texts. SENTENCE_SETS names the sets to be measured, all by default.
"""

import os
from collections import Counter
from statistics import mean, stdev

import pytest
import torch
from sklearn.linear_model import LogisticRegression

import zoo
from zoo import paths

pytestmark = pytest.mark.benchmark
SETS = os.environ.get("SENTENCE_SETS", "sst2 trec6 sst5 ag_news cebab").split()
INVERSE = (0.3, 1.0, 3.0, 10.0, 30.0)  # strengths C of the plain head
SIZES = {"trec6": (30, 60, 240), "ag_news": (30, 60), "sst2": (30, 60), "sst5": (30, 60), "cebab": (30, 60)}
FEW = (4, 16, 64)  # texts of each class
DRAWS = 3


def plain(train, val):
    """A logistic regression on the vectors, its penalty chosen on the validation texts; fixed where there are none."""
    fits = [LogisticRegression(C=c, max_iter=3000).fit(*train) for c in (INVERSE if val is not None else (3.0,))]
    return fits[0] if val is None else max(fits, key=lambda fit: fit.score(*val))


def accuracy(model, data):
    hits = [model(batch.x).argmax(1) == batch.targets for batch in data.loader("test", batch_size=512)]
    return float(torch.cat(hits).double().mean())


def row(name, value, more=""):
    print(f"| {name} | {value if isinstance(value, str) else format(value, '.3f')} | {more} |", flush=True)


@torch.no_grad()
@pytest.mark.parametrize("name", SETS)
def test_accuracy(name):
    if not (paths.data() / "text").is_dir() or not (paths.data() / "text_encoders").is_dir():
        pytest.skip("no text sets or no text encoder under ZOO_DATA")
    pytest.importorskip("transformers")
    words = zoo.create_data("sentences", set=name, length=128)
    pieces = zoo.create_data("sentences", set=name, encoder="minilm_l6", length=128)
    y = words.splits["test"].y
    print(f"\n{name}: {', '.join(f'{split} {len(words.splits[split])}' for split in ('train', 'val', 'test'))}")
    common = Counter(words.splits["train"].y.tolist()).most_common(1)[0][0]
    row("majority", float((y == common).double().mean()))
    sequence = words.sequence.to_config()
    bag = zoo.create_model("bag_of_concepts", num_classes=words.num_classes, sequence=sequence).eval()
    figures = bag.fit_words(words.loader("train"), val=words.loader("val"))
    row(
        "`bag_of_concepts`, all n-grams (TF-IDF, logistic regression)",
        accuracy(bag, words),
        f"{len(bag.units)} n-grams",
    )
    bag.fit_words(words.loader("train"), val=words.loader("val"), max_units=300)
    row("`bag_of_concepts`, few n-grams", accuracy(bag, words), f"{len(bag.units)} n-grams")
    options = {"encoder": pieces.encoder_spec.to_config(), "input_shape": [128], "num_classes": pieces.num_classes}
    model = zoo.create_model("text_prototype", **options).eval()
    model.inputs = pieces.inputs
    vectors = {split: model.split_vectors(pieces.loader(split, batch_size=512))[1:3] for split in pieces.splits}
    head = plain(vectors["train"], vectors["val"])
    row("the encoder with a plain head", head.score(*vectors["test"]), f"C {head.C:g}")
    for size in SIZES[name]:
        figures = model.choose_anchors(
            pieces.loader("train"),
            val=pieces.loader("val"),
            max_units=size,
            smallest=False,
            candidates=max(1000, 4 * size),
        )
        row(f"`text_prototype`, at most {size}", accuracy(model, pieces), f"{figures['anchors']:.0f} sentences")
    few_labels(words, vectors)


def few_labels(words, vectors):
    """Few labels: a plain head and one mean vector for each class on the encoder, and TF-IDF; mean and spread."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    z, y = vectors["train"]
    test_z, test_y = vectors["test"]
    texts, test_texts = words.texts("train"), words.texts("test")
    for count in FEW:
        values = {"plain head": [], "mean prototypes": [], "TF-IDF": []}
        for seed in range(DRAWS):
            order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
            ids = torch.cat([order[y[order] == c][:count] for c in range(words.num_classes)])
            values["plain head"].append(plain((z[ids], y[ids]), None).score(test_z, test_y))
            means = torch.stack([z[ids][y[ids] == c].mean(0) for c in range(words.num_classes)])
            nearest = (test_z @ torch.nn.functional.normalize(means, dim=1).T).argmax(1)
            values["mean prototypes"].append(float((nearest == test_y).double().mean()))
            lexical = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
            train = lexical.fit_transform([texts[i] for i in ids.tolist()])
            fitted = LogisticRegression(C=10, max_iter=3000).fit(train, y[ids])
            values["TF-IDF"].append(fitted.score(lexical.transform(test_texts), test_y))
        cells = ", ".join(f"{key} {mean(v):.3f} ± {stdev(v):.3f}" for key, v in values.items())
        row(f"{count} labels a class, {DRAWS} draws", cells)
