"""Models of the Wan family: what they are, and how remembered frames enter them without a change to their code."""
