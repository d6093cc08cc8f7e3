// What this pack adds to ComfyUI's page: the camera path editor on Camera Trajectory, and the retrieval map on FOV Retriever.

import { CLOSED, CameraEditor, OPEN } from "./editor/editor.js"
import * as host from "./host.js"
import { CLOSED as MAP_CLOSED, OPEN as MAP_OPEN, RetrievalMap } from "./retrieval/retrieval_map.js"

const WIDTH = 460 // of a node whose map is open
const TYPE = "SceneMemoryCameraTrajectory"
const [RETRIEVER, MAP_WIDTH] = ["SceneMemoryFovRetriever", 560]
const RULE = ["k", "strategy", "seed", "depth", "near", "far", "min_overlap", "far_share"]
const SETTINGS = ["move", "frames", "amount", "radius", "easing", "fov", "fps", "aspect", "path_seed", "speed", "handheld"]

host.onNode("SceneMemory.CameraPath", TYPE, (node) => {
  if (host.value(node, "keyframes") === undefined) return
  const editor = new CameraEditor(portOf(node))
  host.hideWidget(node, "keyframes")
  host.addElement(node, "camera_path", editor.root, () => (editor.opened ? OPEN : CLOSED))
  host.onChange(node, [...SETTINGS, "keyframes"], (name) => editor.nodeChanged(name))
  host.chain(node, "onConfigure", () => editor.reload())
  // The node's own output of a run is the one place that says which memory it really had: the wire may come from any
  // node, through subgraphs and reroutes, and the bank may have gone on since. It also reaches nodes in subgraphs.
  host.chain(node, "onExecuted", (output) => {
    const told = output?.scene_memory_path?.[0]
    if (told) editor.ran(told)
  })
  host.chain(node, "onRemoved", () => editor.stop())
  host.chain(node, "onAdded", () => editor.start())
})

/** The node, as the editor needs it. */
function portOf(node) {
  return {
    ownWheel: host.ownWheel,
    wheelOnGraph: host.wheelOnGraph,
    walk: host.walk,
    steps: host.steps,
    workflow: host.workflow,
    keysAreFree: host.keysAreFree,
    setGone: host.setGone,
    read: () => Object.fromEntries([...SETTINGS, "keyframes"].map((name) => [name, host.given(node, name)])),
    write(values) {
      host.asOneChange(node, () => {
        for (const name of ["keyframes", "frames", "move"])
          if (!host.given(node, name).from) host.setValue(node, name, values[name])
      })
    },
    resized: (opened, height) => host.fitSize(node, opened ? WIDTH : 0, opened ? 0 : height),
    tall: (more) => host.isTall(node, more),
    isThere: () => host.isThere(node),
    place: () => host.placeOf(node),
    keepShown: (element) => host.keepShown(node, element),
    async readyMade(settings) {
      const { path_seed, keyframes, ...rest } = settings
      return (await host.askNewest(node, "/editor/move", { ...rest, seed: path_seed })).keyframes
    },
    async cameras(memory) {
      const reply = await host.request(`/editor/${memory}/cameras`)
      return new Float64Array(await reply.arrayBuffer())
    },
    async seen(memory, question) {
      const headers = { "Content-Type": "application/json" }
      return (await host.request(`/editor/${memory}/seen`, { method: "POST", body: JSON.stringify(question), headers })).json()
    },
    picture: (memory, frame) => host.address(`/editor/${memory}/frame/${frame}`),
  }
}

const hearShots = host.tellings("scene_memory_shot", "scene_memory.segment")

host.onNode("SceneMemory.RetrievalMap", RETRIEVER, (node) => {
  const map = new RetrievalMap(mapPortOf(node))
  host.addElement(node, "retrieval_map", map.root, () => (map.opened ? MAP_OPEN : MAP_CLOSED))
  host.onChange(node, RULE, () => map.settingsChanged())
  host.chain(node, "onConfigure", () => map.settingsChanged())
  host.chain(node, "onExecuted", (output) => {
    const told = output?.scene_memory_retrieval?.[0]
    if (told) map.take(told)
  })
  host.chain(node, "onRemoved", () => map.stop())
  host.chain(node, "onAdded", () => {
    // The film that this node's rule drives tells its own path and memory, while it is made and after.
    hearShots(node, (shot, told) => {
      if (host.comesFrom(shot, "retriever", node)) map.take(told)
    })
    map.start()
    const again = (own) => (teller, told) => {
      const mine = own ? teller === node : host.comesFrom(teller, "retriever", node)
      if (mine && !map.told) map.take(told, true)
    }
    // What its film had last goes before what it had itself, as while the graph runs.
    host.recall(node, "scene_memory_shot", again(false)).then(() => host.recall(node, "scene_memory_retrieval", again(true)))
  })
})

/** The node, as the retrieval map needs it. */
function mapPortOf(node) {
  return {
    wheelOnGraph: host.wheelOnGraph,
    setGone: host.setGone,
    keepShown: (element) => host.keepShown(node, element),
    resized: (opened, height) => host.fitSize(node, opened ? MAP_WIDTH : 0, opened ? 0 : height),
    settings() {
      const found = RULE.map((name) => [name, host.given(node, name).value])
      return Object.fromEntries(found.filter(([, value]) => value !== undefined))
    },
    async path(scene) {
      return new Float64Array(await (await host.request(`/retrieval/${scene}/path`)).arrayBuffer())
    },
    async cameras(scene) {
      return new Float64Array(await (await host.request(`/retrieval/${scene}/cameras`)).arrayBuffer())
    },
    choose: (scene, question) => host.ask(node, `/retrieval/${scene}/choose`, question),
    seen: (scene, question) => host.ask(node, `/retrieval/${scene}/seen`, question),
    view: (scene, question) => host.askForPicture(node, `/retrieval/${scene}/view`, question),
    picture: (scene, frame) => host.address(`/retrieval/${scene}/frame/${frame}`),
  }
}
