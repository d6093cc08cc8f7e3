// What the node says: which path a run will film, and why the artist may not draw, if so.

import { DRAWN, START, parse, retimed } from "./keyframes.js"

const TIMING = new Set(["frames", "fov", "fps", "aspect"]) // all of a drawn path that is not in its keyframes
const FROM = {
  wire: "comes over a wire",
  subgraph: "is set outside this subgraph",
  copies: "differs between the copies of this subgraph",
}

/**
 * What `given` ({name: {value, from}} of the node's inputs) means:
 * - `settings`: the values that a run will get; undefined what only the run knows
 * - `keyframes`: the drawn path that will run; null for a ready-made move; none if it cannot be known or read
 * - `broken`: why the drawn path cannot be read, in the node's own words
 * - `locked`: why nothing may be drawn
 * - `remark`: what else the artist should know
 */
export function understood(given) {
  const settings = Object.fromEntries(Object.entries(given).map(([name, one]) => [name, one.value]))
  const drawn = settings.move === DRAWN
  const unknown = (names) => names.find((name) => given[name].from && settings[name] === undefined)
  const result = { settings, drawn, keyframes: null, broken: "", locked: "", remark: "" }
  if (given.move.from && !drawn) result.locked = moveElsewhere(given.move)
  if (given.keyframes.from) result.locked ||= `keyframes ${FROM[given.keyframes.from]}: the path cannot be drawn here.`
  const name = unknown(drawn ? ["keyframes"] : Object.keys(given).filter((one) => one !== "keyframes"))
  if (name) {
    const words = `${name} ${FROM[given[name].from]}, and only a run knows it: the path cannot be shown.`
    result.locked = name === "move" ? result.locked : words
    return { ...result, keyframes: [] }
  }
  if (!drawn) return result
  try {
    result.keyframes = settings.keyframes ? parse(settings.keyframes) : START
  } catch (problem) {
    const broken = `${problem.message} It may be of another version, and is kept as it is until you press New path.`
    return { ...result, keyframes: [], broken, locked: result.locked || broken }
  }
  if (settings.frames !== undefined) result.keyframes = retimed(result.keyframes, settings.frames)
  result.remark = [...TIMING].filter((one) => given[one].from).map((one) => timing(one, given[one])).join(" ")
  return result
}

function moveElsewhere({ value, from }) {
  if (value === undefined) return `move ${FROM[from]}, and only a run knows it: nothing can be drawn here.`
  return `move ${FROM[from]}, to '${value}': set it to 'drawn' there, and you can draw here.`
}

function timing(name, { value, from }) {
  if (name === "frames" && value !== undefined) return `frames ${FROM[from]}: the path keeps its ${value} frames.`
  return value === undefined ? `${name} ${FROM[from]}: only a run knows it, and it is not shown here.` : ""
}
