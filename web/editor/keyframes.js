// Keyframes as the workflow carries them, and what may be done to them. Lists are never changed: each function gives a
// new one. memory/cameras/keyframes.py reads the same text.

export const DRAWN = "drawn"
export const KINDS = ["through", "stop", "corner"]
export const LIMITS = {
  frame: [0, 100000],
  right: [-1e6, 1e6],
  up: [-1e6, 1e6],
  forward: [-1e6, 1e6],
  yaw: [-36000, 36000],
  pitch: [-36000, 36000],
  roll: [-36000, 36000],
  fov: [1, 170],
}
const MOST = 1000
const VERSION = 1

/** The start: where the film stands. */
export const START = [{ frame: 0, kind: "stop" }]

/** The keyframes of a text. Raises an Error that says what is wrong with it. */
export function parse(text) {
  let found
  try {
    found = JSON.parse(text)
  } catch {
    throw new Error("The drawn path of this node cannot be read: its text is no JSON. Press New path to draw it anew.")
  }
  const list = found?.keyframes
  if (found?.version !== VERSION || !Array.isArray(list) || list.length < 1 || list.length > MOST)
    throw new Error("The drawn path of this node was made by another version. Update SceneMemory, or press New path.")
  list.forEach((one, i) => {
    for (const [name, [least, most]] of Object.entries(LIMITS)) {
      const value = one[name] ?? (name === "frame" ? undefined : least)
      if (typeof value !== "number" || !(value >= least && value <= most))
        throw new Error(`Keyframe ${i + 1}: ${name} is ${value}, expected ${least} to ${most}. Press New path.`)
    }
    if (!KINDS.includes(one.kind ?? KINDS[0])) throw new Error(`Keyframe ${i + 1}: kind is ${one.kind}. Press New path.`)
    if (i ? !(one.frame > list[i - 1].frame) : one.frame !== 0)
      throw new Error(`Keyframe ${i + 1}: frame is ${one.frame}: frames begin at 0 and rise. Press New path.`)
  })
  return list.map((one) => ({ ...one }))
}

export function toText(keyframes) {
  const plain = keyframes.map((one) => {
    const result = { frame: short(one.frame) }
    for (const name of Object.keys(LIMITS))
      if (name !== "frame" && one[name] != null && (one[name] || name === "fov")) result[name] = short(one[name])
    if ((one.kind ?? KINDS[0]) !== KINDS[0]) result.kind = one.kind
    return result
  })
  return JSON.stringify({ version: VERSION, keyframes: plain })
}

/** The keyframes with fields of one changed, each kept within its limits; its frame stays between its neighbours'. */
export function changed(keyframes, index, fields) {
  const one = { ...keyframes[index], ...fields }
  for (const name of Object.keys(fields)) {
    if (!(name in LIMITS) || one[name] == null) continue
    const [least, most] = LIMITS[name]
    one[name] = Math.min(Math.max(one[name], least), most)
  }
  one.frame = index ? between(one.frame, keyframes[index - 1].frame, keyframes[index + 1]?.frame ?? Infinity) : 0
  return keyframes.map((old, i) => (i === index ? one : old))
}

/**
 * The keyframes with one more behind the last, where the camera now rests. Where it rested before it passes through, if
 * it came from elsewhere and goes elsewhere.
 */
export function appended(keyframes, fields, frames) {
  const last = keyframes[keyframes.length - 1]
  if (keyframes.length >= MOST || last.frame + frames > LIMITS.frame[1]) return keyframes
  const next = { ...last, ...fields, frame: last.frame + frames, kind: "stop" }
  const before = keyframes[keyframes.length - 2]
  const passes = last.kind === "stop" && before && elsewhere(before, last) && elsewhere(last, next)
  return [...keyframes.slice(0, -1), passes ? { ...last, kind: "through" } : last, next]
}

/** The keyframes with one more on the path at a frame; nothing if there is one already. `values` as CameraPath gives. */
export function inserted(keyframes, frame, values, zooms) {
  const index = keyframes.findIndex((one) => one.frame >= frame)
  if (index <= 0 || keyframes[index].frame - frame < 0.5 || frame - keyframes[index - 1].frame < 0.5) return null
  if (keyframes.length >= MOST) return null
  const [right, up, forward, yaw, pitch, roll, fov] = values
  const one = { frame, right, up, forward, yaw, pitch, roll }
  if (zooms) one.fov = fov
  return { index, keyframes: [...keyframes.slice(0, index), one, ...keyframes.slice(index)] }
}

/** The keyframes without one; the start stays. */
export function removed(keyframes, index) {
  if (index <= 0) return keyframes
  const rest = keyframes.filter((_, i) => i !== index)
  const last = rest.length - 1
  return index === rest.length && last > 0 ? changed(rest, last, { kind: "stop" }) : rest
}

/** The same path in another number of frames. */
export function retimed(keyframes, frames) {
  const length = keyframes[keyframes.length - 1].frame
  if (!length || length === frames) return keyframes
  return keyframes.map((one) => ({ ...one, frame: one.frame === length ? frames : short((one.frame * frames) / length) }))
}

function elsewhere(a, b) {
  return ["right", "up", "forward"].some((name) => (a[name] ?? 0) !== (b[name] ?? 0))
}

function between(frame, before, after) {
  const gap = Math.min(1, (after - before) / 2)
  return Math.min(Math.max(frame, before + gap), after - gap)
}

function short(value) {
  return Math.round(value * 1e6) / 1e6
}
