"""Weights packed to a byte each, as loaders of packed files hold them.

They are tensors of a class of their own, whose layers give placeholders as their state, and on which the patcher hangs
what a LoRA adds.
"""

from __future__ import annotations

import comfy.model_patcher
import comfy.ops
import comfy.utils
import torch


class PackedTensor(torch.Tensor):
    """Bytes of numbers, 1/256 each from -0.5, that go by another shape."""

    @staticmethod
    def __new__(cls, data, shape, patches=()):
        return torch.Tensor._make_subclass(cls, data, False)

    def __init__(self, data, shape, patches=()):
        self.packed_shape, self.patches = shape, list(patches)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        made = super().__torch_function__(function, types, args, kwargs or {})
        source = next((one for one in args if isinstance(one, PackedTensor)), None)
        if isinstance(made, PackedTensor) and hasattr(source, "packed_shape"):
            made.packed_shape, made.patches = source.packed_shape, list(source.patches)
        return made

    def unpacked(self):
        plain = self.as_subclass(torch.Tensor)
        whole = (plain.float() / 256 - 0.5).reshape(self.packed_shape)
        for patches, key in self.patches:
            whole = comfy.lora.calculate_weight(patches, whole, key)
        return whole


def packed(weight):
    data = ((weight.float().clamp(-0.5, 0.49) + 0.5) * 256).to(torch.uint8).reshape(-1)
    return PackedTensor(data, tuple(weight.shape))


class PackedOps(comfy.ops.manual_cast):
    class Linear(comfy.ops.manual_cast.Linear):
        def _save_to_state_dict(self, destination, prefix, keep_vars):
            super()._save_to_state_dict(destination, prefix, keep_vars)
            if isinstance(self.weight, PackedTensor):
                destination[f"{prefix}weight"] = torch.empty(self.weight.packed_shape, device="meta")

        def forward(self, x):
            bias = None if self.bias is None else self.bias.to(x)
            weight = self.weight.unpacked() if isinstance(self.weight, PackedTensor) else self.weight
            return torch.nn.functional.linear(x, weight.to(x), bias)


class PackedPatcher(comfy.model_patcher.ModelPatcher):
    def patch_weight_to_device(self, key, device_to=None, inplace_update=False, **more):
        weight = comfy.utils.get_attr(self.model, key)
        if not isinstance(weight, PackedTensor):
            return super().patch_weight_to_device(key, device_to=device_to, inplace_update=inplace_update, **more)
        if key in self.patches:
            weight.patches = [(self.patches[key], key)]
        return None


def load(path):
    import comfy.sd

    patcher = comfy.sd.load_diffusion_model(str(path), model_options={"custom_operations": PackedOps})
    for part in patcher.model.diffusion_model.modules():
        if isinstance(part, PackedOps.Linear):
            part.weight = torch.nn.Parameter(packed(part.weight.detach()), requires_grad=False)
    made = PackedPatcher(patcher.model, patcher.load_device, patcher.offload_device)
    made.model_options = patcher.model_options
    return made
