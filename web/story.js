// What the node Story says of its text while it is written: how many shots there are, and what a model would not understand.

import { add, make } from "./editor/elements.js"
import * as host from "./host.js"

const HEIGHT = 92
const PAUSE_MS = 250
const STYLE = `
.smst { height: 100%; min-height: 0; max-height: ${HEIGHT}px; overflow: auto; box-sizing: border-box; padding: 2px 4px; font: 12px/1.35 sans-serif;
  color: var(--input-text, #ddd); }
.smst ul { margin: 2px 0 0; padding-left: 16px; color: var(--descrip-text, #999); }
.smst b { color: var(--p-yellow-400, #f2b53c); font-weight: 600; }
.smst-wrong { color: var(--error-text, #ff6b6b); }
`

host.onNode("SceneMemory.Story", "SceneMemoryStory", (node) => {
  if (host.value(node, "text") === undefined) return
  // Read out when it changes; Tab reaches it, so that a long list can be scrolled by keyboard.
  const notes = make("div", "smst", { role: "status", "aria-live": "polite", "aria-label": "Notes on the story", tabindex: "0" })
  add(notes, "style", "").textContent = STYLE
  const body = add(notes, "div", "")
  let [asked, timer] = [null, 0]

  const look = async () => {
    const { value: text, from } = host.given(node, "text")
    if (text === asked) return
    asked = text
    if (typeof text !== "string") return body.replaceChildren(from ? "The text comes by wire: it is looked at when the graph runs." : "")
    try {
      show(await host.askNewest(node, "/story/check", { text }))
    } catch (problem) {
      asked = null // the next change asks again
      wrong(problem.message)
    }
  }
  const soon = () => {
    clearTimeout(timer)
    timer = setTimeout(look, PAUSE_MS)
  }
  const wrong = (text) => {
    body.replaceChildren()
    add(body, "div", "smst-wrong").textContent = text
  }
  const show = ({ shots, remarks, problem }) => {
    if (problem) return wrong(problem)
    body.replaceChildren()
    const count = `${shots} ${shots === 1 ? "shot" : "shots"}`
    add(body, "div", "").textContent = remarks.length ? `${count}. A model would not understand:` : `${count}, nothing to mend.`
    const list = remarks.length ? add(body, "ul", "") : null
    for (const { shot, line, text } of remarks) {
      const item = add(list, "li", "")
      if (shot) add(item, "b", "").textContent = line ? `Shot ${shot}, line ${line}: ` : `Shot ${shot}: `
      item.append(text)
    }
  }

  host.addElement(node, "story_notes", notes, () => HEIGHT, () => HEIGHT)
  host.onChange(node, ["text"], soon)
  host.chain(node, "onConfigure", soon)
  host.chain(node, "onConnectionsChange", soon)
  host.chain(node, "onAdded", soon)
  host.chain(node, "onRemoved", () => clearTimeout(timer))
})
