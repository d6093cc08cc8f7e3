"""Choosing which past frames the model sees: settings, co-visibility, one small function a strategy, and the choice."""
