"""The networks of `train_step.py` in PyTorch, as its users write them, and the distortion."""

import torch
import torch.nn.functional as F


class Tutorial(torch.nn.Module):  # type: ignore[misc]
    """The network of PyTorch's tutorial."""

    def __init__(self) -> None:
        super().__init__()
        self.localization = torch.nn.ModuleList(
            [torch.nn.Conv2d(1, 8, 7), torch.nn.Conv2d(8, 10, 5)]
        )
        self.theta = torch.nn.ModuleList([torch.nn.Linear(90, 32), torch.nn.Linear(32, 6)])
        self.features = torch.nn.ModuleList([torch.nn.Conv2d(1, 10, 5), torch.nn.Conv2d(10, 20, 5)])
        self.logits = torch.nn.ModuleList([torch.nn.Linear(320, 50), torch.nn.Linear(50, 10)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the logits."""
        y = F.relu(F.max_pool2d(self.localization[0](x), 2))
        y = F.relu(F.max_pool2d(self.localization[1](y), 2))
        y = F.relu(self.theta[0](y.flatten(1)))
        x = transform(x, self.theta[1](y))
        x = F.relu(F.max_pool2d(self.features[0](x), 2))
        x = F.dropout2d(self.features[1](x), training=self.training)
        x = F.relu(F.max_pool2d(x, 2))
        x = F.dropout(F.relu(self.logits[0](x.flatten(1))), training=self.training)
        return self.logits[1](x)


class PaperNetwork(torch.nn.Module):  # type: ignore[misc]
    """The paper's ST-CNN on RTS."""

    def __init__(self) -> None:
        super().__init__()
        self.localization = torch.nn.ModuleList(
            [torch.nn.Conv2d(1, 20, 5), torch.nn.Conv2d(20, 20, 5)]
        )
        self.theta = torch.nn.ModuleList([torch.nn.Linear(320, 20), torch.nn.Linear(20, 6)])
        self.features = torch.nn.ModuleList([torch.nn.Conv2d(1, 32, 9), torch.nn.Conv2d(32, 64, 7)])
        self.logits = torch.nn.ModuleList([torch.nn.Linear(1600, 160), torch.nn.Linear(160, 10)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the logits."""
        y = F.max_pool2d(F.relu(self.localization[0](F.avg_pool2d(x, 2))), 2)
        y = F.relu(self.theta[0](F.relu(self.localization[1](y)).flatten(1)))
        x = transform(x, self.theta[1](y))
        x = F.max_pool2d(F.relu(self.features[0](x)), 2)
        x = F.max_pool2d(F.relu(self.features[1](x)), 2)
        return self.logits[1](F.relu(self.logits[0](x.flatten(1))))


def transform(x: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Samples images with theta ``(b, 6)``."""
    grid = F.affine_grid(theta.view(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def distort(images: torch.Tensor, draws: torch.Tensor, canvas: int) -> torch.Tensor:
    """Applies RTS to uint8 images ``(b, 1, h, w)``, with ``draws`` (4, b) in [-1, 1]."""
    side = images.shape[-1]
    angle, scale, x, y = draws
    angle, scale = angle * (torch.pi / 4), 0.95 + 0.25 * scale
    room = (canvas - scale * side).clamp(min=0) / 2
    cos, sin, x, y = angle.cos() / scale, angle.sin() / scale, room * x, room * y
    ratio, pixel = canvas / side, 2 / side
    theta = torch.stack(
        [
            *(cos * ratio, sin * ratio, -(cos * x + sin * y) * pixel),
            *(-sin * ratio, cos * ratio, (sin * x - cos * y) * pixel),
        ],
        dim=1,
    ).view(-1, 2, 3)
    grid = F.affine_grid(theta, [len(images), 1, canvas, canvas], align_corners=False)
    return F.grid_sample(images.float().div_(255), grid, align_corners=False)
