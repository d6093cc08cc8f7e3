"""From a memory, a camera path and a model to the next shot: the segment loop, model adapters and the video writer."""
