// What the memory that the node ran with has seen of the path: its frames on the map, and shares of views.

import { IDENTITY, compose, inverse, lensOf, poseOf } from "./camera.js"
import { placed } from "./memory.js"
import { remembered } from "./overlap.js"

const PARTS = 64
const AT_ONCE = 8

export class Seen {
  constructor(fetchCameras) {
    this.fetchCameras = fetchCameras
    this.told = null
    this.memory = null
    this.base = IDENTITY
    this.band = null
  }

  /** What a run told. True if other frames are to be shown than before. Raises an Error if they cannot be had. */
  async take(told, path) {
    this.told = told
    this.rebase(path)
    const key = told.memory ? told.memory.id + told.start : ""
    if (key === (this.memory?.key ?? "")) return false
    this.memory = null
    if (!told.memory) return true
    const rows = await this.fetchCameras(told.memory.id)
    if (this.told === told) this.memory = { ...placed(rows, told.memory, this.base), key }
    return true
  }

  /** The pose of the film from which the path is drawn: where its first keyframe comes to stand where the film stood. */
  rebase(path) {
    const start = this.told?.continues ? Float64Array.from(this.told.start) : IDENTITY
    this.base = this.told?.continues ? compose(start, inverse(poseOf(path.values[0]))) : IDENTITY
  }

  /** The share of the view at a frame that the memory saw, or null; `shares` gets what each of its frames saw. */
  share(path, frame, shares = null) {
    if (!this.memory) return null
    const values = path.at(frame)
    const lens = lensOf(values[6], this.told.aspect)
    return remembered(compose(this.base, poseOf(values)), lens, this.memory.past, this.memory.told, shares)
  }

  /** The shares along the path, a few at a time, so that no frame of the page waits for them; false when all are there. */
  growBand(path) {
    if (!this.memory || !path.length) return this.forgetBand()
    if (this.banded !== path) {
      this.banded = path
      this.next = []
    }
    for (let i = 0; i < AT_ONCE && this.next.length < PARTS; i++)
      this.next.push(this.share(path, (path.length * (this.next.length + 0.5)) / PARTS))
    if (this.next.length < PARTS) return true
    this.band = Float32Array.from(this.next)
    return false
  }

  forgetBand() {
    this.band = null
    this.banded = null
    return false
  }
}
