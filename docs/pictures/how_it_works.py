"""The pictures of docs/how-it-works.md, and the numbers that it quotes.

    python docs/pictures/how_it_works.py

Needs `pip install -e ".[docs]"`. All curves are computed with the library.
"""

import jax
import jax.numpy as jnp
import numpy as np
from skimage import data, filters, transform
from style import (
    ACCENT,
    DIVERGING,
    INK,
    MINUS,
    PALE,
    SOFT,
    TIMES,
    arrow,
    bare,
    brackets,
    figure,
    panel,
    photograph,
    pull,
    save,
    window,
    write,
)

import stn_jax as stn

ASTRONAUT = np.float32(data.astronaut() / 255)
CHELSEA = np.float32(data.chelsea() / 255)
FACE = (-0.40, -0.85, 0.26, -0.19)  # x0, y0, x1, y1


def sentence():
    """U -> localization -> theta -> transform -> grid -> sampler -> V."""
    theta = stn.compose(stn.crop(jnp.array(FACE)), stn.rotation(0.35))
    grid = np.asarray(stn.affine_grid(theta, (16, 16)))
    fig, side, top = figure(1200, 330), 270, 44
    names = ("U, the input", f"grid, 16 {TIMES} 16 points of it", "V, the output")
    places = (0, 575, 930)
    for name, x in zip(names, places, strict=True):
        ax = panel(fig, x, top, side, side)
        write(fig, x, top - 12, name)
        if name[0] == "V":
            photograph(ax, pull(ASTRONAUT, theta, (270, 270)))
            continue
        photograph(ax, ASTRONAUT)
        if name[0] == "U":
            window(ax, theta)
        else:
            photograph(ax, 0.45 * ASTRONAUT)
            ax.plot(grid[..., 0], grid[..., 1], ".", color=ACCENT, markersize=3)
        ax.set(xlim=(-1, 1), ylim=(1, -1))
    middle = top + side / 2
    write(fig, 428, middle, "theta", ha="center", va="bottom", size=13)
    text = brackets(theta)
    write(fig, 428, middle + 8, text, ha="center", va="top", family="monospace", size=11)
    arrow(fig, 290, 555, middle - 62, "localization → transform")
    arrow(fig, 855, 920, middle - 62, "sampler")
    save(fig, "how-sentence.jpg")


def matrices():
    """The matrices of crop, pan, zoom and rotation, with their windows and outputs."""
    rows = {
        "crop": (stn.crop(jnp.array(FACE)), "stn.crop([-0.4,-0.85,0.26,-0.19])"),
        "pan": (stn.translation(jnp.array([0.4, 0.2])), "stn.translation([0.4, 0.2])"),
        "zoom": (stn.scaling(jnp.array([0.6, 0.6])), "stn.scaling([0.6, 0.6])"),
        "rotation": (stn.rotation(jnp.pi / 6), "stn.rotation(pi / 6)"),
    }
    side, gap = 282, 24
    fig = figure(1200, 718)
    for i, (name, (theta, call)) in enumerate(rows.items()):
        x = i * (side + gap)
        write(fig, x, 24, name, size=14, weight="bold")
        write(fig, x, 44, call, size=9, family="monospace", color=SOFT)
        write(fig, x + side / 2, 58, brackets(theta), family="monospace", va="top", ha="center")
        ax = panel(fig, x, 108, side, side)
        ax.set_facecolor(INK)
        photograph(ax, ASTRONAUT)
        window(ax, theta)
        ax.set(xlim=(-1.45, 1.45), ylim=(1.45, -1.45))
        photograph(panel(fig, x, 108 + side + 44, side, side), pull(ASTRONAUT, theta, (282, 282)))
        word = "↓  output" if i == 0 else "↓"
        write(fig, x, 108 + side + 28, word, color=INK)
    save(fig, "how-matrices.jpg")


