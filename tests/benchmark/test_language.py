"""Language models: tokens per second, reading and writing apart, told and compared in every form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from reports import METHOD, make_report, make_result, make_run
from tiny_language import loads, tiny_gguf

from edgekit.artifact import encode as encode_manifest
from edgekit.artifact import read as read_artifact
from edgekit.benchmark import bench
from edgekit.benchmark.compare import compare
from edgekit.benchmark.conditions.meters import Meter
from edgekit.benchmark.process.answers import Timed, asked, asking, biases
from edgekit.benchmark.process.language import Sizes, least_answers, sizes_for, tokens_of
from edgekit.benchmark.process.order import Order
from edgekit.benchmark.rendering.method import method_paragraphs
from edgekit.benchmark.rendering.page import page
from edgekit.benchmark.rendering.tables import energy_words
from edgekit.benchmark.rendering.text import markdown, terminal
from edgekit.benchmark.report import Answer, Energy, Flag, Report, Result, Run, encode, read
from edgekit.benchmark.statistics.flags import flags_of
from edgekit.cli import main
from edgekit.core.errors import DeviceError, Unsupported, UsageError
from edgekit.core.schema import Artifact, Language
from edgekit.runtimes.language.parrot import ParrotSession

MakeArtifact = Callable[..., Artifact]
SPOKEN = replace(METHOD, prompt_tokens=512, answer_tokens=128)
LANGUAGE = Language(
    architecture="llama",
    parameters=1,
    layers=1,
    vocabulary=2,
    trained_context=2048,
    context=2048,
    bits_per_weight=4.5,
    kv_bytes_per_token=1,
    read_bytes_per_token=1,
    need_bytes=1,
    usable_bytes=None,
    tokens_per_s=None,
)


def answer(slower: float = 1.0, **changes: int) -> Answer:
    """512 tokens read in a second, 127 written in two."""
    held = {"prompt_tokens": 512, "cached_tokens": 1, "tokens": 127, **changes}
    return Answer(prompt_ms=1000.0 * slower, generation_ms=2000.0 * slower, total_ms=3100.0 * slower, **held)


def spoken_run(*answers: Answer) -> Run:
    return make_run([1.05 * each.prompt_ms for each in answers], answers=answers)


RUNS = [spoken_run(answer(0.98), answer(1.02)) for _ in range(3)]


def spoken_report(runs: list[Run] = RUNS) -> Report:
    return make_report(make_result(runs), method=SPOKEN)


def speaking(made: Artifact, context: int = 2048) -> Artifact:
    """The same artifact as if it were a language model's."""
    language = replace(LANGUAGE, trained_context=context)
    (made.path / "manifest.json").write_bytes(encode_manifest(replace(made.manifest, language=language)))
    return read_artifact(made.path)


def test_what_is_asked_is_what_llama_bench_asks_where_it_fits(make_artifact: MakeArtifact) -> None:
    assert sizes_for([speaking(make_artifact("a"))], None, None) == Sizes(prompt=512, answer=128)
    small = sizes_for([speaking(make_artifact("b")), speaking(make_artifact("d"), 256)], None, None)
    assert small == Sizes(prompt=186, answer=62)
    assert sizes_for([speaking(make_artifact("c"))], 1024, None) == Sizes(prompt=1024, answer=128)


@pytest.mark.parametrize(("prompt", "answers"), [(250, None), (None, 300), (1, None), (None, 1), (0, 0)])
def test_what_does_not_fit_is_refused_with_the_numbers(
    make_artifact: MakeArtifact, prompt: int | None, answers: int | None
) -> None:
    with pytest.raises(UsageError, match=r"do not fit into the 256 tokens|at least 2 tokens each"):
        sizes_for([speaking(make_artifact(), 256)], prompt, answers)


def test_tokens_belong_to_language_models_and_kinds_are_not_mixed(make_artifact: MakeArtifact) -> None:
    with pytest.raises(UsageError, match="belong to language models"):
        bench(make_artifact("a").path, prompt_tokens=64)
    with pytest.raises(UsageError, match="no measure in common"):
        bench([speaking(make_artifact("b")).path, make_artifact("c").path])


