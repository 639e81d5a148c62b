# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Features that a linear layer can tell apart, more or less."""
import torch


def clouds(n=300, classes=4, width=6, seed=0, noise=1.):
    """Points around a centre for each class, on a large offset."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(
        classes, width, generator=torch.Generator().manual_seed(9))
    y = torch.randint(0, classes, (n, ), generator=generator)
    x = centres[y] + noise * torch.randn(n, width, generator=generator)
    return 5 + 3 * x, y
