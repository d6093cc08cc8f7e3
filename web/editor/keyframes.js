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
const MOST_TEXT = 400000
const VERSION = 1
const FULL = `The path has ${MOST} keyframes, and there is room for no more. Delete some, or go on in another node joined by 'before'.`
const ANEW = "Draw the path anew"
const PASTE = `${ANEW}, or paste the text of a Camera Trajectory node.`

/** The start: where the film stands. */
export const START = [{ frame: 0, kind: "stop" }]

/** The keyframes of a text. Refuses what the node refuses when it runs, with an Error in the same words. */
export function parse(text) {
  if (text.length > MOST_TEXT)
    throw new Error(`keyframes has ${text.length} characters: at most ${MOST_TEXT} fit. Draw the path with fewer keyframes, `
      + "or split it over two nodes joined by 'before'.")
  let found
  try {
    found = JSON.parse(text)
  } catch {
    throw new Error(`keyframes is no drawn path: it is not JSON. ${PASTE}`)
  }
  if (!fields(found) || !Array.isArray(found.keyframes))
    throw new Error(`keyframes is no drawn path: expected {"version": 1, "keyframes": [...]}. ${PASTE}`)
  if (found.version !== VERSION)
    throw new Error(`keyframes has the version ${shown(found.version)}: this SceneMemory reads ${VERSION}. `
      + "Update SceneMemory, or draw the path anew.")
  const list = found.keyframes
  if (list.length < 1 || list.length > MOST)
    throw new Error(`keyframes holds ${list.length} keyframes: a path has 1 to ${MOST}. ${ANEW}, or split it over two nodes `
      + "joined by 'before'.")
  list.forEach((one, i) => check(one, i + 1))
  if (list[0].frame !== 0)
    throw new Error(`keyframe 1: frame is ${short(list[0].frame)}, expected 0: a path begins at frame 0. Set it to 0.`)
  for (let i = 1; i < list.length; i++)
    if (!(list[i].frame > list[i - 1].frame))
      throw new Error(`keyframe ${i + 1}: frame is ${short(list[i].frame)}, not after ${short(list[i - 1].frame)} of the keyframe `
        + "before it. Give keyframes rising frames.")
  return list.map((one) => ({ ...one }))
}

function check(one, number) {
  if (!fields(one)) throw new Error(`keyframe ${number} is ${shown(one)}, expected fields such as {"frame": 24}. ${ANEW}.`)
  const unknown = Object.keys(one).find((name) => !(name in LIMITS) && name !== "kind")
  if (unknown !== undefined)
    throw new Error(`keyframe ${number}: there is no field ${shown(unknown)}. Use ${Object.keys(LIMITS).join(", ")}, kind.`)
  if (!("frame" in one))
    throw new Error(`keyframe ${number} has no frame: say when the camera is there, such as "frame": 24.`)
  if ("kind" in one && !KINDS.includes(one.kind))
    throw new Error(`keyframe ${number}: kind is ${shown(one.kind)}. Use one of: ${KINDS.join(", ")}.`)
  for (const [name, value] of Object.entries(one)) {
    const [least, most] = LIMITS[name] ?? []
    if (name === "kind" || (typeof value === "number" && value >= least && value <= most)) continue
    throw new Error(`keyframe ${number}: ${name} is ${shown(value)}, expected a number from ${general(least)} to `
      + `${general(most)}. Use ${name === "fov" ? 70 : 0}.`)
  }
}

function fields(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

/** A value as the node names it, which is Python. */
function shown(value) {
  const text = literal(value)
  return text.length <= 40 ? text : `${text.slice(0, 40)}…`
}

function literal(value) {
  if (value === null || value === undefined) return "None"
  if (typeof value === "boolean") return value ? "True" : "False"
  if (typeof value === "string") return `'${value}'`
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`
  if (fields(value)) return `{${Object.entries(value).map(([name, one]) => `'${name}': ${literal(one)}`).join(", ")}}`
  return String(value)
}

function general(number) {
  return Math.abs(number) < 1e6 ? String(number) : number.toExponential().replace(/e\+?(-?)(\d)$/, "e+$10$2")
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
 * it came from elsewhere and goes elsewhere. Raises an Error that says why there is no room for it.
 */
export function appended(keyframes, fields, frames) {
  const last = keyframes[keyframes.length - 1]
  const end = LIMITS.frame[1]
  if (keyframes.length >= MOST) throw new Error(FULL)
  if (last.frame + frames > end)
    throw new Error(`The path ends at frame ${Math.round(last.frame)}, and a path has ${end} frames at most. Move the last keyframe `
      + "to an earlier time, or go on in another node joined by 'before'.")
  const next = { ...last, ...fields, frame: last.frame + frames, kind: "stop" }
  const before = keyframes[keyframes.length - 2]
  const passes = last.kind === "stop" && before && elsewhere(before, last) && elsewhere(last, next)
  return [...keyframes.slice(0, -1), passes ? { ...last, kind: "through" } : last, next]
}

/**
 * The keyframes with one more on the path at a frame; nothing if there is one already. `values` as CameraPath gives.
 * Raises an Error that says why there is no room for it.
 */
export function inserted(keyframes, frame, values, zooms) {
  const index = keyframes.findIndex((one) => one.frame >= frame)
  if (index <= 0 || keyframes[index].frame - frame < 0.5 || frame - keyframes[index - 1].frame < 0.5) return null
  if (keyframes.length >= MOST) throw new Error(FULL)
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
