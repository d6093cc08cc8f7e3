// Cameras as memory/cameras/camera.py has them: camera-to-world 3 x 4, row by row, x right, y down, z forward.

export const IDENTITY = Float64Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)

/** The pose of right, up, forward, yaw, pitch and roll (degrees), as `CameraPath.at` gives them. */
export function poseOf(values) {
  const [sy, cy] = sinCos(values[3])
  const [sp, cp] = sinCos(values[4])
  const [sr, cr] = sinCos(values[5])
  return Float64Array.of(
    cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, sy * cp, values[0],
    cp * sr, cp * cr, -sp, -values[1],
    cy * sp * sr - sy * cr, sy * sr + cy * sp * cr, cy * cp, values[2],
  )
}

/** a then b: the matrix product. */
export function compose(a, b) {
  const result = new Float64Array(12)
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 4; column++) {
      let sum = column === 3 ? a[row * 4 + 3] : 0
      for (let k = 0; k < 3; k++) sum += a[row * 4 + k] * b[k * 4 + column]
      result[row * 4 + column] = sum
    }
  }
  return result
}

/** The inverse of a pose. */
export function inverse(pose) {
  const result = new Float64Array(12)
  for (let row = 0; row < 3; row++) {
    for (let k = 0; k < 3; k++) {
      result[row * 4 + k] = pose[k * 4 + row]
      result[row * 4 + 3] -= pose[k * 4 + row] * pose[k * 4 + 3]
    }
  }
  return result
}

/** fx fy cx cy, divided by width and height, of a horizontal field of view in degrees and width / height. */
export function lensOf(fov, aspect) {
  const fx = 0.5 / Math.tan((fov * Math.PI) / 360)
  return Float64Array.of(fx, fx * aspect, 0.5, 0.5)
}

function sinCos(degrees) {
  const radians = ((degrees - 360 * Math.round(degrees / 360)) * Math.PI) / 180
  return [Math.sin(radians), Math.cos(radians)]
}
