"""The encoder against PyTorch's own attention and transformer layer."""

import pytest
import torch
import torch.nn.functional as F
from sccicl.model.encoder import Encoder, EncoderLayer, PCAEncoder, ResidualDropout, SelfAttention, encode, linear


def copy_attention(ours: SelfAttention, theirs: torch.nn.MultiheadAttention) -> None:
    """Give `ours` the values and the output map of `theirs`; its queries and keys stay unused."""
    width = theirs.embed_dim
    with torch.no_grad():
        ours.value.weight.copy_(theirs.in_proj_weight[2 * width :])
        ours.value.bias.copy_(theirs.in_proj_bias[2 * width :])
        ours.output.load_state_dict(theirs.out_proj.state_dict())


@pytest.mark.parametrize("n_cells", [5, 40])
def test_attention_of_one_token_is_multihead_attention(n_cells):
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(12, num_heads=3, batch_first=True).double()
    torch.nn.init.normal_(theirs.in_proj_bias)
    ours = SelfAttention(12, 12).double()
    copy_attention(ours, theirs)
    x = torch.randn(n_cells, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x[:, None], x[:, None], x[:, None])[0][:, 0])


def test_dropout_drops_its_share_and_keeps_the_mean():
    torch.manual_seed(5)
    dropout, x, zero = ResidualDropout(0.2), torch.ones(1001, 999), torch.zeros(1001, 999)
    dropped = dropout(zero, x)
    assert dropped.unique().tolist() == pytest.approx([0, 1.25], abs=1e-4)
    # Four standard deviations of a million draws
    assert (dropped == 0).double().mean().item() == pytest.approx(0.2, abs=4 * 0.4 / 1000)
    neighbours = (dropped[:, 1:] == 0).double() * (dropped[:, :-1] == 0).double()
    assert neighbours.mean().item() == pytest.approx(0.04, abs=4 * 0.2 / 1000)
    assert torch.equal(dropout.eval()(zero, x), x)


def test_dropout_has_the_gradient_of_the_sum():
    torch.manual_seed(6)
    x, branch = (torch.randn(5, 7, dtype=torch.float64, requires_grad=True) for _ in range(2))
    weights = torch.randn(5, 7, dtype=torch.float64)
    y = ResidualDropout(0.5)(x, branch)
    factor = ((y - x) / branch).detach()
    assert set(factor.round(decimals=9).unique().tolist()) == {0, 2}
    of_x, of_branch = torch.autograd.grad((y * weights).sum(), (x, branch))
    torch.testing.assert_close(of_x, weights)
    torch.testing.assert_close(of_branch, weights * factor)


def test_dropout_of_a_shorter_type_keeps_that_of_the_residual():
    x, branch = torch.randn(5, 7), torch.randn(5, 7).bfloat16().requires_grad_()
    y = ResidualDropout(0.2)(x, branch)
    assert y.dtype == torch.float32
    y.sum().backward()
    assert branch.grad.dtype == torch.bfloat16


def test_layer_is_transformer_encoder_layer():
    torch.manual_seed(1)
    theirs = torch.nn.TransformerEncoderLayer(12, nhead=2, dim_feedforward=20, dropout=0.0, batch_first=True).double()
    ours = EncoderLayer(12, 12, 20, dropout=0.0).double()
    copy_attention(ours.attention, theirs.self_attn)
    ours.feed_forward[0].load_state_dict(theirs.linear1.state_dict())
    ours.feed_forward[2].load_state_dict(theirs.linear2.state_dict())
    ours.attention_norm.load_state_dict(theirs.norm1.state_dict())
    ours.feed_forward_norm.load_state_dict(theirs.norm2.state_dict())
    x = torch.randn(7, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x[:, None])[:, 0])


def test_encode_is_in_blocks_without_dropout_and_gradient():
    torch.manual_seed(2)
    encoder = Encoder(6, n_layers=2, value_size=None, feed_forward=8, dropout=0.5)
    x = torch.randn(10, 6)
    h = encode(encoder, x, batch_size=3)
    assert encoder.training and not h.requires_grad
    torch.testing.assert_close(h, encode(encoder, x))
    torch.testing.assert_close(h, encoder.eval()(x).detach())


def test_pca_encoder_starts_at_the_components():
    """At the start it is PCA, each component up to its sign, and all at one scale."""
    torch.manual_seed(3)
    x = torch.randn(80, 12) @ torch.diag(torch.arange(12, 0, -1.0)) + 5
    encoder = PCAEncoder(12, 4, n_layers=3, feed_forward=16, dropout=0.0)
    encoder.start_at_components(x)
    PCA = pytest.importorskip("sklearn.decomposition").PCA
    theirs = torch.from_numpy(PCA(4, svd_solver="full").fit_transform(x.numpy()))
    ours = encode(encoder, x)
    torch.testing.assert_close(ours.std(0).mean(), torch.tensor(1.0))
    scale = (theirs.std(0) / ours.std(0)).mean()
    torch.testing.assert_close(ours.abs() * scale, theirs.abs(), atol=2e-2, rtol=1e-2)


def test_pca_encoder_with_fewer_cells_than_components():
    encoder = PCAEncoder(30, 20, n_layers=1, feed_forward=8, dropout=0.0)
    x = torch.randn(10, 30)
    encoder.start_at_components(x)
    assert encode(encoder, x).isfinite().all()


class PaddingSeen(torch.overrides.TorchFunctionMode):
    """Keeps the shapes of the factors of linear maps."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is F.linear:
            shapes.append((tuple(args[0].shape), tuple(args[1].shape)))
        return function(*args, **(kwargs or {}))


shapes = []


def test_padded_maps_are_the_maps(monkeypatch):
    """Widths that are no multiple of 8, in bfloat16, as on a GPU."""
    monkeypatch.setattr("sccicl.model.encoder.is_accelerator", lambda _: True)
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*shape, generator=generator) for shape in ((6, 13), (141, 13), (141,)))
    x.requires_grad_()
    shapes.clear()
    with torch.autocast("cpu", torch.bfloat16), PaddingSeen():
        found = linear(x, weight, bias)
    assert shapes == [((6, 16), (144, 16))]
    torch.testing.assert_close(found.float(), F.linear(x, weight, bias), rtol=2e-2, atol=5e-2)
    (gradient,) = torch.autograd.grad(found.float().sum(), x)
    torch.testing.assert_close(gradient, weight.sum(0).expand(6, 13), rtol=2e-2, atol=2e-1)
