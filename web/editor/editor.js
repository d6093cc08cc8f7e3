// The camera path editor: what it knows and what the artist does to it. It knows nothing of ComfyUI: `port` reads and
// writes the node's widgets and asks the server.

import { History } from "./history.js"
import { listen } from "./input.js"
import { DRAWN, START, appended, changed, inserted, parse, removed, retimed, toText } from "./keyframes.js"
import { layout } from "./layout.js"
import { drawMap } from "./map.js"
import { Panel } from "./panel.js"
import { CHANNELS, CameraPath } from "./path.js"
import { Seen } from "./seen.js"
import { drawStrip } from "./strip.js"
import { colours } from "./theme.js"
import { drawTimeline } from "./timeline.js"
import { View } from "./view.js"

export const CLOSED = 34
export const OPEN = 680
const SOON = 140
const FILL = 80 // between two times that the fields follow a drag, in milliseconds
const SECONDS = 3
const USUAL_FOV = 70
const FIRST_STAYS = "The path begins where the film stands: only the field of view of the first keyframe can be set."

export class CameraEditor {
  constructor(port) {
    this.port = port
    this.parts = layout()
    this.panel = new Panel(this.parts)
    this.seen = new Seen(port.cameras, port.seen, () => this.schedule())
    this.view = new View()
    this.layer = { canvas: document.createElement("canvas"), key: "" }
    this.sizes = new ResizeObserver(() => this.schedule())
    this.timers = {}
    this.painted = {}
    this.chosen = -1
    this.frame = 0
    this.snap = true
    this.keyframes = START
    this.path = new CameraPath(START, USUAL_FOV)
    this.history = new History(null)
    this.root.cameraEditor = this // for tools that have the element, such as the tests; it goes with the element
    this.panel.snapping(true)
    listen(this)
  }

  get root() {
    return this.parts.root
  }

  get editable() {
    return this.settings?.move === DRAWN
  }

  get fps() {
    return this.seen.told?.fps ?? this.settings.fps ?? 8
  }

  /** The frame at the right edge of the time line. */
  get end() {
    return this.heldEnd ?? Math.max(this.path.length * 1.08, 1)
  }

  /** All that is drawn. */
  get scene() {
    const { view, path, keyframes, chosen, editable, layer, frame, end, fps, held, seen } = this
    return { view, path, keyframes, chosen, editable, layer, frame, end, fps, held, memory: seen.memory, band: seen.band,
      colours: this.colours, now: this.now }
  }

  /** Begins to draw and to watch its size: the node is there. */
  start() {
    this.running = true
    this.sizes.observe(this.root)
    this.reload()
  }

  /** Ends everything that could go on: the node is gone. `start` begins anew. */
  stop() {
    this.running = false
    this.playing = this.drag = null
    this.sizes.disconnect()
    cancelAnimationFrame(this.request)
    this.request = 0
    for (const timer of Object.values(this.timers)) clearTimeout(timer)
    this.timers = {}
    this.parts.picture.removeAttribute("src")
  }

