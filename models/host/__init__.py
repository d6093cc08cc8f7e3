"""What all models share of ComfyUI: sampling, latents, and the identity of a MODEL, a VAE and a CLIP."""

CHOOSES_ONLY = "scene_memory_keyframe_query"
"""Attachment of a MODEL that chooses keyframes and makes no picture: the identity of a MODEL leaves it out."""

CONDITION_KEY = "scene_memory_segment"
"""Where conditioning carries the ``Segment`` to the world model."""

LAYOUT_KEY = "scene_memory_layout"
"""Where an adapter publishes the MocLayout of the attention that may be routed, in transformer_options."""

ROUTABLE_KEY = "scene_memory_routable"
"""In transformer_options: the mark of the attention that the layout describes, see ``moc.layout.is_described``."""
