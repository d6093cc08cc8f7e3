"""Nodes that film, and those that change how the model films."""
