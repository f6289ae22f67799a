"""`edgekit convert` on language models: from a file to an artifact that was compared, told in numbers, and can be verified."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from tiny_language import loads, tiny_gguf

from edgekit.artifact import read
from edgekit.cli import main
from edgekit.conversion.language import LanguageRequest, convert_language, libllama_works
from edgekit.conversion.language_board import best_that_fits
from edgekit.conversion.language_notes import fit, shortened
from edgekit.converters.gguf import gguf_source
from edgekit.core.errors import ArtifactError, Unsupported, UsageError
from edgekit.core.gguf_file import read_header
from edgekit.core.language import shape_of
from edgekit.core.language_room import room_of
from edgekit.core.profiles import find
from edgekit.language_parity import divergence, read_golden, spoken
from edgekit.loading import load

pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def artifact(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    request = LanguageRequest(precision="q8_0", output=tmp_path_factory.mktemp("out"))
    return convert_language(model, find("rpi5"), request).path


def test_an_artifact_says_what_its_model_is_and_what_it_costs_on_the_board(artifact: Path) -> None:
    manifest = read(artifact).manifest
    language = manifest.language
    assert language is not None and language.fits is True
    assert (manifest.target.format, manifest.target.precision) == ("gguf", "q8_0")
    assert (language.layers, language.vocabulary, language.trained_context) == (2, 356, 256)
    assert 8 < language.bits_per_weight < 9 and language.kv_bytes_per_token == 2 * 2 * 2 * 2 * 16
    assert language.tokens_per_s is not None and 0 < max(language.tensor_errors.values()) < 0.02
    assert manifest.parity is not None and manifest.parity.metric == "kl_nats" and manifest.parity.ok


def test_it_can_be_verified_and_a_changed_file_is_found_out(artifact: Path, tmp_path: Path) -> None:
    if all(loads(engine) for engine in ("llama_cpp", "xllamacpp")):
        pytest.skip("no language engine is here")
    assert main(["verify", str(artifact)]) == 0
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in artifact.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    weights = (copy / "model.gguf").read_bytes()
    (copy / "model.gguf").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert main(["verify", str(copy)]) == 4


def test_it_is_no_model_for_arrays(artifact: Path) -> None:
    with pytest.raises(Unsupported, match="takes text, not arrays"):
        load(artifact)


def test_the_same_source_gives_the_same_bytes(model: Path, artifact: Path, tmp_path: Path) -> None:
    again = convert_language(model, find("rpi5"), LanguageRequest(precision="q8_0", output=tmp_path)).path
    assert (again / "model.gguf").read_bytes() == (artifact / "model.gguf").read_bytes()


def test_auto_takes_the_best_that_fits_and_says_what_it_passed_over(model: Path) -> None:
    source = gguf_source.load(model)
    shape = shape_of(read_header(model))
    plenty = best_that_fits(source, shape, room_of(find("rpi5")), 2048, libllama=False)
    assert plenty.precision == "q8_0"
    with pytest.raises(Unsupported, match=r"the smallest needs .* the board can give 0\.00 GB"):
        best_that_fits(source, shape, room_of(find("rpi5"), memory_bytes=1 << 20), 2048, libllama=False)


def test_k_types_are_passed_over_where_most_tensors_would_become_another(model: Path) -> None:
    source, shape = gguf_source.load(model), shape_of(read_header(model))
    with pytest.raises(Unsupported):
        best_that_fits(source, shape, room_of(find("rpi5"), memory_bytes=1 << 20), 64, libllama=True)


def test_the_command_writes_the_promised_object(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["convert", str(model), "-t", "rpi4", "--precision", "q4_0", "--prune", "50%", "-o", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0 and found["failed"] == []
    made = found["artifacts"][0]
    assert (made["format"], made["precision"], made["parity"]["metric"]) == ("gguf", "q4_0", "kl_nats")
    assert any("layers" in note and "removed" in note for note in made["notes"])
    assert any("fits this board" in note for note in made["notes"])


def test_what_a_conversion_costs_is_said_before_and_after_the_work(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the trained checkpoint, whose rows of 172 no block of 32 divides: a llama2.c file with its tokenizer beside it."""
    checkpoint = shared_data / "llm" / "stories260K.bin"
    assert main(["convert", str(checkpoint), "-t", "rpi5", "--precision", "q8_0", "--context", "256", "-o", str(tmp_path)]) == 0
    said = capsys.readouterr()
    substituted = "F16 instead of Q8_0, since rows of 172 are no multiple of 32: blk.0-4.ffn_down.weight (5)"
    fits = r"fits this board: needs 0\.\d\d GB with 256 tokens, \d\.\d\d GB can be used"
    for where in (said.err, said.out):
        assert "9.97 bits per weight" in where and substituted in where and re.search(fits, where)
    assert "640 bytes per token, 0.16 MB of 256 tokens" in said.out
    assert re.search(r"tokens/s by its memory.*not measured here", said.out)
    assert re.search(r"by 0\.\d\d% at most \(.*\.weight\); each is in the manifest", said.out)
    language = read(tmp_path / "stories260K.rpi5.q8_0").manifest.language
    assert language is not None and len(language.tensor_errors) == 7 * 5 + 2


