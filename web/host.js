// Everything that this pack asks of ComfyUI's page is in this file: when that interface changes, only this file does.

import { app } from "../../scripts/app.js"
import { api } from "../../scripts/api.js"

/** Calls `attach(node)` for each node of the type that is made, loaded, pasted or put into a subgraph. */
export function onNode(name, type, attach) {
  app.registerExtension({
    name,
    nodeCreated(node) {
      if (node.comfyClass === type) attach(node)
    },
  })
}

/** Adds `action` behind what the node already does at one of its events. */
export function chain(node, event, action) {
  const earlier = node[event]
  node[event] = function (...given) {
    const result = earlier?.apply(this, given)
    action(...given)
    return result
  }
}

/** Shows an element in the node. `height()` is the least that it needs; nothing of it is saved. */
export function addElement(node, name, element, height) {
  const widget = node.addDOMWidget(name, "SCENE_MEMORY_EDITOR", element, {
    getMinHeight: height,
    serialize: false,
    hideOnZoom: false,
  })
  widget.serialize = false // the option above covers only the prompt, this the saved workflow
  return widget
}

/** Takes a widget out of sight in the classic canvas and in Nodes 2.0; its value stays in the workflow. */
export function hideWidget(node, name) {
  const widget = find(node, name)
  if (!widget) return
  widget.hidden = true
  ;(widget.options ??= {}).hidden = true
}

export function value(node, name) {
  return find(node, name)?.value
}

export function setValue(node, name, given) {
  const widget = find(node, name)
  if (!widget || widget.value === given) return
  widget.value = given
  widget.callback?.(given, app.canvas, node)
}

/** Calls `action(name)` when the artist changes one of these widgets. Both canvases call a widget's callback. */
export function onChange(node, names, action) {
  for (const name of names) {
    const widget = find(node, name)
    if (widget) chain(widget, "callback", () => action(name))
  }
}

/** The text of a widget goes into the prompt with %date:yyyy-MM-dd% and %Node.widget% filled in, as for ComfyUI's own nodes. */
export function fillInText(node, name) {
  const widget = find(node, name)
  if (!widget) return
  widget.serializeValue = () => {
    const filled = window.comfyAPI?.utils?.applyTextReplacements
    return filled && typeof widget.value === "string" ? filled(app.rootGraph ?? app.graph, widget.value) : widget.value
  }
}

/** Whether a value comes over a wire, so that only a run knows it. */
export function isLinked(node, name) {
  return Boolean(node.inputs?.some((input) => input.name === name && input.link != null))
}

/** Makes `change` one step of ComfyUI's own undo, and marks the workflow as changed. */
export function asOneChange(node, change) {
  app.canvas?.emitBeforeChange?.()
  try {
    change()
  } finally {
    app.canvas?.emitAfterChange?.()
    node.graph?.setDirtyCanvas(true, true)
  }
}

/** Gives the node the size that its widgets need now: at least `width` across, and `less` pixels lower if it can be. */
export function fitSize(node, width, less) {
  const least = node.computeSize?.() ?? node.size
  const size = [Math.max(node.size[0], width), Math.max(node.size[1] - less, least[1])]
  if (size[0] !== node.size[0] || size[1] !== node.size[1]) node.setSize(size)
  node.graph?.setDirtyCanvas(true, true)
}

/** Keys pressed in the element are not for ComfyUI: it leaves undo to what calls itself a text area. */
export function ownKeys(element) {
  element.type = "textarea"
}

/** A request to one of this pack's routes. Raises an Error with the server's own words. */
export async function request(route, options) {
  const reply = await api.fetchApi(`/scene_memory${route}`, options)
  if (reply.ok) return reply
  let why = `${reply.status} ${reply.statusText}`
  try {
    why = (await reply.json()).error ?? why
  } catch {
    // Not ours, so not JSON: the status has to do.
  }
  throw new Error(why)
}

/** The address of a route, for an image. */
export function address(route) {
  return api.apiURL(`/scene_memory${route}`)
}

function find(node, name) {
  return node.widgets?.find((widget) => widget.name === name)
}
