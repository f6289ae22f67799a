"""Pictures are shown in many forms, each within its own values; what is no picture stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.core.schema import TensorSpec
from edgekit.distill.augment import changed, channel_axis

torch = pytest.importorskip("torch", reason="distillation needs PyTorch")


def spec(*shape: int, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name="x", shape=shape, dtype=dtype)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1, 3, 32, 40), 1),
        ((1, 1, 28, 28), 1),
        ((1, 32, 40, 3), 3),
        ((1, 3, 8, 8), None),
        ((1, 64, 32, 32), None),
        ((1, 40), None),
    ],
)
def test_pictures_are_told_by_their_shape(shape: tuple[int, ...], axis: int | None) -> None:
    assert channel_axis(spec(*shape)) == axis


@pytest.mark.parametrize("shape", [(1, 3, 32, 48), (1, 32, 48, 3)], ids=["channels first", "channels last"])
def test_pictures_change_and_keep_to_the_range_of_their_batch(shape: tuple[int, ...]) -> None:
    batch = torch.rand((64, *shape[1:]), generator=torch.Generator().manual_seed(0)) * 200 - 50
    made = changed({"x": batch}, (spec(*shape),), np.random.RandomState(3))["x"]
    assert made.shape == batch.shape
    assert bool(torch.isfinite(made).all())
    assert float(made.min()) >= float(batch.min()) - 1e-4 and float(made.max()) <= float(batch.max()) + 1e-4
    same = (made - batch).abs().flatten(1).amax(1) < 1e-3
    assert 0 < int(same.sum()) < 32, "some stay as they are, most do not"


def test_the_same_seed_gives_the_same_pictures() -> None:
    batch = {"x": torch.rand((6, 3, 24, 24), generator=torch.Generator().manual_seed(0))}
    one, two, other = (changed(batch, (spec(1, 3, 24, 24),), np.random.RandomState(seed))["x"] for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_the_batch_that_was_given_is_not_touched() -> None:
    batch = torch.rand((6, 3, 24, 24), generator=torch.Generator().manual_seed(0))
    before = batch.clone()
    changed({"x": batch}, (spec(1, 3, 24, 24),), np.random.RandomState(1))
    assert torch.equal(batch, before)


def test_what_is_no_picture_and_what_comes_with_others_stays() -> None:
    rows = {"x": torch.rand(4, 10)}
    assert torch.equal(changed(rows, (spec(1, 10),), np.random.RandomState(0))["x"], rows["x"])
    pair = {"x": torch.rand(4, 3, 24, 24), "y": torch.rand(4, 3, 24, 24)}
    specs = (spec(1, 3, 24, 24), TensorSpec(name="y", shape=(1, 3, 24, 24), dtype="float32"))
    assert torch.equal(changed(pair, specs, np.random.RandomState(0))["x"], pair["x"])


def test_a_lonely_picture_is_put_together_with_itself() -> None:
    alone = {"x": torch.rand((1, 3, 24, 24), generator=torch.Generator().manual_seed(0))}
    for seed in range(8):
        assert changed(alone, (spec(1, 3, 24, 24),), np.random.RandomState(seed))["x"].shape == (1, 3, 24, 24)
