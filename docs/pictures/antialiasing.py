"""The pictures of docs/antialiasing.md, and the numbers that it quotes.

    python docs/pictures/antialiasing.py

Needs `pip install -e ".[docs]"`. The reference does not use the library: NumPy averages the
photograph's square pixels over the footprint of each output pixel.
"""

import itertools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from skimage import data
from style import ACCENT, TIMES, figure, panel, photograph, save, write

import stn_jax as stn

ASTRONAUT = np.float32(data.astronaut() / 255)
BRICK = np.float32(data.brick() / 255)[..., None]
SIZE = 512  # of both
ROWS = {"plain": {"antialias": False}, "antialias=True": {"antialias": True}}


def rotated(shrink, angle, count, shift=0.0):
    """Returns an affine map of output pixels to pixels of the photograph, about both centres."""
    along_x, along_y = np.broadcast_to(shrink, 2)
    cos, sin = np.cos(angle), np.sin(angle)

    def where(column, row):
        u, v = (column - (count - 1) / 2) * along_x, (row - (count - 1) / 2) * along_y
        middle = (SIZE - 1) / 2 + shift
        return cos * u - sin * v + middle, sin * u + cos * v + middle

    return where


def centres(shape):
    """Returns column and row of each output pixel."""
    row, column = np.indices(shape, float)
    return column, row


def read(image, where, shape, **options):
    """Samples the photograph with the library."""
    points = np.stack(where(*centres(shape)), axis=-1)
    return np.asarray(stn.sample_pixels(image, np.float32(points), **options))


def border(index):
    """Maps indices outside to the border pixel."""
    return index.clip(0, SIZE - 1)


def mirror(index):
    """Maps indices outside to the mirror image."""
    index = index % (2 * SIZE)
    return np.minimum(index, 2 * SIZE - 1 - index)


def truth(image, where, shape, *, fold=border, finer=16):
    """Averages the photograph's square pixels at finer^2 points of each output pixel."""
    column, row = centres(shape)
    steps = (np.arange(finer) + 0.5) / finer - 0.5
    total = 0
    for dy, dx in itertools.product(steps, steps):
        x, y = (np.floor(c + 0.5).astype(int) for c in where(column + dx, row + dy))
        total = total + image[fold(y), fold(x)]
    return total / finer**2


def decibels(*errors):
    """Peak signal to noise ratio of all the errors together, for values of 0 to 1."""
    square = np.mean([np.mean(np.square(error)) for error in errors])
    return -10 * np.log10(square)


def moire():
    """Bricks and an astronaut, rotated and shrunk: plain, anti-aliased, averaged."""
    side, gap, top = 288, 16, 46
    rows = (("brick", BRICK, 5.3, 72), ("astronaut", ASTRONAUT, 4, 96))
    fig = figure(1200, 2 * side + top + gap)
    for line, (name, image, shrink, count) in enumerate(rows):
        y = top + line * (side + gap)
        where = rotated(shrink, 0.4, count)
        wanted = truth(image, where, (count, count))
        tiles = {"": image}
        for title, options in ROWS.items():
            tiles[title] = read(image, where, (count, count), **options)
            print(f"moire: {name}, {title}: {decibels(tiles[title] - wanted):.1f} dB")
        tiles["averaged over footprints"] = wanted
        for i, (title, picture) in enumerate(tiles.items()):
            x = i * (side + gap)
            ax = panel(fig, x, y, side, side)
            photograph(ax, picture, interpolation="antialiased" if i == 0 else "nearest")
            if line == 0:
                write(fig, x, 30, title or f"U, {SIZE} {TIMES} {SIZE}, and the window")
            if i == 0:
                corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) * count - 0.5
                frame = stn.normalize_grid(np.stack(where(*corners.T), axis=-1), (SIZE, SIZE)).T
                ax.plot(*np.asarray(frame), color=ACCENT, linewidth=2.2)
                ax.set(xlim=(-1, 1), ylim=(1, -1))
    save(fig, "antialiasing-moire.jpg")


