"""Nodes of the bundled world model."""
