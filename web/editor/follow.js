// How an editor follows its node through what ComfyUI does with it: undo makes all nodes anew, and neither the page nor
// the node tells of all that changes.

const WATCH = 200 // milliseconds between two looks at the node
const JUST = 300 // milliseconds
const PLACES = 64
const last = new Map() // the last editor at each place of the workflow

/** Looks at the node now and again: its values may come from outside, and the page may have put its element aside. */
export function follow(editor) {
  const { port, timers } = editor
  clearTimeout(timers.watch)
  port.keepShown(editor.root)
  editor.sync()
  const { before, after } = port.steps()
  editor.panel.history(before, after)
  own(editor)
  refocus(editor)
  timers.watch = setTimeout(() => {
    editor.before = null // by now the page has told all that it has to tell of a new node, and shows its element
    if (!port.keysAreFree()) editor.focusing = false
    if (port.isThere()) follow(editor)
    else editor.stop()
  }, WATCH)
}

/** The node goes. If another takes its place before the page does anything else, that is undo. */
export function leave(editor) {
  const { map } = editor.parts
  const blurred = performance.now() - editor.blurred < JUST && editor.port.keysAreFree()
  editor.focused = map === document.activeElement || blurred // the page may have put the map aside a moment before
  editor.leaving = true
  queueMicrotask(() => (editor.leaving = false))
}

/** The editor of the node whose place this editor's node has taken in an undo, if any. */
export function replaced(editor) {
  const place = editor.port.place()
  const before = last.get(place)
  if (before?.running && before !== editor) before.stop()
  if (before?.leaving && before !== editor) editor.before = before
  last.delete(place)
  last.set(place, editor)
  if (last.size > PLACES) last.delete(last.keys().next().value)
  return editor.before
}

/** Goes on where the editor of the replaced node was: undo changes the path, not what the artist was looking at. */
export function resume(editor, { view, frame, chosen, snap, seen, focused, owner }) {
  Object.assign(editor, { view, seen, snap, owner, focusing: focused, fitted: true })
  editor.panel.snapping(snap)
  editor.frame = Math.min(frame, editor.path.length)
  editor.chosen = Math.min(chosen, editor.keyframes.length - 1)
  seen.changed = () => editor.schedule()
  seen.rebase(editor.path)
  editor.changed()
}

/** Undo leaves the keyboard with the page when it takes the map away: back to where the artist had it. */
export function refocus(editor) {
  const { map } = editor.parts
  if (editor.focusing && editor.opened && editor.port.keysAreFree()) map.focus({ preventScroll: true })
}

/** What a run told belongs to the workflow that is open: another one may have had a node in the same place. */
function own(editor) {
  const workflow = editor.port.workflow()
  editor.owner ??= workflow
  if (editor.owner === workflow) return
  editor.owner = workflow
  editor.seen.leave()
  editor.fit()
}
