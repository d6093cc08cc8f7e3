"""Cameras, camera paths as values, ready-made moves and drawn ones."""
