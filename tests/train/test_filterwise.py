"""Adam by the filter: a step means the same to a large filter and to a small one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from edgekit.train.filterwise import FilterwiseAdam, unit

torch = pytest.importorskip("torch", reason="training needs PyTorch")
Weights = Mapping[str, Any]
CHANNELS, STEPS = 16, 150


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Such small tensors are not made faster by threads that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def folded(seed: int) -> dict[str, Any]:
    """A pointwise, a depthwise and a pointwise convolution, as folded batch norms leave them: filters of 1e-3 to 1e3, and all answers of one size."""
    draw = np.random.RandomState(seed)
    sizes = np.logspace(-3, 3, CHANNELS)[draw.permutation(CHANNELS)].reshape(-1, 1, 1, 1)
    made = {
        "first": sizes * draw.normal(size=(CHANNELS, 8, 1, 1)) / 8**0.5,
        "depthwise": draw.normal(size=(CHANNELS, 1, 3, 3)) / 3 / sizes,
        "last": draw.normal(size=(4, CHANNELS, 1, 1)) / 4,
    }
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in made.items()}


def answer(weights: Weights, x: Any) -> Any:
    conv = torch.nn.functional.conv2d
    inside = conv(conv(x, weights["first"]).relu(), weights["depthwise"], padding=1, groups=CHANNELS)
    return conv(inside.relu(), weights["last"])


def hurt(weights: Weights) -> dict[str, Any]:
    """Every weight up to a fifth of its size off."""
    draw = torch.Generator().manual_seed(7)
    return {name: value * (1 + 0.4 * (torch.rand(value.shape, generator=draw) - 0.5)) for name, value in weights.items()}


def left_after(weights: Callable[[], Weights], step: Callable[[Any, float], None]) -> float:
    """The share of the error that is left after `STEPS` steps towards the unhurt network."""
    teacher, draw = folded(3), torch.Generator().manual_seed(1)

    def error(x: Any) -> Any:
        wanted = answer(teacher, x)
        return (answer(weights(), x) - wanted).square().mean() / wanted.var()

    unseen = torch.randn(64, 8, 6, 6, generator=draw)
    before = float(error(unseen).detach())
    for number in range(STEPS):
        step(error(torch.randn(16, 8, 6, 6, generator=draw)), 1 - number / STEPS)
    after = float(error(unseen).detach())
    return after / before if after == after else float("inf")


def by_filter() -> float:
    weights = hurt(folded(3))
    adam = FilterwiseAdam(weights, {name: unit(value, 0) for name, value in weights.items()}, 1e-2)
    return left_after(adam.weights, adam.step)


def plain(rate: float) -> float:
    weights = {name: value.requires_grad_() for name, value in hurt(folded(3)).items()}
    adam = torch.optim.Adam(list(weights.values()))

    def step(loss: Any, share: float) -> None:
        adam.param_groups[0]["lr"] = rate * share
        adam.zero_grad()
        loss.backward()
        adam.step()

    return left_after(lambda: weights, step)


def test_a_folded_network_whose_filters_differ_a_million_times_is_mended_where_plain_adam_cannot() -> None:
    mended = by_filter()
    assert mended < 0.05
    assert all(plain(rate) > 4 * mended for rate in (1e-6, 1e-4, 1e-3, 1e-2))


def test_weights_in_units_are_the_same_weights_to_the_last_bit() -> None:
    weights = {name: value * 1.2345 for name, value in folded(0).items()}
    adam = FilterwiseAdam(weights, {name: unit(value, 0) for name, value in weights.items()}, 1e-2)
    assert all(torch.equal(value, weights[name]) for name, value in adam.weights().items())


def test_a_unit_is_about_the_root_mean_square_of_a_filter_along_its_axis() -> None:
    weights = torch.tensor([[3.0, 4.0], [0.03, 0.04]])
    assert unit(weights, 0).tolist() == [[4.0], [2**-5]]
    assert unit(weights, 1).shape == (1, 2)
    assert unit(weights).shape == (1, 1)
    assert unit(torch.tensor([0.0, -7.0]), 0).tolist() == [pytest.approx(2**-17), 8.0]


def test_filters_of_zeros_move_too() -> None:
    adam = FilterwiseAdam({"w": torch.zeros(2, 3)}, {"w": unit(torch.zeros(2, 3), 0)}, 0.1)
    adam.step((adam.weights()["w"] - 1).square().sum(), 1.0)
    assert float(adam.weights()["w"].detach().min()) > 0


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    adam = FilterwiseAdam({"w": torch.ones(2, 3)}, {"w": unit(torch.ones(2, 3), 0)}, 0.1)
    adam.step((adam.weights()["w"] - 1).sqrt().sum(), 1.0)
    assert torch.equal(adam.weights()["w"], torch.ones(2, 3))


def test_a_run_that_is_restored_goes_on_to_the_same_bits() -> None:
    def fresh() -> FilterwiseAdam:
        weights = folded(1)
        return FilterwiseAdam(weights, {name: unit(value, 0) for name, value in weights.items()}, 1e-2)

    def on(adam: FilterwiseAdam, steps: int) -> None:
        x = torch.randn(4, 8, 6, 6, generator=torch.Generator().manual_seed(0))
        for _ in range(steps):
            adam.step(answer(adam.weights(), x).square().mean(), 1.0)

    whole, half, other = fresh(), fresh(), fresh()
    on(whole, 6)
    on(half, 3)
    other.restore(half.state())
    on(other, 3)
    assert all(torch.equal(value, other.weights()[name]) for name, value in whole.weights().items())
