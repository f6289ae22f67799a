"""An embedding network as an artifact: BERT's tokens in, one row of length 1 for each text, through edgekit's own runtimes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from documents import write_documents
from onnx import TensorProto, helper, numpy_helper
from tiny_language import loads, tiny_gguf

import edgekit
from edgekit.apps.assistant.grounding.network import Network, open_network, pooled
from edgekit.apps.assistant.grounding.wordpiece import WordPiece, read_vocabulary, words
from edgekit.cli import main
from edgekit.core.errors import InputError, NotFound, Unsupported

PIECES = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "un",
    "##want",
    "##ed",
    "want",
    "runn",
    "##ing",
    ",",
    "pump",
    "water",
    "filter",
    "rose",
    "##s",
)
TOKENS, WIDTH = 16, 24


def bert(path: Path, *, ids: str = "input_ids") -> Path:
    """Embeddings, one head of attention, a sum and a norm: a layer of BERT with random weights."""
    chance = np.random.default_rng(7)
    shapes = {"words": (len(PIECES), WIDTH), "places": (1, TOKENS, WIDTH), **dict.fromkeys(("q", "k", "v"), (WIDTH, WIDTH))}
    weights = [numpy_helper.from_array(chance.normal(0, 0.4, shape).astype(np.float32), name) for name, shape in shapes.items()]
    ones = {"scale": np.ones(WIDTH), "shift": np.zeros(WIDTH), "one": np.float32(1), "far": np.float32(-1e4)}
    weights += [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in ones.items()]
    weights.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    node = helper.make_node
    nodes = [
        node("Gather", ["words", ids], ["looked"]),
        node("Add", ["looked", "places"], ["hidden"]),
        *(node("MatMul", ["hidden", name], [f"{name}_of"]) for name in ("q", "k", "v")),
        node("Transpose", ["k_of"], ["k_turned"], perm=[0, 2, 1]),
        node("MatMul", ["q_of", "k_turned"], ["scores"]),
        node("Cast", ["attention_mask"], ["there"], to=TensorProto.FLOAT),
        node("Sub", ["one", "there"], ["absent"]),
        node("Mul", ["absent", "far"], ["away"]),
        node("Unsqueeze", ["away", "axis"], ["away_rows"]),
        node("Add", ["scores", "away_rows"], ["masked"]),
        node("Softmax", ["masked"], ["shares"], axis=-1),
        node("MatMul", ["shares", "v_of"], ["mixed"]),
        node("Add", ["hidden", "mixed"], ["summed"]),
        node("LayerNormalization", ["summed", "scale", "shift"], ["last_hidden_state"], axis=-1),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, TOKENS]) for name in (ids, "attention_mask")]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [1, TOKENS, WIDTH])
    graph = helper.make_graph(nodes, "bert", inputs, [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact, converted, with its tokenizer beside it."""
    folder = tmp_path_factory.mktemp("embedding")
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    tokenizer = {
        "normalizer": {"type": "BertNormalizer", "lowercase": True},
        "model": {"type": "WordPiece", "vocab": vocabulary},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    made = edgekit.convert(bert(folder / "bert.onnx"), target="host", precision="fp32", output=folder)
    made.path.rename(folder / "artifact")
    return folder


@pytest.fixture(scope="module")
def network(folder: Path) -> Iterator[Network]:
    opened = open_network(folder / "artifact", folder / "tokenizer.json")
    yield opened
    opened.close()


def test_texts_become_rows_of_length_1_that_do_not_depend_on_their_neighbours(network: Network) -> None:
    rows = network(["the pump, running", "roses", ""])
    assert rows.shape == (3, WIDTH) and rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(network(["roses"])[0], rows[1])
    assert not np.allclose(rows[0], rows[1], atol=0.05)


def test_a_text_that_is_too_long_is_cut_and_padding_changes_nothing(network: Network) -> None:
    assert np.array_equal(network(["pump " * 14])[0], network(["pump " * 400])[0])
    hidden, mask = np.random.default_rng(0).normal(size=(1, 4, 3)).astype(np.float32), np.array([[1, 1, 0, 0]])
    changed = hidden.copy()
    changed[0, 2:] = 99
    assert np.array_equal(pooled(hidden, mask), pooled(changed, mask))


def test_the_assistant_searches_with_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = write_documents(tmp_path / "documents")
    asked = ["run", "assistant", "--documents", str(documents), "--data", str(tmp_path / "data"), "--search", "pump water"]
    assert main([*asked, "--embedding", str(folder / "artifact"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passages"][0]["path"] == "pump.md"


def test_the_assistant_searches_through_an_index_of_its_vectors_and_finds_the_same(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("usearch", reason="the index of vectors needs the extra vectors")
    documents, data = write_documents(tmp_path / "documents"), tmp_path / "data"
    asked = ["run", "assistant", "--documents", str(documents), "--data", str(data), "--search", "pump water", "--json"]
    found = []
    for way in ("approximate", "approximate", "exact"):
        assert main([*asked, "--embedding", str(folder / "artifact"), "--vector-search", way]) == 0
        found.append((json.loads(capsys.readouterr().out), len(list(data.glob("*.vectors")))))
    assert found[0] == found[1]
    assert found[2] == (found[0][0], 0)  # who wants none is left none


def test_words_are_cut_into_the_longest_pieces_there_are(folder: Path) -> None:
    known = read_vocabulary(folder / "tokenizer.json")
    assert known.encode("UNwantéd, running", 16) == [2, 4, 5, 6, 10, 8, 9, 3]  # the example of BERT's own test
    assert known.encode("runnings", 16) == [2, 8, 9, 15, 3] and known.encode("runnable", 16) == [2, 1, 3]
    assert known.encode("want " * 50, 5) == [2, 7, 7, 7, 3]


def test_signs_and_wide_letters_stand_alone_and_control_characters_go() -> None:
    assert list(words("ah\u535a\u63a8zz don't\x00 $5", lowers=True)) == [
        "ah",
        "\u535a",
        "\u63a8",
        "zz",
        "don",
        "'",
        "t",
        "$",
        "5",
    ]
    assert list(words("HeLLo", lowers=False)) == ["HeLLo"]


def test_a_plain_list_of_pieces_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES), "utf-8")
    assert read_vocabulary(tmp_path / "vocab.txt") == WordPiece(numbers={piece: at for at, piece in enumerate(PIECES)})


@pytest.mark.parametrize(
    ("name", "text", "kind", "said"),
    [
        ("tokenizer.json", "{", InputError, "is no tokenizer"),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {}}}', Unsupported, "cuts words by BPE"),
        ("tokenizer.json", '{"model": {"type": "WordPiece", "vocab": {"a": "b"}}}', InputError, "has no number"),
        ("vocab.txt", "one\ntwo", InputError, r"it has no \[CLS\]"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(tmp_path: Path, name: str, text: str, kind: type[Exception], said: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(kind, match=said):
        read_vocabulary(tmp_path / name)


def test_a_network_of_another_kind_and_a_missing_vocabulary_are_refused(folder: Path, tmp_path: Path) -> None:
    made = edgekit.convert(bert(tmp_path / "other.onnx", ids="pixels"), target="host", precision="fp32", output=tmp_path)
    with pytest.raises(Unsupported, match="has no input_ids"):
        open_network(made.path, folder / "tokenizer.json")
    with pytest.raises(NotFound, match="no vocabulary"):
        open_network(folder / "artifact", tmp_path / "tokenizer.json")


def test_the_assistant_searches_with_a_gguf_model_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if all(loads(engine) for engine in ("llama_cpp", "xllamacpp")):
        pytest.skip("no language engine is here")
    model = tiny_gguf(tmp_path / "tiny.gguf")
    documents = write_documents(tmp_path / "documents")
    asked = ["run", "assistant", "--documents", str(documents), "--data", str(tmp_path / "data"), "--search", "pump water"]
    assert main([*asked, "--embedding", str(model), "--json"]) == 0
    assert "pump.md" in [one["path"] for one in json.loads(capsys.readouterr().out)["passages"]]
