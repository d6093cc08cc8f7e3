"""Smooth walks of a camera through a floor plan: looking about, turning back, coming back after a long absence."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from .floor_plans import FloatArray, FloorPlan
from .oracle import distance_to_walls, steps_cross

CELL, CLEAR = 0.25, 0.38
STEP = 0.065
"""Metres a frame, 5 m a segment: the paper's dataset moves 3 to 6 m in 77 frames."""
WANDER_FRAMES, WANDER_DEGREES = 40, 22
"""How quickly and how far the camera looks aside while it walks."""
TURN_LIMIT = 2.8
"""Degrees a frame at most."""


def walk(plan: FloorPlan, frames: int, random: np.random.Generator) -> FloatArray:
    """Poses (frames, 4, 4) of a level camera that visits the rooms of ``plan``."""
    places, looks = _route(plan, frames, random)
    count = len(places)
    ahead = places[np.minimum(np.arange(count) + 24, count - 1)] - places
    behind = places - places[np.maximum(np.arange(count) - 4, 0)]
    way = np.where(np.linalg.norm(ahead, axis=1)[:, None] > 0.15, ahead, behind)
    wanted = np.unwrap(np.arctan2(way[:, 0], way[:, 1])) + looks
    wander = gaussian_filter1d(random.normal(size=count), WANDER_FRAMES)
    wanted += wander / max(wander.std(), 1e-9) * np.radians(WANDER_DEGREES)
    return _level(places, _followed(wanted))[:frames]


