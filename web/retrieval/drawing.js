// What the retrieval map draws: the place from above, and the time line of the coming path.

import { prepared } from "../editor/canvas.js"
import { fan, still } from "../editor/map.js"

const [FAN, FAN_NOW, STRONG, PAD] = [54, 78, 6, 10]

/** The colour of the chosen frame at a place in the order. */
export function colourOf(place) {
  return `hsl(${(place * 47 + 200) % 360} 75% 65%)`
}

/**
 * Draws the place from above. `scene`: view, colours, layer, memory (as `placed` gives it, or null), path ({right, forward,
 * yaw, fov, frame} as arrays), frame, segment ([first, end]), chosen ([{place, right, forward, yaw, fov, used}]), lit.
 */
export function drawPlace(canvas, scene) {
  const context = prepared(canvas)
  if (!context) return
  const { view, colours, path, chosen, lit } = scene
  view.width = canvas.clientWidth
  view.height = canvas.clientHeight
  context.drawImage(still(canvas, scene), 0, 0, view.width, view.height)
  if (!path) return
  line(context, view, path, 0, path.right.length - 1, colours.accent, 1.5, 0.5)
  const [first, end] = scene.segment
  line(context, view, path, rowAt(path, first), rowAt(path, end - 1), colours.accent, 4, 1)
  for (const one of [...chosen].reverse()) {
    const strong = one.place < STRONG || one.place === lit
    const colour = one.used ? colourOf(one.place) : colours.quiet
    fan(context, view, one.right, one.forward, one.yaw, one.fov, one.place === lit ? FAN_NOW : FAN, colour, strong && one.used ? 0.25 : 0)
  }
  const now = rowAt(path, scene.frame)
  fan(context, view, path.right[now], path.forward[now], path.yaw[now], path.fov[now], FAN_NOW, colours.warm, 0.2)
  numbers(context, view, chosen)
}

/** Draws the coming path in time. `scene`: colours, length, frame, fps, starts (of segments), segment, band ({frames, shares}). */
export function drawTime(canvas, scene) {
  const context = prepared(canvas)
  if (!context) return
  const { colours, length, band, starts, segment } = scene
  const [width, height] = [canvas.clientWidth, canvas.clientHeight]
  const x = (frame) => PAD + ((width - 2 * PAD) * frame) / Math.max(length, 1)
  context.fillStyle = colours.back
  context.fillRect(0, 0, width, height)
  context.fillStyle = colours.line
  context.fillRect(x(0), 0, x(length) - x(0), height)
  if (band) {
    context.fillStyle = colours.good
    context.globalAlpha = 0.55
    context.beginPath()
    context.moveTo(x(0), height)
    band.frames.forEach((frame, i) => context.lineTo(x(frame + 0.5), height - band.shares[i] * (height - 4)))
    context.lineTo(x(length), height - (band.shares.at(-1) ?? 0) * (height - 4))
    context.lineTo(x(length), height)
    context.fill()
    context.globalAlpha = 1
  }
  context.fillStyle = colours.accent
  context.globalAlpha = 0.3
  context.fillRect(x(segment[0]), 0, x(segment[1]) - x(segment[0]), height)
  context.globalAlpha = 1
  context.fillStyle = colours.quiet
  for (const start of starts) context.fillRect(x(start), 0, 1, height)
  context.font = "10px sans-serif"
  context.fillText("0 s", x(0) + 3, 10)
  const words = `${(length / scene.fps).toFixed(1)} s`
  context.fillText(words, x(length) - context.measureText(words).width - 3, 10)
  context.fillStyle = colours.warm
  context.fillRect(x(scene.frame + 0.5) - 1, 0, 2, height)
}

/** The frame below a pixel of the time line. */
export function frameAt(canvas, length, x) {
  const frame = Math.floor(((x - PAD) * length) / (canvas.clientWidth - 2 * PAD))
  return Math.min(Math.max(frame, 0), length - 1)
}

/** The row of a path at a frame, or just before it. */
export function rowAt(path, frame) {
  let [low, high] = [0, path.frame.length - 1]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (path.frame[middle] <= frame) low = middle
    else high = middle - 1
  }
  return low
}

function line(context, view, path, from, to, colour, width, alpha) {
  context.strokeStyle = colour
  context.lineWidth = width
  context.globalAlpha = alpha
  context.beginPath()
  for (let i = from; i <= to; i++) {
    if (i > from) context.lineTo(view.x(path.right[i]), view.y(path.forward[i]))
    else context.moveTo(view.x(path.right[i]), view.y(path.forward[i]))
  }
  context.stroke()
  context.globalAlpha = 1
}

/** The number of each chosen frame within its view, where it covers no other. */
function numbers(context, view, chosen) {
  const taken = []
  context.font = "bold 11px sans-serif"
  context.textAlign = "center"
  for (const one of chosen) {
    if (!one.used) continue
    let best = null
    for (const reach of [0.85, 0.6, 1.1, 1.4]) {
      for (const turn of [0, -0.3, 0.3]) {
        const angle = ((one.yaw + turn * one.fov) * Math.PI) / 180
        const spot = [view.x(one.right) + FAN * reach * Math.sin(angle), view.y(one.forward) - FAN * reach * Math.cos(angle)]
        const crowd = taken.filter(([x, y]) => Math.hypot(x - spot[0], y - spot[1]) < 18).length
        if (!best || crowd < best.crowd) best = { spot, crowd }
      }
    }
    taken.push(best.spot)
    context.fillStyle = colourOf(one.place)
    context.beginPath()
    context.arc(...best.spot, 9, 0, 2 * Math.PI)
    context.fill()
    context.fillStyle = "#111"
    context.fillText(String(one.place + 1), best.spot[0], best.spot[1] + 4)
  }
  context.textAlign = "start"
}
