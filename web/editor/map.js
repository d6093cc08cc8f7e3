// The map: the path, its keyframes with their fields of view, and the memory's frames, seen from above.

import { prepared } from "./canvas.js"

const FAN = 26
const FAN_CHOSEN = 44
const FAN_NOW = 64
const TURN = 54
const DOT = 5
const REACH = 9
const RADIANS = Math.PI / 180

/**
 * Draws it. `scene`: view, colours, path, keyframes (none: no path), chosen, editable, now (values at the playhead),
 * memory ({places, shares} or null), layer (a canvas for what does not move), snap.
 */
export function drawMap(canvas, scene) {
  const context = prepared(canvas)
  if (!context) return
  const { view, colours, path, keyframes, chosen, now, memory } = scene
  view.width = canvas.clientWidth
  view.height = canvas.clientHeight
  context.drawImage(still(canvas, scene), 0, 0, view.width, view.height)
  if (memory?.shares) seenFrames(context, view, memory, colours)
  if (!keyframes.length) return
  curve(context, view, path, colours)
  fan(context, view, now[0], now[2], now[3], now[6], FAN_NOW, colours.warm, 0.22)
  for (let i = 0; i < keyframes.length; i++) {
    const one = path.values[i]
    const mine = i === chosen
    fan(context, view, one[0], one[2], one[3], one[6], mine ? FAN_CHOSEN : FAN, colours.accent, mine ? 0.3 : 0.14)
    dot(context, view.x(one[0]), view.y(one[2]), mine ? DOT + 2 : DOT, colours, scene.editable, mine, keyframes[i].kind)
  }
  if (chosen >= 0) handles(context, view, path.values[chosen], colours)
  dot(context, view.x(now[0]), view.y(now[2]), 3, { ...colours, accent: colours.warm }, true, false)
}

/** What lies below a pixel: {part: "turn" | "fov" | "keyframe" | "path", index?, frame?}, or null. */
export function hitMap(scene, x, y) {
  const { view, path, chosen } = scene
  if (chosen >= 0) {
    const one = path.values[chosen]
    const spots = handleSpots(view, one)
    if (near(spots.turn, x, y)) return { part: "turn", index: chosen }
    if (near(spots.left, x, y) || near(spots.right, x, y)) return { part: "fov", index: chosen }
  }
  // The keyframe drawn last lies on top; several may stand in one place, and then the chosen one is meant.
  const there = path.values.map((one, i) => i).filter((i) => near([view.x(path.values[i][0]), view.y(path.values[i][2])], x, y))
  if (there.length) return { part: "keyframe", index: there.includes(chosen) ? chosen : there[there.length - 1], all: there }
  if (!path.times.length) return null
  let best = null
  const values = new Float64Array(7)
  for (let i = 0; i <= 200; i++) {
    const frame = (path.length * i) / 200
    path.at(frame, values)
    const distance = Math.hypot(view.x(values[0]) - x, view.y(values[2]) - y)
    if (distance < REACH && distance < (best?.distance ?? Infinity)) best = { part: "path", frame, distance }
  }
  return best
}

/** The memory's frame nearest to a pixel, within a few pixels: its row, or -1. */
export function nearestFrame(scene, x, y) {
  const { view, memory } = scene
  let best = -1
  let least = REACH * REACH
  for (let i = 0; i < (memory?.count ?? 0); i++) {
    const dx = view.x(memory.right[i]) - x
    const dy = view.y(memory.forward[i]) - y
    if (dx * dx + dy * dy < least) {
      least = dx * dx + dy * dy
      best = i
    }
  }
  return best
}

function near([spotX, spotY], x, y) {
  return Math.hypot(spotX - x, spotY - y) < REACH
}

/** Grid and the memory's frames: drawn anew only when the view or the memory changes. */
export function still(canvas, scene) {
  const { view, colours, layer, memory } = scene
  const key = [canvas.width, canvas.height, view.right, view.forward, view.scale, memory?.id, Object.values(colours)].join()
  if (layer.key === key) return layer.canvas
  layer.key = key
  layer.canvas.width = canvas.width
  layer.canvas.height = canvas.height
  const context = layer.canvas.getContext("2d")
  context.scale(canvas.width / view.width, canvas.height / view.height)
  context.fillStyle = colours.back
  context.fillRect(0, 0, view.width, view.height)
  grid(context, view, colours)
  if (memory) {
    context.strokeStyle = colours.quiet
    context.fillStyle = colours.quiet
    context.globalAlpha = 0.55
    context.beginPath()
    for (let i = 0; i < memory.count; i++) {
      const [x, y] = [view.x(memory.right[i]), view.y(memory.forward[i])]
      if (x < -20 || y < -20 || x > view.width + 20 || y > view.height + 20) continue
      context.fillRect(x - 1.5, y - 1.5, 3, 3)
      context.moveTo(x, y)
      context.lineTo(x + 8 * memory.headRight[i], y - 8 * memory.headForward[i])
    }
    context.stroke()
    context.globalAlpha = 1
  }
  return layer.canvas
}

