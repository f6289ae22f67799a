"""What kills an engine's process, or made one refuse without a reason: each is a clear error here, and this process goes on.

After every row the same session still answers, which is what a server needs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_language import tensors, tiny_gguf, values

from edgekit.cli import main
from edgekit.converters.gguf import convert, forward, gguf_source, prune
from edgekit.converters.gguf.model import count, text
from edgekit.core.errors import EdgekitError, InputError, UsageError
from edgekit.runtimes.language import _process
from edgekit.runtimes.language._wire import Call
from edgekit.runtimes.language.apart import library_works, quantize
from edgekit.runtimes.language.opening import open_text
from edgekit.runtimes.language.supervised import SupervisedSession
from edgekit.runtimes.machine import free_memory
from edgekit.runtimes.text import (
    Done,
    EngineRefused,
    Message,
    OutOfMemory,
    Piece,
    PromptTooLong,
    Sampling,
    TextOptions,
    TextRequest,
)

SMALL = TextOptions(context=256, threads=1)


def ask(session: SupervisedSession, prompt: str = "hello", **more: object) -> tuple[str, Done]:
    sampling = Sampling(**{"max_tokens": 8, "temperature": 0.0, **more})  # type: ignore[arg-type]
    events = list(session.generate(TextRequest(prompt=prompt, sampling=sampling)))
    assert isinstance(events[-1], Done)
    return "".join(event.text for event in events if isinstance(event, Piece)), events[-1]


def damaged(model: Path, change: Callable[[bytes], bytes], tmp_path: Path) -> Path:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(change(model.read_bytes()))
    return path


FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a web page": (lambda data: b"<!DOCTYPE html><html>404</html>", "is a web page"),
    "a Git LFS pointer": (lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
    "an empty file": (lambda data: b"", "not even a GGUF header"),
    "a truncated file": (lambda data: data[: len(data) - 5000], "is truncated"),
    "a truncated header": (lambda data: data[:900], "is truncated|more than the file holds"),
    "another version": (lambda data: data[:4] + b"\x09\0\0\0" + data[8:], "GGUF version 9"),
    "the other byte order": (lambda data: data[:4] + b"\0\0\0\x03" + data[8:], "big-endian"),
    "a quadrillion tensors": (lambda data: data[:8] + (10**15).to_bytes(8, "little") + data[16:], "which no model does"),
    "something else": (lambda data: b"PK\x03\x04" + data, "is no GGUF file"),
    "random bytes": (lambda data: np.random.default_rng(0).bytes(len(data)), "is no GGUF file"),
    "random bytes behind the right beginning": (
        lambda data: data[:8] + np.random.default_rng(0).bytes(9999),
        "which no model does",
    ),
}


@pytest.mark.parametrize("change", FILES.values(), ids=list(FILES))
def test_a_file_that_is_no_model_is_told_apart_before_any_engine_is_started(
    change: tuple[Callable[[bytes], bytes], str], model: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=change[1]):
        open_text(damaged(model, change[0], tmp_path))


@pytest.mark.parametrize("key", ["tokenizer.ggml.tokens", "llama.block_count", "llama.context_length"])
def test_a_model_that_lacks_what_it_must_say_is_refused_before_any_engine_is_started(key: str, tmp_path: Path) -> None:
    with pytest.raises(EdgekitError, match=key.split(".")[-1]):
        open_text(tiny_gguf(tmp_path / "model.gguf", without=(key,)))


def test_absurd_sizes_are_refused_before_any_engine_is_started(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="block_count"):
        open_text(tiny_gguf(tmp_path / "model.gguf", more={"llama.block_count": count(2**31)}))


def test_missing_tensors_are_refused_with_the_engines_own_reason(engine: str, tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "model.gguf", without=("blk.1.ffn_up.weight",))
    with pytest.raises(EngineRefused, match=r"blk\.1\.ffn_up"):
        SupervisedSession(engine, path, SMALL)


def test_an_unknown_architecture_is_refused_with_the_engines_own_reason(engine: str, tmp_path: Path) -> None:
    renamed = {key.replace("llama.", "nonesuch."): value for key, value in values().items() if key.startswith("llama.")}
    path = tiny_gguf(tmp_path / "model.gguf", more={**renamed, "general.architecture": text("nonesuch")})
    with pytest.raises(EngineRefused, match="nonesuch"):
        SupervisedSession(engine, path, SMALL)


def test_a_context_of_two_thousand_million_is_refused_with_both_numbers(engine: str, model: Path) -> None:
    with pytest.raises(OutOfMemory, match=r"needs .* GB .* can be used"):
        SupervisedSession(engine, model, TextOptions(context=2_000_000_000))


@pytest.mark.parametrize("context", [100_000_000, 2_000_000_000])
def test_memory_that_runs_out_behind_the_check_is_an_error_and_no_killed_machine(
    engine: str, context: int, tmp_path: Path
) -> None:
    """The limit on the process's address space, without the check before it."""
    path = tiny_gguf(tmp_path / "model.gguf", context=(1 << 31) - 1)
    process = _process.Process(engine)
    options = TextOptions(context=context, threads=1)
    number = process.send(Call(name="open", engine=engine, model=str(path), options=options, limit_bytes=free_memory() // 4))
    with pytest.raises(EdgekitError):
        for answer in process.answers(number, 0.05):
            if answer is not None:
                assert answer.error in ("EngineRefused", "OutOfMemory")
                raise EngineRefused(answer.message)
    process.end()


def test_many_threads_at_once_are_served_one_after_the_other(session: SupervisedSession) -> None:
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(ask(session)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1 and len(answers) == 4


def test_a_grammar_without_a_root_is_refused_and_the_session_goes_on(session: SupervisedSession) -> None:
    before = session.pid
    with pytest.raises(InputError, match="no rule named root"):
        ask(session, grammar='answer ::= "yes"')
    with pytest.raises(InputError, match="which no rule defines"):
        ask(session, grammar="root ::= nowhere")
    assert ask(session)[1].reason in ("stop", "length") and session.pid == before


def test_a_grammar_without_measure_is_refused_and_the_session_goes_on(session: SupervisedSession) -> None:
    before = session.pid
    with pytest.raises(InputError, match="30000 brackets within one another"):
        ask(session, grammar="root ::= " + "(" * 30_000 + '"a"' + ")" * 30_000)
    with pytest.raises(InputError, match="no rule named root"):
        ask(session, grammar="\n" * 200_000)
    assert ask(session)[1].reason in ("stop", "length") and session.pid == before


def test_a_grammar_holds_the_answer(session: SupervisedSession) -> None:
    assert ask(session, grammar='root ::= "yes" | "no"')[0] in ("yes", "no")


def test_a_schema_holds_the_answer(session: SupervisedSession) -> None:
    schema = {"type": "object", "properties": {"fine": {"type": "boolean"}}, "required": ["fine"]}
    said = ask(session, json_schema=schema, max_tokens=60, logit_bias={10 + 3: -100.0})[0]
    assert said.lstrip().startswith("{") and '"fine"' in said


def test_a_token_out_of_range_is_refused_and_the_session_goes_on(session: SupervisedSession) -> None:
    before = session.pid
    with pytest.raises(InputError, match="no token 999999"):
        session.detokenize([999999])
    with pytest.raises(InputError, match="no token -1"):
        session.detokenize([-1])
    with pytest.raises(InputError, match="no token 999999 to be biased"):
        ask(session, logit_bias={999999: 1.0})
    with pytest.raises(InputError, match=r"no token 999999|invalid tokens"):
        session.score([999999])
    assert ask(session)[1].reason in ("stop", "length") and session.pid == before


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(session: SupervisedSession) -> None:
    with pytest.raises(PromptTooLong) as caught:
        ask(session, "x" * 1000)
    assert caught.value.tokens > 256 == caught.value.limit


def test_weights_that_are_no_numbers_do_not_take_the_process_down(engine: str, tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "model.gguf")
    data = path.read_bytes()
    matrix = tensors()["blk.0.attn_q.weight"].tobytes()
    path.write_bytes(data.replace(matrix, np.full(64 * 64, np.nan, np.float32).tobytes()))
    session = SupervisedSession(engine, path, SMALL)
    try:
        ask(session)
    except EdgekitError:
        pass  # an engine may refuse it; it may not hang, or end this process
    finally:
        session.close()


def test_what_is_no_number_is_refused_before_any_engine_sees_it() -> None:
    with pytest.raises(InputError, match="temperature is nan"):
        Sampling(temperature=float("nan"))
    with pytest.raises(InputError, match=r"logit_bias\[5\] is inf"):
        Sampling(logit_bias={5: float("inf")})


def test_a_broken_template_is_named_and_the_session_goes_on(engine: str, tmp_path: Path) -> None:
    path = tiny_gguf(tmp_path / "model.gguf", template="{% for %}")
    session = SupervisedSession(engine, path, SMALL)
    with pytest.raises(InputError, match="template is broken at line 1"):
        list(session.generate(TextRequest(messages=(Message(role="user", content="hi"),))))
    assert ask(session)[1].reason in ("stop", "length")
    session.close()


def test_a_template_that_takes_no_system_message_is_quoted_and_the_session_goes_on(engine: str, tmp_path: Path) -> None:
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('system role not supported') }}{% endif %}hi"
    session = SupervisedSession(engine, tiny_gguf(tmp_path / "model.gguf", template=template), SMALL)
    with pytest.raises(InputError, match="system role not supported"):
        list(session.generate(TextRequest(messages=(Message(role="system", content="obey"),))))
    assert ask(session)[1].reason in ("stop", "length")
    session.close()


def test_quantizing_in_place_is_refused_and_the_file_is_untouched(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(model.read_bytes())
    with pytest.raises(InputError, match="never written in place"):
        convert.convert(gguf_source.load(path), path, "q8_0")
    with pytest.raises(EdgekitError, match=r"exists already|not installed|process"):
        quantize(path, path, 7, {})
    assert path.read_bytes() == model.read_bytes()


def beside(model: Path, change: Callable[[bytes], bytes]) -> Path:
    """A changed copy, for libllama to stumble over."""
    path = model.with_name("changed.gguf")
    path.write_bytes(change(model.read_bytes()))
    return path


Q4_0, IQ2_XXS, NVFP4, NO_TYPE = 2, 19, 39, 999
"""llama.cpp's numbers of mixtures; the last is none."""
REFUSED: dict[str, tuple[Callable[[Path], Path], int]] = {
    "no file": (lambda model: model.with_name("nowhere.gguf"), Q4_0),
    "rubbish": (lambda model: beside(model, lambda data: b"rubbish" * 100), Q4_0),
    "half a file": (lambda model: beside(model, lambda data: data[: len(data) // 2]), Q4_0),
    "no such type": (lambda model: model, NO_TYPE),
    "a type that needs an importance matrix": (lambda model: model, IQ2_XXS),
    "a type that is only read": (lambda model: model, NVFP4),
}


@pytest.mark.parametrize("given", REFUSED.values(), ids=list(REFUSED))
def test_what_libllama_does_not_quantize_is_an_error_and_leaves_no_file(
    given: tuple[Callable[[Path], Path], int], tmp_path: Path
) -> None:
    if not library_works():
        pytest.skip("libllama is not here, or was built for another processor")
    # Rows of 256: of shorter ones libllama makes a type that needs no matrix.
    source, file_type = given[0](tiny_gguf(tmp_path / "model.gguf", dim=256, feed=256)), given[1]
    with pytest.raises(EdgekitError):
        quantize(source, tmp_path / "made.gguf", file_type, {})
    assert not (tmp_path / "made.gguf").exists()


def test_what_was_quantized_before_is_not_quantized_again_by_libllama(model: Path, tmp_path: Path) -> None:
    if not library_works():
        pytest.skip("libllama is not here, or was built for another processor")
    quantize(model, tmp_path / "once.gguf", Q4_0, {})
    with pytest.raises(EngineRefused):
        quantize(tmp_path / "once.gguf", tmp_path / "twice.gguf", 7, {})
    assert not (tmp_path / "twice.gguf").exists()


def test_what_was_quantized_before_is_quantized_again_from_its_numbers(model: Path, tmp_path: Path) -> None:
    once = convert.convert(gguf_source.load(model), tmp_path / "once.gguf", "q4_0").path
    twice = convert.convert(gguf_source.load(once), tmp_path / "twice.gguf", "q8_0").path
    tokens = list(range(3, 20))
    apart = forward.logits(gguf_source.load(twice), tokens) - forward.logits(gguf_source.load(once), tokens)
    assert np.sqrt(np.mean(apart**2)) < 0.02


@pytest.mark.parametrize("goal", ["file/model.gguf", "nowhere/model.gguf"])
def test_a_place_that_cannot_be_written_is_named_before_anything_is_made(model: Path, goal: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(EdgekitError, match=r"could not write .*model\.gguf"):
        convert.convert(gguf_source.load(model), tmp_path / goal, "q8_0")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_types_that_are_not_written_are_refused_by_name_with_those_that_are(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for precision in ("iq2_xxs", "nvfp4"):
        assert main(["convert", str(model), "-t", "rpi5", "--precision", precision, "-o", str(tmp_path / "out")]) == 2
        said = capsys.readouterr().err
        assert f"{precision!r} is not one of" in said and "q4_k_m" in said
    assert not (tmp_path / "out").exists()


def test_pruning_every_layer_is_refused(model: Path) -> None:
    whole = gguf_source.load(model)
    with pytest.raises(UsageError, match="would leave no model"):
        prune.pruned(whole, 1.0, (0.1, 0.2))
    with pytest.raises(UsageError, match="no layer 7"):
        prune.without_layers(whole, {7})
    assert prune.pruned(whole, 0.5, (0.1, 0.2)).number("block_count") == 1


def test_a_cancelled_prompt_stops_the_engine_and_the_session_goes_on(session: SupervisedSession) -> None:
    cancel = threading.Event()
    answer = session.generate(
        TextRequest(prompt="hello", sampling=Sampling(max_tokens=200, temperature=0.0, logit_bias={355: -100.0})), cancel=cancel
    )
    first = next(answer)
    cancel.set()
    rest = list(answer)
    assert isinstance(first, Piece) and isinstance(rest[-1], Done) and rest[-1].reason in ("cancelled", "length")
    took = rest[-1].timings
    assert took.cache_n + took.prompt_n >= len("hello") and took.predicted_n >= 1
    assert took.prompt_ms > 0 and took.predicted_ms > 0
    assert ask(session)[1].reason in ("stop", "length")


def test_a_second_turn_evaluates_only_its_new_tokens(session: SupervisedSession) -> None:
    session_prompt = "the beginning that stays the same"
    ask(session, session_prompt)
    timings = ask(session, session_prompt + " and more")[1].timings
    assert timings.cache_n >= len(session_prompt) - 1 and timings.prompt_n <= len(" and more") + 2


def test_a_conversation_is_saved_and_taken_back_by_a_new_process(
    session: SupervisedSession, engine: str, model: Path, tmp_path: Path
) -> None:
    ask(session, "a long story about the sea")
    saved = session.save(tmp_path / "talk.state")
    assert saved.tokens > 20 and saved.bytes == (tmp_path / "talk.state").stat().st_size
    other = SupervisedSession(engine, model, SMALL)
    assert other.restore(tmp_path / "talk.state") > 20
    assert ask(other, "a long story about the sea")[1].timings.cache_n > 20
    other.close()


def test_a_state_of_another_model_or_a_damaged_one_is_refused(session: SupervisedSession, engine: str, tmp_path: Path) -> None:
    ask(session, "a story")
    session.save(tmp_path / "talk.state")
    other = SupervisedSession(engine, tiny_gguf(tmp_path / "other.gguf", seed=5), SMALL)
    with pytest.raises(InputError, match="saved with another model"):
        other.restore(tmp_path / "talk.state")
    other.close()
    whole = (tmp_path / "talk.state").read_bytes()
    (tmp_path / "bad.state").write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    with pytest.raises(InputError, match="is damaged"):
        session.restore(tmp_path / "bad.state")
    (tmp_path / "half.state").write_bytes(whole[:-50])
    for name in ("half.state", "other.gguf"):
        with pytest.raises(InputError, match="is no saved conversation"):
            session.restore(tmp_path / name)
    assert ask(session)[1].reason in ("stop", "length")


def test_embeddings_are_rows_of_length_one(session: SupervisedSession) -> None:
    rows = session.embed(["the sea", "the sea", "something else"])
    assert rows.shape == (3, 64) and np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    assert np.allclose(rows[0], rows[1], atol=1e-3) and not np.allclose(rows[0], rows[2], atol=1e-3)


def test_messages_go_through_the_models_template(session: SupervisedSession) -> None:
    request = TextRequest(messages=(Message(role="user", content="hi"),))
    assert session.render(request) == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert len(session.tokenize("<|im_start|>")) == 1 and len(session.tokenize("<|im_start|>", special=False)) > 1


def test_text_survives_being_split_and_joined(session: SupervisedSession) -> None:
    said = "naïve café, 你好!"
    assert session.detokenize(session.tokenize(said)) == said


def test_the_wrong_name_of_an_engine_gets_the_nearest(model: Path) -> None:
    with pytest.raises(EdgekitError) as caught:
        open_text(model, engine="lama_cpp")
    assert "llama_cpp" in caught.value.hint


def test_a_model_without_a_template_is_given_the_messages_alone(engine: str, tmp_path: Path) -> None:
    session = SupervisedSession(engine, tiny_gguf(tmp_path / "model.gguf", template=""), SMALL)
    assert session.model.has_template is False
    assert session.render(TextRequest(messages=(Message(role="user", content="hi"),))) == "hi\n\n"
    session.close()
