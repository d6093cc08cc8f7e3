// Cubic splines in one variable, as scipy's CubicSpline makes them: C2, each end either clamped (at rest) or natural.

/** A function of t through `values` (arrays of equal length) at rising `times`; out[i] gets the i-th value. */
export function spline(times, values, stopsAtStart, stopsAtEnd) {
  const count = times.length
  const channels = values[0].length
  const steps = Array.from({ length: count - 1 }, (_, i) => times[i + 1] - times[i])
  const speeds = Array.from({ length: channels }, (_, channel) =>
    slopes(steps, values.map((value) => value[channel]), stopsAtStart, stopsAtEnd))

  return (t, out) => {
    let i = 0
    let last = count - 2
    while (i < last) {
      const middle = (i + last + 1) >> 1
      if (times[middle] <= t) i = middle
      else last = middle - 1
    }
    const h = steps[i]
    const u = (t - times[i]) / h
    const v = 1 - u
    for (let channel = 0; channel < channels; channel++) {
      const from = values[i][channel]
      const to = values[i + 1][channel]
      const rise = to - from
      const a = speeds[channel][i] * h - rise
      const b = rise - speeds[channel][i + 1] * h
      out[channel] = v * from + u * to + u * v * (a * v + b * u)
    }
    return out
  }
}

/** Slopes at the knots of one channel: a tridiagonal system, solved by elimination. */
function slopes(steps, values, stopsAtStart, stopsAtEnd) {
  const count = values.length
  const rise = steps.map((h, i) => (values[i + 1] - values[i]) / h)
  const below = new Float64Array(count)
  const middle = new Float64Array(count)
  const above = new Float64Array(count)
  const right = new Float64Array(count)
  for (let i = 1; i < count - 1; i++) {
    below[i] = steps[i]
    middle[i] = 2 * (steps[i - 1] + steps[i])
    above[i] = steps[i - 1]
    right[i] = 3 * (steps[i] * rise[i - 1] + steps[i - 1] * rise[i])
  }
  middle[0] = stopsAtStart ? 1 : 2
  above[0] = stopsAtStart ? 0 : 1
  right[0] = stopsAtStart ? 0 : 3 * rise[0]
  middle[count - 1] = stopsAtEnd ? 1 : 2
  below[count - 1] = stopsAtEnd ? 0 : 1
  right[count - 1] = stopsAtEnd ? 0 : 3 * rise[count - 2]
  for (let i = 1; i < count; i++) {
    const factor = below[i] / middle[i - 1]
    middle[i] -= factor * above[i - 1]
    right[i] -= factor * right[i - 1]
  }
  const result = new Float64Array(count)
  result[count - 1] = right[count - 1] / middle[count - 1]
  for (let i = count - 2; i >= 0; i--) result[i] = (right[i] - above[i] * result[i + 1]) / middle[i]
  return result
}
