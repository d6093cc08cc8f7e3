// The words and numbers beside the map: fields, buttons, hints. They follow the editor; nothing is kept in them.

const NO_MEMORY = "Run the graph once with a memory connected, and its frames appear on the map."
const HOW = "Double-click the map to add a keyframe, or a keyframe to come back to it. Drag to move, its handle to turn."

export class Panel {
  constructor(parts) {
    this.parts = parts
    this.hint = ""
  }

  say(words, wrong = false) {
    this.hint = words
    this.parts.hint.textContent = words
    this.parts.hint.classList.toggle("smce-wrong", wrong)
  }

  open(yes) {
    this.parts.body.hidden = !yes
    this.parts.toggle.textContent = yes ? "▾ Path" : "▸ Path"
    this.parts.toggle.setAttribute("aria-expanded", String(yes))
  }

  playing(yes) {
    this.parts.play.textContent = yes ? "❚❚" : "▶"
  }

  snapping(yes) {
    this.parts.snap.setAttribute("aria-pressed", String(yes))
  }

  /** Which way there are steps of ComfyUI's undo to go. */
  history(before, after) {
    this.parts.undo.disabled = !before
    this.parts.redo.disabled = !after
  }

  /** The chosen keyframe in the fields, and which buttons can be pressed. */
  fill({ keyframes, chosen, node, editable, path, fps, seen }) {
    const { parts } = this
    const { locked, broken, remark, settings } = node
    const one = keyframes[chosen]
    for (const [name, field] of Object.entries(parts.fields)) {
      const value = one ? one[name] ?? (name === "fov" ? "" : 0) : ""
      field.value = value === "" ? "" : String(Math.round(value * 1000) / 1000)
      field.disabled = Boolean(!one || locked || (chosen === 0 && name !== "fov"))
      field.placeholder = name === "fov" && one ? String(settings.fov ?? "") : ""
    }
    parts.kind.disabled = Boolean(!one || locked)
    parts.kind.value = one?.kind ?? "through"
    parts.add.disabled = Boolean(locked)
    parts.remove.disabled = Boolean(chosen <= 0 || locked)
    parts.clear.disabled = Boolean(locked && locked !== broken)
    parts.edit.hidden = editable || Boolean(locked)
    parts.note.textContent = noteOf(node, keyframes, path, fps)
    if (this.hint && this.hint !== this.standing) return
    const how = seen.memory ? HOW : `${HOW} ${NO_MEMORY}`
    this.standing = locked || remark || how
    this.say(this.standing, Boolean(locked))
  }

  /** Where the playhead stands, and the share of the view there that the memory has seen. */
  tell({ frame, path, fps, node }, share) {
    const { now, time } = this.parts
    const place = placeOf(frame, path, fps, node.settings.frames === undefined)
    const words = share === null ? place : `${place} · the memory has seen ${Math.round(100 * share)} % of this view`
    if (now.textContent === words) return
    now.textContent = words
    time.setAttribute("aria-valuemax", String(path.length))
    time.setAttribute("aria-valuenow", String(Math.round(frame)))
    time.setAttribute("aria-valuetext", words)
  }
}

function noteOf({ locked, broken, drawn, settings }, keyframes, path, fps) {
  if (broken) return "a drawn path that cannot be read"
  if (locked && !keyframes.length) return "set elsewhere"
  if (!drawn) return "a ready-made move"
  if (!settings.keyframes) return "nothing is drawn yet"
  const count = `${keyframes.length} keyframe${keyframes.length === 1 ? "" : "s"}`
  return settings.frames === undefined ? count : `${count}, ${(path.length / fps).toFixed(1)} s`
}

function placeOf(frame, path, fps, unknown) {
  if (!path.times.length) return ""
  if (unknown) return `${Math.round((100 * frame) / (path.length || 1))} % of the way`
  return `frame ${Math.round(frame)} of ${path.length}, ${(frame / fps).toFixed(1)} s`
}
