// The frames of the memory that the node ran with: their cameras, placed as the path sees them.

import { compose, inverse } from "./camera.js"

/** What a memory's frames look like on the map of a path that begins at `base` (a pose of the film). `rows` holds 18
 * numbers each: frame, usable, pose (3 x 4), fx fy cx cy. `shares` is what each saw of the view at the playhead. */
export function placed(rows, told, base) {
  const count = rows.length / 18
  const back = inverse(base)
  const memory = { id: told.id, told, count }
  for (const name of ["frame", "shares", "right", "forward", "headRight", "headForward"]) memory[name] = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    const seen = compose(back, rows.subarray(18 * i + 2, 18 * i + 14))
    const length = Math.hypot(seen[2], seen[10]) || 1
    memory.frame[i] = rows[18 * i]
    memory.right[i] = seen[3]
    memory.forward[i] = seen[11]
    memory.headRight[i] = seen[2] / length
    memory.headForward[i] = seen[10] / length
  }
  return memory
}

/** Writes what frames saw into the memory's rows: each to the row of that frame, or of the last one shown before it. */
export function toldShares(memory, frames) {
  memory.shares.fill(0)
  let row = 0
  for (const [frame, share] of frames) {
    while (row + 1 < memory.count && memory.frame[row + 1] <= frame) row++
    memory.shares[row] = Math.max(memory.shares[row], share)
  }
}
