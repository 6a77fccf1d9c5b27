"""The encoder f and the projection head g (paper 2.2.2 and 2.2.4)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Config
from ..numerics.pca import principal_axes
from ..runtime.device import is_accelerator, is_out_of_memory

# Tensor cores take factors whose rows start at a multiple of 16 bytes; others go several times as slowly.
ALIGNED = 8
# Up to this width a GPU takes longer to start a product than to compute it, so that only their number counts.
NARROW = 128


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`torch.nn.functional.linear`, on a GPU in 16 bits with wide maps padded by zeros to multiples of 8."""
    n_out, n_in = weight.shape
    more_out, more_in = -n_out % ALIGNED, -n_in % ALIGNED
    is_odd = (more_out or more_in) and max(n_out, n_in) > NARROW
    if not is_odd or not is_accelerator(x.device) or not torch.is_autocast_enabled(x.device.type):
        return F.linear(x, weight, bias)
    dtype = torch.get_autocast_dtype(x.device.type)
    x, weight = F.pad(x.to(dtype), (0, more_in)), F.pad(weight.to(dtype), (0, more_in, 0, more_out))
    return F.linear(x, weight, F.pad(bias.to(dtype), (0, more_out)))[:, :n_out]


class Linear(nn.Linear):
    """`torch.nn.Linear` by `linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """(cells, features) -> (cells, features)."""
        return linear(x, self.weight, self.bias)


class SelfAttention(nn.Module):
    """Self-attention of a cell that is one token, equations 3 and 4.

    The softmax over a single key is 1 for every head, so queries and keys neither change the output nor receive a
    gradient: what is left of `torch.nn.MultiheadAttention` is the linear map W_O W_V, and only that is computed.

    Parameters
    ----------
    n_features
        Width of the token.
    value_size
        Width of the values of all heads together.
    """

    def __init__(self, n_features: int, value_size: int):
        super().__init__()
        self.value = Linear(n_features, value_size)
        self.output = Linear(value_size, n_features)

    def forward(self, x: Tensor) -> Tensor:
        """(cells, features) -> (cells, features)."""
        value, output = self.value, self.output
        is_narrow = is_accelerator(x.device) and value.in_features <= NARROW
        if len(x) <= value.out_features or value.out_features < value.in_features or is_narrow:
            return output(value(x))
        # With more cells than features the product of the two maps costs less than the second map of all cells.
        return linear(x, output.weight @ value.weight, output.weight @ value.bias + output.bias)


class _DropAndAdd(torch.autograd.Function):
    """x + dropout(branch), of which the backward pass needs one byte a value: which were kept."""

    @staticmethod
    def forward(ctx, x: Tensor, branch: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale, ctx.dtype = scale, branch.dtype
        return (branch.to(x.dtype) * scale).mul_(kept).add_(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return gradient, (gradient * ctx.scale).mul_(kept).to(ctx.dtype), None, None


class ResidualDropout(nn.Dropout):
    """Dropout of what is added to a residual connection: x + dropout(branch).

    On a CPU its draws cost little: four of 16 bits from each of its generator, where torch makes one.
    """

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """Both of the same shape, any, to that shape."""
        if not self.training or self.p == 0 or is_accelerator(x.device):
            return x + super().forward(branch)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        n_dropped = round(self.p * 2**16)
        kept = (draws[: x.numel()] >= n_dropped - 2**15).view(x.shape)
        return _DropAndAdd.apply(x, branch, kept, 2**16 / (2**16 - n_dropped))


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward net, each with residual and layer normalisation (equations 5 to 7)."""

    def __init__(self, n_features: int, value_size: int, feed_forward: int, dropout: float):
        super().__init__()
        self.attention = SelfAttention(n_features, value_size)
        self.attention_norm = nn.LayerNorm(n_features)
        self.feed_forward = nn.Sequential(Linear(n_features, feed_forward), nn.ReLU(), Linear(feed_forward, n_features))
        self.feed_forward_norm = nn.LayerNorm(n_features)
        self.dropout = ResidualDropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(cells, features) -> (cells, features)."""
        x = self.attention_norm(self.dropout(x, self.attention(x)))
        return self.feed_forward_norm(self.dropout(x, self.feed_forward(x)))


class CellEncoder(nn.Module):
    """What all encoders f share: a `radius` of the sphere that `encode` puts the cells on, 0 for none."""

    def __init__(self):
        super().__init__()
        self.register_buffer("radius", torch.zeros(()))

    def keep_directions(self, h: Tensor) -> None:
        """From now on `encode` keeps only the direction of a cell, at the median length of `h` (cells, features)."""
        self.radius.copy_(h.norm(dim=1).median())

    def on_sphere(self, h: Tensor) -> Tensor:
        """`h`, (cells, features), with every cell at the length `radius`, if there is one."""
        # Chosen on the device, which the host need not wait for.
        return torch.where(self.radius > 0, F.normalize(h) * self.radius, h)


class Encoder(CellEncoder):
    """Transformer encoder f over cells that are one token each: (cells, genes) -> (cells, genes)."""

    def __init__(self, n_features: int, n_layers: int, value_size: int | None, feed_forward: int, dropout: float):
        super().__init__()
        self.size = n_features
        value_size = value_size or n_features
        self.layers = nn.Sequential(
            *(EncoderLayer(n_features, value_size, feed_forward, dropout) for _ in range(n_layers))
        )

    def forward(self, x: Tensor) -> Tensor:
        """H = f(X)."""
        return self.layers(x)


class PreNormLayer(nn.Module):
    """The same two nets with the normalisation before them (Xiong et al. 2020), and nothing added at the start.

    The last map of each net starts at 0, so a stack of such layers starts as the identity.
    """

    def __init__(self, n_features: int, feed_forward: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.LayerNorm(n_features)
        self.attention = SelfAttention(n_features, n_features)
        self.feed_forward_norm = nn.LayerNorm(n_features)
        self.feed_forward = nn.Sequential(Linear(n_features, feed_forward), nn.ReLU(), Linear(feed_forward, n_features))
        self.dropout = ResidualDropout(dropout)
        for last in (self.attention.output, self.feed_forward[2]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(cells, features) -> (cells, features)."""
        x = self.dropout(x, self.attention(self.attention_norm(x)))
        return self.dropout(x, self.feed_forward(self.feed_forward_norm(x)))


