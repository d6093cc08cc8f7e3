// Undo and redo: what was, what is, and what was taken back.

const MOST = 200

export class History {
  constructor(state) {
    this.reset(state)
  }

  reset(state) {
    this.now = state
    this.before = []
    this.after = []
  }

  push(state) {
    this.before.push(this.now)
    if (this.before.length > MOST) this.before.shift()
    this.now = state
    this.after = []
  }

  undo() {
    return this.#step(this.before, this.after)
  }

  redo() {
    return this.#step(this.after, this.before)
  }

  #step(from, to) {
    if (!from.length) return null
    to.push(this.now)
    this.now = from.pop()
    return this.now
  }
}
