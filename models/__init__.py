"""The video models that a film can be made with: a folder for each family, and what they share with ComfyUI."""
