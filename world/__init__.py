"""The bundled world model: procedural scenes, a small diffusion transformer, its weights and its training."""
