"""GeM pooling: the mean at one end, the maximum at the other."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from facemask.network import pooling
from facemask.settings import recipes


def gem(p: float, *, learn: bool = False) -> recipes.Gem:
    return recipes.Gem(kind="gem", p=p, learn=learn)


def maps(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype) + 0.1


def test_exponent_one_is_the_mean():
    x = maps(2, 5, 4, 3)
    torch.testing.assert_close(pooling.GeM(gem(1.0))(x), x.mean((2, 3)))


def test_a_large_exponent_tends_to_the_maximum():
    x = maps(2, 5, 4, 3)
    largest = x.amax((2, 3))
    near, nearer = (largest - pooling.GeM(gem(p))(x) for p in (30.0, 1000.0))
    assert (nearer >= -1e-6).all()
    assert (nearer < near).all()
    torch.testing.assert_close(pooling.GeM(gem(1000.0))(x), largest, rtol=5e-3, atol=0)


@pytest.mark.parametrize("p", [0.5, 3.0, 6.5])
def test_it_is_the_paper_s_formula(p):
    x = maps(2, 5, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(pooling.GeM(gem(p)).double()(x), x.pow(p).mean((2, 3)).pow(1 / p))


def test_what_is_below_zero_counts_as_zero():
    x = torch.cat([maps(1, 3, 4, 4), -5 * maps(1, 3, 4, 4)], 2)
    torch.testing.assert_close(pooling.GeM(gem(2.0))(x), pooling.GeM(gem(2.0))(x.clamp_min(0)))
    assert pooling.GeM(gem(3.0))(-x.abs()).isfinite().all()


def test_maps_with_channels_last_in_their_shape_are_pooled_alike():
    x = maps(2, 5, 4, 3)
    found = pooling.GeM(gem(3.0), nhwc=True)(x.permute(0, 2, 3, 1))
    torch.testing.assert_close(found, pooling.GeM(gem(3.0))(x))


def test_gradients_are_right():
    pool = pooling.GeM(gem(3.0, learn=True)).double()
    x = maps(2, 3, 3, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, p: torch.func.functional_call(pool, {"p": p}, (x,)), (x, pool.p)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_large_numbers_do_not_overflow(dtype):
    x = (maps(2, 3, 4, 4) * 1000).to(dtype).requires_grad_()
    found = pooling.GeM(gem(50.0))(x)
    found.sum().backward()
    assert found.isfinite().all() and x.grad.isfinite().all()
    # Half precision is what the map comes in, not what powers are taken in.
    exact = pooling.GeM(gem(50.0)).double()(x.detach().double())
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)


def test_the_exponent_is_trained_only_when_told():
    assert [name for name, _ in pooling.GeM(gem(3.0, learn=True)).named_parameters()] == ["p"]
    still = pooling.GeM(gem(3.0))
    assert not list(still.parameters()) and not still.state_dict()
    assert pooling.GeM(gem(3.0)).p == 3


def test_an_attached_pool_keeps_the_network_s_own_layers():
    """timm groups layers by their names, for freezing and layer-wise rates."""
    network = timm.create_model("test_resnet", num_classes=0, global_pool="")
    before = dict(network.named_parameters())
    pooling.attach(network, gem(3.0, learn=True))
    after = dict(network.named_parameters())
    assert set(after) - set(before) == {"gem.p"}
    groups = timm.models.group_parameters(network, network.group_matcher(coarse=True), reverse=True)
    assert groups["gem.p"] == max(groups.values())


def test_a_copy_of_the_network_pools_with_its_own_exponent():
    """Averages of weights train one network and validate its copy."""
    network = timm.create_model("test_resnet", num_classes=0, global_pool="").eval()
    pooling.attach(network, gem(1.0, learn=True))
    twin = copy.deepcopy(network)
    x = torch.randn(1, 3, 96, 96)
    before = network(x)
    nn.init.constant_(twin.get_parameter("gem.p"), 20)
    assert torch.equal(network(x), before)
    assert (twin(x) >= before).all() and not torch.allclose(twin(x), before)
