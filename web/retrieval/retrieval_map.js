// The retrieval map: what would be recalled for each segment of a run's path with the settings as they stand, and why. It
// knows nothing of ComfyUI: `port` reads the node's settings and asks the server, which runs the real retrieval.

import { IDENTITY } from "../editor/camera.js"
import { pointerAt } from "../editor/canvas.js"
import { placed } from "../editor/memory.js"
import { colours } from "../editor/theme.js"
import { View } from "../editor/view.js"
import { colourOf, drawPlace, drawTime, frameAt } from "./drawing.js"
import { card, layout } from "./layout.js"

export const CLOSED = 34
export const OPEN = 430
const [ROW, CAMERA] = [17, 18]
const REST_MS = 1500 // settings that stood so long are what "before" goes back to
const BAND_MS = 250
const NOTHING = "Queue the graph once: then this map shows what each segment recalls, and answers at once when k or a strategy changes."

export class RetrievalMap {
  constructor(port) {
    this.port = port
    this.parts = layout()
    this.view = new View()
    this.layer = { canvas: document.createElement("canvas"), key: "" }
    this.sizes = new ResizeObserver(() => this.#resized())
    this.cards = []
    this.frame = 0
    this.lit = -1
    this.root.retrievalMap = this // for tools that have the element, such as the tests; it goes with the element
    this.#listen()
    this.#open(false)
    this.#say(NOTHING)
  }

  get root() {
    return this.parts.root
  }

  start() {
    this.running = true
    this.sizes.observe(this.root)
    this.port.setGone(this.root, false)
    this.settingsChanged()
  }

  stop() {
    this.running = false
    this.sizes.disconnect()
    cancelAnimationFrame(this.request)
    this.request = 0
    clearTimeout(this.later)
    this.#play(false)
    this.#hold(false)
    this.#picture("")
    for (const one of this.cards) {
      one.picture.removeAttribute("src")
      one.address = ""
    }
    this.port.setGone(this.root, true)
  }

  /**
   * A run told its path and its memory; `making` is the segment that is made next, while it goes on. An `earlier` run's may
   * be gone from the server since: then the map waits for the next.
   */
  async take(told, earlier = false) {
    const { making } = told
    const same = told.id === this.told?.id
    this.told = told
    if (making !== undefined && making < told.segments.length && !this.touched) this.frame = told.segments[making][0]
    this.frame = Math.min(this.frame, told.length - 1)
    if (making === undefined) this.touched = false
    if (same && this.path) return this.#ask()
    try {
      const [path, cameras] = await Promise.all([this.port.path(told.id), this.port.cameras(told.id)])
      if (this.told !== told) return
      this.path = pathOf(path)
      this.memory = cameras.length ? placed(cameras, { id: told.id }, IDENTITY) : null
      this.rows = cameras
      this.answer = this.band = null
      this.asked = this.bandAsked = ""
      this.fit()
      this.#ask()
    } catch (problem) {
      if (this.told !== told) return
      if (earlier) {
        this.told = null
        return this.#say(NOTHING)
      }
      this.#say(`What the run remembers cannot be shown: ${problem.message}`, true)
    }
  }

  /** A setting of the node was changed. */
  settingsChanged() {
    const settings = this.port.settings()
    const text = JSON.stringify(settings)
    if (text === this.text) return
    const now = performance.now()
    if (this.settings && now - this.since > REST_MS) this.before = this.settings
    this.since = now
    this.text = text
    this.settings = settings
    this.#ask()
  }

  /** Runs the playhead along the coming path at its own pace, from the beginning where it stands at the end. */
  #play(yes) {
    if (yes && !this.told) return
    cancelAnimationFrame(this.playing)
    this.playing = 0
    this.parts.play.textContent = yes ? "❚❚" : "▶"
    this.parts.play.setAttribute("aria-pressed", String(yes))
    if (!yes) return
    const from = this.frame < this.told.length - 1 ? this.frame : 0
    let begun
    const step = (now) => {
      begun ??= now
      const frame = from + ((now - begun) / 1000) * this.told.fps
      this.goTo(frame)
      if (frame >= this.told.length - 1) this.#play(false)
      else this.playing = requestAnimationFrame(step)
    }
    this.playing = requestAnimationFrame(step)
  }