  /** Takes over what the node's widgets say: after it was made or loaded. */
  reload() {
    this.settings = this.port.read()
    this.chosen = -1
    this.panel.say("")
    const keyframes = this.editable ? this.#fromNode() : null
    this.history.reset(this.#state(keyframes))
    this.open(this.editable)
    this.#show(keyframes)
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
      return this.settings.keyframes ? this.keep(this.#fromNode()) : this.adopt(before.move)
    }
    if (move === DRAWN && name === "keyframes") return this.reload()
    if (move === DRAWN && name === "frames" && frames !== before.frames) return this.keep(retimed(this.keyframes, frames))
    if (move !== before.move) this.history.push(this.#state(null))
    this.#show(move === DRAWN ? this.keyframes : null)
  }

  /** A run told where the path begins and which memory was there. */
  async ran(told) {
    try {
      if (await this.seen.take(told, this.path)) this.fit()
    } catch (problem) {
      this.say(`The memory's frames cannot be shown: ${problem.message}`, true)
    }
    this.#changed()
  }

  open(yes) {
    if (this.opened === yes) return
    this.opened = yes
    this.panel.open(yes)
    this.root.style.minHeight = `${yes ? OPEN : CLOSED}px`
    this.port.resized(yes, OPEN - CLOSED)
    this.fitted = false
    if (yes) this.#show(this.editable ? this.keyframes : null)
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
    const last = keyframes.length - 1
    const whole = last ? changed(keyframes, last, { frame: Math.ceil(keyframes[last].frame) }) : keyframes
    const exact = parse(toText(whole))
    const first = !this.editable
    this.#write({ move: DRAWN, frames: exact[last].frame || this.settings.frames, keyframes: exact })
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

  /** A keyframe behind the last. */
  add(fields = {}) {
    const next = appended(this.keyframes, fields, Math.max(1, Math.round(SECONDS * this.fps)))
    this.keep(next)
    this.choose(next.length - 1)
    if (!this.view.shows(this.path.values[next.length - 1])) this.fit()
  }

  /** A keyframe behind the last, at the very pose of another: the camera comes back to what it saw. */
  comeBack(index) {
    const { frame, kind, ...pose } = this.keyframes[index]
    const none = Object.fromEntries(CHANNELS.map((name) => [name, undefined]))
    this.add({ ...none, ...pose })
    this.say(`The camera comes back to keyframe ${index + 1}.`)
  }

  /** A keyframe on the path, which does not move for it. */
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

  /** A number was typed for the chosen keyframe; an empty field of view is the node's. */
  typed(name, text) {
    if (this.chosen < 0) return
    const value = text.trim() === "" && name === "fov" ? undefined : Number(text)
    if (this.chosen === 0 && name !== "fov") this.say(FIRST_STAYS)
    else if (value === undefined || Number.isFinite(value)) this.keep(changed(this.keyframes, this.chosen, { [name]: value }))
    this.choose(this.chosen)
  }

  /** Turns a ready-made move, the node's own as a rule, into keyframes. */
  async adopt(move = this.settings.move) {
    this.open(true)
    const { keyframes } = this.settings
    try {
      const found = await this.#readyMade(move)
      if (!this.running || this.settings.keyframes !== keyframes) return
      this.keep(found)
      this.fit()
    } catch (problem) {
      this.say(problem.message, true)
    }
  }

  fit() {
    const { memory } = this.seen
    this.fitted = this.parts.map.clientWidth > 0
    this.view.width = this.parts.map.clientWidth || 1
    this.view.height = this.parts.map.clientHeight || 1
    const places = []
    for (let i = 0; i <= 60; i++) {
      const values = this.path.at((this.path.length * i) / 60)
      places.push([values[0], values[2]])
    }
    for (let i = 0; i < (memory?.count ?? 0); i++) places.push([memory.right[i], memory.forward[i]])
    this.view.fit(places)
    this.schedule()
  }

  zoom(factor, x = this.view.width / 2, y = this.view.height / 2) {
    this.view.zoom(factor, x, y)
    this.schedule()
  }

  toggleSnap() {
    this.snap = !this.snap
    this.panel.snapping(this.snap)
  }

  /** A number on its grid; `other` for the other way. */
  snapped(given, step, other) {
    return this.snap !== other ? Math.round(Math.round(given / step) * step * 1e6) / 1e6 : given
  }

  togglePlay() {
    this.playing = this.playing ? null : { since: performance.now(), from: this.frame < this.path.length ? this.frame : 0 }
    this.panel.playing(this.playing)
    this.schedule()
  }

  say(words, wrong = false) {
    this.panel.say(words, wrong)
  }

  schedule() {
    if (!this.running || this.request) return
    this.request = requestAnimationFrame((now) => {
      this.request = 0
      this.drawNow(now)
    })
  }

  drawNow(now) {
    if (!this.opened || !this.parts.map.clientWidth) return
    if (!this.fitted) return this.fit()
    if (this.playing) this.#play(now)
    this.colours = colours(this.root)
    this.now = this.path.at(this.frame)
    const share = this.seen.share(this.path, this.frame)
    const { scene, parts } = this
    drawMap(parts.map, scene)
    // A keyframe dragged on the map changes neither height nor time: what is the same is not painted again.
    this.#paint("strip", parts.strip, drawStrip, this.path.values.map((one) => [one[1], one[4]]))
    this.#paint("time", parts.time, drawTimeline, this.seen.band)
    this.panel.tell(this.frame, this.path, this.fps, share)
  }

  #paint(name, canvas, draw, more) {
    const { scene } = this
    const { path, chosen, frame, end, fps, held, colours } = scene
    const key = JSON.stringify([path.times, chosen, frame, end, fps, held, colours, canvas.clientWidth, canvas.width, more])
    if (this.painted[name] === key) return
    draw(canvas, scene)
    this.painted[name] = key
  }

  #play(now) {
    this.frame = this.playing.from + ((now - this.playing.since) / 1000) * this.fps
    if (this.frame < this.path.length) return this.schedule()
    this.frame = this.path.length
    this.playing = null
    this.panel.playing(false)
  }

  /** The keyframes of a ready-made move with the node's settings. */
  async #readyMade(move = this.settings.move) {
    return parse(await this.port.readyMade({ ...this.settings, move }))
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
    this.#show(state.keyframes)
  }

  #write({ move, frames, keyframes }) {
    this.writing = true
    try {
      this.port.write({ move, frames, keyframes: keyframes && toText(keyframes) })
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
      this.path = new CameraPath(keyframes, this.settings?.fov ?? USUAL_FOV)
      this.frame = Math.min(this.frame, this.path.length)
      this.seen.rebase(this.path)
      this.#changed()
    } else {
      this.#changed()
      if (this.opened) this.#soon("readyMade", () => this.#showReadyMade())
    }
  }

  async #showReadyMade() {
    if (this.editable) return
    try {
      const found = await this.#readyMade()
      if (this.editable || !this.running) return
      this.#show(found)
      this.fit()
    } catch (problem) {
      if (!this.editable) this.say(problem.message, true)
    }
  }

  #changed() {
    this.#soon("band", () => this.seen.growBand(this.path))
    if (this.drag) this.timers.fill ??= setTimeout(() => this.#fill(), FILL)
    else this.#fill()
    this.schedule()
  }

  #fill() {
    clearTimeout(this.timers.fill)
    this.timers.fill = undefined
    this.panel.fill(this)
  }

  #soon(name, action, wait = SOON) {
    clearTimeout(this.timers[name])
    if (this.running) this.timers[name] = setTimeout(action, wait)
  }
}
