"""The demo's converter from a saved workflow to a prompt says what the frontend itself would say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dev.support.frontend import MODES, Frontend, Mode
from dev.support.server import HostServer
from dev.support.workflow_api import WorkflowError, to_prompt

BUILD = """
async () => {
  app.graph.clear()
  const made = {}
  const add = (name, type, widgets = {}) => {
    const node = LiteGraph.createNode(type)
    node.pos = [60 + 360 * (app.graph.nodes.length % 4), 60 + 320 * Math.floor(app.graph.nodes.length / 4)]
    app.graph.add(node)
    for (const [key, value] of Object.entries(widgets)) {
      const widget = node.widgets.find(w => w.name === key)
      widget.value = value
      widget.callback?.(value)
    }
    return made[name] = node
  }
  const join = (from, slot, to, input) =>
    made[from].connect(slot, made[to], made[to].inputs.findIndex(i => i.name === input))
  add('load', 'LoadImage')
  add('scale', 'ImageScaleToTotalPixels', { megapixels: 0.25 })
  add('invert', 'ImageInvert')
  add('route', 'Reroute')
  add('save', 'SaveImage', { filename_prefix: 'a name' })
  add('noise', 'RandomNoise', { noise_seed: 12345678901 })
  add('split', 'SplitSigmas', { step: 3 })
  add('sigmas', 'ManualSigmas', { sigmas: '1, 0.5, 0' })
  add('sampler', 'SamplerDPMPP_2M_SDE', { eta: 0.5 })
  add('resize', 'ResizeImageMaskNode', { 'resize_type': 'scale by multiplier' })
  add('video', 'SaveVideo', { filename_prefix: 'film', codec: 'h264' })
  add('muted', 'PreviewImage')
  add('note', 'Note')
  add('number', 'PrimitiveNode')
  join('load', 0, 'scale', 'image')
  join('scale', 0, 'invert', 'image')
  made.invert.connect(0, made.route, 0)
  join('route', 0, 'save', 'images')
  join('sigmas', 0, 'split', 'sigmas')
  join('scale', 0, 'muted', 'images')
  join('load', 0, 'resize', 'input')
  join('number', 0, 'split', 'step')
  made.number.widgets[0].value = 7
  made.invert.mode = 4
  made.muted.mode = 2
}
"""


@pytest.mark.parametrize("mode", MODES)
def test_the_converter_agrees_with_the_frontend_on_stock_nodes(
    open_frontend: Callable[[Mode], Frontend], server: HostServer, mode: Mode
) -> None:
    frontend = open_frontend(mode)
    frontend.page.evaluate(BUILD)
    frontend.settle()
    expected = frontend.to_prompt()
    saved = frontend.to_workflow()
    frontend.screenshot(f"stock-nodes-{mode}")
    assert len(expected) == 9
    assert to_prompt(saved, server.client.object_info()) == expected
    frontend.load(saved)
    assert frontend.to_prompt() == expected


def test_a_node_that_the_server_does_not_have_is_named(server: HostServer) -> None:
    workflow = {"nodes": [{"id": 7, "type": "NobodyHasThis", "mode": 0}], "links": []}
    with pytest.raises(WorkflowError, match="Node 7 is a 'NobodyHasThis'"):
        to_prompt(workflow, server.client.object_info())


def test_a_workflow_with_more_values_than_widgets_is_refused(server: HostServer) -> None:
    workflow = {"nodes": [{"id": 7, "type": "ImageInvert", "mode": 0, "widgets_values": [3]}], "links": []}
    with pytest.raises(WorkflowError, match="1 more than it has widgets"):
        to_prompt(workflow, server.client.object_info())
