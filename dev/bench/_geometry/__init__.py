"""Geometry against the truth of rendered scenes."""
