"""Models of sentences: training through a recipe, checkpoints that answer alone, exact shares, oracles."""

import math

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import zoo
from zoo.capabilities import HasSourceTexts, capability
from zoo.evaluation.page.occlusion import occlusion
from zoo.inputs.texts.word_spans import word_spans
from zoo.testing import check_model
from zoo.weights.integrity import tensor_hash

PRAISE = ("good", "great", "fine", "lovely")
BLAME = ("dull", "bad", "poor", "awful")
THINGS = ("film", "plot", "cast", "song", "book", "soup", "room", "game")


def rows():
    """Sentences whose class is decided by one word."""
    out = []
    for i, thing in enumerate(THINGS):
        for j in range(4):
            out.append((f"The {thing} was {PRAISE[j]} , number {i + j} !", "good"))
            out.append((f"The {thing} was {BLAME[j]} , number {i + j} !", "bad"))
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sentences")
    lines = "".join(f'"{text}",{label}\n' for text, label in rows())
    (folder / "reviews.csv").write_text(f"text,label\n{lines}")
    return folder


def config(folder, name, phases, **model):
    file = folder / f"{name}.yaml"
    data = {"name": "sentences", "file": str(folder / "reviews.csv"), "length": 10, "batch_size": 16, "val": 0.2}
    content = {"model": {"name": name, **model}, "data": data, "phases": phases, "seed": 0}
    file.write_text(repr(content))
    return file


@pytest.fixture(scope="module")
def prototypes(folder):
    phases = {
        "encode": {"epochs": 20, "lr": {"encoder": 1e-2, "probe": 3e-2}},
        "choose": {"then": {"choose_anchors": {"val": True, "max_units": 8, "candidates": 30}}},
    }
    file = config(folder, "text_prototype", phases, width=16, dropout=0.0)
    return zoo.train(file, out=folder / "prototypes", overrides=["suite=evaluate/quick"])


def test_prototypes_are_training_sentences_and_answer(prototypes):
    model = zoo.load(str(prototypes.folder))
    assert prototypes.scores["accuracy"].value > 0.9
    texts = model.unit_texts()
    known = dict(rows())
    assert 1 <= len(texts) <= 8
    assert [known[text] for text in texts] == [model.class_names[c] for c in model.owner.tolist()]
    assert all(text[:20] in name for text, name in zip(texts, model.units.names, strict=True))


def test_a_loaded_model_predicts_new_sentences_and_its_anchors_encode_to_themselves(prototypes, tmp_path):
    model = zoo.load(str(prototypes.folder))
    vectors = model.unit_vectors(model.inputs.read(model.unit_texts()).x)
    torch.testing.assert_close(vectors, model.anchors, rtol=0, atol=1e-5)
    new = tmp_path / "new.csv"
    new.write_text("text,other\nThe town was lovely !,1\nThe town was awful !,2\n")
    prediction = model.predict(new)
    assert prediction.labels == ["good", "bad"]
    assert prediction.columns()["unit_1"][0].startswith(("good #", "bad #"))
    assert model.predict("The town was lovely !").labels == ["good"]


def test_shares_sum_to_the_similarity_and_the_source_is_shown_beside_it(prototypes):
    model = zoo.load(str(prototypes.folder))
    x = model.inputs.read(["The plot was good , number 3 !", "dull"]).x
    ids = torch.tensor([[1, 0, -1]]).repeat(2, 1)
    explanation = model.explain(x, shown=ids)
    torch.testing.assert_close(explanation.where.sum(2)[:, :2], explanation.strength[:, [1, 0]], rtol=0, atol=1e-5)
    assert bool((explanation.where[:, 2] == 0).all())
    assert bool((explanation.where[1, :, 1:] == 0).all())
    sources = capability(model, HasSourceTexts).source_texts(x, ids[:, :2])
    assert "".join(sources[0][0].pieces) == model.unit_texts()[1]
    torch.testing.assert_close(sources[0][0].evidence.sum(), explanation.strength[0, 1].detach(), rtol=0, atol=1e-5)


