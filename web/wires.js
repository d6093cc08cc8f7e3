// The colours of this pack's wires, so that memory, camera path and rule can be followed through a graph.

import { colourWires } from "./host.js"

colourWires("SceneMemory.Wires", {
  SCENE_MEMORY: "#26c6da",
  SCENE_TRAJECTORY: "#c0ca33",
  SCENE_RETRIEVER: "#ec6fa4",
  SCENE_STORY: "#bc9a8a",
  SCENE_DEPTH: "#8fa6b2",
})
