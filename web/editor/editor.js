// The camera path editor: what it knows, what the artist does to it, and when it is drawn. It knows nothing of ComfyUI:
// `port` reads and writes the node's widgets and asks the server.

import { IDENTITY, compose, inverse, lensOf, poseOf } from "./camera.js"
import { pointerAt } from "./canvas.js"
import { mapDrag, stripDrag, timeDrag } from "./drags.js"
import { History } from "./history.js"
import { DRAWN, START, appended, changed, inserted, parse, removed, retimed, toText } from "./keyframes.js"
import { pressed } from "./keys.js"
import { layout } from "./layout.js"
import { drawMap, hitMap, nearestFrame } from "./map.js"
import { placed } from "./memory.js"
import { remembered } from "./overlap.js"
import { CameraPath } from "./path.js"
import { drawStrip } from "./strip.js"
import { colours } from "./theme.js"
import { drawTimeline } from "./timeline.js"
import { View } from "./view.js"

export const CLOSED = 34
export const OPEN = 590
const BAND_PARTS = 64
const SOON = 140
const SECONDS = 3
const NO_MEMORY = "Run the graph once with a memory connected, and its frames appear on the map."
const HOW = "Double-click the map to add a keyframe, drag it to move it, drag its round handle to turn it."

export class CameraEditor {
  constructor(port) {
    this.port = port
    this.parts = layout()
    this.view = new View()
    this.layer = { canvas: document.createElement("canvas"), key: "" }
    this.sizes = new ResizeObserver(() => this.schedule())
    this.timers = {}
    this.chosen = -1
    this.frame = 0
    this.snap = true
    this.told = null
    this.memory = null
    this.hint = ""
    this.keyframes = START
    this.history = new History(null)
    this.#listen()
    this.path = new CameraPath(this.keyframes, 70)
  }

  get root() {
    return this.parts.root
  }

  /** Begins to draw and to watch its size; the node is there. */
  start() {
    this.running = true
    this.sizes.observe(this.root)
    this.reload()
  }

  /** Ends everything that could go on: the node is gone. `start` begins anew. */
  stop() {
    this.running = this.playing = false
    this.sizes.disconnect()
    cancelAnimationFrame(this.request)
    this.request = 0
    for (const timer of Object.values(this.timers)) clearTimeout(timer)
    this.timers = {}
    this.drag = null
    this.parts.picture.removeAttribute("src")
  }

