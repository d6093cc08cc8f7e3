// Where scene units lie on the map: right to the right, forward upwards.

const LEAST_SCALE = 1e-4
const MOST_SCALE = 1e5
const EDGE = 62 // pixels that a chosen keyframe's handles take

export class View {
  constructor() {
    this.width = 1
    this.height = 1
    this.right = 0
    this.forward = 0
    this.scale = 40
  }

  x(right) {
    return this.width / 2 + (right - this.right) * this.scale
  }

  y(forward) {
    return this.height / 2 - (forward - this.forward) * this.scale
  }

  /** The place [right, forward] below a pixel. */
  place(x, y) {
    return [this.right + (x - this.width / 2) / this.scale, this.forward - (y - this.height / 2) / this.scale]
  }

  /** Whether a place of the path, as its values, is on the map with its handles. */
  shows(values) {
    const [x, y] = [this.x(values[0]), this.y(values[2])]
    return x > EDGE && y > EDGE && x < this.width - EDGE && y < this.height - EDGE
  }

  pan(dx, dy) {
    this.right -= dx / this.scale
    this.forward += dy / this.scale
  }

  /** Zooms by a factor; what is below the pixel stays there. */
  zoom(factor, x, y) {
    const [right, forward] = this.place(x, y)
    this.scale = Math.min(Math.max(this.scale * factor, LEAST_SCALE), MOST_SCALE)
    const [nowRight, nowForward] = this.place(x, y)
    this.right += right - nowRight
    this.forward += forward - nowForward
  }

  /** Shows all places [right, forward], with room round them for fans. */
  fit(places) {
    let [least, most, low, high] = [Infinity, -Infinity, Infinity, -Infinity]
    for (const [right, forward] of places) {
      least = Math.min(least, right)
      most = Math.max(most, right)
      low = Math.min(low, forward)
      high = Math.max(high, forward)
    }
    const extent = Math.max(most - least, high - low)
    this.right = (least + most) / 2
    this.forward = (low + high) / 2
    if (!(extent > 1e-6)) {
      this.scale = 40
      return
    }
    const room = 2 * EDGE
    const across = Math.max(this.width - room, 20) / Math.max(most - least, 1e-9)
    const along = Math.max(this.height - room, 20) / Math.max(high - low, 1e-9)
    this.scale = Math.min(Math.max(Math.min(across, along), LEAST_SCALE), MOST_SCALE)
  }

  /** The distance of grid lines in scene units: 1, 2 or 5 times a power of ten, at least 16 pixels. */
  get grid() {
    const least = 16 / this.scale
    const power = 10 ** Math.floor(Math.log10(least))
    return power * ([1, 2, 5].find((times) => times * power >= least * 0.999) ?? 10)
  }
}
