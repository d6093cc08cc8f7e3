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

  /** The chosen keyframe in the fields, and which buttons can be pressed. */
  fill({ keyframes, chosen, settings, history, editable, path, fps, seen }) {
    const { parts } = this
    const one = keyframes[chosen]
    for (const [name, field] of Object.entries(parts.fields)) {
      const value = one ? one[name] ?? (name === "fov" ? "" : 0) : ""
      field.value = value === "" ? "" : String(Math.round(value * 1000) / 1000)
      field.disabled = !one || (chosen === 0 && name !== "fov")
      field.placeholder = name === "fov" && one ? String(settings?.fov ?? "") : ""
    }
    parts.kind.disabled = !one
    parts.kind.value = one?.kind ?? "through"
    parts.remove.disabled = chosen <= 0
    parts.undo.disabled = !history.before.length
    parts.redo.disabled = !history.after.length
    parts.edit.hidden = editable
    parts.note.textContent = editable
      ? `${keyframes.length} keyframes, ${(path.length / fps).toFixed(1)} s`
      : "a ready-made move"
    if (!this.hint || this.hint.startsWith(HOW)) this.say(seen.memory ? HOW : `${HOW} ${NO_MEMORY}`)
  }

  /** Where the playhead stands, and the share of the view there that the memory has seen. */
  tell(frame, path, fps, share) {
    const { now, time } = this.parts
    const place = `frame ${Math.round(frame)} of ${path.length}, ${(frame / fps).toFixed(1)} s`
    const words = share === null ? place : `${place} · the memory has seen ${Math.round(100 * share)} % of this view`
    if (now.textContent === words) return
    now.textContent = words
    time.setAttribute("aria-valuemax", String(path.length))
    time.setAttribute("aria-valuenow", String(Math.round(frame)))
    time.setAttribute("aria-valuetext", words)
  }
}
