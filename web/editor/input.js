// Pointer and keys: which of the editor's actions each of them calls. All listeners are on the editor's own elements and
// go with them.

import { pointerAt } from "./canvas.js"
import { mapDrag, stripDrag, timeDrag } from "./drags.js"
import { changed } from "./keyframes.js"
import { pressed } from "./keys.js"
import { hitMap, nearestFrame } from "./map.js"

const BUTTONS = {
  add: (editor) => editor.add(),
  remove: (editor) => editor.remove(),
  undo: (editor) => editor.undo(),
  redo: (editor) => editor.redo(),
  fit: (editor) => editor.fit(),
  snap: (editor) => editor.toggleSnap(),
  clear: (editor) => editor.clear(),
  play: (editor) => editor.togglePlay(),
}

export function listen(editor) {
  const { parts, port } = editor
  for (const [name, action] of Object.entries(BUTTONS)) {
    parts[name].addEventListener("click", () => {
      action(editor)
      parts.map.focus({ preventScroll: true }) // so that the keys go on working
    })
  }
  parts.toggle.addEventListener("click", () => {
    editor.open(!editor.opened)
    if (editor.opened) parts.map.focus({ preventScroll: true })
  })
  parts.edit.addEventListener("click", () => {
    editor.adopt()
    parts.map.focus({ preventScroll: true })
  })
  parts.kind.addEventListener("change", () => {
    if (editor.chosen >= 0) editor.keep(changed(editor.keyframes, editor.chosen, { kind: parts.kind.value }))
  })
  for (const [name, field] of Object.entries(parts.fields))
    field.addEventListener("change", () => editor.typed(name, field.value))
  // What is done is done to what the node holds now, whatever changed it since the last look.
  for (const kind of ["pointerdown", "keydown", "change"]) editor.root.addEventListener(kind, () => editor.sync(), true)
  for (const kind of ["pointerdown", "mousedown", "dblclick"])
    parts.body.addEventListener(kind, (event) => event.stopPropagation())
  editor.root.addEventListener("keydown", (event) => keyed(editor, event))
  drags(editor, parts.map, mapDrag)
  drags(editor, parts.strip, stripDrag)
  drags(editor, parts.time, timeDrag)
  parts.map.addEventListener("dblclick", (event) => doubleClicked(editor, event))
  parts.map.addEventListener("pointermove", (event) => hovered(editor, ...pointerAt(parts.map, event)))
  parts.map.addEventListener("blur", (event) => {
    if (!event.relatedTarget) editor.blurred = performance.now()
  })
  parts.map.addEventListener("pointerleave", () => (parts.thumb.hidden = true))
  editor.root.addEventListener("wheel", (event) => wheeled(editor, event), { passive: false })
  parts.picture.addEventListener("error", () => (parts.caption.textContent += " (its picture cannot be read)"))
  port.ownWheel(parts.map)
}

function keyed(editor, event) {
  const typing = event.target.matches("input, select")
  const pressing = event.target.matches("button") && [" ", "Enter"].includes(event.key)
  if (typing || pressing) {
    if (!(event.ctrlKey || event.metaKey)) event.stopPropagation()
  } else if (editor.opened && pressed(editor, event)) {
    event.stopPropagation()
    event.preventDefault()
  }
}

function drags(editor, canvas, begin) {
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 1 || editor.drag) return
    canvas.focus({ preventScroll: true })
    canvas.setPointerCapture(event.pointerId)
    editor.parts.thumb.hidden = true
    editor.drag = begin(editor, ...pointerAt(canvas, event), event)
  })
  canvas.addEventListener("pointermove", (event) => editor.drag?.move(...pointerAt(canvas, event), event))
  const ended = (how) => () => {
    const { drag } = editor
    editor.drag = null
    drag?.[how]?.()
  }
  canvas.addEventListener("pointerup", ended("end"))
  canvas.addEventListener("pointercancel", ended("cancel"))
  canvas.addEventListener("lostpointercapture", ended("cancel"))
}

function doubleClicked(editor, event) {
  const [x, y] = pointerAt(editor.parts.map, event)
  if (editor.refuses()) return
  const hit = hitMap(editor.scene, x, y)
  if (hit?.part === "path") return editor.addAtPlayhead(hit.frame)
  if (hit?.part === "keyframe") return editor.comeBack(hit.index)
  if (hit) return
  const { view } = editor
  const [right, forward] = view.place(x, y).map((one) => editor.snapped(one, view.grid, event.altKey))
  editor.add({ right, forward })
}

/** Shows the picture of the memory's frame below the pointer. */
function hovered(editor, x, y) {
  const { parts, view } = editor
  const { memory } = editor.seen
  const row = editor.drag ? -1 : nearestFrame(editor.scene, x, y)
  parts.thumb.hidden = row < 0
  if (row < 0) return
  const source = editor.port.picture(memory.id, memory.frame[row])
  if (parts.picture.getAttribute("src") !== source) parts.picture.setAttribute("src", source)
  parts.caption.textContent = `frame ${memory.frame[row]}: saw ${Math.round(100 * memory.shares[row])} % of this view`
  parts.thumb.style.left = `${Math.min(x + 14, Math.max(view.width - 160, 0))}px`
  parts.thumb.style.top = `${Math.max(Math.min(y + 14, view.height - 120), 0)}px`
}

/** A map that was clicked zooms; before that, and over all else of the editor, the wheel is for the graph. */
function wheeled(editor, event) {
  const { map } = editor.parts
  event.preventDefault()
  event.stopPropagation()
  if (event.target !== map || document.activeElement !== map) return editor.port.wheelOnGraph(event)
  editor.zoom(Math.exp(-event.deltaY * 0.0015), ...pointerAt(map, event))
}
