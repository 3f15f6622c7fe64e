"""The optimiser beside torch's class."""

import pytest
import torch

from mug_sklearn.pretraining.adamw import AdamW


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_steps_are_those_of_torchs_class(dtype):
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (5,), (), (2, 2)]
    ours = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    theirs = [torch.nn.Parameter(tensor.clone()) for tensor in ours]
    optimizer = AdamW(ours, weight_decay=0.1)
    reference = torch.optim.AdamW(theirs, weight_decay=0.1, fused=True)
    for step in range(5):
        optimizer.zero_grad()
        reference.zero_grad()
        for number, (own, other) in enumerate(zip(ours, theirs, strict=True)):
            # The second is first used at the third step, the last one never.
            if number == 3 or (number == 1 and step < 2):
                continue
            own.grad = torch.randn(own.shape, generator=generator, dtype=dtype)
            other.grad = own.grad.clone()
        reference.param_groups[0]["lr"] = 0.1 / (step + 1)
        optimizer.step(0.1 / (step + 1))
        reference.step()
        for own, other in zip(ours, theirs, strict=True):
            assert torch.equal(own, other)
    remembered = reference.state_dict()["state"]
    assert {*map(int, optimizer.moments)} == {*remembered} == {0, 1, 2}
    for number, of_one in optimizer.moments.items():
        assert of_one.keys() == remembered[int(number)].keys()
        for name, value in of_one.items():
            assert torch.equal(value, remembered[int(number)][name])
