"""MiniMax H3: how it is told what is remembered."""
