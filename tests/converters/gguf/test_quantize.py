"""Types, blocks, files: what is written is what llama.cpp writes, and nothing is written over a source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_language import tiny_gguf

from edgekit.converters.gguf import convert, forward, gguf_source, prune
from edgekit.converters.gguf.quants import OWN, dequantized, quantized
from edgekit.converters.gguf.types import FALLBACK, MIXTURES, choose, fitting, substitutions
from edgekit.core.errors import EdgekitError, InputError, Unsupported
from edgekit.core.gguf_file import NAMED, read_header
from edgekit.runtimes.language import apart


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_file_that_is_written_is_read_back_as_it_was(model: Path, tmp_path: Path) -> None:
    source = gguf_source.load(model)
    written = convert.repackaged(source, tmp_path / "copy.gguf")
    assert written.path.read_bytes() == model.read_bytes()


def test_the_gguf_package_reads_what_is_written(model: Path) -> None:
    gguf = pytest.importorskip("gguf")
    read = gguf.GGUFReader(model)
    ours = gguf_source.load(model)
    assert [tensor.name for tensor in read.tensors] == [tensor.name for tensor in ours.tensors]
    for theirs, tensor in zip(read.tensors, ours.tensors, strict=True):
        assert np.array_equal(np.asarray(theirs.data).reshape(tensor.shape), tensor.values())


@pytest.mark.parametrize("precision", ["q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "fp16"])
def test_every_precision_without_a_compiler_is_near_its_source(model: Path, precision: str, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    source = gguf_source.load(model)
    written = convert.convert(source, tmp_path / "model.gguf", precision)
    tokens = list(range(3, 40))
    difference = forward.logits(gguf_source.load(written.path), tokens) - forward.logits(source, tokens)
    assert np.sqrt(np.mean(difference**2)) < {"q8_0": 0.02, "fp16": 0.001}.get(precision, 0.3)
    assert read_header(written.path).get("general.file_type") == MIXTURES[precision].number


@pytest.mark.parametrize("precision", ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1"])
def test_tensors_are_byte_for_byte_those_of_llama_cpp(model: Path, precision: str, tmp_path: Path) -> None:
    if not apart.library_works():
        pytest.skip("libllama is not here, or was built for another processor")
    ours = convert.convert(gguf_source.load(model), tmp_path / "ours.gguf", precision)
    apart.quantize(model, tmp_path / "theirs.gguf", MIXTURES[precision].number, {})
    theirs = {tensor.name: tensor for tensor in gguf_source.load(tmp_path / "theirs.gguf").tensors}
    for tensor in gguf_source.load(ours.path).tensors:
        assert tensor.kind == theirs[tensor.name].kind
        assert tensor.stored().tobytes() == theirs[tensor.name].stored().tobytes(), tensor.name


def test_k_types_are_written_by_libllama_and_their_substitutions_named(model: Path, tmp_path: Path) -> None:
    if not apart.library_works():
        pytest.skip("libllama is not here, or was built for another processor")
    written = convert.convert(gguf_source.load(model), tmp_path / "model.gguf", "q4_k_m", quantizer=apart.quantize)
    changed = substitutions(written.choices)
    assert changed and all("no multiple of 256" in choice.why for choice in changed)
    assert not list(tmp_path.glob("*.float"))


def test_an_importance_matrix_changes_what_libllama_writes(model: Path, tmp_path: Path) -> None:
    if not apart.library_works():
        pytest.skip("libllama is not here, or was built for another processor")
    source = gguf_source.load(model)
    weights = forward.importance(source, list(range(3, 200)), 64)
    plain = convert.convert(source, tmp_path / "plain.gguf", "q4_0", quantizer=apart.quantize)
    judged = convert.convert(source, tmp_path / "judged.gguf", "q4_0", quantizer=apart.quantize, importance=weights)
    assert plain.path.read_bytes() != judged.path.read_bytes()


def test_without_libllama_k_types_are_refused_and_nothing_is_left(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="q4_k_m needs libllama"):
        convert.convert(gguf_source.load(model), tmp_path / "model.gguf", "q4_k_m")
    assert list(tmp_path.iterdir()) == []


def test_a_q6_k_output_layer_becomes_q8_0_without_libllama_and_that_is_said(tmp_path: Path) -> None:
    wide = gguf_source.load(tiny_gguf(tmp_path / "wide.gguf", dim=256, feed=256))
    output = next(choice for choice in choose(wide, "q4_0", libllama=False) if choice.name == "output.weight")
    assert (output.kind, output.wanted, output.why) == ("Q8_0", "Q6_K", "libllama is not here")


def test_a_goal_that_exists_is_never_written_over(model: Path, tmp_path: Path) -> None:
    goal = tmp_path / "model.gguf"
    goal.write_bytes(b"precious")
    with pytest.raises(EdgekitError, match="could not write"):
        convert.convert(gguf_source.load(model), goal, "fp32")
    assert goal.read_bytes() == b"precious"


def test_the_source_under_another_name_is_still_the_source(model: Path, tmp_path: Path) -> None:
    (tmp_path / "link.gguf").symlink_to(model)
    with pytest.raises(InputError, match="never written in place"):
        convert.convert(gguf_source.load(model), tmp_path / "link.gguf", "q8_0")


@pytest.mark.parametrize("kind", sorted(OWN - {"F32"}))
def test_blocks_stand_for_numbers_near_those_they_were_made_of(kind: str) -> None:
    pytest.importorskip("gguf")
    values = np.random.default_rng(1).normal(size=(4, 64)).astype(np.float32)
    stored = quantized(values, kind)
    assert stored.reshape(4, -1).shape[1] == 64 // NAMED[kind].block * NAMED[kind].bytes
    assert np.abs(dequantized(stored.reshape(4, -1), kind, (4, 64)) - values).max() < 0.35


@given(st.sampled_from(sorted(FALLBACK)), st.integers(1, 4096))
def test_rows_get_a_type_they_can_have_and_the_reason_when_it_is_another(wanted: str, row: int) -> None:
    kind, why = fitting(wanted, row)
    assert row % NAMED[kind].block == 0
    assert bool(why) == (kind != wanted)


def test_pruned_layers_are_those_that_turn_least_and_the_rest_move_up(model: Path, tmp_path: Path) -> None:
    source = gguf_source.load(tiny_gguf(tmp_path / "deep.gguf", layers=4))
    influence = forward.influence(source, list(range(3, 60)))
    assert len(influence) == 4 and min(influence) > 0
    smaller = prune.pruned(source, 0.25, influence)
    gone = int(np.argmin(influence))
    assert smaller.number("block_count") == 3
    kept = [layer for layer in range(4) if layer != gone]
    for index, layer in enumerate(kept):
        moved, before = smaller.tensor(f"blk.{index}.attn_q.weight"), source.tensor(f"blk.{layer}.attn_q.weight")
        assert moved is not None and before is not None and np.array_equal(moved.values(), before.values())
    written = convert.convert(smaller, tmp_path / "pruned.gguf", "fp32")
    assert forward.logits(gguf_source.load(written.path), [1, 2, 3]).shape == (3, 356)
    assert f"layers {gone} of 4" in smaller.notes[0]
