// The camera path through keyframes: the same numbers as memory/cameras/keyframe_path.py.

import { spline } from "./spline.js"

export const CHANNELS = ["right", "up", "forward", "yaw", "pitch", "roll", "fov"]
const FOV = 6

/** The path through `keyframes`, which may be none; `fov` in degrees serves those that have none of their own. */
export class CameraPath {
  constructor(keyframes, fov) {
    this.times = keyframes.map((one) => one.frame)
    this.values = keyframes.map((one) => CHANNELS.map((name) => one[name] ?? (name === "fov" ? fov : 0)))
    this.length = this.times[this.times.length - 1] ?? 0
    const widths = this.values.map((value) => value[FOV])
    this.narrowest = Math.min(...widths)
    this.widest = Math.max(...widths)
    const last = keyframes.length - 1
    const breaks = keyframes.map((_, i) => i).filter((i) => i === 0 || i === last || kindOf(keyframes[i]) !== "through")
    this.parts = []
    for (let i = 0; i + 1 < breaks.length; i++) {
      const [first, end] = [breaks[i], breaks[i + 1]]
      const [from, to] = [keyframes[first], keyframes[end]]
      const curve = spline(this.times.slice(first, end + 1), this.values.slice(first, end + 1),
        kindOf(from) === "stop", kindOf(to) === "stop")
      this.parts.push({ until: to.frame, curve })
    }
  }

  /** Right, up, forward, yaw, pitch, roll and fov at a frame, held before and after the path. */
  at(frame, out = new Float64Array(CHANNELS.length)) {
    if (!this.times.length) return out.fill(0)
    const t = Math.min(Math.max(frame, 0), this.length)
    const hit = this.times.indexOf(t)
    if (hit >= 0) {
      out.set(this.values[hit])
    } else {
      this.parts.find((part) => t <= part.until).curve(t, out)
      out[FOV] = Math.min(Math.max(out[FOV], this.narrowest), this.widest)
    }
    return out
  }
}

function kindOf(keyframe) {
  return keyframe.kind ?? "through"
}
