"""The stand-ins of vendor packages refuse what the vendor's own bindings would: otherwise they would prove nothing."""

from __future__ import annotations

import pytest
from recorded import Recorded, checked, record, signature, versions

EXECUTE = record("tensorrt-10.3.0")["classes"]["IExecutionContext"]


def test_a_method_that_was_not_recorded_is_absent() -> None:
    context = Recorded(EXECUTE, {"execute_async_v9": lambda stream: True, "execute_async_v3": lambda stream: True})
    assert context.execute_async_v3(7)
    with pytest.raises(AttributeError, match="no 'execute_async_v9'"):
        context.execute_async_v9(7)


@pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2), {}), ((), {"stream": 1})])
def test_arguments_that_fit_no_recorded_signature_are_refused(args: tuple[int, ...], kwargs: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="does not take"):
        checked(EXECUTE["execute_async_v3"], lambda stream_handle: True)(*args, **kwargs)


def test_a_method_is_no_property_and_an_unknown_property_cannot_be_set() -> None:
    config = Recorded(record("tensorrt-10.3.0")["classes"]["IBuilderConfig"], {})
    config.DLA_core = 1
    assert config.DLA_core == 1
    with pytest.raises(AttributeError):
        config.set_flag = 1
    with pytest.raises(AttributeError):
        config.dla_core = 1


@pytest.mark.parametrize("version", versions("tensorrt"))
def test_every_recorded_signature_is_understood(version: str) -> None:
    said = [one for members in record(f"tensorrt-{version}")["classes"].values() for each in members.values() for one in each]
    assert len(said) > 100
    assert all(signature(one) is not None for one in said)


def test_signatures_of_both_vendors_packages_are_read() -> None:
    pool = signature(record("tensorrt-8.6.1")["classes"]["IBuilderConfig"]["set_memory_pool_limit"][0])
    assert list(pool.parameters) == ["pool", "pool_size"]
    copy = signature(record("cuda-11.8.7")["functions"]["cudaMemcpyAsync"][0])
    assert list(copy.parameters) == ["dst", "src", "count", "kind", "stream"]
