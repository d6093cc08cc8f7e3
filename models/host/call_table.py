"""Every function of ComfyUI that the pack calls, module by module, as it is called.

What stands before a / goes by its order alone, as ComfyUI itself calls it, for what is called may be of another pack or
be wrapped by one, and keeps to the order, not to the names: VAE, CLIP, CLIP vision, previews, attention (whose backends
name q, k and v each in their own way), latents of a family, and the rest of a call that a wrapper of ours is in. Names
of these are checked to stand in that order; _ is a single one, or one that the host names in more than one way. All
else goes by keyword. A test finds the calls in the source and compares.

Nodes of the host that stand for a whole step (``calls.HostNode``) are beside the adapters that call them.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from functools import cache
from types import FunctionType, ModuleType

from .calls import HostNode

PACK = __name__.removesuffix(".models.host.call_table")

_FORWARD = (
    "comfy.ldm.wan.model:WanModel._forward(x, timestep, context, clip_fea, time_dim_concat, transformer_options, /)"
)
_SAMPLE = (
    "comfy.samplers:CFGGuider.sample(noise, latent_image, sampler, sigmas, denoise_mask, callback, disable_pbar, seed)"
)

BY_FUNCTION = ("models.blocks",)
"""Modules whose functions serve one family of models or another: each counts by itself."""

CALLS: dict[str, tuple[str, ...]] = {
    "models.blocks.rotary": (
        "comfy.ldm.wan.model:WanModel.rope_encode(t, dtype, h, w, device, transformer_options)",
        "comfy.ldm.wan.model:WanModel.rope_encode(t, t_start, dtype, h, w, device, transformer_options)",
    ),
    "models.blocks.with_wrappers": (
        "comfy.model_patcher:ModelPatcher.add_wrapper_with_key(wrapper_type, key, wrapper)",
        "comfy.model_patcher:ModelPatcher.clone()",
    ),
    "models.host.adapter": (
        "comfy.model_management:throw_exception_if_processing_interrupted()",
        "comfy.sd:VAE.encode(_, /)",
    ),
    "models.host.identity": ("comfy.model_patcher:ModelPatcher.get_model_object(name)",),
    "models.host.sampling": (
        "comfy.model_management:intermediate_device()",
        "comfy.model_management:throw_exception_if_processing_interrupted()",
        "comfy.sample:prepare_noise(latent_image, seed)",
        "comfy.samplers:CFGGuider(model_patcher)",
        "comfy.samplers:CFGGuider.inner_set_conds(conds)",
        _SAMPLE,
        "comfy.samplers:CFGGuider.set_cfg(cfg)",
        "comfy.samplers:CFGGuider.set_conds(positive, negative)",
        "comfy.sd:VAE.decode(_, /)",
    ),
    "models.minimax.adapter": ("comfy.sampler_helpers:_prepare_sampling(model, noise_shape, conds, /)",),
    "models.minimax.prompt": (
        "comfy.sd:CLIP.encode_from_tokens_scheduled(_, /)",
        "comfy.sd:CLIP.tokenize(_, /)",
        "node_helpers:conditioning_set_values(conditioning, values)",
    ),
    "models.moc.again": (
        "comfy.model_patcher:ModelPatcher.clone()",
        "comfy.sample:fix_empty_latent_channels(model, latent_image)",
    ),
    "models.moc.patch": (
        "comfy.model_management:get_torch_device()",
        "comfy.model_patcher:ModelPatcher.clone()",
    ),
    "models.story.keyframe_choice": (
        "comfy.clip_vision:ClipVisionModel.encode_image(_, /)",
        "comfy.model_base:BaseModel.get_dtype()",
        "comfy.model_base:BaseModel.process_latent_in(_, /)",
        "comfy.model_management:load_models_gpu(models)",
        "comfy.sd:CLIP.encode_from_tokens_scheduled(_, /)",
        "comfy.sd:CLIP.tokenize(_, /)",
        "comfy.sd:VAE.encode(_, /)",
    ),
    "models.story.keyframe_query": (
        "comfy.model_patcher:ModelPatcher.clone()",
        "comfy.model_patcher:ModelPatcher.get_attachment(key)",
        "comfy.model_patcher:ModelPatcher.set_attachments(key, attachment)",
    ),
    "models.story.memento": (
        "comfy.conds:CONDConstant(cond)",
        "comfy.conds:CONDList(cond)",
        _FORWARD,
        "comfy.model_base:BaseModel.process_latent_in(_, /)",
        "comfy.sd:VAE.encode(_, /)",
    ),
    "models.story.options": (
        "comfy.model_patcher:ModelPatcher.clone()",
        "comfy.model_patcher:ModelPatcher.get_attachment(key)",
        "comfy.model_patcher:ModelPatcher.set_attachments(key, attachment)",
    ),
    "models.story.storymem": (
        "comfy.conds:CONDConstant(cond)",
        _FORWARD,
    ),
    "models.wan.adapter": (
        "comfy.clip_vision:ClipVisionModel.encode_image(_, /)",
        "comfy.conds:CONDList(cond)",
        "comfy.model_base:BaseModel.process_latent_in(_, /)",
        "comfy.model_patcher:ModelPatcher.clone()",
        "comfy.model_patcher:ModelPatcher.get_attachment(key)",
        "node_helpers:conditioning_set_values(conditioning, values)",
    ),
    "models.wan.camera_layers": (
        "comfy.conds:CONDList(cond)",
        "comfy.ldm.modules.attention:optimized_attention(_, _, _, /, heads)",
        _FORWARD,
        "comfy.model_base:BaseModel.get_dtype()",
        "comfy.model_patcher:CoreModelPatcher(model, load_device, offload_device)",
        "comfy.model_patcher:ModelPatcher.set_additional_models(key, models)",
    ),
    "models.wan.context": (
        "comfy.conds:CONDConstant(cond)",
        "comfy.conds:CONDList(cond)",
        _FORWARD,
        "comfy.ldm.wan.model:sinusoidal_embedding_1d(dim, position)",
        "comfy.model_patcher:ModelPatcher.add_object_patch(name, obj)",
        "comfy.model_patcher:ModelPatcher.get_model_object(name)",
        "comfy.sampler_helpers:_prepare_sampling(model, noise_shape, conds, /)",
    ),
    "models.wan.options": (
        "comfy.model_patcher:ModelPatcher.clone()",
        "comfy.model_patcher:ModelPatcher.get_attachment(key)",
        "comfy.model_patcher:ModelPatcher.set_attachments(key, attachment)",
    ),
    "models.wan.uni3c": (
        "comfy.model_patcher:ModelPatcher.clone()",
        "comfy.model_patcher:ModelPatcher.get_attachment(key)",
        "comfy.model_patcher:ModelPatcher.set_attachments(key, attachment)",
    ),
    "models.wan.vace": (
        "comfy.latent_formats:LatentFormat.process_out(_, /)",
        "comfy.latent_formats:Wan21()",
    ),
    "models.world.adapter": (
        "comfy.model_management:intermediate_device()",
        "comfy.model_management:load_models_gpu(models)",
        "node_helpers:conditioning_set_values(conditioning, values)",
    ),
    "models.world.diffusion": (
        "comfy.conds:CONDConstant(cond)",
        "comfy.conds:CONDList(cond)",
        "comfy.conds:CONDRegular(cond)",
        "comfy.model_base:BaseModel.__init__(model_config, model_type, device, unet_model)",
        "comfy.model_base:BaseModel.extra_conds()",
        "comfy.model_base:BaseModel.get_dtype_inference()",
        "comfy.patcher_extension:WrapperExecutor.execute(_, _, _, _, _, /)",
        "comfy.patcher_extension:WrapperExecutor.new_class_executor(original, class_obj, wrappers)",
        "comfy.patcher_extension:get_all_wrappers(wrapper_type, transformer_options)",
    ),
    "models.world.loader": (
        "comfy.model_management:get_torch_device()",
        "comfy.model_management:intermediate_device()",
        "comfy.model_management:unet_offload_device()",
        "comfy.model_patcher:ModelPatcher(model, load_device, offload_device)",
        "comfy.supported_models_base:BASE(unet_config)",
        "comfy.supported_models_base:BASE.set_inference_dtype(dtype, manual_cast_dtype)",
    ),
    "nodes.camera.camera_trajectory": ("comfy_api.latest:io.NodeOutput(ui)",),
    "nodes.camera.measure_camera": (
        "comfy.model_management:throw_exception_if_processing_interrupted()",
        "comfy.utils:ProgressBar(total)",
        "comfy.utils:ProgressBar.update_absolute(value, total)",
    ),
    "nodes.camera.preview_trajectory": (
        "comfy_api.latest:io.NodeOutput(ui)",
        "comfy_api.latest:ui.PreviewImage(image, cls)",
    ),
    "nodes.camera.trajectory_to_wan_camera": ("comfy.model_management:intermediate_device()",),
    "nodes.folders": (
        "folder_paths:add_model_folder_path(folder_name, full_folder_path)",
        "folder_paths:get_filename_list(folder_name)",
        "folder_paths:get_full_path_or_raise(folder_name, filename)",
        "folder_paths:get_input_directory()",
        "folder_paths:get_output_directory()",
        "folder_paths:get_save_image_path(filename_prefix, output_dir, image_width, image_height)",
        "folder_paths:is_within_directory(directory, target)",
        "server:PromptServer.add_on_prompt_handler(handler)",
    ),
    "nodes.messages": (
        "comfy.model_management:throw_exception_if_processing_interrupted()",
        "comfy.utils:ProgressBar(total)",
        "comfy.utils:ProgressBar.update_absolute(value, total)",
        "comfy_execution.graph:DynamicPrompt.get_display_node_id(node_id)",
        "comfy_execution.progress:get_progress_state()",
        "server:PromptServer.send_progress_text(text, node_id)",
        "server:PromptServer.send_sync(event, data, sid)",
    ),
    "nodes.pictures": ("comfy.utils:common_upscale(samples, width, height, upscale_method, crop)",),
    "nodes.remember.fov_retriever": ("comfy_api.latest:io.NodeOutput(ui)",),
    "nodes.remember.memory_editor": (
        "comfy_api.latest:io.NodeOutput(ui)",
        "comfy_api.latest:ui.PreviewImage(image, cls)",
    ),
    "nodes.remember.consistency_report": (
        "comfy.model_management:throw_exception_if_processing_interrupted()",
        "comfy.utils:ProgressBar(total)",
        "comfy.utils:ProgressBar.update_absolute(value)",
        "comfy_api.latest:io.NodeOutput(ui)",
        "comfy_api.latest:ui.PreviewImage(image, cls)",
    ),
    "nodes.remember.memory_info": (
        "comfy_api.latest:io.NodeOutput(ui)",
        "comfy_api.latest:ui.PreviewImage(image, cls)",
    ),
    "nodes.remember.memory_to_video": (
        "comfy.model_management:throw_exception_if_processing_interrupted()",
        "comfy.utils:ProgressBar(total)",
        "comfy.utils:ProgressBar.update_absolute(value, total)",
        "comfy_api.latest:InputImpl.VideoFromFile(file)",
        "comfy_api.latest:io.NodeOutput(ui)",
        "comfy_api.latest:ui.PreviewVideo(values)",
        "comfy_api.latest:ui.SavedResult(filename, subfolder, type)",
    ),
    "nodes.remember.memory_view": (
        "comfy.model_management:get_torch_device()",
        "comfy.model_management:throw_exception_if_processing_interrupted()",
        "comfy.utils:ProgressBar(total)",
        "comfy.utils:ProgressBar.update_absolute(value, total, preview)",
    ),
    "nodes.remember.remember_pictures": (
        "comfy.model_management:throw_exception_if_processing_interrupted()",
        "comfy.utils:ProgressBar(total)",
        "comfy.utils:ProgressBar.update_absolute(value, total, preview)",
    ),
    "nodes.shot.moc_routing": (
        "comfy.utils:ProgressBar(total)",
        "comfy.utils:ProgressBar.update(value)",
        "comfy_api.latest:io.NodeOutput(ui)",
        "comfy_api.latest:ui.PreviewImage(image, cls)",
    ),
    "nodes.shot.moc_sampler": (
        "comfy.model_patcher:ModelPatcher.get_model_object(name)",
        "comfy.samplers:calculate_sigmas(model_sampling, scheduler_name, steps)",
        "comfy.samplers:sampler_object(name)",
    ),
    "nodes.shot.shot_generator": (
        "comfy.utils:ProgressBar(total)",
        "comfy.utils:ProgressBar.update_absolute(value, total, preview)",
        "comfy_api.latest:io.NodeOutput(ui)",
        "latent_preview:LatentPreviewer.decode_latent_to_preview_image(preview_format, x0, /)",
        "latent_preview:get_previewer(device, latent_format)",
    ),
    "nodes.shot.shot_video": (
        "comfy_api.latest:InputImpl.VideoFromFile(file)",
        "folder_paths:get_temp_directory()",
    ),
    "nodes.shot.wan_options": ("comfy.model_patcher:ModelPatcher.set_attachments(key, attachment)",),
    "nodes.story.story_film": (
        "comfy_api.latest:io.NodeOutput(expand)",
        "comfy_execution.graph:DynamicPrompt.get_node(node_id)",
        "comfy_execution.graph_utils:GraphBuilder()",
        "comfy_execution.graph_utils:GraphBuilder.finalize()",
        "comfy_execution.graph_utils:GraphBuilder.node(class_type, id)",
        "comfy_execution.graph_utils:Node.out(index)",
    ),
    "nodes.story.story_keyframes": (
        "comfy_api.latest:io.NodeOutput(ui)",
        "comfy_api.latest:ui.PreviewImage(image, cls)",
    ),
    "nodes.story.story_lora": (
        "comfy.sd:load_lora_for_models(model, clip, lora, strength_model, strength_clip)",
        "comfy.utils:load_torch_file(ckpt, safe_load)",
        "folder_paths:get_filename_list(folder_name)",
        "folder_paths:get_full_path_or_raise(folder_name, filename)",
    ),
    "nodes.story.story_options": (
        "comfy.sd:CLIP.encode_from_tokens_scheduled(_, /)",
        "comfy.sd:CLIP.tokenize(_, /)",
    ),
    "nodes.world.empty_world_latent": ("comfy.model_management:intermediate_device()",),
    "nodes.world.world_scene": (
        "comfy.model_management:throw_exception_if_processing_interrupted()",
        "comfy.utils:ProgressBar(total)",
        "comfy.utils:ProgressBar.update_absolute(value, total)",
    ),
}


def misfit(module: str, besides: Collection[str] = ()) -> str:
    """What this ComfyUI has otherwise than a module of the pack, or one that it uses, calls it: in words with the cure,
    "" where all fits.

    Args:
        module, besides: dotted names, with the pack's. Of what is in ``besides`` nothing is looked at.
    """
    return next(filter(None, (called.misfit for called in calls_of(module, frozenset(besides)))), "")


def calls_of(module: str, besides: frozenset[str] = frozenset()) -> list[HostNode]:
    """The calls of a module and of all modules of the pack that it uses."""
    known = {f"{PACK}.{name}": calls for name, calls in CALLS.items()}
    return [HostNode.read(call) for name in sorted(_reached(module, besides)) for call in known.get(name, ())]


def every_call() -> set[HostNode]:
    """All calls of the table."""
    return {HostNode.read(call) for calls in CALLS.values() for call in calls}


@cache
def _reached(module: str, besides: frozenset[str]) -> set[str]:
    """Modules of the pack whose functions, classes or objects a module has, and those that they have; of those
    BY_FUNCTION the functions."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name in besides or name not in sys.modules:
            continue
        found.add(name)
        for held in list(vars(sys.modules[name]).values()):
            other = held.__name__ if isinstance(held, ModuleType) else getattr(held, "__module__", None)
            if not isinstance(other, str) or not other.startswith(f"{PACK}."):
                continue
            if other.removeprefix(f"{PACK}.") in BY_FUNCTION and isinstance(held, FunctionType):
                found.add(f"{other}.{held.__name__}")
            else:
                waiting.append(other)
    return found
