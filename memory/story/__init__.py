"""Stories of several shots: their script, and which frames of the shots before are remembered."""
