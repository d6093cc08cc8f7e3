// What this pack adds to ComfyUI's page: the camera path editor on the Camera Trajectory node.

import { CLOSED, CameraEditor, OPEN } from "./editor/editor.js"
import * as host from "./host.js"

const WIDTH = 460 // of a node whose map is open
const TYPE = "SceneMemoryCameraTrajectory"
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
