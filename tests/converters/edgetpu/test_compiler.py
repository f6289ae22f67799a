"""The wire to `edgetpu_compiler`: its command, its log, and what happens when it is absent, fails or writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.converters.lower import edgetpu_compiler
from edgekit.converters.lower.edgetpu import compile_for_edgetpu
from edgekit.converters.lower.edgetpu_compiler import LogRow, compile_argv, parse_log
from edgekit.core.errors import ConversionError, EdgekitError, MissingDependency

# Written here after the wording in the public documentation and issues of the compiler; the numbers are made up.
LOG = """\
Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 812 ms.

Input model: model.tflite
Input size: 13.35MiB
Output model: model_edgetpu.tflite
Output size: 13.60MiB
On-chip memory used for caching model parameters: 6.15MiB
On-chip memory remaining for caching model parameters: 1.00KiB
Off-chip memory used for streaming uncached model parameters: 7.03MiB
Number of Edge TPU subgraphs: 1
Total number of operations: 66
Operation log: model_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the model will instead \
run on the CPU, which is slower.
Number of operations that will run on Edge TPU: 64
Number of operations that will run on CPU: 2

Operator                       Count      Status

CONV_2D                        52         Mapped to Edge TPU
ADD                            12         Mapped to Edge TPU
HARD_SWISH                     1          Operation not supported
CONV_2D                        1          More than one subgraph is not supported
Compilation child process completed within timeout period.
Compilation succeeded!
"""


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A program of the compiler's name on the PATH."""
    program = folder / "bin" / "edgetpu_compiler"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def model(folder: Path) -> Path:
    path = folder / "my model.tflite"
    path.write_bytes(b"uncompiled")
    return path


def test_the_command_asks_for_every_operator_and_the_current_runtime() -> None:
    argv = compile_argv(Path("a.tflite"), Path("out"))
    assert argv[0] == "edgetpu_compiler"
    assert "--show_operations" in argv
    assert argv[argv.index("--min_runtime_version") + 1] == "14"
    assert argv[-3:] == ("--out_dir", "out", "a.tflite")


def test_the_log_s_figures_and_table_are_read() -> None:
    log = parse_log(LOG)
    assert log.version == "16.0.384591198"
    assert log.cached_bytes == round(6.15 * 2**20)
    assert log.free_bytes == 1024
    assert log.streamed_bytes == round(7.03 * 2**20)
    assert (log.subgraphs, log.operators, log.on_cpu) == (1, 66, 2)
    assert log.rows == (
        LogRow(op="CONV_2D", count=52, status="Mapped to Edge TPU"),
        LogRow(op="ADD", count=12, status="Mapped to Edge TPU"),
        LogRow(op="HARD_SWISH", count=1, status="Operation not supported"),
        LogRow(op="CONV_2D", count=1, status="More than one subgraph is not supported"),
    )


def test_a_log_in_other_words_gives_zeros_not_an_error() -> None:
    log = parse_log("Everything went fine: 12 operators\nsize: about 3 MiB\n")
    assert (log.version, log.cached_bytes, log.subgraphs, log.rows) == ("", 0, 0, ())


def test_the_compiled_file_and_the_log_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").write_text(LOG)
    # The last two arguments are the folder and the model; the program writes NAME_edgetpu.tflite into the folder.
    script = f"""for last; do :; done
while [ "$1" != --out_dir ]; do shift; done
printf compiled > "$2/$(basename "$last" .tflite)_edgetpu.tflite"
cat '{tmp_path}/log'"""
    fake(tmp_path, monkeypatch, script)
    compiled = compile_for_edgetpu(model(tmp_path))
    assert compiled.files == {"my model_edgetpu.tflite": b"compiled"}
    assert compiled.log.operators == 66
    assert compiled.text.startswith("Edge TPU Compiler version 16.0")


SEGMENTS = """for last; do :; done
while [ "$1" != --num_segments ]; do shift; done
count=$2
while [ "$1" != --out_dir ]; do shift; done
stem=$(basename "$last" .tflite)
for number in 0 1 2; do
    [ $number -lt $count ] && printf "part $number" > "$2/${stem}_segment_${number}_of_${count}_edgetpu.tflite"
done
echo "Edge TPU Compiler version 16.0.384591198"
"""


def test_a_model_for_several_accelerators_comes_back_in_segments_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, SEGMENTS)
    compiled = compile_for_edgetpu(model(tmp_path), segments=3)
    assert list(compiled.files) == [f"my model_segment_{number}_of_3_edgetpu.tflite" for number in range(3)]
    assert list(compiled.files.values()) == [b"part 0", b"part 1", b"part 2"]


def test_a_segment_that_was_not_written_fails_the_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, SEGMENTS)
    with pytest.raises(ConversionError, match="no 4 segments"):
        compile_for_edgetpu(model(tmp_path), segments=4)


def test_the_segments_of_an_artifact_are_what_its_runtime_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit import convert
    from edgekit.models.digits import model_path
    from edgekit.runtimes.edgetpu import compiled_files

    samples = model_path().parent / "samples"
    fake(tmp_path, monkeypatch, SEGMENTS)
    made = convert(model_path(), target="coral", precision="int8", calibration=samples, segments=2, output=tmp_path / "out")
    names = [f"model_segment_{number}_of_2_edgetpu.tflite" for number in range(2)]
    assert compiled_files(made) == [str(made.path / name) for name in names]


def test_without_the_compiler_the_error_says_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not edgetpu_compiler.available()
    with pytest.raises(MissingDependency, match="edgetpu_compiler is not on this machine") as caught:
        compile_for_edgetpu(model(tmp_path))
    assert "x86-64 Linux" in caught.value.hint


def test_a_compiler_that_gives_up_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "echo 'Internal compiler error. Aborting!'; exit 1")
    with pytest.raises(EdgekitError, match="Internal compiler error"):
        compile_for_edgetpu(model(tmp_path))


def test_a_compiler_that_writes_nothing_is_a_failed_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "echo 'Compilation failed due to large activation tensors in model.'")
    with pytest.raises(ConversionError, match="large activation tensors"):
        compile_for_edgetpu(model(tmp_path))