class PCAEncoder(CellEncoder):
    """Encoder f that starts as the leading principal components: (cells, genes) -> (cells, size).

    A linear map to `size` features, then transformer layers over cells that are one token each. Training adds to the
    components only what lowers the loss.
    """

    def __init__(self, n_features: int, size: int, n_layers: int, feed_forward: int, dropout: float):
        super().__init__()
        self.size = size
        self.embed = Linear(n_features, size)
        self.layers = nn.Sequential(*(PreNormLayer(size, feed_forward, dropout) for _ in range(n_layers)))

    def start_at_components(self, x: Tensor) -> None:
        """Make the linear map the principal components of `x`, (cells, genes), at a mean standard deviation of 1."""
        mean, axes, variance = principal_axes(x, min(len(self.embed.weight), *x.shape))
        scale = variance.sqrt().mean().clamp(min=1e-6)
        with torch.no_grad():
            self.embed.weight.zero_()
            self.embed.weight[: axes.shape[1]] = axes.T / scale
            self.embed.bias.zero_()
            self.embed.bias[: axes.shape[1]] = -(mean @ axes) / scale

    def forward(self, x: Tensor) -> Tensor:
        """H = f(X)."""
        return self.layers(self.embed(x))


class ProjectionHead(nn.Sequential):
    """Projection head g, a perceptron of two layers (equations 10 and 11): (cells, features) -> (cells, size)."""

    def __init__(self, n_features: int, hidden: int, size: int):
        super().__init__(Linear(n_features, hidden), nn.ReLU(), Linear(hidden, size))


def encode(encoder: CellEncoder, x: Tensor, *, batch_size: int = 8192) -> Tensor:
    """H = f(X) of all cells, without dropout and gradient: (cells, genes) -> (cells, features).

    The cells may lie on the host, H lies on the encoder's device. Where that has not the memory for `batch_size` cells
    at a time, there are fewer at a time.
    """
    device = next(encoder.parameters()).device
    training = encoder.training
    encoder.eval()
    try:
        with torch.no_grad():
            h = torch.cat([encoder(block.to(device)).to(x.dtype) for block in x.split(batch_size)])
            return encoder.on_sphere(h)
    except RuntimeError as error:
        if not is_out_of_memory(error) or batch_size <= 64:
            raise
    finally:
        encoder.train(training)
    return encode(encoder, x, batch_size=batch_size // 2)


def new_encoder(n_features: int, config: Config) -> Encoder | PCAEncoder:
    """The encoder f of `config` for cells of `n_features` genes, freshly initialised."""
    if config.encoder == "pca":
        return PCAEncoder(n_features, config.embedding_size, config.n_layers, config.feed_forward, config.dropout)
    return Encoder(n_features, config.n_layers, config.value_size, config.feed_forward, config.dropout)
