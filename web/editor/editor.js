// The camera path editor: what it knows and what the artist does to it. It knows nothing of ComfyUI: `port` reads and
// writes the node's widgets and asks the server.

import { follow, leave, refocus, replaced, resume } from "./follow.js"
import { listen } from "./input.js"
import { DRAWN, START, appended, changed, inserted, parse, removed, retimed, toText } from "./keyframes.js"
import { layout } from "./layout.js"
import { drawMap } from "./map.js"
import { Panel } from "./panel.js"
import { CHANNELS, CameraPath } from "./path.js"
import { Seen } from "./seen.js"
import { understood } from "./source.js"
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
    this.keyframes = []
    this.path = new CameraPath([], USUAL_FOV)
    this.root.cameraEditor = this // for tools that have the element, such as the tests; it goes with the element
    this.panel.snapping(true)
    listen(this)
  }

  get root() {
    return this.parts.root
  }

  get settings() {
    return this.node?.settings
  }

  /** Whether the path on the map is drawn, not a ready-made move. */
  get editable() {
    return this.node?.drawn ?? false
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
    const { view, path, keyframes, chosen, editable, stale, layer, frame, end, fps, held, seen } = this
    return { view, path, keyframes, chosen, editable, stale, layer, frame, end, fps, held, memory: seen.memory, band: seen.band,
      colours: this.colours, now: this.now }
  }

  /** Begins to draw, to watch its size and to follow the node: it is there. */
  start() {
    this.running = true
    this.sizes.observe(this.root)
    this.port.setGone(this.root, false)
    this.reload()
  }

  /** Ends everything that could go on: the node is gone. `start` begins anew. */
  stop() {
    if (this.running) leave(this)
    this.running = false
    this.playing = this.drag = null
    this.sizes.disconnect()
    cancelAnimationFrame(this.request)
    this.request = 0
    for (const timer of Object.values(this.timers)) clearTimeout(timer)
    this.timers = {}
    this.parts.picture.removeAttribute("src")
    this.port.setGone(this.root, true)
  }

  /** Takes over what the node says: after it was made or loaded, or made anew by undo. */
  reload() {
    if (!this.running) return
    this.told = ""
    this.chosen = -1
    this.sync()
    const before = replaced(this)
    this.open(before ? this.opened || this.port.tall(OPEN - CLOSED) : this.editable)
    if (before) resume(this, before)
    else this.fit()
    follow(this)
  }

  /** Shows what a run would film now, whoever changed it. True if it was something else before. */
  sync() {
    const given = this.port.read()
    const told = JSON.stringify(given)
    if (told === this.told || this.writing || !this.running) return false
    this.told = told
    this.cancelDrag()
    this.panel.say("")
    this.node = understood(given)
    this.#show(this.node.keyframes)
    return true
  }

  /** A widget of the node was changed by the artist. */
  nodeChanged(name) {
    if (this.writing || !this.running) return
    const before = this.settings
    this.sync()
    const { settings, locked, broken } = this.node
    if (settings.move === DRAWN && before.move !== DRAWN) {
      this.open(true)
      if (locked || broken) return
      if (settings.keyframes) this.keep(parse(settings.keyframes))
      else this.adopt(before.move)
    } else if (this.editable && name === "keyframes") this.fit()
    else if (this.editable && name === "frames" && !locked && settings.frames !== before.frames && settings.keyframes) {
      this.keep(this.keyframes)
    }
  }

  /** A run told where the path begins and which memory was there. */
  async ran(told) {
    try {
      if (await this.seen.take(told, this.path)) this.fit()
    } catch (problem) {
      this.say(`The memory's frames cannot be shown: ${problem.message}`, true)
    }
    this.changed()
  }

  open(yes) {
    if (this.opened === yes) return
    this.opened = yes
    this.panel.open(yes)
    this.root.style.minHeight = `${yes ? OPEN : CLOSED}px`
    this.port.resized(yes, OPEN - CLOSED)
    this.fitted = false
    if (yes) this.#show(this.node.keyframes)
  }

  choose(index) {
    this.chosen = index
    if (index >= 0) this.frame = this.keyframes[index].frame
    this.changed()
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

  /** Ends a drag, and what it did. True if there was one. */
  cancelDrag() {
    const { drag } = this
    this.drag = null
    drag?.cancel?.()
    return Boolean(drag)
  }

  /** Says why nothing may be drawn, if so. */
  refuses() {
    const { locked } = this.node
    if (locked) this.say(locked, true)
    else if (this.stale) this.say("This move is not on the map yet: try again in a moment.")
    return Boolean(locked || this.stale)
  }

  /** Makes keyframes the node's path: one step of ComfyUI's undo. False if nothing may be drawn. */
  keep(keyframes) {
    this.dragged = null
    if (this.refuses()) return false
    this.#write(keyframes)
    return true
  }

  /** Steps of ComfyUI's own undo, of which each change of the path is one: there is no other history. */
  undo() {
    this.cancelDrag()
    this.port.walk("undo")
  }

  redo() {
    this.cancelDrag()
    this.port.walk("redo")
  }

  /** A keyframe behind the last. */
  add(fields = {}) {
    if (this.refuses()) return false
    try {
      const next = appended(this.keyframes, fields, Math.max(1, Math.round(SECONDS * this.fps)))
      this.keep(next)
    } catch (problem) {
      this.say(problem.message, true)
      return false
    }
    this.choose(this.keyframes.length - 1)
    if (!this.view.shows(this.path.values[this.keyframes.length - 1])) this.fit()
    return true
  }

  /** A keyframe behind the last, at the very pose of another: the camera comes back to what it saw. */
  comeBack(index) {
    const { frame, kind, ...pose } = this.keyframes[index]
    const none = Object.fromEntries(CHANNELS.map((name) => [name, undefined]))
    if (this.add({ ...none, ...pose })) this.say(`The camera comes back to keyframe ${index + 1}.`)
  }

  /** A keyframe on the path, which does not move for it. */
  addAtPlayhead(frame = this.frame) {
    if (this.refuses()) return
    const zooms = this.keyframes.some((one) => one.fov != null)
    try {
      const made = inserted(this.keyframes, Math.round(frame), this.path.at(Math.round(frame)), zooms)
      if (!made) return this.say("There is a keyframe at this moment already, or the path ends before it.")
      this.keep(made.keyframes)
      this.choose(made.index)
    } catch (problem) {
      this.say(problem.message, true)
    }
  }

  remove() {
    if (this.refuses()) return
    if (this.chosen <= 0) return this.say(this.chosen ? "Choose the keyframe to delete first." : "The start stays.")
    const next = removed(this.keyframes, this.chosen)
    const chosen = Math.min(this.chosen, next.length - 1)
    this.chosen = -1
    this.keep(next)
    this.choose(chosen)
  }

  /** Begins a new path: the one thing that may take the place of a path that cannot be read. */
  clear() {
    const { locked, broken } = this.node
    if (locked && locked !== broken) return this.say(locked, true)
    this.chosen = -1
    this.frame = 0
    this.#write(START)
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
    if (this.node.locked) return this.say(this.node.locked, true)
    const { keyframes, move: asked } = this.settings
    try {
      if (keyframes) parse(keyframes)
    } catch (problem) {
      return this.say(`This node keeps a drawn path that cannot be read. ${problem.message} New path takes its place.`, true)
    }
    try {
      const found = await this.#readyMade(move)
      if (!this.running || this.settings.keyframes !== keyframes || this.settings.move !== asked) return
      this.#write(found)
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
      this.port.keepShown(this.root)
      refocus(this)
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
    this.panel.tell(this, share)
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

  /** The keyframes of a ready-made move with the node's settings. Who asks the same meanwhile waits for the same answer:
      a second question would break off the first. */
  async #readyMade(move = this.settings.move) {
    const settings = { ...this.settings, move }
    const question = JSON.stringify(settings)
    if (this.asking?.question !== question) this.asking = { question, answer: this.port.readyMade(settings) }
    const { asking } = this
    try {
      return parse(await asking.answer)
    } finally {
      if (this.asking === asking) this.asking = undefined
    }
  }

  /** Writes keyframes as the node's path and shows what is written. */
  #write(keyframes) {
    const { frames: length, keyframes: text } = this.port.read()
    const fixed = length.from && length.value !== undefined ? retimed(keyframes, length.value) : keyframes
    const last = fixed.length - 1
    const whole = last ? changed(fixed, last, { frame: Math.ceil(fixed[last].frame) }) : fixed
    const exact = parse(toText(whole))
    const first = !this.editable
    this.writing = true
    try {
      this.port.write({ move: DRAWN, frames: exact[last].frame || length.value, keyframes: toText(exact) })
    } finally {
      this.writing = false
    }
    const { chosen } = this
    this.sync()
    this.chosen = Math.min(chosen, this.keyframes.length - 1)
    if (first) this.say("The move is 'drawn' now. Undo brings the ready-made move back.")
    else if (text.value === "" || this.node.remark) this.say(this.node.remark)
    this.changed()
  }

  /** Shows drawn keyframes, or with null those of the ready-made move, as soon as the server has told them. */
  #show(keyframes) {
    this.stale = !keyframes
    if (keyframes) {
      this.keyframes = keyframes
      this.chosen = Math.min(this.chosen, keyframes.length - 1)
      this.path = new CameraPath(keyframes, this.settings.fov ?? USUAL_FOV)
      this.frame = Math.min(this.frame, this.path.length)
      this.seen.rebase(this.path)
    } else if (this.opened) this.#soon("readyMade", () => this.#showReadyMade())
    this.changed()
  }

  async #showReadyMade() {
    const { told } = this
    const now = () => this.running && !this.editable && told === this.told
    if (!now()) return // it was asked for a moment ago, and a path has been drawn since
    try {
      const found = await this.#readyMade()
      if (!now()) return
      this.#show(found)
      this.fit()
    } catch (problem) {
      if (!now()) return
      this.#show([])
      this.say(problem.message, true)
    }
  }

  changed() {
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
