// The editor's elements: made once, found by name, each with a label for screen readers and a tooltip.

import { add, button, make } from "./elements.js"
import { KINDS, LIMITS } from "./keyframes.js"
import { STYLE } from "./style.js"

const TOOLS = [
  ["add", "+ Add", "Add a keyframe 3 seconds after the last one (A). Double-click the map to put one there."],
  ["remove", "Delete", "Delete the chosen keyframe (Delete). The start stays."],
  ["undo", "↶", "Undo (Ctrl+Z): the same steps as ComfyUI's own undo."],
  ["redo", "↷", "Redo (Ctrl+Shift+Z): the same steps as ComfyUI's own redo."],
  ["fit", "Fit", "Show the whole path and the memory (Home). Drag the map to move it; click it, then use the wheel to zoom."],
  ["snap", "Snap", "Snap to the grid, to 5 degrees and to whole frames (G). Hold Alt for the other way."],
  ["clear", "New path", "Begin a new path at the start."],
]
const KIND_TIPS = "How the camera passes this keyframe (S): through smoothly, stop there, or turn a corner at once."
const FIELDS = [
  ["frame", "Frame", 1, "When the camera is here, in frames from the start."],
  ["right", "Right", 0.1, "To the right of the start, in scene units (about metres)."],
  ["up", "Up", 0.1, "Above the start, in scene units. Page Up and Page Down."],
  ["forward", "Forward", 0.1, "Ahead of the start, in scene units."],
  ["yaw", "Yaw °", 5, "Turn to the right in degrees; 360 is once round. Keys Q and E, or drag the round handle."],
  ["pitch", "Pitch °", 5, "Look up in degrees. Keys R and F."],
  ["roll", "Roll °", 5, "Tilt of the camera clockwise, in degrees."],
  ["fov", "FOV °", 5, "Horizontal field of view in degrees; empty takes the node's. Or drag the small handles."],
]

/** {root, bar, body, ...}: the root element and every part of it that the editor talks to. */
export function layout() {
  const parts = {}
  const root = make("div", "smce", { role: "group", "aria-label": "Camera path editor" })
  const style = document.createElement("style")
  style.textContent = STYLE
  root.append(style)

  const bar = add(root, "div", "smce-bar")
  parts.toggle = button(bar, "▸ Path", "Show or hide the camera path.")
  parts.edit = button(bar, "Edit this move", "Turn the ready-made move into keyframes that you can change.")
  parts.note = add(bar, "span", "smce-note")

  const body = (parts.body = add(root, "div", "smce-body"))
  const tools = add(body, "div", "smce-tools", { role: "toolbar", "aria-label": "Keyframes" })
  for (const [name, label, tip] of TOOLS) parts[name] = button(tools, label, tip)
  parts.kind = add(tools, "select", "", { "aria-label": "How the camera passes the chosen keyframe", title: KIND_TIPS })
  for (const kind of KINDS) {
    const option = add(parts.kind, "option", "")
    option.value = option.textContent = kind
  }

  parts.stage = add(body, "div", "smce-stage")
  parts.map = add(parts.stage, "canvas", "smce-map", {
    tabindex: "0",
    role: "application",
    "aria-label": "Map of the camera path from above. Double-click adds a keyframe, on a keyframe it comes back there. Comma and full stop choose one, "
      + "arrow keys move it, Q and E turn it, Delete removes it, Space plays.",
  })
  parts.thumb = add(parts.stage, "figure", "smce-thumb", { "aria-hidden": "true" })
  parts.thumb.hidden = true
  parts.picture = add(parts.thumb, "img", "", { alt: "" })
  parts.caption = add(parts.thumb, "figcaption", "")
  parts.strip = add(body, "canvas", "smce-strip", {
    tabindex: "0",
    role: "application",
    "aria-label": "Height and pitch over time. Drag a dot, or use the up and down arrows; with Shift for pitch.",
    title: "Height and pitch over time: drag a dot up or down.",
  })
  parts.time = add(body, "canvas", "smce-time", {
    tabindex: "0",
    role: "slider",
    "aria-label": "Time",
    "aria-valuemin": "0",
    title: "Time: drag to scrub, drag a diamond to move a keyframe in time; with Shift on the last one the whole path is "
      + "re-timed. Green: how much of the view the memory has seen.",
  })

  const play = add(body, "div", "smce-play")
  parts.play = button(play, "▶", "Play or pause (Space)")
  parts.now = add(play, "output", "smce-now")

  const fields = add(body, "div", "smce-fields", { role: "group", "aria-label": "The chosen keyframe" })
  parts.fields = {}
  for (const [name, label, step, tip] of FIELDS) {
    const holder = add(fields, "label", "", { title: tip })
    holder.append(label)
    const [min, max] = LIMITS[name]
    parts.fields[name] = add(holder, "input", "", { type: "number", step: "any", min, max, "data-step": step, "data-field": name })
  }
  parts.hint = add(body, "div", "smce-hint", { role: "status", "aria-live": "polite" })
  return { root, ...parts }
}
