// What the memory that the node ran with has seen of the path: its frames on the map, and shares of views. The server
// works the shares out, by the measure that chooses frames: in three dimensions, past what stands in the way.

import { IDENTITY, compose, inverse, lensOf, poseOf } from "./camera.js"
import { placed, toldShares } from "./memory.js"

export class Seen {
  /** `fetchCameras(id)`; `askShares(id, question)`; `changed()` is called when an answer has come. */
  constructor(fetchCameras, askShares, changed) {
    this.fetchCameras = fetchCameras
    this.askShares = askShares
    this.changed = changed
    this.told = null
    this.memory = null
    this.base = IDENTITY
    this.band = null
    this.now = null
    this.wanted = {}
  }

  /** What a run told. True if other frames are to be shown than before. Raises an Error if they cannot be had. */
  async take(told, path) {
    this.told = told
    this.rebase(path)
    const key = told.memory ? told.memory.id + told.start : ""
    if (key === (this.memory?.key ?? "")) return false
    this.memory = this.now = null
    if (!told.memory) return true
    const rows = await this.fetchCameras(told.memory.id)
    if (this.told === told) this.memory = { ...placed(rows, told.memory, this.base), key }
    return true
  }

  /** Forgets what a run told: it was not of this node. */
  leave() {
    this.told = this.memory = this.now = this.band = null
    this.base = IDENTITY
    this.wanted = {}
  }

  /** The pose of the film from which the path is drawn: where its first keyframe comes to stand where the film stood. */
  rebase(path) {
    const start = this.told?.continues ? Float64Array.from(this.told.start) : IDENTITY
    this.base = this.told?.continues ? compose(start, inverse(poseOf(path.at(0)))) : IDENTITY
  }

  /** The share of the view at a frame that the memory saw, as far as it is known yet; null before. */
  share(path, frame) {
    if (!this.memory || !path.times.length) return null
    this.#want("now", [this.#view(path, frame)])
    return this.now
  }

  /** Asks for the shares along the path; `band` holds those known last. */
  growBand(path) {
    if (!this.memory || !path.length) {
      this.band = null
      delete this.wanted.band
      return this.changed()
    }
    const views = []
    const parts = this.memory.told.views
    for (let i = 0; i < parts; i++) views.push(this.#view(path, (path.length * (i + 0.5)) / parts))
    this.#want("band", views)
  }

  #view(path, frame) {
    const values = path.at(frame)
    return [...compose(this.base, poseOf(values)), ...lensOf(values[6], this.told.aspect)]
  }

  /** One question at a time; of those that wait, only the newest of a kind is asked. */
  #want(kind, views) {
    const key = this.memory.key + views.join()
    if (this.wanted[kind]?.key === key) return
    this.wanted[kind] = { key, views }
    this.asking ??= this.#ask()
  }

  async #ask() {
    for (let next; (next = this.#next()); ) {
      const [kind, one] = next
      const { memory } = this
      one.asked = true
      const { near, depth, far, scale, size, sure } = memory.told
      try {
        const said = await this.askShares(memory.id, {
          views: one.views, frames: kind === "now", distances: { scale, near, depth, far, size, sure },
        })
        if (this.memory === memory && this.wanted[kind]) this.#take(kind, said)
      } catch {
        // Not known, as before a run: the map and the path do without.
        if (this.memory === memory) this[kind] = null
      }
      this.changed()
    }
    this.asking = undefined
  }

  #next() {
    return this.memory && ["now", "band"].map((kind) => [kind, this.wanted[kind]]).find(([, one]) => one && !one.asked)
  }

  #take(kind, said) {
    if (kind === "band") this.band = Float32Array.from(said.shares)
    else {
      this.now = said.shares[0]
      toldShares(this.memory, said.frames)
    }
  }
}