def test_padding_and_batch_mates_change_nothing(prototypes):
    model = zoo.load(str(prototypes.folder)).double()
    x = model.inputs.read(["good", "The plot was good , number 3 !"]).x
    alone = torch.cat([model(x[:1]), model(x[1:])])
    torch.testing.assert_close(model(x), alone, rtol=0, atol=1e-12)


def test_sentences_can_be_replaced_and_the_head_fitted_again(prototypes):
    model = zoo.load(str(prototypes.folder))
    data = zoo.create_data(**{key: value for key, value in model.config["data"].items()})
    x = model.inputs.read(["The soup was great !", "The soup was poor !"]).x
    model.set_sentences(x, torch.tensor([1, 0]))
    figures = model.refit_head(data.loader("train"), l2=1e-3)
    assert figures["kkt residual"] < 1e-4
    assert model.units.names[0] == "good #0: “The soup was great !”"
    answers = torch.cat([model(b.x).argmax(1) == b.y for b in data.loader("test")])
    assert float(answers.float().mean()) > 0.8


def test_page_shows_training_sentences_and_words_left_out(prototypes, tmp_path):
    result = zoo.explain(str(prototypes.folder), "The plot was <b>good</b> !", out=tmp_path)
    html = result.page.read_text()
    assert "Which words change the answer?" in html
    assert "Training sentence, colored" in html
    assert "<b>good</b>" not in html
    assert "next token" not in html
    assert result.answers == ["good"]


def test_occlusion_is_the_change_of_the_logit_without_the_word(prototypes):
    model = zoo.load(str(prototypes.folder))
    text = "The plot was good !"
    x = model.inputs.read(text).x
    change = occlusion(model, x[0], model.inputs.show(x)[0], 1)
    for i, word in enumerate(text.split()):
        rest = " ".join(w for w in text.split() if w != word)
        with torch.no_grad():
            expected = float(model(x)[0, 1] - model(model.inputs.read(rest).x)[0, 1])
        assert math.isclose(float(change[i]), expected, abs_tol=1e-5)


# The lexical member is TF-IDF with logistic regression.


def split_words(text):
    return [text[start:end].lower() for start, end in word_spans(text)]


@pytest.fixture(scope="module")
def data(folder):
    return zoo.create_data("sentences", file=str(folder / "reviews.csv"), length=10, val=0.2)


def bag(data, **options):
    model = zoo.create_model("bag_of_concepts", num_classes=2, sequence=data.sequence.to_config()).eval()
    model.fit_words(data.loader("train"), val=data.loader("val"), min_count=1, **options)
    return model


def test_the_lexical_member_is_scikit_learns(data):
    model = bag(data)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, tokenizer=split_words, token_pattern=None)
    train = vectorizer.fit_transform(data.texts("train"))
    assert len(model.units) == train.shape[1]
    batch = data.samples("test", range(len(data.splits["test"])))
    values = vectorizer.transform(data.texts("test")).toarray()
    names = [name.replace(" ", "\0") for name in model.units.names]
    order = [names.index(name.replace(" ", "\0")) for name in vectorizer.get_feature_names_out()]
    np.testing.assert_allclose(model.encode(batch.x)[:, order].numpy(), values, atol=1e-6)
    y = data.splits["train"].y.numpy()
    losses = {}
    for c in (1.0, 3.0, 10.0, 30.0):
        fitted = LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(train, y)
        p = fitted.predict_proba(vectorizer.transform(data.texts("val")))
        losses[c] = (-np.log(p[np.arange(len(p)), data.splits["val"].y.numpy()]).mean(), fitted)
    best = min(losses.values(), key=lambda pair: pair[0])[1]
    expected = best.predict_proba(vectorizer.transform(data.texts("test")))
    np.testing.assert_allclose(model(batch.x).softmax(1).detach().numpy(), expected, atol=1e-4)


