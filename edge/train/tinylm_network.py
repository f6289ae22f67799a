"""A small llama in PyTorch, with its weights under GGUF's names: neighbouring pairs rotate, as GGUF's `llama` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgekit.core.optional import need

if TYPE_CHECKING:
    from torch import Tensor, nn

EPSILON = 1e-5


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """What decides how large it is. Rows are multiples of 32, so that every quantization of llama.cpp's blocks fits them."""

    vocabulary: int = 1024
    dim: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 352
    context: int = 256


def build(sizes: Sizes, seed: int) -> nn.Module:
    """The network with fresh weights."""
    torch = need("torch")
    torch.manual_seed(seed)
    return _network_class()(sizes)


def _layer_class() -> Any:
    torch = need("torch")
    nn, functional = torch.nn, torch.nn.functional

    class Layer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, sizes: Sizes) -> None:
            super().__init__()
            length = sizes.dim // sizes.heads
            self.sizes = sizes
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
            hidden = hidden + self.attend(self.attn_norm(hidden), turn)
            given = self.ffn_norm(hidden)
            return hidden + self.ffn_down(functional.silu(self.ffn_gate(given)) * self.ffn_up(given))

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
        def __init__(self, sizes: Sizes) -> None:
            super().__init__()
            self.sizes = sizes
            self.token_embd = nn.Embedding(sizes.vocabulary, sizes.dim)
            self.blk = nn.ModuleList(layer_class(sizes) for _ in range(sizes.layers))
            self.output_norm = nn.RMSNorm(sizes.dim, EPSILON)
            nn.init.normal_(self.token_embd.weight, std=0.02)

        def forward(self, tokens: Tensor) -> Tensor:
            hidden = self.token_embd(tokens)
            turn = _turn(tokens.shape[1], self.sizes.dim // self.sizes.heads)
            for layer in self.blk:
                hidden = layer(hidden, turn)
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
    numbers = torch.view_as_complex(heads.unflatten(-1, (-1, 2)).contiguous())
    found: Tensor = torch.view_as_real(numbers * turn).flatten(-2)
    return found
