"""Adam whose steps are measured by the filter that they move.

Where batch norms are folded into kernels, what were filters of one size are now of very different ones: in YOLOX-Nano the first layer's
have coefficients of about 0.001, for pixels of 0..255, and others of 30. One step of Adam at 1e-5 in every weight doubled the loss,
and it was the first layer alone that did it. So what is trained are shares: each filter in units of its own root mean square
(compare You et al., "LARS", arXiv:1708.03888).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgekit.core.optional import need

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_UNIT = 1e-5
"""A filter of nothing but zeros moves too."""
STEEPEST = 5.0
"""Length to which a gradient is cut; a step whose gradient is not finite is left out."""


def unit(weights: Tensor, filters: int | None = None) -> Tensor:
    """The root mean square of each filter, `filters` being the axis they are counted along, or of all weights together.

    It broadcasts against the weights. To the next power of two, so that weights in units of it are the same weights to the last bit.
    """
    axes = [axis for axis in range(weights.dim()) if axis != filters]
    return exact(weights.square().mean(axes, keepdim=True).sqrt() if axes else weights.abs())


def exact(sizes: Tensor) -> Tensor:
    """Sizes as units: the nearest powers of two, none of them too small."""
    found: Tensor = sizes.detach().clamp(min=SMALLEST_UNIT).log2().round().exp2()
    return found


class FilterwiseAdam:
    """Adam on `weights` in `units` (by name, broadcasting). `learning_rate` is a share of the unit."""

    def __init__(self, weights: Mapping[str, Tensor], units: Mapping[str, Tensor], learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._units = dict(units)
        self._shares = {name: (value.detach() / units[name]).requires_grad_() for name, value in weights.items()}
        self._adam = need("torch").optim.Adam(list(self._shares.values()), lr=learning_rate)

    def weights(self) -> dict[str, Tensor]:
        """The weights as they are now; gradients flow through them."""
        return {name: share * self._units[name] for name, share in self._shares.items()}

    def step(self, loss: Tensor, rate: float) -> None:
        """Make `loss`, computed with `weights()`, smaller, at `rate` times the learning rate."""
        torch = need("torch")
        for group in self._adam.param_groups:
            group["lr"] = rate * self.learning_rate
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        length = torch.nn.utils.clip_grad_norm_(list(self._shares.values()), STEEPEST)
        if bool(torch.isfinite(length)):
            self._adam.step()

    def state(self) -> dict[str, Any]:
        """Tensors and numbers, fit for weights-only loading."""
        return {
            "shares": {name: share.detach() for name, share in self._shares.items()},
            "optimizer": self._adam.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to where `state` was taken. Raises what PyTorch does for weights of other names or shapes."""
        with need("torch").no_grad():
            for name, share in self._shares.items():
                share.copy_(state["shares"][name])
        self._adam.load_state_dict(state["optimizer"])
