// A canvas whose picture has one pixel for each pixel of the screen, whatever its size and the zoom round it.

/** Sets the drawing buffer for the element's size; gives the context in CSS pixels, or null while it is not shown. */
export function prepared(canvas) {
  const width = canvas.clientWidth
  const height = canvas.clientHeight
  if (!width || !height) return null
  const zoom = canvas.getBoundingClientRect().width / width || 1
  const dense = Math.min(Math.max(Math.ceil(zoom * devicePixelRatio * 2) / 2, 1), 3)
  const [across, down] = [Math.round(width * dense), Math.round(height * dense)]
  if (canvas.width !== across) canvas.width = across
  if (canvas.height !== down) canvas.height = down
  const context = canvas.getContext("2d")
  context.setTransform(dense, 0, 0, dense, 0, 0)
  context.clearRect(0, 0, width, height)
  return context
}

/** Where a pointer is on the element in CSS pixels, whatever the zoom round it. */
export function pointerAt(canvas, event) {
  const box = canvas.getBoundingClientRect()
  return [
    ((event.clientX - box.left) * canvas.clientWidth) / box.width,
    ((event.clientY - box.top) * canvas.clientHeight) / box.height,
  ]
}
