"""``zoo export``: the file computes what the model computes, by another runtime and without zoo, or is not written."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import zoo
from zoo import checkpoint
from zoo.cli import main
from zoo.inputs.image import ImageInputs
from zoo.inputs.table import TableInputs
from zoo.layers.text import sentence_encoder
from zoo.layers.text.state_store import StateStore
from zoo.serving import files
from zoo.serving.checked_file import WRITERS
from zoo.serving.graph import Graph, constant_properties, traced
from zoo.serving.samples import Samples, generated
from zoo.serving.trial import trial

TABLE = {"logits": [30, 41, 52, 47] * 5, "sex": ["F", "M", "F", ""] * 5, "state": ["ill", "well"] * 10}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint of a table with a column of numbers, named like an output, and one of levels."""
    folder = tmp_path_factory.mktemp("export") / "patients"
    torch.manual_seed(0)
    inputs = TableInputs.fit(TABLE, target="state")
    model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=list(inputs.shape), width=8).eval()
    model.inputs = inputs
    arguments = {"num_classes": 2, "input_shape": list(inputs.shape), "width": 8}
    config = {
        "version": 2,
        "model": {"name": "bilinear_mlp", **arguments},
        "data": {"name": "table", "file": "gone.csv", "target": "state"},
    }
    checkpoint.save(folder, model, config=config, metrics={"scores": {}}, card="")
    return folder


