"""MiniMax H3: remembered frames as its references or keyframes."""
