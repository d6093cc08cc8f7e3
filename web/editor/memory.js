// The frames of the memory that the node ran with: their cameras, placed as the path sees them.

import { compose, inverse } from "./camera.js"
import { pastCameras } from "./overlap.js"

/** What a memory's frames look like on the map of a path that begins at `base` (a pose of the film). */
export function placed(rows, told, base) {
  const past = pastCameras(rows)
  const back = inverse(base)
  const memory = { ...past, id: told.id, told, past, shares: new Float64Array(past.count) }
  for (const name of ["right", "forward", "headRight", "headForward"]) memory[name] = new Float64Array(past.count)
  for (let i = 0; i < past.count; i++) {
    const seen = compose(back, rows.subarray(18 * i + 2, 18 * i + 14))
    const length = Math.hypot(seen[2], seen[10]) || 1
    memory.right[i] = seen[3]
    memory.forward[i] = seen[11]
    memory.headRight[i] = seen[2] / length
    memory.headForward[i] = seen[10] / length
  }
  return memory
}