  goTo(frame) {
    if (!this.told) return
    this.frame = Math.min(Math.max(Math.round(frame), 0), this.told.length - 1)
    this.touched = true
    this.#ask()
  }

  fit() {
    if (!this.path || !this.parts.map.clientWidth) return
    this.view.width = this.parts.map.clientWidth
    this.view.height = this.parts.map.clientHeight
    const places = Array.from(this.path.right, (right, i) => [right, this.path.forward[i]])
    for (let i = 0; i < (this.memory?.count ?? 0); i++) places.push([this.memory.right[i], this.memory.forward[i]])
    this.view.fit(places)
    this.fitted = true
    this.#schedule()
  }

  /** Asks for the choice as the settings stand, if that is not known: one question at a time, the newest next. */
  async #ask() {
    this.#schedule()
    if (!this.running || !this.opened || !this.told || !this.path) return
    this.#askBand()
    if (this.asking) return
    this.asking = true
    try {
      for (let question; (question = this.#question()) && question.key !== this.asked; ) {
        this.asked = question.key
        const begun = performance.now()
        const answer = await this.port.choose(question.id, question.body)
        if (!this.running || question.id !== this.told.id) continue
        this.answer = answer
        this.took = performance.now() - begun
        this.#show()
        this.#lookFrom(question)
      }
    } catch (problem) {
      this.asked = ""
      this.#say(problem.message, true)
    } finally {
      this.asking = false
    }
  }

