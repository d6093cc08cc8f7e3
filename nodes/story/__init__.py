"""Nodes for films of several shots from a script."""
