"""Models trained on stories of several shots: StoryMem and Memento, LoRAs on Wan 2.2 image to video A14B."""
