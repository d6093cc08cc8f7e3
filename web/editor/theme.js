// The colours of ComfyUI's theme, for what is drawn on a canvas.

const NAMES = {
  text: ["--input-text", "#ddd"],
  quiet: ["--descrip-text", "#999"],
  back: ["--comfy-input-bg", "#222"],
  line: ["--border-color", "#4e4e4e"],
  accent: ["--p-primary-color", "#3a9dff"],
  warm: ["--p-yellow-400", "#f2b53c"],
  good: ["--p-green-400", "#4cc38a"],
}

/** The colours that hold at an element now. */
export function colours(element) {
  const style = getComputedStyle(element)
  const found = {}
  for (const [name, [variable, usual]] of Object.entries(NAMES))
    found[name] = style.getPropertyValue(variable).trim() || usual
  return found
}
