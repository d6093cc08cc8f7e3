// Everything that this pack asks of ComfyUI's page is in this file: when that interface changes, only this file does.

import { app } from "../../scripts/app.js"
import { api } from "../../scripts/api.js"

const SUBGRAPH_INPUTS = -10 // the id that links from a subgraph's inputs have for their origin
const [NEVER, BYPASS] = [2, 4] // modes of a node

/** Calls `attach(node)` for each node of the type that is made, loaded, pasted or put into a subgraph. */
export function onNode(name, type, attach) {
  app.registerExtension({
    name,
    nodeCreated(node) {
      if (node.comfyClass === type) attach(node)
    },
  })
}

/** Gives wires and slots of our own types their colours. */
export function colourWires(name, colours) {
  const { style } = document.documentElement
  const paint = () => {
    Object.assign(app.canvas?.default_connection_color_byType ?? {}, colours)
    Object.assign(window.LGraphCanvas?.link_type_colors ?? {}, colours)
    for (const [type, colour] of Object.entries(colours)) style.setProperty(`--color-datatype-${type}`, colour)
    app.canvas?.setDirty?.(true, true)
  }
  app.registerExtension({
    name,
    setup() {
      paint()
      // A colour palette takes them away when it is put on, at the start of the page too, and tells nobody of it.
      const [first] = Object.keys(colours)
      const look = () => style.getPropertyValue(`--color-datatype-${first}`) || paint()
      new MutationObserver(look).observe(document.documentElement, { attributes: true, attributeFilter: ["style"] })
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

/** Shows an element in the node. `height()` is the least that it needs, `most()` the most; nothing of it is saved. */
export function addElement(node, name, element, height, most) {
  const widget = node.addDOMWidget(name, "SCENE_MEMORY_EDITOR", element, {
    getMinHeight: height,
    ...(most && { getMaxHeight: most }),
    serialize: false,
    hideOnZoom: false,
    // Not in the properties panel, which has one place for a widget's element too: newer pages ask for `surfaces`.
    hideInPanel: true,
    surfaces: { canvas: "shown", vueNode: "shown", panel: "never" },
  })
  widget.serialize = false // the option above covers only the prompt, this the saved workflow
  return widget
}

/**
 * Puts the element back where the page shows its node. Nodes 2.0 puts an element into the page only once for each node
 * id: undo makes all nodes anew, with the ids they had, and the page goes on showing the elements of the removed ones.
 */
export function keepShown(node, element) {
  if (element.isConnected || !node.graph || node.graph !== app.canvas?.graph) return
  const shown = document.querySelectorAll(`[data-node-id="${CSS.escape(String(node.id))}"] .${element.classList[0]}`)
  for (const one of shown) if (one.inert) return one.replaceWith(element)
}

/** What the removed node's element is marked with, so that nothing can be done in it any more. */
export function setGone(element, gone) {
  element.inert = gone
}

/** Whether the node is in the workflow. Undo takes the nodes of subgraphs out of it without a word to them. */
export function isThere(node) {
  const { graph, id } = node
  if (graph?.getNodeById(id) !== node) return false
  const root = graph.rootGraph ?? graph
  return graph === root || root.subgraphs.get(graph.id) === graph
}

/** Where a node is in its workflow: the same for the node that undo puts in its place. */
export function placeOf(node) {
  const { graph, id } = node
  return `${graph && graph !== graph.rootGraph ? graph.id : ""}/${id}`
}

/** Whether the keyboard is with nothing but the page: undo leaves it there when it takes an element away. */
export function keysAreFree() {
  return [document.body, app.canvas?.canvas].includes(document.activeElement)
}

/** The workflow that is open, as an object that stays the same while it is. */
export function workflow() {
  return app.extensionManager?.workflow?.activeWorkflow
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

/**
 * What a run will give an input of the node: {value}, and `from` where that is not the node's own widget but a "wire" or
 * the "subgraph" round the node. What only a run knows has no value, nor what differs between "copies" of the subgraph.
 */
export function given(node, name) {
  const own = { value: value(node, name) }
  return fromInput(node, node.inputs?.findIndex((input) => input.name === name) ?? -1) ?? own
}

/** The same for an input of any node; null if nothing comes there. The page's own `graphToPrompt` goes the same way. */
function fromInput(node, slot, seen = 0) {
  const link = slot >= 0 && node.graph && seen < 100 ? linkTo(node, slot) : null
  if (!link) return null
  if (link.originIsIoNode ?? Number(link.origin_id) === SUBGRAPH_INPUTS) return fromOutside(node.graph, link.origin_slot, seen + 1)
  const origin = node.graph.getNodeById(link.origin_id)
  if (!origin || origin.mode === NEVER) return null
  if (origin.type === "Reroute") return fromInput(origin, 0, seen + 1)
  if (origin.type === "PrimitiveNode") return { value: origin.widgets?.[0]?.value, from: "wire" }
  return { value: undefined, from: "wire" }
}

/** What the nodes that hold a subgraph give one of its inputs. */
function fromOutside(subgraph, slot, seen) {
  const holders = holdersOf(subgraph)
  const live = holders.filter((node) => node.mode !== NEVER && node.mode !== BYPASS)
  const found = (live.length ? live : holders).map((holder) => {
    const input = holder.inputs[slot]
    const widget = input && (holder.getWidgetFromSlot?.(input) ?? find(holder, input.name))
    return fromInput(holder, slot, seen) ?? (widget ? { value: widget.value, from: "subgraph" } : null)
  })
  const [first] = found
  if (found.every((one) => one?.value === first?.value && one?.from === first?.from)) return first ?? null
  return { value: undefined, from: "copies" }
}

/** The nodes that hold a subgraph. */
function holdersOf(subgraph) {
  const root = subgraph.rootGraph ?? app.graph
  const graphs = [root, ...(root.subgraphs?.values() ?? [])]
  return graphs.flatMap((graph) => graph.nodes).filter((node) => node.subgraph === subgraph)
}

/** Whether what an input of a node is given comes from an output of `source`, through reroutes and subgraphs. */
export function comesFrom(node, name, source) {
  const slot = node.inputs?.findIndex((input) => input.name === name) ?? -1
  return origins(node, slot).some((origin) => origin === source)
}

/** The nodes that an input's wire comes from: several where the node is in a subgraph that is used more than once. */
function origins(node, slot, seen = 0) {
  const link = slot >= 0 && node?.graph && seen < 100 ? linkTo(node, slot) : null
  if (!link) return []
  if (link.originIsIoNode ?? Number(link.origin_id) === SUBGRAPH_INPUTS) {
    return holdersOf(node.graph).flatMap((holder) => origins(holder, link.origin_slot, seen + 1))
  }
  const origin = node.graph.getNodeById(link.origin_id)
  if (!origin) return []
  if (origin.type === "Reroute") return origins(origin, 0, seen + 1)
  if (!origin.subgraph) return [origin]
  const inside = origin.subgraph.outputs?.[link.origin_slot]?.linkIds?.[0]
  const inner = inside === undefined ? null : origin.subgraph.links.get?.(inside) ?? origin.subgraph.links[inside]
  const made = inner && origin.subgraph.getNodeById(inner.origin_id)
  return made ? [made] : []
}

/** The node of a run's id: "12", or "12:5" for a node in the subgraph that node 12 holds. */
function nodeOfRun(id) {
  let [graph, node] = [app.rootGraph ?? app.graph, null]
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part)
    graph = node?.subgraph
  }
  return node ?? null
}

const LOOKED_AT = 8 // runs that are looked through for the newest of the open workflow
const pastRuns = new Map()

/**
 * Calls `action(teller, told)` with what the newest run of this workflow has told under a name of its outputs, as far as
 * the server still knows: so that a page that is loaded anew, or a second one, shows it too. The host keeps it in its history.
 */
export async function recall(node, output, action) {
  await new Promise((done) => setTimeout(done)) // a workflow that is being loaded has its links then
  const id = (app.rootGraph ?? app.graph)?.id
  if (!id) return
  if (!pastRuns.has(id)) pastRuns.set(id, newestRun(id))
  const run = await pastRuns.get(id)
  for (const [key, found] of Object.entries(run?.outputs ?? {})) {
    const told = found?.[output]?.[0]
    const teller = told && nodeOfRun(run.meta?.[key]?.display_node ?? key)
    if (teller && isThere(node)) action(teller, told)
  }
}

async function newestRun(workflow) {
  try {
    const text = await (await api.fetchApi(`/history?max_items=${LOOKED_AT}`)).text()
    // Python writes numbers of other nodes that are none as NaN, which is no JSON.
    const past = Object.values(JSON.parse(text.replace(/\bNaN\b|-?\bInfinity\b/g, "null")))
    const mine = past.filter(({ prompt }) => prompt?.[3]?.extra_pnginfo?.workflow?.id === workflow)
    return mine.at(-1) // in the order in which they ended
  } catch {
    pastRuns.delete(workflow)
    return undefined // nothing is shown until the graph runs
  }
}

for (const end of ["execution_success", "execution_error", "execution_interrupted"])
  api.addEventListener(end, () => pastRuns.clear())

const listeners = new Map()

/**
 * Lets nodes hear what a run tells under a name: as another node's output, or as an event of that name while it works.
 * Gives `hear(node, action)`: `action(teller, told)` is called as long as the node is in the workflow.
 */
export function tellings(output, event) {
  const tell = (id, told) => {
    const teller = told && nodeOfRun(id)
    for (const [node, action] of listeners) {
      if (!isThere(node)) listeners.delete(node)
      else if (teller) action(teller, told)
    }
  }
  api.addEventListener("executed", ({ detail }) => tell(detail?.display_node ?? detail?.node, detail?.output?.[output]?.[0]))
  api.addEventListener(event, ({ detail }) => tell(detail?.node, detail))
  return (node, action) => listeners.set(node, action)
}

function linkTo(node, slot) {
  if (!node.isInputConnected(slot)) return null
  if (!node.subgraph) return node.getInputLink(slot)
  // A node that holds a subgraph answers that question with a link inside it.
  const { links } = node.graph
  return [...(links.values?.() ?? Object.values(links))].find((link) => link.target_id === node.id && link.target_slot === slot) ?? null
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

let walking = Promise.resolve()

/** One step of ComfyUI's own undo, or with "redo" the other way. Steps wait for each other: each makes all nodes anew. */
export function walk(way) {
  const step = () => app.extensionManager?.command?.execute(way === "redo" ? "Comfy.Redo" : "Comfy.Undo")
  walking = walking.then(step, step)
}

/** How many steps of ComfyUI's undo there are: {before, after}. */
export function steps() {
  const tracker = workflow()?.changeTracker
  return { before: tracker?.undoQueue?.length ?? 1, after: tracker?.redoQueue?.length ?? 1 }
}

/** Gives a turn of the wheel to the graph: the classic canvas gets none that is over an element. */
export function wheelOnGraph(event) {
  app.canvas?.processMouseWheel?.(event)
}

/** Tells the page that the wheel is for this element while it has the focus. */
export function ownWheel(element) {
  element.dataset.captureWheel = "true"
}

/** Whether a node that was there before has the size to show so much more than it needs at least. */
export function isTall(node, more) {
  return node.size[1] > (node.computeSize?.() ?? node.size)[1] + more / 2
}

/** Gives the node the size that its widgets need now: at least `width` across, and `less` pixels lower if it can be. */
export function fitSize(node, width, less) {
  const least = node.computeSize?.() ?? node.size
  const size = [Math.max(node.size[0], width), Math.max(node.size[1] - less, least[1])]
  if (size[0] !== node.size[0] || size[1] !== node.size[1]) node.setSize(size)
  node.graph?.setDirtyCanvas(true, true)
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

/** What a route answers to a question, as JSON; of one owner only the newest counts for the server. */
export async function ask(owner, route, question, signal) {
  return (await answer(owner, route, question, signal)).json()
}

/** The same for a route that answers with a picture: a Blob, or null where there is none. */
export async function askForPicture(owner, route, question) {
  const reply = await answer(owner, route, question)
  return reply.status === 204 ? null : reply.blob()
}

function answer(owner, route, question, signal) {
  const body = JSON.stringify({ ...question, client: `${api.clientId} ${owner.id}` })
  const headers = { "Content-Type": "application/json" }
  return request(route, { method: "POST", body, headers, signal })
}

const newest = new WeakMap()

/** What a route answers, as JSON. Of one owner only the newest question counts: an older one is broken off, for good. */
export async function askNewest(owner, route, question) {
  newest.get(owner)?.abort()
  const mine = new AbortController()
  newest.set(owner, mine)
  try {
    return await ask(owner, route, question, mine.signal)
  } catch (problem) {
    if (mine.signal.aborted) return new Promise(() => {}) // nobody waits for it any more
    throw problem
  }
}

/** The address of a route, for an image. */
export function address(route) {
  return api.apiURL(`/scene_memory${route}`)
}

function find(node, name) {
  return node.widgets?.find((widget) => widget.name === name)
}
