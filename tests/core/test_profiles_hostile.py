"""Whatever a profile file holds, reading it gives a device or a `ProfileError`, and never anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.core import profiles
from edgekit.core.errors import InputError, ProfileError
from edgekit.core.schema import Device
from edgekit.core.strict_yaml import parse

RPI5 = (profiles.shipped_folder() / "rpi5.yaml").read_bytes()
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(folder: Path, data: bytes) -> Device | None:
    path = folder / "rpi5.yaml"
    path.write_bytes(data)
    try:
        return profiles.read(path)
    except ProfileError as error:
        assert "rpi5" in error.message
        return None


@quick
@given(st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data) is None


@quick
@given(st.text(alphabet=st.sampled_from("{}[]:,-&*!|>'\"%@`#?<=~ \t\nabn019.eEo+x\u0085\u2028\ufeff"), max_size=120))
def test_any_text_made_of_yaml_signs(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text.encode()) is None


@quick
@given(st.integers(0, len(RPI5) - 1), st.integers(0, 60), st.binary(max_size=12))
def test_a_real_profile_with_a_piece_replaced(tmp_path: Path, at: int, length: int, piece: bytes) -> None:
    read(tmp_path, RPI5[:at] + piece + RPI5[at + length :])


JSON = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(profiles._KEYS), inner, max_size=4),
    max_leaves=12,
)


@quick
@given(st.dictionaries(st.sampled_from(profiles._KEYS), JSON, max_size=10))
def test_known_keys_with_values_of_any_shape(tmp_path: Path, data: dict[str, object]) -> None:
    import json

    assert read(tmp_path, json.dumps(data).encode()) is None


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "{a: "])
def test_fifty_thousand_brackets_do_not_end_the_process(opening: str) -> None:
    with pytest.raises(InputError, match=r"nested deeper than 20 levels|not YAML"):
        parse(opening * 50_000, "deep.yaml")


def test_an_anchor_cannot_grow_a_small_file_into_a_large_value() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20))
    with pytest.raises(InputError, match="anchors"):
        parse(bomb, "bomb.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: text", {"a": "text"}),
        ("a: 'on'", {"a": "on"}),
        ("a: true", {"a": True}),
        ("a: -12", {"a": -12}),
        ("a: 0.5", {"a": 0.5}),
        ("a: [1, [2, three]]", {"a": [1, [2, "three"]]}),
        ("a: {b: 10.3.1}", {"a": {"b": "10.3.1"}}),
        ('{"json": ["is", "yaml", 1]}', {"json": ["is", "yaml", 1]}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
    ],
)
def test_plain_values_are_read(text: str, value: object) -> None:
    assert parse(text, "plain.yaml") == value
