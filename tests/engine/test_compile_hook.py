# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Blocks that are compiled compute the same, once for each shape."""
import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from skel_ssl.engine import CompileHook
from skel_ssl.engine.hooks.compile_hook import compile_blocks
from skel_ssl.engine.hooks.unnoticed import unnoticed
from skel_ssl.models.ops.masking import random_mask

from ..models.test_masked_skeleton_model import build


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def step(model, seed, num_persons=4):
    torch.manual_seed(seed)
    persons = torch.randn(num_persons, 12, 25, 3)
    mask = random_mask(num_persons, 4, 25, .8).mask
    model.zero_grad()
    loss = model(persons, mode='loss', mask=mask)['loss']
    loss.backward()
    return loss, [p.grad for p in model.parameters() if p.grad is not None]


def test_same_loss_and_gradients_and_no_second_compilation():
    plain, compiled = build(), build()
    compiled.load_state_dict(plain.state_dict())
    counter = CompileCounterWithBackend('aot_eager')
    number = compile_blocks(compiled, dynamic=False, backend=counter)
    assert number == 2 + 2 + 1  # student, teacher, decoder
    assert list(compiled.state_dict()) == list(plain.state_dict())
    compilations = 0
    for seed in range(4):
        (loss, grads), (wanted, others) = (
            step(model, seed) for model in (compiled, plain))
        torch.testing.assert_close(loss, wanted)
        torch.testing.assert_close(grads, others)
        # Student and teacher, and the decoder, whose first block is given
        # its queries: whatever the number of blocks (torch 2.1: each), once.
        compilations = compilations or counter.frame_count
        assert counter.frame_count == compilations <= number


def test_a_number_of_persons_that_changes_becomes_a_variable():
    model = build()
    counter = CompileCounterWithBackend('aot_eager')
    compile_blocks(model, backend=counter)
    for seed, persons in enumerate((4, 5)):
        step(model, seed, persons)
    compilations = counter.frame_count
    for seed, persons in enumerate((6, 7, 8, 9)):
        step(model, seed, persons)
    assert counter.frame_count == compilations


def test_a_look_at_the_model_compiles_nothing():
    """A check of other batch sizes left nothing to the training."""
    model = build()
    counter = CompileCounterWithBackend('aot_eager')
    compile_blocks(model, dynamic=False, backend=counter)
    with unnoticed(model, seed=0):
        for persons in (1, 2, 3):
            model.extract_feat(torch.randn(persons, 12, 25, 3))
    assert counter.frame_count == 0
    step(model, 0)
    assert counter.frame_count > 0


def test_the_hook_compiles_the_model_of_the_runner():
    class Logger:
        info = print

    model = build()
    runner = type('Runner', (), dict(model=model, logger=Logger()))
    CompileHook(backend='eager').before_train(runner)
    blocks = [*model.backbone.blocks, *model.neck.blocks]
    assert all(block._compiled_call_impl is not None for block in blocks)
    assert model.backbone._compiled_call_impl is None


def test_a_torch_that_cannot(monkeypatch):
    monkeypatch.delattr(nn.Module, 'compile')
    with pytest.raises(ValueError, match='without --compile, or with torch 2'):
        compile_blocks(build())


def test_nothing_to_compile_is_an_error():
    with pytest.raises(ValueError, match='no TransformerBlock'):
        compile_blocks(nn.Linear(2, 2))