def holes():
    """Copying forwards leaves holes; reading backwards does not, and needs the inverse matrix."""
    image = CHELSEA[70:180, 120:230]
    n = len(image)
    centre = jnp.full(2, (n - 1) / 2)
    turn = stn.compose(stn.rotation(0.35), stn.scaling(jnp.full(2, 1.25)))
    forward = stn.compose(stn.translation(centre), turn, stn.translation(-centre))  # in pixels

    rows, columns = np.mgrid[:n, :n]
    points = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.asarray(forward).T
    x, y = points.round().astype(int).reshape(-1, 2).T
    inside = (x >= 0) & (x < n) & (y >= 0) & (y < n)
    copied = np.full((n, n, 3), np.nan, np.float32)
    copied[y[inside], x[inside]] = image.reshape(-1, 3)[inside]
    missing = np.isnan(copied[..., 0])
    copied[missing] = 1

    shape = (n, n)
    inverse = stn.normalize_matrix(stn.invert(forward), shape, shape)
    mistaken = stn.normalize_matrix(forward, shape, shape)
    print(f"holes: {100 * missing.mean():.0f} % of the output's pixels get no value")
    side, gap = 282, 24
    fig = figure(1200, 328)
    pictures = {
        "U": image,
        f"forwards by M: {100 * missing.mean():.0f} % are holes": copied,
        "read with the inverse of M": pull(image, inverse, shape, mode="nearest"),
        "read with M itself, by mistake": pull(image, mistaken, shape, mode="nearest"),
    }
    for i, (name, picture) in enumerate(pictures.items()):
        write(fig, i * (side + gap), 32, name, size=12)
        photograph(panel(fig, i * (side + gap), 44, side, side), picture, interpolation="nearest")
    save(fig, "how-holes.jpg")