  /** Shows what the chosen frames know of the view: one picture at a time, the newest next. */
  async #lookFrom(question) {
    this.looked = question
    if (this.looking) return
    this.looking = true
    try {
      for (let next; (next = this.looked); ) {
        this.looked = null
        const picture = await this.port.view(next.id, next.body).catch(() => null) // Nothing is known of it: no picture.
        if (!this.running) return
        this.parts.view.hidden = !picture
        if (picture) this.#picture(URL.createObjectURL(picture))
      }
    } finally {
      this.looking = false
    }
  }

  #picture(address) {
    if (this.address) URL.revokeObjectURL(this.address)
    this.address = address
    if (address) this.parts.picture.src = address
    else this.parts.picture.removeAttribute("src")
  }

  #question() {
    if (!this.running || !this.told) return null
    const settings = (this.held && this.before) || this.settings
    const body = { frame: this.frame, settings }
    return { id: this.told.id, body, key: this.told.id + JSON.stringify(body) }
  }

  #askBand() {
    const { near, depth, far } = this.settings
    const key = this.told.id + [near, depth, far]
    if (key === this.bandAsked) return
    this.bandAsked = key
    clearTimeout(this.later)
    const told = this.told
    this.later = setTimeout(async () => {
      try {
        const band = await this.port.seen(told.id, { settings: { near, depth, far } })
        if (this.told === told) this.band = band
      } catch {
        this.band = null // The map does without.
      }
      this.#schedule()
    }, BAND_MS)
  }

  #show() {
    const { answer, told } = this
    const { frame: frames, rule, saw, adds, age } = answer.chosen
    const used = told.most || frames.length
    const old = new Set(this.shown)
    while (this.cards.length < frames.length) this.cards.push(card())
    this.parts.list.replaceChildren(...this.cards.slice(0, frames.length).map((one) => one.root))
    frames.forEach((frame, i) => {
      const one = this.cards[i]
      const address = this.port.picture(told.id, frame)
      if (one.address !== address) one.picture.src = one.address = address
      one.root.style.setProperty("--mine", i < used ? colourOf(i) : "#777")
      one.root.classList.toggle("smrm-unused", i >= used)
      one.root.classList.toggle("smrm-new", old.size > 0 && !old.has(frame))
      one.number.textContent = String(i + 1)
      one.name.textContent = `frame ${frame}, ${age[i].toFixed(1)} s ago`
      const brings = `saw ${percent(saw[i])}${adds[i] > 0 ? `, adds ${percent(adds[i])}` : ""}`
      one.why.textContent = `${rule[i]}: ${brings}${i < used ? "" : " (the model does not look at it)"}`
    })
    this.shown = frames
    const taken = Math.min(used, frames.length)
    this.parts.note.textContent = `segment ${answer.number + 1} of ${told.segments.length}: ${taken} of ${answer.remembered} frames`
    this.#say(frames.length ? "" : "Nothing is remembered before this segment: it is made without context.")
    this.#schedule()
  }

  #schedule() {
    if (!this.running || this.request) return
    this.request = requestAnimationFrame(() => {
      this.request = 0
      this.port.keepShown(this.root)
      this.#draw()
    })
  }

  #draw() {
    const { parts, told, path, answer } = this
    if (!this.opened || !told || !path) return
    if (!this.fitted) return this.fit()
    const ink = colours(this.root)
    const starts = told.segments.map(([start]) => start)
    const number = starts.filter((start) => start <= this.frame).length - 1
    const segment = [starts[number], starts[number + 1] ?? told.length]
    const chosen = answer ? this.#placedChoice() : []
    const { view, layer, memory, frame, lit } = this
    drawPlace(parts.map, { view, colours: ink, layer, memory, path, frame, segment, chosen, lit })
    drawTime(parts.time, { colours: ink, length: told.length, frame, fps: told.fps, starts, segment, band: this.band })
    const seen = answer ? ` · the memory has seen ${percent(answer.seen)} of this view, the chosen frames show ${percent(answer.shown)}` : ""
    const words = `frame ${frame} of ${told.length - 1}, ${(frame / told.fps).toFixed(1)} s${seen}${this.held && this.before ? " · settings before" : ""}`
    if (parts.now.textContent === words) return
    parts.now.textContent = words
    parts.time.setAttribute("aria-valuemax", String(told.length - 1))
    parts.time.setAttribute("aria-valuenow", String(frame))
    parts.time.setAttribute("aria-valuetext", words)
  }

  #placedChoice() {
    const used = this.told.most || Infinity
    return this.answer.chosen.frame.map((frame, place) => {
      // Of a long film the map has some frames: the last of these before the chosen one stands for it.
      let row = 0
      while (row + 1 < this.memory.count && this.memory.frame[row + 1] <= frame) row++
      return { place, used: place < used, ...cameraOf(this.rows, row * CAMERA + 2) }
    })
  }

  #resized() {
    if (this.opened && this.path && !this.request) this.fitted = false
    this.#schedule()
  }

  #open(yes) {
    if (this.opened === yes) return
    this.opened = yes
    this.parts.body.hidden = this.parts.before.hidden = this.parts.play.hidden = !yes
    this.#play(false)
    this.parts.toggle.textContent = yes ? "▾ Retrieval map" : "▸ Retrieval map"
    this.parts.toggle.setAttribute("aria-expanded", String(yes))
    this.root.style.minHeight = `${yes ? OPEN : CLOSED}px`
    this.port.resized(yes, OPEN - CLOSED)
    this.fitted = false
    this.#ask()
  }

  #hold(yes) {
    if (this.held === yes) return
    this.held = yes
    this.parts.before.setAttribute("aria-pressed", String(yes))
    if (yes && !this.before) this.#say("Change a setting first: then this shows the choice before the change.")
    this.#ask()
  }

  #listen() {
    const { root, toggle, play, before, body, time, list } = this.parts
    for (const kind of ["pointerdown", "mousedown", "dblclick"]) body.addEventListener(kind, (event) => event.stopPropagation())
    toggle.addEventListener("click", () => this.#open(!this.opened))
    play.addEventListener("click", () => this.#play(!this.playing))
    before.addEventListener("pointerdown", (event) => {
      before.setPointerCapture(event.pointerId)
      this.#hold(true)
    })
    for (const end of ["pointerup", "pointercancel", "blur"]) before.addEventListener(end, () => this.#hold(false))
    root.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.key.toLowerCase() !== "b") return
      this.#hold(true)
      event.preventDefault()
      event.stopPropagation()
    })
    root.addEventListener("keyup", (event) => event.key.toLowerCase() === "b" && this.#hold(false))
    root.addEventListener("focusout", () => this.#hold(false))
    time.addEventListener("pointerdown", (event) => {
      this.#play(false)
      time.focus()
      time.setPointerCapture(event.pointerId)
      this.#scrub(event)
      event.stopPropagation()
    })
    time.addEventListener("pointermove", (event) => time.hasPointerCapture(event.pointerId) && this.#scrub(event))
    time.addEventListener("keydown", (event) => {
      if (event.key === " ") {
        this.#play(!this.playing)
        event.preventDefault()
        event.stopPropagation()
        return
      }
      const by = event.shiftKey ? 10 : 1
      const to = { ArrowLeft: this.frame - by, ArrowDown: this.frame - by, ArrowRight: this.frame + by, ArrowUp: this.frame + by,
        PageUp: this.#nextSegment(1), PageDown: this.#nextSegment(-1), Home: 0, End: Infinity }[event.key]
      if (to === undefined || !this.told) return
      this.goTo(Math.min(to, this.told.length - 1))
      event.preventDefault()
      event.stopPropagation()
    })
    list.addEventListener("pointerover", (event) => this.#light(event.target))
    list.addEventListener("pointerleave", () => this.#light(null))
    root.addEventListener("wheel", (event) => list.contains(event.target) && list.scrollHeight > list.clientHeight
      ? event.stopPropagation() : this.port.wheelOnGraph(event), { passive: true })
  }

  #nextSegment(by) {
    const starts = this.told?.segments.map(([start]) => start) ?? [0]
    const number = starts.filter((start) => start <= this.frame).length - 1
    return starts[Math.min(Math.max(number + by, 0), starts.length - 1)]
  }

  #scrub(event) {
    if (this.told) this.goTo(frameAt(this.parts.time, this.told.length, pointerAt(this.parts.time, event)[0]))
  }

  #light(element) {
    const root = element?.closest?.("li")
    const lit = this.cards.findIndex((one) => one.root === root)
    if (lit === this.lit) return
    this.lit = lit
    this.#schedule()
  }

  #say(words, wrong = false) {
    this.parts.hint.textContent = words
    this.parts.hint.classList.toggle("smce-wrong", wrong)
  }
}

function percent(share) {
  return `${Math.round(100 * share)} %`
}

/** A path's cameras as columns, from rows of 17 numbers. */
function pathOf(rows) {
  const count = rows.length / ROW
  const path = { frame: new Float64Array(count), right: [], forward: [], yaw: [], fov: [] }
  for (let i = 0; i < count; i++) {
    path.frame[i] = rows[i * ROW]
    const one = cameraOf(rows, i * ROW + 1)
    for (const name of ["right", "forward", "yaw", "fov"]) path[name].push(one[name])
  }
  return path
}

/** Where a camera stands and looks on the map, of a pose (3 x 4, row by row) and fx fy cx cy at an offset. */
function cameraOf(rows, at) {
  const yaw = (Math.atan2(rows[at + 2], rows[at + 10]) * 180) / Math.PI
  const fov = (2 * Math.atan(0.5 / rows[at + 12]) * 180) / Math.PI
  return { right: rows[at + 3], forward: rows[at + 11], yaw, fov }
}
