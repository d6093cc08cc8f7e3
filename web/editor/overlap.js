// What past cameras saw of a view, in the horizontal plane: the same numbers as memory/retrieval/overlap.py.

export const SAMPLES = 16
const LEVEL = 1e-3

/** Past cameras as plain columns. `rows` holds 18 numbers each: frame, usable, pose (3 x 4), fx fy cx cy. */
export function pastCameras(rows) {
  const count = rows.length / 18
  const columns = {}
  for (const name of ["frame", "x", "z", "leftX", "leftZ", "rightX", "rightZ", "aheadX", "aheadY", "aheadZ"])
    columns[name] = new Float64Array(count)
  const usable = new Uint8Array(count)
  for (let i = 0; i < count; i++) {
    const pose = rows.subarray(18 * i + 2, 18 * i + 14)
    const [left, right] = halfAngles(rows.subarray(18 * i + 14, 18 * i + 18))
    const yaw = heading(pose)
    columns.frame[i] = rows[18 * i]
    usable[i] = rows[18 * i + 1]
    columns.x[i] = pose[3]
    columns.z[i] = pose[11]
    columns.leftX[i] = Math.sin(yaw - left)
    columns.leftZ[i] = Math.cos(yaw - left)
    columns.rightX[i] = Math.sin(yaw + right)
    columns.rightZ[i] = Math.cos(yaw + right)
    columns.aheadX[i] = pose[2]
    columns.aheadY[i] = pose[6]
    columns.aheadZ[i] = pose[10]
  }
  return { count, usable, ...columns }
}

/**
 * The share 0..1 of the view from `pose` through `lens` that the past cameras saw between them; `shares`, if given,
 * gets what each of them saw. `near`, `depth` and `far` are distances in scene units.
 */
export function remembered(pose, lens, past, { near, depth, far }, shares = null) {
  const [left, right] = halfAngles(lens)
  const yaw = heading(pose)
  const x = pose[3]
  const z = pose[11]
  const sightX = new Float64Array(SAMPLES)
  const sightZ = new Float64Array(SAMPLES)
  for (let s = 0; s < SAMPLES; s++) {
    const angle = yaw - left + ((left + right) * (s + 0.5)) / SAMPLES
    sightX[s] = Math.sin(angle)
    sightZ[s] = Math.cos(angle)
  }
  const least = near * near
  const most = far * far
  let anySaw = 0
  for (let i = 0; i < past.count; i++) {
    let seen = 0
    const facing = pose[2] * past.aheadX[i] + pose[6] * past.aheadY[i] + pose[10] * past.aheadZ[i]
    if (past.usable[i] && facing > 0) {
      const fromX = x - past.x[i]
      const fromZ = z - past.z[i]
      for (let s = 0; s < SAMPLES; s++) {
        const dx = fromX + depth * sightX[s]
        const dz = fromZ + depth * sightZ[s]
        if (dx * past.leftZ[i] - dz * past.leftX[i] < 0 || dz * past.rightX[i] - dx * past.rightZ[i] < 0) continue
        const square = dx * dx + dz * dz
        if (square < least || square > most || dx * sightX[s] + dz * sightZ[s] <= 0) continue
        seen++
        anySaw |= 1 << s
      }
    }
    if (shares) shares[i] = seen / SAMPLES
  }
  let count = 0
  for (let s = 0; s < SAMPLES; s++) count += (anySaw >> s) & 1
  return count / SAMPLES
}

/** Yaw in radians, above 0 to the right; a camera that looks straight up or down takes it from its right side. */
export function heading(pose) {
  return Math.hypot(pose[2], pose[10]) > LEVEL ? Math.atan2(pose[2], pose[10]) : Math.atan2(-pose[8], pose[0])
}

function halfAngles(lens) {
  return [Math.atan(lens[2] / lens[0]), Math.atan((1 - lens[2]) / lens[0])]
}
