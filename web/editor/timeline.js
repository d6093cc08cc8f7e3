// The time line: frames and seconds, keyframes, the playhead, and how much of each moment's view is remembered.

import { prepared } from "./canvas.js"

const PAD = 10
const REACH = 8
const BAND = 7

/** `scene`: colours, path, keyframes, chosen, frame, end, fps, band (shares 0..1 along the path, or null). */
export function drawTimeline(canvas, scene) {
  const context = prepared(canvas)
  if (!context) return
  const { colours, path, chosen, band } = scene
  const [width, height] = [canvas.clientWidth, canvas.clientHeight]
  const x = (frame) => frameX(width, scene.end, frame)
  context.fillStyle = colours.back
  context.fillRect(0, 0, width, height)
  if (!path.times.length) return
  context.fillStyle = colours.line
  context.globalAlpha = 0.35
  context.fillRect(x(0), 0, x(path.length) - x(0), height)
  context.globalAlpha = 1
  ticks(context, scene, x, height)
  if (band) {
    const part = (x(path.length) - x(0)) / band.length
    for (let i = 0; i < band.length; i++) {
      context.fillStyle = colours.line
      context.fillRect(x(0) + i * part, height - BAND, part + 0.5, BAND)
      context.globalAlpha = band[i]
      context.fillStyle = colours.good
      context.fillRect(x(0) + i * part, height - BAND, part + 0.5, BAND)
      context.globalAlpha = 1
    }
  }
  path.times.forEach((frame, i) => {
    const [middle, size] = [x(frame), i === chosen ? 7 : 5]
    context.beginPath()
    context.moveTo(middle, height / 2 - size)
    context.lineTo(middle + size, height / 2)
    context.lineTo(middle, height / 2 + size)
    context.lineTo(middle - size, height / 2)
    context.closePath()
    context.fillStyle = i === chosen ? colours.text : colours.accent
    context.fill()
  })
  context.fillStyle = colours.warm
  context.fillRect(x(scene.frame) - 1, 0, 2, height)
}

/** The keyframe below a pixel, or -1. */
export function hitTimeline(canvas, scene, x) {
  const found = scene.path.times
    .map((frame, index) => ({ index, distance: Math.abs(frameX(canvas.clientWidth, scene.end, frame) - x) }))
    .filter((one) => one.distance < REACH)
    .sort((a, b) => a.distance - b.distance)
  return found.length ? found[0].index : -1
}

/** The frame below a pixel. */
export function frameAt(canvas, end, x) {
  return ((x - PAD) * end) / (canvas.clientWidth - 2 * PAD)
}

function frameX(width, end, frame) {
  return PAD + ((width - 2 * PAD) * frame) / end
}

function ticks(context, scene, x, height) {
  const least = (48 * scene.end) / Math.max(x(scene.end) - x(0), 1) / scene.fps
  const seconds = [0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((step) => step >= least) ?? 7200
  context.fillStyle = scene.colours.quiet
  context.strokeStyle = scene.colours.quiet
  context.font = "10px sans-serif"
  for (let second = 0; second * scene.fps <= scene.end; second += seconds) {
    const at = x(second * scene.fps)
    context.fillRect(at, 0, 1, 5)
    context.fillText(`${second} s`, at + 3, 10)
  }
}