  /** Takes over what the node's widgets say: after it was made, loaded or changed from outside. */
  reload() {
    this.settings = this.port.read()
    this.history.reset(this.#state(this.#fromNode()))
    this.chosen = -1
    this.open(this.settings.move === DRAWN)
    this.#show(this.history.now.keyframes)
    this.fit()
  }

  /** A widget of the node was changed by the artist. */
  nodeChanged(name) {
    if (this.writing) return
    const before = this.settings
    this.settings = this.port.read()
    const { move, frames } = this.settings
    if (move === DRAWN && before.move !== DRAWN) {
      this.open(true)
      return this.keep(this.settings.keyframes ? this.#fromNode() : this.keyframes)
    }
    if (move === DRAWN && name === "frames" && frames !== before.frames) return this.keep(retimed(this.keyframes, frames))
    if (move === DRAWN && name === "keyframes") return this.reload()
    if (move !== before.move) this.history.push(this.#state(null))
    this.#show(move === DRAWN ? this.keyframes : null)
  }

  /** What a run told: where the path begins and which memory was there. */
  async ran(told) {
    this.told = told
    this.#rebase()
    if (!told.memory) this.memory = null
    else if (this.memory?.id !== told.memory.id || this.memory.start !== told.start.join()) {
      try {
        const rows = await this.port.cameras(told.memory.id)
        if (this.told !== told) return
        this.memory = { ...placed(rows, told.memory, this.base), start: told.start.join() }
        this.fit()
      } catch (problem) {
        this.memory = null
        this.say(`The memory's frames cannot be shown: ${problem.message}`, true)
      }
    }
    this.#changed()
  }

  get editable() {
    return this.settings?.move === DRAWN
  }

  get fps() {
    return this.told?.fps ?? this.settings.fps ?? 8
  }

  /** The frame at the right edge of the time line. */
  get end() {
    return this.heldEnd ?? Math.max(this.path.length * 1.08, 1)
  }

  get scene() {
    return {
      view: this.view, colours: this.colours, path: this.path, keyframes: this.keyframes, chosen: this.chosen,
      editable: this.editable, now: this.now, memory: this.memory, layer: this.layer, frame: this.frame, end: this.end,
      fps: this.fps, band: this.band, held: this.held,
    }
  }

  open(yes) {
    if (this.opened === yes) return
    this.opened = yes
    this.parts.body.hidden = !yes
    this.parts.toggle.textContent = yes ? "▾ Path" : "▸ Path"
    this.parts.toggle.setAttribute("aria-expanded", String(yes))
    this.root.style.minHeight = `${yes ? OPEN : CLOSED}px`
    this.port.resized(yes ? 0 : OPEN - CLOSED)
    if (yes) this.#show(this.editable ? this.keyframes : null)
    this.fitted = false
  }

  choose(index) {
    this.chosen = index
    if (index >= 0) this.frame = this.keyframes[index].frame
    this.#changed()
  }

  goTo(frame) {
    this.frame = Math.min(Math.max(frame, 0), this.path.length)
    this.schedule()
  }

  /** Shows keyframes that a drag has not yet let go of. */
  draft(keyframes) {
    this.dragged ??= this.keyframes
    this.#show(keyframes)
  }

  /** Back to what was before the drag. */
  forget() {
    if (this.dragged) this.#show(this.dragged)
    this.dragged = null
  }

  /** Makes keyframes the node's path: one step of undo here and in ComfyUI. */
  keep(keyframes) {
    this.dragged = null
    const last = keyframes[keyframes.length - 1]
    const whole = keyframes.length > 1 ? changed(keyframes, keyframes.length - 1, { frame: Math.ceil(last.frame) }) : keyframes
    const exact = parse(toText(whole))
    const first = !this.editable
    this.#write({ ...this.#state(exact), move: DRAWN, frames: exact[exact.length - 1].frame || this.settings.frames })
    this.history.push(this.#state(exact))
    this.#show(exact)
    if (first) this.say("The move is 'drawn' now. Undo brings the ready-made move back.")
  }

  undo() {
    this.#restore(this.history.undo())
  }

  redo() {
    this.#restore(this.history.redo())
  }

  add(fields = {}) {
    const next = appended(this.keyframes, fields, Math.max(1, Math.round(SECONDS * this.fps)))
    this.keep(next)
    this.choose(next.length - 1)
    if (!this.view.shows(this.path.values[next.length - 1])) this.fit()
  }

  addAtPlayhead(frame = this.frame) {
    const zooms = this.keyframes.some((one) => one.fov != null)
    const made = inserted(this.keyframes, Math.round(frame), this.path.at(Math.round(frame)), zooms)
    if (!made) return this.say("There is a keyframe at this moment already, or the path ends before it.")
    this.keep(made.keyframes)
    this.choose(made.index)
  }

  remove() {
    if (this.chosen <= 0) return this.say(this.chosen ? "Choose the keyframe to delete first." : "The start stays.")
    const next = removed(this.keyframes, this.chosen)
    const chosen = Math.min(this.chosen, next.length - 1)
    this.chosen = -1
    this.keep(next)
    this.choose(chosen)
  }

  clear() {
    this.chosen = -1
    this.frame = 0
    this.keep(START)
    this.fit()
  }

  fit() {
    this.fitted = this.parts.map.clientWidth > 0
    this.view.width = this.parts.map.clientWidth || 1
    this.view.height = this.parts.map.clientHeight || 1
    const places = []
    for (let i = 0; i <= 60; i++) {
      const values = this.path.at((this.path.length * i) / 60)
      places.push([values[0], values[2]])
    }
    for (let i = 0; i < (this.memory?.count ?? 0); i++) places.push([this.memory.right[i], this.memory.forward[i]])
    this.view.fit(places)
    this.schedule()
  }

  zoom(factor, x = this.view.width / 2, y = this.view.height / 2) {
    this.view.zoom(factor, x, y)
    this.schedule()
  }

  toggleSnap() {
    this.snap = !this.snap
    this.parts.snap.setAttribute("aria-pressed", String(this.snap))
  }

  snapped(given, step, other) {
    return this.snap !== other ? Math.round(Math.round(given / step) * step * 1e6) / 1e6 : given
  }

  togglePlay() {
    this.playing = this.playing ? null : { since: performance.now(), from: this.frame < this.path.length ? this.frame : 0 }
    this.#showPlaying()
    this.schedule()
  }

  say(words, wrong = false) {
    this.hint = words
    this.parts.hint.textContent = words
    this.parts.hint.classList.toggle("smce-wrong", wrong)
  }

  schedule() {
    if (!this.running || this.request) return
    this.request = requestAnimationFrame((now) => {
      this.request = 0
      this.#draw(now)
    })
  }

  #listen() {
    const { parts } = this
    const actions = { add: () => this.add(), remove: () => this.remove(), undo: () => this.undo(), redo: () => this.redo(),
      fit: () => this.fit(), snap: () => this.toggleSnap(), clear: () => this.clear(), play: () => this.togglePlay() }
    for (const [name, action] of Object.entries(actions)) {
      parts[name].addEventListener("click", () => {
        action()
        parts.map.focus({ preventScroll: true }) // so that the keys go on working
      })
    }
    parts.snap.setAttribute("aria-pressed", "true")
    parts.toggle.addEventListener("click", () => this.open(!this.opened))
    parts.edit.addEventListener("click", () => this.#adopt())
    parts.kind.addEventListener("change", () => {
      if (this.chosen >= 0) this.keep(changed(this.keyframes, this.chosen, { kind: parts.kind.value }))
    })
    for (const [name, field] of Object.entries(parts.fields))
      field.addEventListener("change", () => this.#typed(name, field.value))
    for (const event of ["pointerdown", "mousedown", "dblclick"])
      parts.body.addEventListener(event, (given) => given.stopPropagation())
    this.root.addEventListener("keydown", (event) => {
      const typing = event.target.matches("input, select") || (event.target.matches("button") && " Enter".includes(event.key))
      if (typing ? !(event.ctrlKey || event.metaKey) : this.opened && pressed(this, event)) {
        event.stopPropagation()
        if (!typing) event.preventDefault()
      }
    })
    this.#drags(parts.map, mapDrag)
    this.#drags(parts.strip, stripDrag)
    this.#drags(parts.time, timeDrag)
    parts.map.addEventListener("dblclick", (event) => this.#doubleClicked(...pointerAt(parts.map, event), event))
    parts.map.addEventListener("pointermove", (event) => this.#hovered(...pointerAt(parts.map, event)))
    parts.map.addEventListener("pointerleave", () => (parts.thumb.hidden = true))
    parts.map.addEventListener("wheel", (event) => {
      // Only a map that was clicked zooms: else the wheel is for the graph.
      if (document.activeElement !== parts.map) return
      event.preventDefault()
      event.stopPropagation()
      this.zoom(Math.exp(-event.deltaY * 0.0015), ...pointerAt(parts.map, event))
    }, { passive: false })
    parts.picture.addEventListener("error", () => (parts.caption.textContent += " (its picture cannot be read)"))
    for (const canvas of [parts.map, parts.strip, parts.time]) this.port.ownKeys(canvas)
  }

  #drags(canvas, begin) {
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button > 1 || this.drag) return
      canvas.focus({ preventScroll: true })
      canvas.setPointerCapture(event.pointerId)
      this.parts.thumb.hidden = true
      this.drag = begin(this, ...pointerAt(canvas, event), event)
    })
    canvas.addEventListener("pointermove", (event) => this.drag?.move(...pointerAt(canvas, event), event))
    const end = (how) => () => {
      const drag = this.drag
      this.drag = null
      drag?.[how]?.()
    }
    canvas.addEventListener("pointerup", end("end"))
    canvas.addEventListener("pointercancel", end("cancel"))
    canvas.addEventListener("lostpointercapture", end("cancel"))
  }

  #doubleClicked(x, y, event) {
    const hit = hitMap(this.scene, x, y)
    if (hit?.part === "path") return this.addAtPlayhead(hit.frame)
    if (hit) return
    const [right, forward] = this.view.place(x, y).map((one) => this.snapped(one, this.view.grid, event.altKey))
    this.add({ right, forward })
  }

  #hovered(x, y) {
    const row = this.drag ? -1 : nearestFrame(this.scene, x, y)
    const { thumb, picture, caption } = this.parts
    thumb.hidden = row < 0
    if (row < 0) return
    const { memory } = this
    const source = this.port.picture(memory.id, memory.frame[row])
    if (picture.getAttribute("src") !== source) picture.setAttribute("src", source)
    caption.textContent = `frame ${memory.frame[row]}: saw ${Math.round(100 * memory.shares[row])} % of this view`
    thumb.style.left = `${Math.min(x + 14, Math.max(this.view.width - 160, 0))}px`
    thumb.style.top = `${Math.max(Math.min(y + 14, this.view.height - 120), 0)}px`
  }

  #typed(name, text) {
    if (this.chosen < 0) return
    const value = text.trim() === "" && name === "fov" ? undefined : Number(text)
    if (value !== undefined && !Number.isFinite(value)) return this.#changed()
    if (this.chosen === 0 && name !== "fov") {
      this.say("The path begins where the film stands: only the field of view of the first keyframe can be set.")
      return this.#changed()
    }
    this.keep(changed(this.keyframes, this.chosen, { [name]: value }))
  }