def test_places_of_words_and_pairs_sum_to_the_strength(data):
    model = bag(data)
    x = data.inputs.read("good film good film zzz").x
    names = model.units.names
    ids = [names.index(name) for name in ("good", "film", "!")]
    explanation = model.explain(x, shown=torch.tensor([[*ids, -1]]))
    where = explanation.where[0].detach()
    torch.testing.assert_close(where.sum(1)[:3], explanation.strength[0, ids].detach())
    assert float(where[0, 0]) == float(where[0, 2]) > 0
    assert where[0, [1, 3, 4]].tolist() == [0, 0, 0]
    assert where[2].tolist() == [0] * 10


def test_few_units_and_groups(data):
    few = bag(data, max_units=40)
    assert 1 <= len(few.units) <= 40
    x = data.samples("test", range(len(data.splits["test"])))
    assert float((few(x.x).argmax(1) == x.y).float().mean()) > 0.9
    assert len(bag(data, max_units=1).units) == 1
    groups = bag(data, clusters=12)
    assert len(groups.units) == 12
    x = data.inputs.read("The film was good !").x
    torch.testing.assert_close(groups.encode(x).sum(), bag(data).encode(x).sum(), rtol=1e-5, atol=1e-6)


def reviews(folder):
    """Reviews of food and noise, each said or not; the class is the number of good things."""
    lines = ["text,stars,food,noise"]
    foods = {"Positive": "tasty soup", "Negative": "cold soup", "unknown": "we sat down"}
    noises = {"Positive": "so quiet", "Negative": "so loud", "unknown": "on Monday"}
    for i in range(10):
        for food, said in foods.items():
            for noise, heard in noises.items():
                stars = (food == "Positive") + (noise == "Positive")
                lines.append(f"{said} {heard} {i},{stars},{food},{noise if i % 3 else ''}")
    file = folder / "aspects.csv"
    file.write_text("\n".join(lines))
    return file


@pytest.fixture(scope="module")
def aspects(folder):
    data = {"file": str(reviews(folder)), "length": 8, "label": "stars", "concept_columns": ["food", "noise"]}
    source = zoo.create_data("sentences", batch_size=16, val=0.2, **data)
    torch.manual_seed(0)
    options = {"sequence": source.sequence.to_config(), "concepts": source.concepts.to_config(), "num_classes": 3}
    model = zoo.create_model("text_cbm", width=48, depth=0, dropout=0.0, **options).eval()
    figures = model.fit_concepts(source.loader("train"), val=source.loader("val"))
    figures |= model.fit_head(source.loader("train"), val=source.loader("val"))
    model.inputs = source.inputs
    return model, source, figures


def test_aspects_are_predicted_and_decide(aspects):
    model, source, figures = aspects
    assert figures["kkt residual"] < 1e-4
    assert figures["validation accuracy of the true concepts"] > 0.8
    batch = source.samples("test", range(len(source.splits["test"])))
    predicted = model.space.hard(model.encode(batch.x))
    known = batch.concepts.isfinite()
    assert float((predicted == batch.concepts)[known].float().mean()) > 0.8  # two thirds would be the majority value
    metrics = model.extra_metrics(source.loader("test"))
    assert metrics["accuracy of the true concepts"] > 0.8
    assert metrics["leaks"] == float(
        (model(batch.x).argmax(1) == batch.y).double().mean() > metrics["accuracy of the true concepts"] + 0.01
    )


def test_shares_of_an_aspect_sum_to_its_logit_beside_the_others_and_an_average_text_adds_nothing(aspects):
    model, source, _ = aspects
    x = model.inputs.read("tasty soup so loud").x
    explanation = model.explain(x, shown=torch.tensor([[0, 1, 2, 3]]))
    logits = model.encode(x)[0] - model.concepts.bias
    expected = logits[:3] - logits[:3].mean()
    torch.testing.assert_close(explanation.where.sum(2)[0, :3], expected.detach(), rtol=0, atol=1e-5)
    values = {i: float(v) for i, v in enumerate(model.average)}
    torch.testing.assert_close(model.intervene(x, values)[0], model.head.bias, rtol=0, atol=1e-5)
    z = torch.cat([model.strengths(model.encode(b.x)) for b in source.loader("train")])
    torch.testing.assert_close(z.mean(0), model.average, rtol=0, atol=1e-5)


