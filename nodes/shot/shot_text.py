"""What Shot Generator says on its node: how far the shot is, what came from the bank, and what was recalled."""

from __future__ import annotations

from dataclasses import dataclass

from ...film.loop import SegmentDone, ShotPlan
from ...memory.retrieval.reasons import noted
from ...memory.retrieval.report import looked_at
from ...models.registry import adapter_for


@dataclass
class ShotText:
    """Counts the segments of a shot of ``total``; ``limit`` is how many frames the model looks at, where the retriever
    asks for more: else 0. Its lines are short sentences: the classic canvas does not wrap them, Nodes 2.0
    does not break them. ``warning`` stands below them."""

    total: int
    limit: int = 0
    asked: int = 0
    made: int = 0
    there: int = 0
    warning: str = ""

    @classmethod
    def of(cls, plan: ShotPlan, total: int) -> ShotText:
        """For a shot of some segments."""
        most, asked = adapter_for(plan.model).most_context, plan.retriever.k if plan.retriever else 0
        return cls(total, most if asked > most else 0, asked)

    def after(self, done: SegmentDone) -> str:
        """What to say when a segment is safe."""
        self.made, self.there = self.made + done.made, self.there + (not done.made)
        finished = f"{self.made + self.there} of {self.total} segments"
        lines = [f"{finished}: {self.made} made, {self.there} from the bank." if self.there else f"{finished} made."]
        frames = noted(done.state.segments[len(done.state.segments) - 1].info)
        if frames:
            lines.append(f"Looked at {looked_at(frames)}.")
            if done.encoded:
                lines.append(f"{done.encoded} of these went through the VAE for the first time.")
        elif frames is not None:
            lines.append("Looked at nothing remembered.")
        if self.limit:
            lines.append(f"Looks at {self.limit} of the {self.asked} that k asks for.")
        return "\n".join([*lines, self.warning] if self.warning else lines)
