"""The chain of libllama's samplers that one request asks for, in llama.cpp's own order."""

from __future__ import annotations

import ctypes
import secrets
from collections.abc import Mapping
from typing import Any

from edgekit.core.errors import InputError
from edgekit.runtimes.language._grammar import ensure_biases, grammar_of
from edgekit.runtimes.text import Sampling

PENALTY_WINDOW = 64


def sampler(c: Any, vocab: Any, vocabulary: int, wanted: Sampling) -> Any:
    """A chain to be freed by the caller. Raises `InputError` for a grammar, a schema or a bias that cannot be."""
    grammar = grammar_of(wanted)
    ensure_biases(wanted, vocabulary)
    bias = _biases(c, wanted.logit_bias)
    held = c.llama_sampler_init_grammar(vocab, grammar.encode(), b"root") if grammar else None
    if grammar and not held:
        raise InputError("the engine does not take the grammar", "is every rule written as GBNF has it?")
    parts = [c.llama_sampler_init_logit_bias(vocabulary, len(bias), bias)] if bias is not None else []
    parts += [held] if held else []
    parts += _penalties(c, wanted)
    parts += [c.llama_sampler_init_greedy()] if wanted.temperature <= 0 else _by_chance(c, wanted)
    chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
    for part in parts:
        c.llama_sampler_chain_add(chain, part)
    return chain


def _biases(c: Any, given: Mapping[int, float]) -> Any:
    if not given:
        return None
    return (c.llama_logit_bias * len(given))(*[c.llama_logit_bias(token, bias) for token, bias in given.items()])


def _penalties(c: Any, wanted: Sampling) -> list[Any]:
    if wanted.repeat_penalty == 1.0 and not wanted.presence_penalty and not wanted.frequency_penalty:
        return []
    penalties = (wanted.repeat_penalty, wanted.frequency_penalty, wanted.presence_penalty)
    return [c.llama_sampler_init_penalties(PENALTY_WINDOW, *penalties)]


def _by_chance(c: Any, wanted: Sampling) -> list[Any]:
    seed = wanted.seed if wanted.seed >= 0 else secrets.randbits(32)
    return [
        c.llama_sampler_init_top_k(wanted.top_k),
        c.llama_sampler_init_top_p(wanted.top_p, 1),
        c.llama_sampler_init_min_p(wanted.min_p, 1),
        c.llama_sampler_init_temp(wanted.temperature),
        c.llama_sampler_init_dist(ctypes.c_uint32(seed).value),
    ]