def test_a_language_model_is_asked_for_one_answer_after_the_other(make_artifact: MakeArtifact) -> None:
    with pytest.raises(Unsupported, match="not as 'offline'"):
        bench(speaking(make_artifact()).path, scenario="offline")


@pytest.fixture
def order() -> Order:
    return Order(
        artifact="",
        sha256="",
        runtime="parrot",
        threads=1,
        scenario="single-stream",
        rate_hz=None,
        duration_s=0.001,
        warmup_limit_s=1.0,
        prompt_tokens=200,
        answer_tokens=20,
        minimum_samples=4,
    )


def test_every_answer_is_to_a_prompt_that_the_engine_does_not_know(order: Order) -> None:
    run = asked(asking(ParrotSession(), Sizes(prompt=200, answer=20), {}), order, "self")
    assert len(run.answers) == len(run.latencies_ns) >= 4
    assert {each.prompt_tokens + each.cached_tokens for each in run.answers} == {200}
    assert max(each.cached_tokens for each in run.answers) <= 2
    assert {each.tokens for each in run.answers} == {19}
    assert run.warmup.steady is None and run.first_ms > 0


def test_an_answer_of_one_token_cannot_be_timed() -> None:
    with pytest.raises(DeviceError, match="ended its answer before it could be timed"):
        asking(ParrotSession(), Sizes(prompt=50, answer=1), {})(0)


def test_rates_are_means_with_deviations_and_known_tokens_are_in_none() -> None:
    found = tokens_of([spoken_run(answer(prompt_tokens=500, cached_tokens=12)), spoken_run(answer(0.5, prompt_tokens=500))])
    assert found is not None
    assert (found.prompt.per_s, found.generation.per_s) == (750.0, pytest.approx(95.25))
    assert found.prompt.deviation == pytest.approx(353.5534)
    assert (found.answers, found.cached_tokens) == (2, 12)
    assert tokens_of([make_run([1.0])]) is None


def test_five_answers_are_taken_at_least_as_llama_bench_does() -> None:
    assert [least_answers(restarts) * restarts for restarts in (1, 2, 3, 5, 9)] == [5, 6, 6, 5, 9]


def test_a_report_tells_both_rates_and_the_first_piece_in_every_form(tmp_path: Path) -> None:
    report = spoken_report()
    for text in (terminal(report), markdown(report), page(report)):
        assert "pp512" in text and "tg128" in text and "First piece" in text and "p90" not in text.partition("Method")[0]
    assert "512.2" in markdown(report) and "63.53" in markdown(report)
    (tmp_path / "report.html").write_text(page(report))
    assert read(tmp_path / "report.html") == report


def test_a_report_of_a_language_model_fits_the_published_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    plain = json.loads(encode(spoken_report()))
    jsonschema.validate(plain, msgspec.json.schema(Report))
    assert plain["results"][0]["summary"]["tokens"]["generation"]["per_s"] == pytest.approx(63.525, abs=1e-3)


def test_several_models_stand_side_by_side() -> None:
    drawn = page(make_report(make_result(RUNS), make_result(RUNS), method=SPOKEN))
    assert "Tokens of a prompt read per second" in drawn and "Tokens of an answer written per second" in drawn


def test_the_method_says_how_the_rates_differ_from_llama_bench() -> None:
    told = " ".join(method_paragraphs(SPOKEN))
    assert "pp512 and tg128" in told and "an empty context" in told and "in no rate" in told


def test_reading_and_writing_are_compared_apart() -> None:
    quick, slow = spoken_report(), spoken_report([spoken_run(answer(1.0), answer(1.02)) for _ in range(3)])
    slow = msgspec.structs.replace(
        slow, results=(replace(slow.results[0], runs=tuple(map(_writes_slowly, slow.results[0].runs))),)
    )
    found = compare(quick, slow, limit=0.05)
    assert [(pair.measure, pair.over_limit) for pair in found.pairs] == [
        ("first piece", False),
        ("prompt, per token", False),
        ("generation, per token", True),
    ]
    assert found.pairs[2].verdict.startswith("generation, per token: ")


