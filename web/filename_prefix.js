// Names of saved files: %date:yyyy-MM-dd% and %Node.widget% mean here what they mean in ComfyUI's own Save nodes.

import { fillInText, onNode } from "./host.js"

for (const type of ["SceneMemoryToVideo", "SceneMemorySave", "SceneMemorySaveTrajectory"])
  onNode(`SceneMemory.FilenamePrefix.${type}`, type, (node) => fillInText(node, "filename_prefix"))
