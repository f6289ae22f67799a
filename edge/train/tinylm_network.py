"""A small llama in PyTorch, with its weights under GGUF's names: neighbouring pairs rotate, as GGUF's `llama` has it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.core.optional import need

if TYPE_CHECKING:
    from torch import Tensor, nn

EPSILON = 1e-5
SPREAD = 0.02
"""Standard deviation of fresh weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What decides how large it is. Rows are multiples of 32, so that every quantization of llama.cpp's blocks fits them."""

    vocabulary: int = 2048
    dim: int = 192
    layers: int = 6
    heads: int = 6
    kv_heads: int = 2
    feed_forward: int = 480
    context: int = 512


def build(sizes: Sizes, seed: int, dropout: float = 0.0) -> nn.Module:
    """The network with fresh weights. `dropout` is the share of what layers add that is left out while it learns."""
    torch = need("torch")
    torch.manual_seed(seed)
    network: nn.Module = _network_class()(sizes, dropout)
    for name, weight in network.named_parameters():
        if weight.dim() == 2:
            deep = math.sqrt(2 * sizes.layers) if name.endswith(("attn_output.weight", "ffn_down.weight")) else 1.0
            torch.nn.init.normal_(weight, std=SPREAD / deep)
    return network


def _layer_class() -> Any:
    torch = need("torch")
    nn, functional = torch.nn, torch.nn.functional

    class Layer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, sizes: Sizes, dropout: float) -> None:
            super().__init__()
            length = sizes.dim // sizes.heads
            self.sizes, self.drop = sizes, nn.Dropout(dropout)
            self.attn_norm = nn.RMSNorm(sizes.dim, EPSILON)
            self.attn_q = nn.Linear(sizes.dim, sizes.dim, bias=False)
            self.attn_k = nn.Linear(sizes.dim, sizes.kv_heads * length, bias=False)
            self.attn_v = nn.Linear(sizes.dim, sizes.kv_heads * length, bias=False)
            self.attn_output = nn.Linear(sizes.dim, sizes.dim, bias=False)
            self.ffn_norm = nn.RMSNorm(sizes.dim, EPSILON)
            self.ffn_gate = nn.Linear(sizes.dim, sizes.feed_forward, bias=False)
            self.ffn_up = nn.Linear(sizes.dim, sizes.feed_forward, bias=False)
            self.ffn_down = nn.Linear(sizes.feed_forward, sizes.dim, bias=False)

        def forward(self, hidden: Tensor, turn: Tensor) -> Tensor:
            hidden = hidden + self.drop(self.attend(self.attn_norm(hidden), turn))
            given = self.ffn_norm(hidden)
            return hidden + self.drop(self.ffn_down(functional.silu(self.ffn_gate(given)) * self.ffn_up(given)))

        def attend(self, given: Tensor, turn: Tensor) -> Tensor:
            batch, count, _ = given.shape
            shape = (batch, count, -1, self.sizes.dim // self.sizes.heads)
            query = _rotated(self.attn_q(given).view(shape), turn).transpose(1, 2)
            key = _rotated(self.attn_k(given).view(shape), turn).transpose(1, 2)
            value = self.attn_v(given).view(shape).transpose(1, 2)
            shared = self.sizes.heads // self.sizes.kv_heads
            key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            return self.attn_output(mixed.transpose(1, 2).reshape(batch, count, -1))

    return Layer


def _network_class() -> Any:
    torch = need("torch")
    nn, functional, layer_class = torch.nn, torch.nn.functional, _layer_class()

    class Network(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, sizes: Sizes, dropout: float) -> None:
            super().__init__()
            self.token_embd = nn.Embedding(sizes.vocabulary, sizes.dim)
            self.blk = nn.ModuleList(layer_class(sizes, dropout) for _ in range(sizes.layers))
            self.output_norm = nn.RMSNorm(sizes.dim, EPSILON)
            self.drop = nn.Dropout(dropout)
            self.register_buffer("turn", _turn(sizes.context, sizes.dim // sizes.heads), persistent=False)

        def forward(self, tokens: Tensor) -> Tensor:
            hidden = self.drop(self.token_embd(tokens))
            for layer in self.blk:
                hidden = layer(hidden, self.turn[: tokens.shape[1]])
            return functional.linear(self.output_norm(hidden), self.token_embd.weight)

    return Network


def _turn(count: int, length: int) -> Tensor:
    """The rotation of every position, as complex numbers [count, 1, length / 2]."""
    torch = need("torch")
    rates = 10000.0 ** (-torch.arange(0, length, 2) / length)
    angles = torch.outer(torch.arange(count), rates)
    found: Tensor = torch.polar(torch.ones_like(angles), angles)[:, None]
    return found


def _rotated(heads: Tensor, turn: Tensor) -> Tensor:
    torch = need("torch")
    numbers = torch.view_as_complex(heads.float().unflatten(-1, (-1, 2)).contiguous())
    found: Tensor = torch.view_as_real(numbers * turn).flatten(-2)
    return found.type_as(heads)
