"""Patches of the kinds that other packs put on a MODEL: bound methods in place of a layer's forward, which write on the
layer while it runs, and an override of the attention that torch.compile is kept out of."""

from __future__ import annotations

import types

import torch


class Guided:
    """Attention that counts the frames it was called with on the layer, and keeps a number to work with."""

    def __init__(self, scale):
        self.scale = scale

    def __get__(self, layer, kind=None):
        before = layer.forward

        def guided(layer, *args, **kwargs):
            layer.guide_scale, layer.seen = self.scale, getattr(layer, "seen", 0) + 1
            return before(*args, **kwargs) * self.scale

        return types.MethodType(guided, layer)


def with_guidance(model, scale=1.5):
    patched = model.clone()
    for number in range(2):
        layer = model.get_model_object(f"diffusion_model.blocks.{number}.cross_attn")
        patched.add_object_patch(
            f"diffusion_model.blocks.{number}.cross_attn.forward", Guided(scale).__get__(layer, type(layer))
        )
    return patched


def with_chunks(model, chunks=2):
    """Feed-forward in parts, of which the layer remembers how many."""

    def forward(self, x):
        self.num_chunks = chunks
        parts = [torch.nn.Sequential.forward(self, part) for part in x.chunk(self.num_chunks, dim=1)]
        return torch.cat(parts, dim=1)

    patched = model.clone()
    for number in range(2):
        layer = model.get_model_object(f"diffusion_model.blocks.{number}.ffn")
        patched.add_object_patch(f"diffusion_model.blocks.{number}.ffn.forward", types.MethodType(forward, layer))
    return patched


def with_attention(model, scale=1.0):
    @torch.compiler.disable()
    def attention(backend, q, k, v, *args, **kwargs):
        return backend(q * scale, k, v, *args, **kwargs)

    patched = model.clone()
    patched.model_options["transformer_options"]["optimized_attention_override"] = attention
    return patched


def with_layer(model):
    """Another module in the place of one of the network's."""

    class Wrapped(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, *args, **kwargs):
            return self.inner(*args, **kwargs)

    patched = model.clone()
    patched.add_object_patch(
        "diffusion_model.blocks.1.ffn", Wrapped(model.get_model_object("diffusion_model.blocks.1.ffn"))
    )
    return patched


class NormalizedGuidance:
    """Normalized attention guidance (NAG): cross attention that keeps away from a negative text of its own, and asks
    the host for each attention with the options that it was given, or (``told`` False) without."""

    def __init__(self, text, scale=3.0, alpha=0.25, most=2.5, told=True):
        self.text, self.scale, self.alpha, self.most, self.told = text, scale, alpha, most, told

    def __get__(self, layer, kind=None):
        import comfy.ldm.modules.attention as host

        guide = self

        def guided(layer, x, context, transformer_options=None, **more):
            options = {"transformer_options": transformer_options} if guide.told else {}
            q = layer.norm_q(layer.q(x))

            def seen(text):
                text = text.expand(len(q), -1, -1)
                return host.optimized_attention(
                    q, layer.norm_k(layer.k(text)), layer.v(text), heads=layer.num_heads, **options
                )

            return layer.o(guide.mixed(seen(context), seen(guide.text)))

        return types.MethodType(guided, layer)

    def mixed(self, wanted, avoided):
        away = wanted * self.scale - avoided * (self.scale - 1)
        ratio = away.norm(p=1, dim=-1, keepdim=True) / wanted.norm(p=1, dim=-1, keepdim=True)
        away = away * (self.most / ratio).clamp(max=1.0)
        return away * self.alpha + wanted * (1 - self.alpha)


def with_nag(model, text, told=True):
    """``text`` (1, L, width): the negative prompt as the network's blocks see it."""
    patched = model.clone()
    for number in range(len(model.model.diffusion_model.blocks)):
        layer = model.get_model_object(f"diffusion_model.blocks.{number}.cross_attn")
        patch = NormalizedGuidance(text, told=told).__get__(layer, type(layer))
        patched.add_object_patch(f"diffusion_model.blocks.{number}.cross_attn.forward", patch)
    return patched