def floor():
    """A floor of bricks up to the horizon, with a different level for each point."""
    width, height, gap = 384, 240, 24

    def where(column, row):  # at the bottom edge 1 pixel apart along x, 1.5 along y
        near = (height + 8) / (row + 8)
        x = (column - (width - 1) / 2) * near + SIZE / 2
        return x, 1.5 * (height + 8) * near

    shape = (height, width)
    wanted = truth(BRICK, where, shape, fold=mirror, finer=32)
    fig = figure(1200, height + 46)
    tiles = {
        title: read(BRICK, where, shape, padding_mode="reflection", **options)
        for title, options in ROWS.items()
    }
    for title, picture in tiles.items():
        print(f"floor: {title}: {decibels(picture - wanted):.1f} dB")
    for i, (title, picture) in enumerate((tiles | {"averaged over footprints": wanted}).items()):
        x = i * (width + gap)
        write(fig, x, 30, title)
        photograph(panel(fig, x, 46, width, height), picture, interpolation="nearest")
    save(fig, "antialiasing-floor.png")


def errors():
    """PSNR of the astronaut against the average over footprints, for four shifts."""
    names = ("shrunk by", "angle", "plain", "`antialias=True`", "`separable_sample`", "bicubic")
    print("|", " | ".join(names), "|")
    print(6 * "|---" + "|")
    cases = [(s, a) for a in (0.0, 0.4) for s in (1.5, 2, 3, 4, 6)]
    cases += [((4, 1), 0.0), ((4, 1), 0.4), ((4, 2), 0.4)]
    for shrink, angle in cases:
        reach = np.max(shrink) * (np.cos(angle) + np.sin(angle))
        count = int((SIZE - 2) / reach)
        shape = (count, count)
        found = {}
        for shift in (0, 0.25, 0.5, 0.75):
            where = rotated(shrink, angle, count, shift)
            wanted = truth(ASTRONAUT, where, shape)
            for name, options in ROWS.items():
                picture = read(ASTRONAUT, where, shape, padding_mode="border", **options)
                found.setdefault(name, []).append(picture - wanted)
            if angle == 0:
                scale = np.float32(np.broadcast_to(shrink, 2) * count / SIZE)
                move = np.full(2, 2 * shift / SIZE, np.float32)
                for mode in ("bilinear", "bicubic"):
                    picture = stn.separable_sample(
                        ASTRONAUT,
                        scale,
                        move,
                        shape,
                        mode=mode,
                        padding_mode="border",
                        cubic_coefficient=-0.5,
                    )
                    found.setdefault(mode, []).append(np.asarray(picture) - wanted)
        values = [f"{decibels(*of_shifts):.1f}" for of_shifts in found.values()] + ["", ""]
        name = " and ".join(f"{s}" for s in np.atleast_1d(shrink))
        print(f"| {name} | {angle:g} |", " | ".join(values[:4]), "|")


def costs(rounds=41):
    """Median time of a call relative to plain bilinear in the same round: 512^2 to 256^2 pixels."""
    points = np.float32(np.stack(rotated(2, 0.4, 256)(*centres((256, 256))), axis=-1))
    scale, move = np.full(2, 1.0, np.float32), np.zeros(2, np.float32)

    def sampler(**options):
        return lambda image: stn.sample_pixels(image, points, **options)

    calls = {"`antialias=False`": sampler()}
    for n in (1, 2, 3):
        name = f"`antialias=True, max_levels={n}`"
        calls[name] = sampler(antialias=True, max_levels=n)
    calls["`antialias=True`"] = sampler(antialias=True)
    calls["`separable_sample`"] = lambda image: stn.separable_sample(image, scale, move, (256, 256))
    kinds = {
        "value": jax.jit,
        "with gradient": lambda f: jax.jit(jax.value_and_grad(lambda i: jnp.sum(f(i) ** 2))),
    }
    image = jnp.asarray(ASTRONAUT)
    ratios = {}
    for kind, make in kinds.items():
        compiled = {name: make(call) for name, call in calls.items()}
        for call in compiled.values():
            jax.block_until_ready(call(image))
        times = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in compiled.items():
                start = time.perf_counter()
                jax.block_until_ready(call(image))
                times[name].append(time.perf_counter() - start)
        plain = times["`antialias=False`"]
        print(f"costs: plain, {kind}: {1e3 * statistics.median(plain):.2f} ms")
        for name, spent in times.items():
            ratio = statistics.median(b / a for a, b in zip(plain, spent, strict=True))
            ratios.setdefault(name, []).append(f"{ratio:.1f}")
    print("| |", " | ".join(kinds), "|\n|---|---|---|")
    for name, columns in ratios.items():
        print(f"| {name} |", " | ".join(columns), "|")


if __name__ == "__main__":
    for run in (moire, floor, errors, costs):
        run()
