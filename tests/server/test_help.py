"""The help pages that ComfyUI shows beside a node."""

from __future__ import annotations

import re
import urllib.request

from dev.paths import PACK_FOLDER, ROOT
from dev.support.server import HostServer

PAGES = ROOT / "web" / "docs"


def test_every_node_has_a_page_that_names_each_input_and_output(server: HostServer) -> None:
    nodes = {n: i for n, i in server.client.object_info().items() if PACK_FOLDER in i["python_module"]}
    assert {path.stem for path in PAGES.glob("*.md")} == set(nodes)
    for name, node in nodes.items():
        page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {node['display_name']}\n")
        explained = set(re.findall(r"\*\*([\w: ]+)\*\*", page))
        inputs = [key for group in ("required", "optional") for key in node["input"].get(group, {})]
        assert [key for key in inputs if key not in explained] == [], name
        assert [key for key in node["output_name"] if not any(key in said.split() for said in explained)] == [], name


def test_the_frontend_can_fetch_them(server: HostServer) -> None:
    address = f"{server.url}/extensions/{PACK_FOLDER}/docs/SceneMemoryEditor.md"
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address) as reply:
        assert reply.status == 200 and "Memory Editor" in reply.read().decode()