  async #adopt() {
    this.open(true)
    try {
      this.keep(await this.#readyMade())
      this.fit()
    } catch (problem) {
      this.say(problem.message, true)
    }
  }

  /** The keyframes of the node's ready-made move. */
  async #readyMade() {
    return parse(await this.port.readyMade(this.settings))
  }

  #state(keyframes) {
    return { move: this.settings.move, frames: this.settings.frames, keyframes }
  }

  /** The drawn keyframes in the node, the start if there are none. */
  #fromNode() {
    if (!this.settings.keyframes) return START
    try {
      return parse(this.settings.keyframes)
    } catch (problem) {
      this.say(problem.message, true)
      return START
    }
  }

  #restore(state) {
    if (!state) return
    this.chosen = -1
    this.#write(state)
    this.#show(state.move === DRAWN ? state.keyframes : null)
  }

  #write(state) {
    this.writing = true
    try {
      this.port.write({ ...state, keyframes: state.keyframes && toText(state.keyframes) })
    } finally {
      this.writing = false
    }
    this.settings = this.port.read()
  }

  /** Shows drawn keyframes, or with null those of the ready-made move, as soon as the server has told them. */
  #show(keyframes) {
    if (keyframes) {
      this.keyframes = keyframes
      this.chosen = Math.min(this.chosen, keyframes.length - 1)
      this.#rebase()
      this.#changed()
    } else if (this.opened) {
      this.#soon("readyMade", async () => {
        try {
          const found = await this.#readyMade()
          if (this.editable || !this.running) return
          this.#show(found)
          this.fit()
        } catch (problem) {
          this.say(problem.message, true)
        }
      })
    }
  }

  /** The path, and the pose of the film from which it is seen. */
  #rebase() {
    this.path = new CameraPath(this.keyframes, this.settings?.fov ?? 70)
    this.frame = Math.min(this.frame, this.path.length)
    const start = this.told ? Float64Array.from(this.told.start) : IDENTITY
    this.base = this.told?.continues ? compose(start, inverse(poseOf(this.path.values[0]))) : IDENTITY
  }

  #changed() {
    this.#soon("band", () => {
      this.band = this.memory && this.path.length ? this.#sharesAlong() : null
      this.schedule()
    })
    this.#fill()
    this.schedule()
  }

  /** How much of each moment's view the memory has seen. */
  #sharesAlong() {
    return Float32Array.from({ length: BAND_PARTS }, (_, i) => this.#share((this.path.length * (i + 0.5)) / BAND_PARTS, null))
  }

  #share(frame, shares) {
    const values = this.path.at(frame)
    const lens = lensOf(values[6], this.told.aspect)
    return remembered(compose(this.base, poseOf(values)), lens, this.memory.past, this.memory.told, shares)
  }

  /** The fields and buttons, as the chosen keyframe and the path are. */
  #fill() {
    const { parts, chosen } = this
    const one = this.keyframes[chosen]
    for (const [name, field] of Object.entries(parts.fields)) {
      const value = one ? one[name] ?? (name === "fov" ? "" : 0) : ""
      field.value = value === "" ? "" : String(Math.round(value * 1000) / 1000)
      field.disabled = !one || (chosen === 0 && name !== "fov")
      field.placeholder = name === "fov" && one ? String(this.settings?.fov ?? "") : ""
    }
    parts.kind.disabled = !one
    parts.kind.value = one?.kind ?? "through"
    parts.remove.disabled = chosen <= 0
    parts.undo.disabled = !this.history.before.length
    parts.redo.disabled = !this.history.after.length
    parts.edit.hidden = this.editable
    const { length } = this.path
    parts.note.textContent = this.opened || this.editable
      ? `${this.keyframes.length} keyframes, ${(length / this.fps).toFixed(1)} s`
      : "a ready-made move"
    if (!this.hint) this.say(this.memory ? HOW : `${HOW} ${NO_MEMORY}`)
  }

  #showPlaying() {
    this.parts.play.textContent = this.playing ? "❚❚" : "▶"
  }

  #draw(now) {
    if (!this.opened || !this.parts.map.clientWidth) return
    if (!this.fitted) return this.fit()
    if (this.playing) {
      this.frame = this.playing.from + ((now - this.playing.since) / 1000) * this.fps
      if (this.frame >= this.path.length) {
        this.frame = this.path.length
        this.playing = null
        this.#showPlaying()
      } else this.schedule()
    }
    this.colours = colours(this.root)
    this.now = this.path.at(this.frame)
    const share = this.memory ? this.#share(this.frame, this.memory.shares) : null
    drawMap(this.parts.map, this.scene)
    drawStrip(this.parts.strip, this.scene)
    drawTimeline(this.parts.time, this.scene)
    this.#tell(share)
  }

  #tell(share) {
    const seconds = (this.frame / this.fps).toFixed(1)
    const place = `frame ${Math.round(this.frame)} of ${this.path.length}, ${seconds} s`
    const words = share === null ? place : `${place} · the memory has seen ${Math.round(100 * share)} % of this view`
    const { now, time } = this.parts
    if (now.textContent === words) return
    now.textContent = words
    time.setAttribute("aria-valuemax", String(this.path.length))
    time.setAttribute("aria-valuenow", String(Math.round(this.frame)))
    time.setAttribute("aria-valuetext", words)
  }

  #soon(name, action) {
    clearTimeout(this.timers[name])
    if (this.running) this.timers[name] = setTimeout(action, SOON)
  }
}