@pytest.mark.filterwarnings("ignore:.*never seen")
def test_an_onnx_file_takes_columns_and_words_and_tells_what_they_are(saved, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    file = tmp_path / "patients.onnx"
    assert main(["export", str(saved), "-o", str(file), "--shown", "3"]) == 0
    printed = capsys.readouterr().out
    assert "128 samples of generated inputs" in printed, "the data of the user are gone, and would not be read"
    assert "0 of 128 answers change" in printed
    assert str(tmp_path) not in file.read_bytes().decode("latin-1"), "the file names a folder of this machine"

    session = onnxruntime.InferenceSession(file)  # from here on nothing of zoo
    about = json.loads(session.get_modelmeta().custom_metadata_map["zoo"])
    assert about["classes"] == ["ill", "well"]
    assert [given["name"] for given in about["inputs"]] == [given.name for given in session.get_inputs()]
    assert [given["column"] for given in about["inputs"]] == ["logits", "sex"]
    for sex in (["F", "M", "", "never seen"], ["M"]):  # the batch is of any size
        age = np.linspace(20, 60, len(sex))
        names = [output.name for output in session.get_outputs()]
        answer = dict(zip(names, session.run(None, {"logits_": age, "sex": np.array(sex, object)}), strict=True))
        assert list(answer) == list(about["outputs"])
        model = zoo.load(str(saved))
        x = model.inputs.read({"logits": age, "sex": sex}).x
        explanation = model.explain(x, shown=3)
        assert np.abs(answer["logits"] - explanation.logits.detach().numpy()).max() < 1e-5
        assert np.abs(answer["contribution"] - explanation.contribution.detach().numpy()).max() < 1e-5
        assert answer["probabilities"].sum(1) == pytest.approx(1)
        assert answer["shown"].shape == (len(sex), 3)
        total = answer["contribution"].sum(1) + answer["base"]
        assert total == pytest.approx(answer["logits"][np.arange(len(sex)), answer["explained"]], abs=1e-5)


def test_a_program_of_torch_is_loaded_again(saved, tmp_path):
    result = zoo.export(saved, to="torch", out=tmp_path / "patients.pt2")
    described = {"zoo": ""}
    module = torch.export.load(result.file, extra_files=described).module()
    answer = module({"logits": torch.tensor([30.0], dtype=torch.float64), "sex": torch.tensor([0])})
    assert json.loads(described["zoo"])["classes"] == ["ill", "well"]
    model = zoo.load(str(saved))
    expected = model(
        model.inputs.read({"logits": [30], "sex": [json.loads(described["zoo"])["inputs"][1]["levels"][0]]}).x
    )
    assert torch.allclose(answer["logits"], expected, atol=1e-6)
    assert result.count == 128
    assert result.differences["logits"] < 1e-5


def test_a_file_that_computes_something_else_is_not_kept(saved, tmp_path, monkeypatch, capsys):
    honest = files.open_torch

    def wrong(graph, file):
        run = honest(graph, file)
        return lambda raw: {name: value + 1e-3 * (name == "logits") for name, value in run(raw).items()}

    monkeypatch.setitem(WRITERS, "torch", (files.write_torch, wrong))
    assert main(["export", str(saved), "--to", "torch", "-o", str(tmp_path / "patients.pt2")]) == 2
    error = capsys.readouterr().err
    assert "the logits of the file differ by 1.0e-03 on generated inputs; expected at most 1e-04" in error
    assert not list(tmp_path.iterdir()), "neither the file nor a part of it is left"


def test_answers_that_change_are_counted(saved):
    graph = Graph(zoo.load(str(saved)))
    samples = list(generated(graph.model))

    def turned(raw):
        outputs = graph(raw)
        return {**outputs, "prediction": 1 - outputs["prediction"]}

    assert trial(graph, graph, samples).other_answers == 0
    assert trial(graph, turned, samples).other_answers == 128


MISTAKES = {
    "exists": (["-o", "there.onnx"], "there.onnx exists; add --overwrite"),
    "folder": (["-o", "."], "is a folder; name a file with -o"),
    "program": (["--to", "program"], "is a bilinear_mlp; --to program writes transformer programs"),
    "check": (["--to", "torch", "--check", "gone.csv"], "gone.csv"),
    "shown": (["--to", "torch", "--shown", "-1"], "shown is -1; expected 0 or more"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line(saved, mistake, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.onnx").write_bytes(b"")
    arguments, words = MISTAKES[mistake]
    assert main(["export", str(saved), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["there.onnx"]


def test_a_model_without_inputs_is_refused():
    model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[1], width=8)
    with pytest.raises(ValueError, match="has no inputs .* complete it with `zoo migrate`"):
        Graph(model)


def test_constant_properties_are_held_and_given_back():
    model = zoo.create_model("bilinear_mlp", num_classes=2, input_shape=[1], width=8)
    family = type(model)
    with constant_properties(model):
        assert type(model) is not family
        assert model.units is model.units, "computed once"
        assert isinstance(model, family)
    assert type(model) is family
    assert model.units is not model.units


def test_empty_tensors_that_are_not_contiguous_are_saved(saved, tmp_path):
    graph = Graph(zoo.load(str(saved)))
    graph.register_buffer("first", torch.zeros(5, 0, dtype=torch.float64).as_strided((5, 0), (0, 0)))
    graph.register_parameter("gates", torch.nn.Parameter(torch.zeros(0, 3)))
    graph.register_buffer("second", torch.zeros(0, dtype=torch.int64))
    sample = next(generated(graph.model, count=4))
    files.write_torch(graph, sample.raw, {}, tmp_path / "patients.pt2")
    assert trial(graph, files.open_torch(graph, tmp_path / "patients.pt2"), [sample]).logit_difference < 1e-6


def test_a_graph_holds_a_text_encoder_of_others(monkeypatch, tmp_path):
    class Network(torch.nn.Module):
        """In the form of transformers: mixes the tokens of a text that the mask leaves."""

        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(9, 8)

        def forward(self, input_ids, attention_mask):
            state = self.embed(input_ids) * attention_mask[..., None]
            return SimpleNamespace(last_hidden_state=state + state.cumsum(1).tanh())

    network = Network().eval().requires_grad_(False)
    monkeypatch.setattr(sentence_encoder, "frozen_network", lambda spec: network)
    spec = {"id": "tiny", "sha256": "0" * 64, "width": 8, "length": 6}
    model = zoo.create_model("text_prototype", num_classes=3, encoder=spec, input_shape=[6]).eval()
    model.encoder.store = StateStore(tmp_path / "states")
    model.inputs = ImageInputs(size=8, class_names=list("abc"))
    graph = Graph(model)
    graph.raw = torch.nn.Identity()
    x = torch.randint(9, (5, 6), generator=torch.Generator().manual_seed(0))
    x = torch.where(torch.arange(6) < torch.tensor([[1], [6], [3], [4], [2]]), x, -1)
    done = trial(graph, traced(graph, x[:3]).module(), [Samples(x, x)])
    assert done.logit_difference < 1e-6
    assert max(done.differences.values()) < 1e-6
