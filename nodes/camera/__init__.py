"""Nodes for camera paths, and the routes of their editor."""
