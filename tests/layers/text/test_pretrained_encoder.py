"""A text encoder of others: found by id and hash, frozen, its vectors kept, its weights in no checkpoint."""

import json

import pytest
import torch

import zoo
from zoo.inputs.texts.text_encoders import EncoderSpec, encoder_hash, encoder_spec, find_encoder
from zoo.layers.text.sentence_encoder import PretrainedEncoder, token_shares
from zoo.layers.text.state_store import StateStore, keys_of

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "dull", "film", "a", "##s", "!"]


def folder_of(root, name="tiny"):
    """The files of an encoder without its weights."""
    folder = root / "text_encoders" / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"hidden_size": 8, "max_position_embeddings": 16}))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_an_encoder_is_found_by_name_and_refused_with_another_hash(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    folder = folder_of(tmp_path)
    spec = encoder_spec("tiny")
    assert (spec.width, spec.length, spec.sha256) == (8, 16, encoder_hash(folder))
    assert encoder_spec(str(folder)) == spec
    assert spec.folder() == folder
    assert EncoderSpec.from_config(spec.to_config()) == spec
    (folder / "model.safetensors").write_bytes(b"Weights")
    with pytest.raises(ValueError, match="has the hash .*; the model was trained with tiny of hash"):
        spec.folder()
    with pytest.raises(ValueError, match="'tinny' is not on this machine, did you mean tiny.*hf download"):
        find_encoder("tinny")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match="has no tokenizer.json"):
        find_encoder("tiny")
    with pytest.raises(ValueError, match="is described by id, sha256, width and length"):
        EncoderSpec.from_config({"id": "tiny"})


def test_vectors_are_kept_on_disk_and_padding_does_not_matter(tmp_path):
    codes = torch.arange(80).view(40, 2)
    store = StateStore(tmp_path / "states")
    store.put(codes, torch.arange(40.0)[:, None].repeat(1, 3))
    again = StateStore(tmp_path / "states").get(torch.cat([codes[[7]], torch.full((1, 4), -1)], 1))
    assert again[0].tolist() == [7.0, 7.0, 7.0]
    assert StateStore(tmp_path / "states").get(codes + 1000) == [None] * 40
    assert len(set(keys_of(codes))) == 40


@pytest.mark.slow
def test_a_checkpoint_of_transformers_is_frozen_and_stays_outside_the_checkpoint(tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "text_encoders" / "tiny"
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **sizes)
    network = transformers.BertModel(config).eval()
    network.save_pretrained(folder)
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    marks = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    tokenizer.save(str(folder / "tokenizer.json"))
    lines = "".join(f"{text},{label}\n" for text, label in (("Good films !", 1), ("a dull film", 0)) * 20)
    (tmp_path / "r.csv").write_text(
        "text,label\n" + lines + "".join(f"good {'a ' * i}film,1\ndull {'a ' * i}film,0\n" for i in range(10))
    )
    content = {
        "model": {"name": "text_prototype"},
        "data": {"name": "sentences", "file": str(tmp_path / "r.csv"), "encoder": "tiny", "length": 14, "val": 0.2},
        "phases": {"choose": {"then": {"choose_anchors": {"val": True, "max_units": 4}}}},
    }
    (tmp_path / "c.yaml").write_text(repr(content))
    result = zoo.train(tmp_path / "c.yaml", out=tmp_path / "run", overrides=["suite=evaluate/quick"])
    model = zoo.load(str(result.folder))
    assert not [name for name in model.state_dict() if name.startswith("encoder")]
    x = model.inputs.read(["Good films !"]).x
    assert model.inputs.show(x) == [["[CLS] ", "Good ", "film", "s ", "!", " [SEP]"]]
    mask = (x >= 0).long()
    with torch.no_grad():
        hidden = network(input_ids=x.clamp_min(0), attention_mask=mask).last_hidden_state[0, :6]
    encoder = PretrainedEncoder(encoder_spec("tiny"), 14)
    torch.testing.assert_close(encoder.vectors(x)[0], hidden.mean(0), rtol=0, atol=1e-5)
    other = torch.cat([x, model.inputs.read(["a dull a dull a dull film"]).x])
    torch.testing.assert_close(encoder.states(other)[:1], encoder.states(x), rtol=0, atol=1e-5)
    shares = token_shares(encoder.states(x), x, model.anchors[None, :1])
    torch.testing.assert_close(shares.sum(2)[0, 0], model.encode(x)[0, 0], rtol=0, atol=1e-5)
    for form in ("onnx", "torch"):  # the file holds the encoder, begins at its word pieces, and needs no other file
        exported = zoo.export(str(result.folder), to=form, out=tmp_path / f"model.{form}")
        assert exported.count == 128
        assert exported.differences["logits"] < 1e-4
        assert exported.changed_answers == 0
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    from zoo.layers.text.sentence_encoder import frozen_network

    frozen_network.cache_clear()
    with pytest.raises(ValueError, match="has the hash"):
        zoo.load(str(result.folder)).predict("Good film")
