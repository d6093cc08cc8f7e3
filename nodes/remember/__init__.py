"""Nodes that keep, find, show and share a memory."""
