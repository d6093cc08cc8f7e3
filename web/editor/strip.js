// The strip below the map: the camera's height and its pitch over time.

import { prepared } from "./canvas.js"

const PAD = 10
const ROOM = 8
const REACH = 9
export const LANES = [
  { name: "up", channel: 1, label: "height", least: 1, digits: 2 },
  { name: "pitch", channel: 4, label: "pitch °", least: 40, digits: 0 },
]

/** `scene`: colours, path, chosen, frame (the playhead), end (the frame at the right edge), held (ranges in a drag). */
export function drawStrip(canvas, scene) {
  const context = prepared(canvas)
  if (!context) return
  const { colours, path, chosen } = scene
  const [width, height] = [canvas.clientWidth, canvas.clientHeight]
  context.fillStyle = colours.back
  context.fillRect(0, 0, width, height)
  context.font = "11px sans-serif"
  LANES.forEach((lane, number) => {
    const place = lanePlace(scene, lane, number, width, height)
    context.strokeStyle = colours.line
    context.lineWidth = 1
    context.strokeRect(0.5, place.top + 0.5, width - 1, place.height - 1)
    context.globalAlpha = 0.4
    line(context, PAD, place.y(0), width - PAD, place.y(0))
    context.globalAlpha = 1
    if (!path.times.length) return
    context.strokeStyle = colours.accent
    context.lineWidth = 1.5
    context.beginPath()
    const values = new Float64Array(7)
    for (let i = 0; i <= 160; i++) {
      const frame = (path.length * i) / 160
      path.at(frame, values)
      context.lineTo(place.x(frame), place.y(values[lane.channel]))
    }
    context.stroke()
    context.fillStyle = colours.quiet
    const shown = path.at(scene.frame, values)[lane.channel]
    context.fillText(`${lane.label} ${shown.toFixed(lane.digits).replace(/^-(0\.?0*)$/, "$1")}`, 6, place.top + 13)
    path.values.forEach((one, i) => {
      context.beginPath()
      context.arc(place.x(path.times[i]), place.y(one[lane.channel]), i === chosen ? 5 : 3.5, 0, 2 * Math.PI)
      context.fillStyle = i === chosen ? colours.text : colours.accent
      context.fill()
    })
    context.strokeStyle = colours.warm
    line(context, place.x(scene.frame), place.top, place.x(scene.frame), place.top + place.height)
  })
}

/** The keyframe and lane below a pixel: {index, lane, place}, or null. */
export function hitStrip(canvas, scene, x, y) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight]
  const number = y < height / 2 ? 0 : 1
  const lane = LANES[number]
  const place = lanePlace(scene, lane, number, width, height)
  const found = scene.path.values
    .map((one, index) => ({ index, distance: Math.hypot(place.x(scene.path.times[index]) - x, place.y(one[lane.channel]) - y) }))
    .filter((one) => one.distance < REACH)
    .sort((a, b) => a.distance - b.distance)
  return found.length ? { index: found[0].index, lane, place } : null
}

/** Where a lane lies: `x(frame)`, `y(value)` and back with `value(y)`. */
function lanePlace(scene, lane, number, width, height) {
  const top = (number * height) / 2
  const half = height / 2
  const values = scene.path.values.map((one) => one[lane.channel])
  const reach = scene.held?.[lane.name] ?? Math.max(lane.least, ...values.map(Math.abs)) * 1.15
  const scale = (half / 2 - ROOM) / reach
  return {
    top,
    height: half,
    reach,
    x: (frame) => PAD + ((width - 2 * PAD) * frame) / scene.end,
    y: (value) => top + half / 2 - value * scale,
    value: (y) => (top + half / 2 - y) / scale,
  }
}

function line(context, x1, y1, x2, y2) {
  context.beginPath()
  context.moveTo(x1, y1)
  context.lineTo(x2, y2)
  context.stroke()
}