def kernels():
    """An eye enlarged ten times by three kernels, and one row of it."""
    size, scale = 28, 10
    top, left = 92, 160
    h, w = CHELSEA.shape[:2]
    low, high = np.array([left, top]), np.array([left + size, top + size])
    box = np.concatenate([2 * low / [w, h] - 1, 2 * high / [w, h] - 1])
    theta = stn.crop(jnp.asarray(box, jnp.float32))
    side, gap, row = size * scale, 26, 10
    fig = figure(1200, 500)
    ax = panel(fig, 0, 44, side, side)
    centre = (left + size // 2, top + size // 2)
    ax.imshow(CHELSEA, interpolation="antialiased")
    bare(ax)
    ax.set(xlim=(centre[0] - 100, centre[0] + 100), ylim=(centre[1] + 100, centre[1] - 100))
    x, y = np.array([[0, 1, 1, 0, 0], [0, 0, 1, 1, 0]]) * size
    ax.plot(left + x, top + y, color=ACCENT, linewidth=2.2)
    write(fig, 0, 32, f"28 {TIMES} 28 pixels, ten times larger")
    names = ("nearest", "bilinear", "bicubic")
    samples = CHELSEA[top + row, left : left + size].mean(-1)
    for i, mode in enumerate(names, start=1):
        x = i * (side + gap)
        write(fig, x, 32, mode)
        big = pull(CHELSEA, theta, (side, side), mode=mode)
        ax = panel(fig, x, 44, side, side)
        ax.imshow(big.clip(0, 1), interpolation="nearest")
        ax.axhline((row + 0.5) * scale, color=ACCENT, linewidth=1, linestyle=(0, (4, 4)))
        bare(ax)
        columns = np.linspace(2, 20, 900)
        points = np.stack([columns + left, np.full_like(columns, top + row)], axis=-1)
        curve = stn.sample_pixels(CHELSEA, np.float32(points)[None], mode=mode)[0].mean(-1)
        ax = panel(fig, x, 60 + side, side, 130)
        ax.plot(columns, curve, color=ACCENT, linewidth=2.2)
        ax.plot(np.arange(2, 21), samples[2:21], ".", color=INK, markersize=6)
        ax.set(xlim=(1.8, 20.2), ylim=(-0.1, 1), xticks=range(2, 20, 2), yticks=[])
        ax.spines["left"].set_visible(False)
        ax.tick_params(labelsize=9)
    write(fig, 0, 60 + side + 50, "Brightness along the dashed row:", va="bottom")
    write(fig, 0, 60 + side + 74, "dots are the photograph's pixels,", va="bottom", color=SOFT)
    write(fig, 0, 60 + side + 94, "the curve is what the kernel reads", va="bottom", color=SOFT)
    save(fig, "how-kernels.jpg")


def motion(params):
    """The matrix of a rotation, then a shift."""
    angle, x, y = params
    return stn.compose(stn.translation(jnp.stack([x, y])), stn.rotation(angle))


def small_picture():
    """The astronaut, smoothed, at 128 x 128, for the pictures of gradients."""
    smooth = filters.gaussian(ASTRONAUT, 10, channel_axis=-1)
    return jnp.asarray(transform.resize(smooth, (128, 128), anti_aliasing=True), jnp.float32)


def gradient():
    """dV/dangle = dV/dx dx/dangle + dV/dy dy/dangle, pixel by pixel."""
    image = small_picture().mean(-1, keepdims=True)
    params = jnp.array([0.2, 0.0, 0.0])

    def grid_of(params):
        return stn.affine_grid(motion(params), (128, 128))

    def read(grid):
        return stn.grid_sample(image, grid, padding_mode="border")[..., 0]

    def along(axis):
        direction = jnp.broadcast_to(jnp.eye(2)[axis], grid.shape)
        return jax.jvp(read, (grid,), (direction,))[1]

    grid = grid_of(params)
    value = read(grid)
    dx, dy = along(0), along(1)
    turn = jax.jvp(grid_of, (params,), (jnp.array([1.0, 0.0, 0.0]),))[1]
    product = dx * turn[..., 0] + dy * turn[..., 1]
    direct = jax.jvp(lambda p: read(grid_of(p)), (params,), (jnp.eye(3)[0],))[1]
    np.testing.assert_allclose(product, direct, atol=1e-4)

    side, gap = 160, 48
    fig = figure(1200, 214)
    pieces = [
        ("V", value, False),
        (r"$\partial V/\partial x$", dx, True),
        (r"$\partial x/\partial\alpha$", turn[..., 0], True),
        (r"$\partial V/\partial y$", dy, True),
        (r"$\partial y/\partial\alpha$", turn[..., 1], True),
        (r"$\partial V/\partial\alpha$", product, True),
    ]
    for i, (name, picture, signed) in enumerate(pieces):
        x = i * (side + gap)
        ax = panel(fig, x, 44, side, side)
        if not signed:
            photograph(ax, picture)
        else:
            limit = np.percentile(np.abs(picture), 99)
            photograph(ax, picture, cmap=DIVERGING, vmin=-limit, vmax=limit)
            ax.patch.set_visible(True)
            for spine in ax.spines.values():
                spine.set(visible=True, color=PALE)
        write(fig, x + side / 2, 32, name, ha="center", size=17 if signed else 13)
    for i, sign in enumerate(("", TIMES, "+", TIMES, "=")):
        write(fig, (i + 1) * (side + gap) - gap / 2, 124, sign, ha="center", va="center", size=20)
    save(fig, "how-gradient.png")


def descent():
    """Gradient descent finds a rotation and a shift."""
    image = small_picture()
    truth = jnp.array([0.35, 0.15, -0.1])

    def output(params):
        grid = stn.affine_grid(motion(params), (128, 128))
        return stn.grid_sample(image, grid, padding_mode="border")

    target = output(truth)

    @jax.jit
    def step(params):
        loss, slope = jax.value_and_grad(lambda p: jnp.mean((output(p) - target) ** 2))(params)
        return params - 0.1 * slope, loss

    path, losses, params = [], [], jnp.zeros(3)
    for _ in range(51):
        path.append(params)
        params, loss = step(params)
        losses.append(float(loss))
    print("descent: found", np.round(path[-1], 4), "truth", truth, "loss", losses[0], losses[-1])

    shown, side, gap = (0, 10, 20, 50), 176, 14
    fig = figure(1200, 408)
    for i, k in enumerate(shown):
        x = 62 + i * (side + gap)
        write(fig, x, 26, f"step {k}")
        ax = panel(fig, x, 38, side, side)
        photograph(ax, image)
        window(ax, motion(truth), color="white", width=1.6, dot=False, linestyle=(0, (3, 2)))
        window(ax, motion(path[k]))
        ax.set(xlim=(-1.5, 1.5), ylim=(1.5, -1.5), facecolor=INK)
        ax.patch.set_visible(True)
        photograph(panel(fig, x, 38 + side + gap, side, side), output(path[k]))
    for y, name in ((38 + side / 2, "U and\nwindow"), (38 + side * 1.5 + gap, "V")):
        write(fig, 52, y, name, ha="right", va="center", size=10)
    x = 62 + 4 * (side + gap) + 6
    photograph(panel(fig, x, 38 + side + gap, side, side), target)
    write(fig, x + side + 10, 38 + side + gap + side / 2, "← the target", va="center")
    ax = panel(fig, x + 46, 38, 1190 - x - 46, side - 26)
    ax.semilogy(losses, color=ACCENT, linewidth=2.2)
    ax.plot(shown, [losses[k] for k in shown], "o", color=ACCENT, markersize=6)
    ax.set(xlim=(-2, 52), xlabel="step")
    ax.set_title("mean squared error", loc="left", size=12)
    ax.tick_params(labelsize=10)
    save(fig, "how-descent.jpg")


def order():
    """Largest error on one period of a sine against the distance between samples."""
    sizes = 2 ** np.arange(3, 11)
    rows = {
        "bilinear": ({"mode": "bilinear"}, SOFT, "s"),
        f"bicubic, A = {MINUS}0.75": ({"mode": "bicubic"}, INK, "o"),
        f"bicubic, A = {MINUS}0.5": ({"mode": "bicubic", "cubic_coefficient": -0.5}, ACCENT, "o"),
    }
    fig = figure(1200, 430)
    ax = panel(fig, 84, 16, 610, 350)
    with jax.enable_x64(True):
        where = np.random.default_rng(0).random(2000)
        for name, (options, color, marker) in rows.items():
            errors = []
            for n in sizes:
                image = np.sin(2 * np.pi * np.arange(n) / n)[None, :, None]
                points = np.stack([where * n, np.zeros_like(where)], axis=-1)[None]
                read = stn.sample_pixels(image, points, padding_mode="wrap", **options)[0, :, 0]
                errors.append(np.abs(read - np.sin(2 * np.pi * where)).max())
            slope = np.polyfit(np.log(1 / sizes[-4:]), np.log(errors[-4:]), 1)[0]
            print(f"order: {name}: slope {slope:.2f}, error at 64 samples {errors[3]:.1e}")
            ax.loglog(1 / sizes, errors, marker=marker, color=color, linewidth=2.2)
            place = (1 / sizes[-1], 5e-3) if slope < 1.5 else (1.25 / sizes[-2], 0.5 * errors[-2])
            ax.text(*place, f"{name}: slope {slope:.2f}")
    ax.set(xlabel="h, the distance of samples (period = 1)", ylabel="largest error")
    ax.set_xticks(1 / sizes, [f"1/{n}" for n in sizes])
    ax.minorticks_off()

    ax = panel(fig, 800, 16, 390, 350)
    t = np.linspace(0, 1, 401, dtype=np.float32)[:-1]
    line = np.arange(17, dtype=np.float32)[None, :, None]
    for coefficient, color in ((-0.75, INK), (-0.5, ACCENT)):
        points = np.stack([8 + t, np.zeros_like(t)], axis=-1)[None]
        options = {"mode": "bicubic", "cubic_coefficient": coefficient, "padding_mode": "border"}
        moment = np.asarray(stn.sample_pixels(line, points, **options)[0, :, 0]) - 8
        ax.plot(t, moment, color=color, linewidth=2.2, label=f"A = {MINUS}{-coefficient}")
        value = moment[100]
        print(f"order: A = {coefficient}: first moment at t = 0.25 is {value:.4f}")
        ax.plot(t[100], value, "o", color=color)
        place, side = ((0.24, value + 0.03), "right") if color == INK else ((0.28, 0.22), "left")
        ax.text(*place, f"{value:.3f}", ha=side, va="center")
    ax.set(xlabel="t, where the line 0, 1, 2 ... is read", ylabel="what is read")
    ax.set(xticks=[0, 0.25, 0.5, 0.75, 1], yticks=[0, 0.25, 0.5, 0.75, 1])
    ax.legend(frameon=False, loc="lower right")
    save(fig, "how-order.png")


if __name__ == "__main__":
    for draw in (sentence, matrices, holes, kernels, gradient, descent, order):
        draw()