def test_unknown_aspects_are_left_out_of_the_fit(aspects):
    model, source, _ = aspects
    train = source.splits["train"]
    known = train.concepts[:, 3].isfinite()
    assert 0 < int(known.sum()) < len(known)
    from sklearn.linear_model import LogisticRegression

    z = model.unit_vectors(train.x)[known].detach().numpy()
    y = train.concepts[known][:, 3:].argmax(1).numpy()
    accuracy = LogisticRegression(C=2000, max_iter=9000).fit(z, y).score(z, y)
    own = model.space.hard(model.encode(train.x[known]))[:, 3:].argmax(1).numpy()
    assert abs(float((own == y).mean()) - accuracy) < 0.05


def test_phrases_are_concepts_and_random_ones_stand_beside_them(prototypes):
    trained = zoo.load(str(prototypes.folder))
    data = zoo.create_data(**{key: value for key, value in trained.config["data"].items()})
    phrases = ["good / great", "fine and lovely", "dull / bad", "poor", "The book", "The soup was"]
    options = {"sequence": data.sequence.to_config(), "num_classes": 2, "width": 16, "dropout": 0.0}
    model = zoo.create_model("text_labelfree", phrases=phrases, **options).eval()
    model.encoder.load_state_dict(trained.encoder.state_dict())
    model.inputs = data.inputs
    figures = model.fit_phrases(data.loader("train"), val=data.loader("val"), per_class=4)
    assert 1 <= figures["phrases"] <= 6
    assert figures["non-zeros per class"] <= 4
    assert 0 <= figures["validation accuracy of random phrases"] <= 1
    assert set(model.units.names) <= set(phrases)
    first = model.units.names.index("good / great") if "good / great" in model.units.names else 0
    wordings = model.inputs.encode(model.units.names[first].split(" / "))[0]
    expected = torch.nn.functional.normalize(model.unit_vectors(wordings).sum(0), dim=0)
    torch.testing.assert_close(model.anchors[first], expected.detach(), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="fit_phrases needs model.phrases"):
        model.fit_phrases(data.loader("train"))


def test_programs_and_dense_encoders_read_sentences(data):
    options = {"sequence": {**data.sequence.to_config(), "classes": ["bad", "good"]}, "num_classes": 2, "pooled": True}
    x = data.samples("test", [0, 1]).x
    for name, more in (
        ("dense_encoder", {"width": 8, "heads": 2}),
        ("transformer_program", {"restarts": 1, "width": 40}),
    ):
        model = zoo.create_model(name, **options, **more).eval()
        assert model(x).shape == (2, 2)


def test_errors_of_text_models():
    with pytest.raises(ValueError, match="neither words nor a text encoder"):
        zoo.create_model("text_prototype", num_classes=2)
    with pytest.raises(ValueError, match="the data have no words"):
        zoo.create_model("bag_of_concepts", num_classes=2)
    spec = {"id": "no_such_encoder", "sha256": "0" * 64, "width": 8, "length": 16}
    model = zoo.create_model("text_prototype", num_classes=2, encoder=spec, input_shape=[4]).eval()
    with pytest.raises(ValueError, match="'no_such_encoder' is not on this machine.*hf download"):
        model(torch.tensor([[1, 2, -1, -1]]))
    with pytest.raises(ValueError, match="frozen; expected no phase with epochs"):
        model.probe_loss(None)