def long_walk(frames: int, random: np.random.Generator, side: int = 30, hall: float = 12.0) -> FloatArray:
    """Poses (frames, 4, 4) of a walk from hall to hall of a plan of ``side`` by ``side``, of any length, made quickly.

    Halls are come back to again and again. The camera looks where it goes and about.
    """
    moves = np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])
    count = max(4, int(frames * STEP / hall * 1.6) + 4)
    halls = np.cumsum(moves[random.integers(0, 4, count)], axis=0)
    halls = np.abs((halls + side // 2) % (2 * side) - side)
    corners = hall * halls + random.uniform(-0.35, 0.35, halls.shape) * hall
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    even = np.minimum(np.arange(frames + 1) * STEP, along[-1])
    places = np.stack([np.interp(even, along, corners[:, axis]) for axis in range(2)], axis=1)
    places = gaussian_filter1d(places, 12, axis=0, mode="nearest")
    way = gaussian_filter1d(np.diff(places, axis=0), 12, axis=0, mode="nearest")
    wander = gaussian_filter1d(random.normal(size=frames), WANDER_FRAMES)
    wander *= np.radians(WANDER_DEGREES) / max(wander.std(), 1e-9)
    return _level(places[:frames], np.arctan2(way[:, 0], way[:, 1]) + wander)


def _level(places: FloatArray, yaw: FloatArray) -> FloatArray:
    """Poses (n, 4, 4) of level cameras at places (n, 2)."""
    poses = np.tile(np.eye(4), (len(places), 1, 1))
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(yaw)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(yaw), -np.sin(yaw)
    poses[:, 0, 3], poses[:, 2, 3] = places[:, 0], places[:, 1]
    return poses


def _followed(wanted: FloatArray) -> FloatArray:
    """A heading that follows ``wanted`` radians smoothly and never turns faster than a hand would."""
    result = np.empty_like(wanted)
    yaw, limit = wanted[0], np.radians(TURN_LIMIT)
    for frame, goal in enumerate(wanted):
        error = (goal - yaw + np.pi) % (2 * np.pi) - np.pi
        yaw += np.clip(0.12 * error, -limit, limit)
        result[frame] = yaw
    return gaussian_filter1d(result, 4)


def _route(plan: FloorPlan, frames: int, random: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Places (n, 2) at an even pace with pauses, and how far in radians the camera looks aside at each."""
    graph, cells = _free_cells(plan)
    spots = [int(cell) for cell in _spots(plan, cells, random)]
    at = spots[0]
    visited = [at]
    places: list[FloatArray] = []
    looks: list[FloatArray] = []
    done = 0
    while done < frames + 90:
        if len(visited) > 1 and random.random() < 0.22:
            goal = visited[-2]
        elif len(visited) > 5 and random.random() < 0.4:
            goal = visited[int(random.integers(0, len(visited) // 2))]
        else:
            goal = spots[int(random.integers(len(spots)))]
        if goal == at:
            continue
        leg = _leg(plan, graph, cells, at, goal)
        at = goal
        visited.append(goal)
        if len(leg) < 8:
            continue
        places.append(leg)
        looks.append(np.zeros(len(leg)))
        done += len(leg)
        if random.random() < 0.35:
            pause = int(random.integers(50, 110))
            swing = random.choice([-1, 1]) * random.uniform(90, 330)
            places.append(np.repeat(leg[-1:], pause, axis=0))
            looks.append(np.radians(swing) * np.sin(np.linspace(0, np.pi, pause)) ** 2)
            done += pause
    joined = gaussian_filter1d(np.concatenate(places), 5, axis=0, mode="nearest")
    return joined, np.concatenate(looks)


def _leg(plan: FloorPlan, graph: csr_matrix, cells: FloatArray, start: int, goal: int) -> FloatArray:
    before = dijkstra(graph, indices=goal, return_predecessors=True)[1]
    line = [start]
    while line[-1] != goal and before[line[-1]] >= 0:
        line.append(int(before[line[-1]]))
    corners = cells[line]
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    even = np.arange(0.0, along[-1], STEP)
    points = np.stack([np.interp(even, along, corners[:, axis]) for axis in range(2)], axis=1)
    for sigma in (16, 8, 4, 1):
        smooth = gaussian_filter1d(points, sigma, axis=0, mode="nearest")
        if len(smooth) < 2 or not steps_cross(smooth, plan.walls).any():
            return smooth
    return points


def _free_cells(plan: FloorPlan) -> tuple[csr_matrix, FloatArray]:
    low, high = plan.extent
    xs, zs = np.arange(low[0] + CELL, high[0], CELL), np.arange(low[1] + CELL, high[1], CELL)
    grid = np.stack(np.meshgrid(xs, zs, indexing="ij"), axis=-1)
    room = distance_to_walls(grid.reshape(-1, 2), plan.walls).reshape(grid.shape[:2])
    free = room > CLEAR
    number = np.full(free.shape, -1)
    number[free] = np.arange(free.sum())
    rows, columns, costs = [], [], []
    for dx, dz in ((1, 0), (0, 1), (1, 1), (1, -1)):
        a = number[: free.shape[0] - dx, max(0, -dz) : free.shape[1] - max(0, dz)]
        b = number[dx:, max(0, dz) : free.shape[1] - max(0, -dz)]
        near = room[: free.shape[0] - dx, max(0, -dz) : free.shape[1] - max(0, dz)]
        both = (a >= 0) & (b >= 0)
        rows.append(a[both])
        columns.append(b[both])
        # People keep away from walls where there is room.
        costs.append(np.hypot(dx, dz) * CELL * (1 + 0.5 / np.maximum(near[both], 0.3) ** 2))
    i, j, cost = np.concatenate(rows), np.concatenate(columns), np.concatenate(costs)
    count = int(free.sum())
    graph = csr_matrix((np.tile(cost, 2), (np.concatenate([i, j]), np.concatenate([j, i]))), shape=(count, count))
    return graph, grid[free]


def _spots(plan: FloorPlan, cells: FloatArray, random: np.random.Generator) -> list[int]:
    """Two or three places to go to in every room."""
    result: list[int] = []
    for x0, z0, x1, z1 in plan.rooms:
        for _ in range(3):
            goal = random.uniform((x0 + 0.6, z0 + 0.6), (max(x0 + 0.7, x1 - 0.6), max(z0 + 0.7, z1 - 0.6)))
            result.append(int(np.argmin(np.linalg.norm(cells - goal, axis=1))))
    random.shuffle(result)
    return result
