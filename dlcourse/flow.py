"""Chapter 17 in PyTorch: a normalising flow, RealNVP: an invertible network whose density is exact.

    net = RealNVP(2, layers=6, hidden=64)
    run = train.fit(net, (x, x), torch.optim.Adam(net.parameters(), 1e-3), loss=negative_log_likelihood)
    net.log_prob(x)                            # (N,), in nats
    net.sample(1000)

The flow f takes an example x to noise z, layer by layer, and each layer can be undone. The density of x is that of its
z, times how much f stretches space there: ``log p(x) = log N(f(x); 0, I) + log abs(det ∂f/∂x)``.

Sources: Dinh, Sohl-Dickstein and Bengio, Density estimation using Real NVP, ICLR (2017), arXiv:1605.08803; Papamakarios
and others, Normalizing flows for probabilistic modeling and inference, JMLR 22 (2021), arXiv:1912.02762.
"""

from __future__ import annotations

import math

import torch
from torch import nn


class AffineCoupling(nn.Module):
    """One part of x stays, and decides how the other part is stretched and moved.

    ``y[kept] = x[kept],  y[moved] = x[moved] · exp(s) + t,  (s, t) = net(x[kept]),  log det = Σ s``

    The Jacobian is triangular, so its determinant is the product of the factors exp(s). The network itself is never
    inverted. s is ``limit · tanh(raw / limit)``, which bounds the factors and leaves small s as they are.

    Parameters
    ----------
    mask : (D,) booleans; True for what is kept, and at least one of each
    hidden : units in each of the network's two hidden layers
    limit : the largest abs(s)

    Raises
    ------
    ValueError
        The mask is not (D,), or keeps all or nothing.

    Source: Dinh, Sohl-Dickstein and Bengio (2017), equations 4, 5, 7 and 8.
    """

    def __init__(self, mask: torch.Tensor, hidden: int = 64, limit: float = 2.0):
        super().__init__()
        mask = torch.as_tensor(mask, dtype=torch.bool)
        if mask.ndim != 1 or mask.all() or not mask.any():
            raise ValueError(f"mask is {mask.tolist()}; expected (D,) booleans, at least one True and one False")
        self.limit = limit
        self.register_buffer("kept", mask.nonzero().ravel())
        self.register_buffer("moved", (~mask).nonzero().ravel())
        self.net = nn.Sequential(
            nn.Linear(len(self.kept), hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, 2 * len(self.moved)),
        )  # fmt: skip
        nn.init.zeros_(self.net[-1].weight)  # the layer starts as the identity
        nn.init.zeros_(self.net[-1].bias)

    def scale_and_shift(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """s and t, each (N, number moved), from the part that is kept."""
        raw, t = self.net(x[:, self.kept]).chunk(2, dim=1)
        return self.limit * torch.tanh(raw / self.limit), t

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x (N, D) -> y (N, D) and the log-determinant (N,)."""
        s, t = self.scale_and_shift(x)
        return self._with(x, x[:, self.moved] * s.exp() + t), s.sum(dim=1)

    def inverse(self, y: torch.Tensor) -> torch.Tensor:
        """y (N, D) -> x (N, D): the kept part is there already, so s and t are the same."""
        s, t = self.scale_and_shift(y)
        return self._with(y, (y[:, self.moved] - t) * (-s).exp())

    def _with(self, x: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
        return x.index_copy(1, self.moved, moved)


class RealNVP(nn.Module):
    """Coupling layers that take turns: what one keeps, the next one moves. Standard normal noise at the far end.

    Parameters
    ----------
    dims : D, at least 2
    layers : coupling layers
    hidden : units in the hidden layers of each
    limit : see :class:`AffineCoupling`

    Raises
    ------
    ValueError
        ``dims`` is below 2 or ``layers`` below 1.

    Source: Dinh, Sohl-Dickstein and Bengio (2017), section 3.
    """

    def __init__(self, dims: int, layers: int = 6, hidden: int = 64, limit: float = 2.0):
        super().__init__()
        if dims < 2 or layers < 1:
            raise ValueError(f"dims is {dims} and layers {layers}; expected at least 2 and at least 1")
        self.dims = dims
        even = torch.arange(dims) % 2 == 0
        self.layers = nn.ModuleList(AffineCoupling(even if i % 2 == 0 else ~even, hidden, limit) for i in range(layers))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x (N, D) -> z (N, D), log det ∂z/∂x (N,).

        Raises
        ------
        ValueError
            x is not (N, D).
        """
        if x.ndim != 2 or x.shape[1] != self.dims:
            raise ValueError(f"x has shape {tuple(x.shape)}; expected (N, {self.dims})")
        log_det = x.new_zeros(len(x))
        for layer in self.layers:
            x, part = layer(x)
            log_det = log_det + part
        return x, log_det

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        """z (N, D) -> x (N, D): the layers undone, the last one first."""
        for layer in reversed(self.layers):
            z = layer.inverse(z)
        return z

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """log p(x), (N,), in nats."""
        z, log_det = self(x)
        return log_det - 0.5 * (z**2).sum(dim=1) - 0.5 * self.dims * math.log(2 * math.pi)

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> torch.Tensor:
        """n examples (n, D): noise from the seed, taken back through the layers."""
        generator = torch.Generator().manual_seed(seed)
        like = next(self.parameters())
        z = torch.randn(n, self.dims, generator=generator, dtype=torch.float64)
        return self.inverse(z.to(like))


def negative_log_likelihood(outputs: tuple[torch.Tensor, torch.Tensor], _=None) -> torch.Tensor:
    """The mean of -log p(x) over a batch, in nats, from what :class:`RealNVP` gives: a loss for ``train.fit``."""
    z, log_det = outputs
    normal = 0.5 * (z**2).sum(dim=1) + 0.5 * z.shape[1] * math.log(2 * math.pi)
    return (normal - log_det).mean()


def numerical_log_det(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """log abs(det ∂z/∂x) (N,) from the whole Jacobian (D, D), one example at a time: slow, and sure.

    Parameters
    ----------
    net : gives ``(z, log_det)`` for x (N, D), as :class:`RealNVP` does
    x : (N, D)
    """
    jacobians = [torch.autograd.functional.jacobian(lambda row: net(row[None])[0][0], row) for row in x]
    return torch.stack([torch.linalg.slogdet(j)[1] for j in jacobians])