def test_a_text_that_says_which_weights_matter_is_used_by_libllama_and_refused_without(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is given a file made without it."""
    folder = shared_data / "llm"
    text, out = folder / "stories260K.greedy.txt", tmp_path / "out"
    asked = ["convert", str(folder / "stories260K.bin"), "-t", "rpi5", "--precision", "q4_0", "-o", str(out)]
    code = main([*asked, "--imatrix", str(text)])
    if libllama_works():
        assert code == 0 and (out / "stories260K.rpi5.q4_0" / "model.gguf").is_file()
    else:
        assert code == 1 and "an importance matrix needs libllama" in capsys.readouterr().err
        assert not list(out.glob("*"))
    (tmp_path / "few.txt").write_text("too few")
    assert main([*asked, "--force", "--imatrix", str(tmp_path / "few.txt")]) == 1
    assert "too few to judge by" in capsys.readouterr().err


def test_a_model_that_does_not_fit_is_written_and_that_is_said(model: Path) -> None:
    room = room_of(find("rpi5"), memory_bytes=1 << 20)
    (said,) = fit(5_000_000, 64, room.usable)
    assert said.startswith("DOES NOT FIT this board: needs 0.01 GB with 64 tokens, 0.00 GB")
    assert [*fit(5_000_000, 64, None)] == []


def test_tensors_that_differ_in_their_layer_alone_are_one_name() -> None:
    names = ["output.weight", *(f"blk.{n}.ffn_up.weight" for n in (0, 1, 2, 5)), "blk.7.attn_q.weight"]
    assert shortened(names) == ["output.weight", "blk.0-2,5.ffn_up.weight", "blk.7.attn_q.weight"]


def test_a_page_that_calls_itself_a_model_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.gguf").write_text("<html>not found</html>")
    assert main(["convert", str(tmp_path / "model.gguf"), "-t", "rpi5", "-o", str(tmp_path / "out")]) == 1
    assert "is a web page" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_precisions_of_networks_are_not_for_language_models(model: Path) -> None:
    with pytest.raises(UsageError, match="not written in int8"):
        convert_language(model, find("rpi5"), LanguageRequest(precision="int8"))


def test_the_divergence_of_a_model_from_itself_is_none_and_from_another_is_large() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(0, 3, (20, 300))
    said = spoken(range(20), scores)
    assert divergence(said, scores) < 1e-6
    assert divergence(said, random.normal(0, 3, (20, 300))) > 1


def test_answers_that_are_no_answers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "golden.npz").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(ArtifactError, match="holds no answers"):
        read_golden(tmp_path / "golden.npz")
