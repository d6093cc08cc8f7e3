"""What the retrieval benchmark measures against: floor plans, walks through them, the truth about what was seen."""