@torch.no_grad()
def test_sentences_are_added_reworded_and_removed(prototypes, tmp_path):
    model = zoo.load(str(prototypes.folder))
    units, names = len(model.units), list(model.units.names)
    text, other = "The town was lovely !", "The town was awful !"
    x = model.inputs.read([text, other]).x
    added = model.edit([{"operation": "add", "text": text, "class": "good"}])
    torch.testing.assert_close(added.anchors[-1:], model.unit_vectors(x[:1]))
    own = model.owner == model.class_names.index("good")
    torch.testing.assert_close(added.head.weight[:, -1], model.head.weight[:, own].mean(1))
    assert added.unit_texts()[-1] == text
    assert added.units.names[:units] == names
    assert added.source_index[-1] == -1
    given = model.edit([{"operation": "add", "text": text, "class": "good", "weight": 0.5}])
    expected = model(x) + torch.zeros(2, 2)
    column = (model.unit_vectors(x) @ given.anchors[-1] - given.mean[-1]) / given.std[-1] * 0.5
    expected[:, model.class_names.index("good")] += column
    torch.testing.assert_close(given(x), expected)
    new = model.edit([{"operation": "reword", "unit": names[0], "text": other}])
    torch.testing.assert_close(new.anchors[0], model.unit_vectors(x[1:])[0])
    assert other in new.units.names[0]
    assert torch.equal(new.head.weight, model.head.weight)
    edits = [
        {"operation": "add", "text": text, "class": "good"},
        {"operation": "lock", "unit": names[1]},
        {"operation": "reword", "unit": names[0], "text": other, "why": "shorter"},
        {"operation": "remove", "unit": names[2]},
        {"operation": "resolve"},
    ]
    result = zoo.edit(prototypes.folder, edits, suite=None, out=tmp_path / "edited")
    edited = zoo.load(str(tmp_path / "edited"))
    assert tensor_hash(edited.state_dict()) == tensor_hash(result.model.state_dict())
    assert edited.units.names == result.model.units.names
    place = edited.units.names.index(names[1])
    assert torch.equal(edited.head.weight[:, place], model.head.weight[:, 1])
    assert len(edited.units) == units
    check_model(edited, x, torch.tensor([0, 1]))
    assert tensor_hash(edited.undo().state_dict()) == tensor_hash(model.state_dict())
    for edit, words in (
        ({"operation": "add", "text": " ", "class": "good"}, "text is ' '; expected a text"),
        ({"operation": "add", "text": text, "class": "goood"}, "there is no class 'goood', did you mean good"),
        ({"operation": "reword", "unit": names[0]}, "text is missing"),
    ):
        with pytest.raises(ValueError, match=words):
            model.edit([edit])


@torch.no_grad()
def test_words_are_added_and_removed(data):
    model = bag(data, max_units=6)
    names = list(model.units.names)
    unused = (model.unit_of < 0).nonzero()[:, 0]
    words = " ".join(model.frame.tokens[c] for c in model.ngrams.codes()[unused[0]].tolist() if c >= 0)
    x = next(iter(data.loader("test"))).x
    added = model.edit([{"operation": "add", "text": words, "class": 1, "weight": 2.0}])
    assert added.units.names == [*names, words]
    assert torch.equal(added.encode(x)[:, : len(names)], model.encode(x))
    change = added(x) - model(x)
    torch.testing.assert_close(change[:, 1], 2.0 * added.encode(x)[:, -1])
    assert not change[:, 0].any()
    removed = model.edit([{"operation": "remove", "unit": names[0]}])
    torch.testing.assert_close(removed(x), model.intervene(x, {0: 0.0}))
    assert tensor_hash(removed.undo().state_dict()) == tensor_hash(model.state_dict())
    with pytest.raises(ValueError, match="has a weight, in the unit"):
        model.edit([{"operation": "add", "text": names[0], "class": 1, "weight": 1.0}])
    with pytest.raises(ValueError, match="expected 1 to 2 known words"):
        model.edit([{"operation": "add", "text": "zyx", "class": 1, "weight": 1.0}])