def _writes_slowly(run: Run) -> Run:
    return replace(run, answers=tuple(replace(each, generation_ms=2 * each.generation_ms) for each in run.answers))


def test_energy_is_told_per_token_of_an_answer_its_share_of_the_prompt_included() -> None:
    """12.8 J for an answer of 128 tokens, 127 of which the engine times."""
    spent = Energy(
        meter="VDD_IN (ina3221)", readings_w=(6.4, 6.4), mean_w=6.4, seconds=2.0, inferences=1, mj_per_inference=12800.0
    )
    report = spoken_report([msgspec.structs.replace(run, energy=spent) for run in RUNS])
    for render in (terminal, markdown, page):
        told = render(report).replace("\\_", "_")
        assert "token of an answer" in told and "100.0" in told and "VDD_IN (ina3221)" in told
    assert energy_words(report.results[0].summary) == ("100.0", "token of an answer")


def test_a_language_model_goes_on_answering_new_prompts_while_the_meter_is_read(order: Order) -> None:
    readings = iter((4.0, 6.0, None))
    meter = Meter(name="m", watts=lambda: next(readings))
    asked_for: list[int] = []
    ask = asking(ParrotSession(), Sizes(prompt=50, answer=20), {})

    def counted(number: int) -> Timed:
        asked_for.append(number)
        return ask(number)

    run = asked(counted, order, "self", board=lambda: meter)
    assert run.energy is not None and run.energy.readings_w == (4.0, 6.0)
    assert run.energy.inferences == len(asked_for) - len(run.answers) - 2 >= 1
    assert len(set(asked_for)) == len(asked_for), "no prompt comes twice"


def test_answers_that_end_early_and_prompts_that_are_known_are_flagged() -> None:
    early = make_result([spoken_run(answer(), answer(tokens=20))])
    assert any("1 of 2 answers ended by themselves before 128 tokens (shortest: 21)" in flag.text for flag in _flags(early))
    known = make_result([spoken_run(answer(), answer(cached_tokens=300))])
    assert any("up to 300 tokens of a prompt were known" in flag.text for flag in _flags(known))
    assert {flag.code for flag in _flags(make_result(RUNS))} == set()


def _flags(result: Result) -> tuple[Flag, ...]:
    return flags_of(result, make_report(result).environment, SPOKEN)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    pytest.importorskip("gguf")
    if all(loads(engine) for engine in ("llama_cpp", "xllamacpp")):
        pytest.skip("no language engine is here")
    from edgekit.conversion.language import LanguageRequest, convert_language
    from edgekit.core.profiles import find

    folder = tmp_path_factory.mktemp("model")
    model = tiny_gguf(folder / "tiny.gguf")
    yield convert_language(model, find("host"), LanguageRequest(precision="q8_0", output=folder)).path


def test_an_artifact_is_measured_through_its_real_engine(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"report.{form}" for form in ("html", "md")]
    argv = ["bench", str(artifact), "--restarts", "2", "--duration", "0.1", "--prompt-tokens", "100", "--answer-tokens", "30"]
    assert main([*argv, "--json", *(word for file in files for word in ("-o", str(file)))]) == 0
    result = json.loads(capsys.readouterr().out)["results"][0]
    found = result["summary"]["tokens"]
    assert found["answers"] >= 6 and found["prompt"]["per_s"] > 0 and found["generation"]["per_s"] > 0
    assert found["prompt_tokens"] + found["cached_tokens"] in range(95, 110) and found["answer_tokens"] == 29
    assert all(one["total_ms"] >= one["generation_ms"] for run in result["runs"] for one in run["answers"])
    assert result["on_target"] and result["engine"]["version"] and result["summary"]["peak_rss_bytes"] > 10 << 20
    assert "pp100" in files[1].read_text("utf-8") and len(read(files[0]).results) == 1


def test_the_tokens_that_end_a_text_are_never_chosen(artifact: Path) -> None:
    assert list(biases(artifact / "model.gguf").values()) == [-1e9]