function grid(context, view, colours) {
  const step = view.grid
  const [left, top] = view.place(0, 0)
  const [right, bottom] = view.place(view.width, view.height)
  context.lineWidth = 1
  context.strokeStyle = colours.line
  for (let n = Math.ceil(left / step); n * step <= right; n++) line(n % 5 === 0, view.x(n * step), 0, view.x(n * step), view.height)
  for (let n = Math.ceil(bottom / step); n * step <= top; n++) line(n % 5 === 0, 0, view.y(n * step), view.width, view.y(n * step))
  context.globalAlpha = 1
  context.fillStyle = colours.quiet
  context.font = "11px sans-serif"
  const long = 5 * step
  context.fillText(`${Number(long.toPrecision(3))} ${long === 1 ? "unit" : "units"}`, 8, view.height - 12)
  context.fillRect(8, view.height - 8, long * view.scale, 2)

  function line(strong, x1, y1, x2, y2) {
    context.globalAlpha = strong ? 0.55 : 0.2
    context.beginPath()
    context.moveTo(x1, y1)
    context.lineTo(x2, y2)
    context.stroke()
  }
}

function seenFrames(context, view, memory, colours) {
  context.fillStyle = colours.good
  for (let i = 0; i < memory.count; i++)
    if (memory.shares[i] >= 0.1) context.fillRect(view.x(memory.right[i]) - 2, view.y(memory.forward[i]) - 2, 4, 4)
}

function curve(context, view, path, colours) {
  if (!path.length) return
  const steps = Math.min(400, Math.max(60, 24 * path.times.length))
  const values = new Float64Array(7)
  context.strokeStyle = colours.accent
  context.lineWidth = 2
  context.beginPath()
  for (let i = 0; i <= steps; i++) {
    path.at((path.length * i) / steps, values)
    if (i) context.lineTo(view.x(values[0]), view.y(values[2]))
    else context.moveTo(view.x(values[0]), view.y(values[2]))
  }
  context.stroke()
}

export function fan(context, view, right, forward, yaw, fov, length, colour, fill) {
  const [x, y] = [view.x(right), view.y(forward)]
  context.fillStyle = colour
  context.strokeStyle = colour
  context.lineWidth = 1
  context.beginPath()
  context.moveTo(x, y)
  context.arc(x, y, length, (yaw - fov / 2 - 90) * RADIANS, (yaw + fov / 2 - 90) * RADIANS)
  context.closePath()
  context.globalAlpha = fill
  context.fill()
  context.globalAlpha = 0.8
  context.stroke()
  context.globalAlpha = 1
}

function dot(context, x, y, size, colours, solid, chosen, kind = "through") {
  context.beginPath()
  if (kind === "stop") context.rect(x - size, y - size, 2 * size, 2 * size)
  else if (kind === "corner") {
    context.moveTo(x, y - size - 2)
    context.lineTo(x + size + 2, y + size)
    context.lineTo(x - size - 2, y + size)
    context.closePath()
  } else context.arc(x, y, size, 0, 2 * Math.PI)
  context.fillStyle = solid ? colours.accent : colours.back
  context.fill()
  context.strokeStyle = chosen ? colours.text : colours.accent
  context.lineWidth = chosen ? 2 : 1.5
  context.stroke()
}

function handleSpots(view, one) {
  const at = (degrees, length) => [
    view.x(one[0]) + length * Math.sin(degrees * RADIANS),
    view.y(one[2]) - length * Math.cos(degrees * RADIANS),
  ]
  return {
    turn: at(one[3], TURN),
    left: at(one[3] - one[6] / 2, FAN_CHOSEN),
    right: at(one[3] + one[6] / 2, FAN_CHOSEN),
  }
}

function handles(context, view, one, colours) {
  const spots = handleSpots(view, one)
  context.fillStyle = colours.back
  context.strokeStyle = colours.text
  context.lineWidth = 1.5
  for (const [[x, y], size] of [[spots.turn, 5], [spots.left, 3], [spots.right, 3]]) {
    context.beginPath()
    context.arc(x, y, size, 0, 2 * Math.PI)
    context.fill()
    context.stroke()
  }
}
