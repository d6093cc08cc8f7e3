// What a pressed pointer does on the map, the strip and the time line. Each returns {move(x, y, event), end(), cancel()};
// `cancel` brings back what was before. `editor.draft` shows keyframes that are not yet kept, `editor.keep` keeps them as
// one step of undo.

import { changed, retimed } from "./keyframes.js"
import { hitMap } from "./map.js"
import { hitStrip } from "./strip.js"
import { frameAt, hitTimeline } from "./timeline.js"

const STILL = 3
const FIRST = "The path begins where the film stands, so the first keyframe stays where it is."

export function mapDrag(editor, x, y, event) {
  const hit = event.button === 1 ? null : hitMap(editor.scene, x, y)
  if (!hit || hit.part === "path") return panned(editor, x, y, hit)
  const { index } = hit
  const again = index === editor.chosen
  editor.choose(index)
  const before = editor.keyframes
  const one = editor.path.values[index]
  if (hit.part === "fov") {
    return kept(editor, x, y, (px, py, held) => {
      const angle = Math.abs(turnTo(one[3], bearing(editor, one, px, py)) - one[3])
      return changed(before, index, { fov: editor.snapped(Math.min(2 * angle, 170), 5, held) })
    })
  }
  if (index === 0) return clicked(editor, x, y, hit, again, () => editor.say(FIRST))
  if (hit.part === "turn" || event.shiftKey) {
    let yaw = one[3]
    return kept(editor, x, y, (px, py, held) => {
      yaw = turnTo(yaw, bearing(editor, one, px, py))
      return changed(before, index, { yaw: editor.snapped(yaw, 5, held) })
    })
  }
  const [right, forward] = editor.view.place(x, y)
  const { view } = editor
  const drag = kept(editor, x, y, (px, py, held) => {
    const [nowRight, nowForward] = view.place(px, py)
    return changed(before, index, {
      right: editor.snapped(one[0] + nowRight - right, view.grid, held),
      forward: editor.snapped(one[2] + nowForward - forward, view.grid, held),
    })
  })
  return { ...drag, end: () => drag.end() || cycle(editor, hit, again) }
}

export function stripDrag(editor, x, y) {
  const hit = hitStrip(editor.parts.strip, editor.scene, x, y)
  if (!hit) return scrub(editor, editor.parts.strip, x)
  editor.choose(hit.index)
  if (hit.index === 0) return clicked(editor, x, y, hit, false, () => editor.say(FIRST))
  const before = editor.keyframes
  const { name } = hit.lane
  const start = editor.path.values[hit.index][hit.lane.channel]
  const grabbed = hit.place.value(y)
  editor.held = { [name]: hit.place.reach }
  const drag = kept(editor, x, y, (px, py, held) => {
    const given = start + hit.place.value(py) - grabbed
    return changed(before, hit.index, { [name]: editor.snapped(given, name === "up" ? 0.1 : 5, held) })
  })
  return released(drag, () => (editor.held = null))
}

export function timeDrag(editor, x, y, event) {
  const index = hitTimeline(editor.parts.time, editor.scene, x)
  if (index <= 0) return scrub(editor, editor.parts.time, x)
  editor.choose(index)
  const before = editor.keyframes
  const end = editor.end
  const last = index === before.length - 1
  editor.heldEnd = end
  const drag = kept(editor, x, y, (px, py, held) => {
    const frame = editor.snapped(frameAt(editor.parts.time, end, px), 1, held)
    if (last && event.shiftKey) return retimed(before, Math.max(1, Math.round(frame)))
    return changed(before, index, { frame })
  })
  return released(drag, () => (editor.heldEnd = null))
}

function scrub(editor, canvas, x) {
  const { frame } = editor
  const go = (px) => editor.goTo(frameAt(canvas, editor.end, px))
  go(x)
  return { move: go, end: () => true, cancel: () => editor.goTo(frame) }
}

/** Moves the view; a press on the path without moving goes to that moment, elsewhere it lets go of the keyframe. */
function panned(editor, x, y, hit) {
  let [lastX, lastY, moved] = [x, y, false]
  const { right, forward } = editor.view
  return {
    move(px, py) {
      moved ||= Math.hypot(px - x, py - y) > STILL
      if (!moved) return
      editor.view.pan(px - lastX, py - lastY)
      ;[lastX, lastY] = [px, py]
      editor.schedule()
    },
    end() {
      if (!moved && hit) editor.goTo(hit.frame)
      else if (!moved) editor.choose(-1)
      return moved
    },
    cancel() {
      Object.assign(editor.view, { right, forward })
      editor.schedule()
    },
  }
}

/** A drag that changes keyframes once the pointer has really moved. `change(x, y, altKey)` gives the new ones. */
function kept(editor, x, y, change) {
  let [moved, refused] = [false, false]
  return {
    move(px, py, event) {
      if (refused) return
      moved ||= Math.hypot(px - x, py - y) > STILL
      refused = moved && editor.refuses()
      moved &&= !refused
      if (moved) editor.draft(change(px, py, event.altKey))
    },
    end() {
      if (moved) editor.keep(editor.keyframes)
      return moved
    },
    cancel: () => moved && editor.forget(),
  }
}

/** A drag that holds something still in the picture until it ends, this way or the other. */
function released(drag, release) {
  const then = (how) => () => (release(), drag[how]())
  return { ...drag, end: then("end"), cancel: then("cancel") }
}

function clicked(editor, x, y, hit, again, tell) {
  let moved = false
  return {
    move(px, py) {
      if (!moved && Math.hypot(px - x, py - y) > STILL) tell()
      moved ||= Math.hypot(px - x, py - y) > STILL
    },
    end: () => moved || cycle(editor, hit, again),
  }
}

/** Keyframes in one place, as when the camera turns on the spot: each press chooses the next. */
function cycle(editor, hit, again) {
  const all = hit.all ?? []
  if (again && all.length > 1) editor.choose(all[(all.indexOf(hit.index) + 1) % all.length])
  return false
}

/** The heading in degrees from a keyframe to a pixel. */
function bearing(editor, one, x, y) {
  const { view } = editor
  return (Math.atan2(x - view.x(one[0]), view.y(one[2]) - y) * 180) / Math.PI
}

/** The heading `to`, with the whole turns that bring it nearest to `from`: so that one can turn round and round. */
function turnTo(from, to) {
  return to + 360 * Math.round((from - to) / 360)
}
