// The keyboard: every key of the editor, and what it does. True if the key was used. Ctrl+Z and all others with Ctrl are
// left to ComfyUI, whose undo has each change of the path as a step.

import { KINDS, changed } from "./keyframes.js"

export function pressed(editor, event) {
  const { key } = event
  if (event.ctrlKey || event.metaKey) return false
  const where = event.target
  if (where === editor.parts.time && timeKeys(editor, key, event.shiftKey)) return true
  if (where === editor.parts.strip && stripKeys(editor, key, event.shiftKey)) return true
  const plain = { ",": () => editor.choose(step(editor, -1)), ".": () => editor.choose(step(editor, 1)),
    a: () => editor.add(), Insert: () => editor.addAtPlayhead(), Delete: () => editor.remove(), Backspace: () => editor.remove(),
    g: () => editor.toggleSnap(), Home: () => editor.fit(), s: () => nextKind(editor), " ": () => editor.togglePlay(),
    Escape: () => editor.cancelDrag() || editor.choose(-1),
    "+": () => editor.zoom(1.25), "=": () => editor.zoom(1.25), "-": () => editor.zoom(0.8) }
  const action = plain[key] ?? plain[key.toLowerCase()] ?? nudge(editor, key, event.shiftKey)
  if (!action) return false
  action()
  return true
}

function timeKeys(editor, key, shift) {
  const by = shift ? 10 : 1
  const to = { ArrowLeft: editor.frame - by, ArrowDown: editor.frame - by, ArrowRight: editor.frame + by,
    ArrowUp: editor.frame + by, Home: 0, End: editor.path.length }[key]
  if (to === undefined) return false
  editor.goTo(Math.round(to))
  return true
}

function stripKeys(editor, key, shift) {
  const by = { ArrowUp: 1, ArrowDown: -1 }[key]
  if (!by) return false
  turn(editor, shift ? { pitch: 5 * by } : { up: 0.1 * by })
  return true
}

function nudge(editor, key, shift) {
  const grid = editor.view.grid
  const by = {
    ArrowLeft: { right: -grid }, ArrowRight: { right: grid },
    ArrowUp: shift ? { up: 0.1 } : { forward: grid }, ArrowDown: shift ? { up: -0.1 } : { forward: -grid },
    PageUp: { up: 0.1 }, PageDown: { up: -0.1 },
    q: { yaw: -5 }, e: { yaw: 5 }, r: { pitch: 5 }, f: { pitch: -5 },
  }[key.length === 1 ? key.toLowerCase() : key]
  return by && (() => turn(editor, by))
}

/** Adds to numbers of the chosen keyframe. */
function turn(editor, by) {
  if (editor.refuses()) return
  if (editor.chosen <= 0) {
    editor.say("Choose a keyframe first: click it, or press the full stop key.")
    return
  }
  const one = editor.keyframes[editor.chosen]
  const fields = Object.fromEntries(Object.entries(by).map(([name, more]) => [name, (one[name] ?? 0) + more]))
  editor.keep(changed(editor.keyframes, editor.chosen, fields))
}

function nextKind(editor) {
  if (editor.chosen < 0 || editor.refuses()) return
  const kind = editor.keyframes[editor.chosen].kind ?? KINDS[0]
  editor.keep(changed(editor.keyframes, editor.chosen, { kind: KINDS[(KINDS.indexOf(kind) + 1) % KINDS.length] }))
}

function step(editor, by) {
  const count = editor.keyframes.length
  if (!count) return -1
  return editor.chosen < 0 ? (by > 0 ? 0 : count - 1) : (editor.chosen + by + count) % count
}
