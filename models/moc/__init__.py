"""Mixture of Contexts (arXiv 2508.21058) in ComfyUI's models: layout, routed attention, record."""
