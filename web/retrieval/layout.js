// The retrieval map's elements, each with a label for screen readers and a tooltip.

import { add, button, make } from "../editor/elements.js"
import { STYLE } from "../editor/style.js"

const MORE = `
.smrm-main { display: flex; gap: 6px; flex: 1; min-height: 0; }
.smrm-stage { position: relative; flex: 1 1 52%; min-width: 0; }
.smrm-view { position: absolute; right: 4px; bottom: 4px; width: min(192px, 45%); margin: 0; padding: 2px; border-radius: 4px;
  pointer-events: none; background: var(--comfy-menu-bg, #353535); border: 1px solid var(--border-color, #4e4e4e); font-size: 10px; }
.smrm-view img { display: block; width: 100%; }
.smrm-list { flex: 1 1 48%; min-width: 0; overflow-y: auto; margin: 0; padding: 0; list-style: none; display: grid;
  grid-template-columns: repeat(auto-fill, minmax(104px, 1fr)); gap: 5px; align-content: start; grid-auto-rows: max-content; }
.smrm-list li { position: relative; border: 2px solid var(--mine, #888); border-radius: 4px; font-size: 11px; padding: 0 0 3px;
  background: var(--comfy-input-bg, #222); overflow: hidden; }
.smrm-list li.smrm-unused { opacity: 0.45; }
.smrm-list li.smrm-new { box-shadow: 0 0 0 1px var(--input-text, #ddd); }
.smrm-list img { display: block; width: 100%; aspect-ratio: 8 / 5; object-fit: cover; background: #0003; }
.smrm-list b { position: absolute; left: 3px; top: 3px; min-width: 18px; padding: 0 4px; border-radius: 9px; text-align: center;
  background: var(--mine, #888); color: #111; }
.smrm-list span { display: block; padding: 1px 4px 0; overflow-wrap: anywhere; }
.smrm-list span + span { color: var(--descrip-text, #999); }
.smrm .smce-now { flex: none; }
.smrm-time { flex: none; height: 40px; cursor: ew-resize; }
`

/** {root, toggle, note, play, body, before, map, view, picture, list, time, now, hint}. */
export function layout() {
  const root = make("div", "smce smrm", { role: "group", "aria-label": "Retrieval map" })
  const style = document.createElement("style")
  style.textContent = STYLE + MORE
  root.append(style)
  const bar = add(root, "div", "smce-bar")
  const toggle = button(bar, "▸ Retrieval map", "Show or hide what would be recalled for each segment, and why.")
  const note = add(bar, "span", "smce-note")
  const play = button(bar, "▶", "Play the coming path as the memory knows it (Space).")
  const before = button(bar, "Before (hold B)", "Hold to see the choice with the settings before.")
  const body = add(root, "div", "smce-body")
  const main = add(body, "div", "smrm-main")
  const stage = add(main, "div", "smrm-stage")
  const map = add(stage, "canvas", "smce-map", {
    role: "img",
    "aria-label": "From above: remembered cameras, the coming path, the view at the playhead and the chosen frames by number.",
  })
  const view = add(stage, "figure", "smrm-view")
  view.hidden = true
  const picture = add(view, "img", "", { alt: "What the chosen frames show of the view at the playhead; what none shows is hatched" })
  add(view, "figcaption", "").textContent = "as the chosen frames know it"
  const list = add(main, "ol", "smrm-list", { "aria-label": "The chosen frames in their order", tabindex: "0" })
  const time = add(body, "canvas", "smrm-time", {
    tabindex: "0",
    role: "slider",
    "aria-label": "Frame of the coming path",
    "aria-valuemin": "0",
    title: "The coming path: drag to scrub. Green: how much of each view the memory has seen. Lines: where segments begin.",
  })
  const now = add(body, "output", "smce-now")
  const hint = add(body, "div", "smce-hint", { role: "status", "aria-live": "polite" })
  return { root, toggle, note, play, before, body, map, view, picture, list, time, now, hint }
}

/** A card for a chosen frame. */
export function card() {
  const root = make("li", "")
  const picture = add(root, "img", "", { alt: "" })
  const number = add(root, "b", "")
  return { root, picture, number, name: add(root, "span", ""), why: add(root, "span", "") }
}
