"""Step 2, after training: shapelets chosen among the training series' segments."""

import numpy as np
import torch
from torch import Tensor

from ..nn.coarse import ShapeletTransform, cut_segments, select_shapelets
from ..nn.network import MUGNetwork

MAX_CANDIDATES = 2048


@torch.no_grad()
def discover_shapelets(
    network: MUGNetwork, values: Tensor, observed: Tensor, rng: np.random.Generator
) -> None:
    """Choose the shapelets of each segment length and store them in the network.

    At most 2,048 segments of each length, drawn at random, are embedded by the trained
    encoder; those nearest cluster centroids and of best utility become shapelets.

    Parameters
    ----------
    network : MUGNetwork
        With the coarse granularity.
    values, observed : Tensor of shape (n, C, T)
        Training series.
    rng : numpy Generator
    """
    segments = network.coarse(values, observed)
    # Segment lengths that have no shapelets come last.
    of_scales = zip(network.shapelets, segments.by_scale(), strict=False)
    for transform, (tokens, _) in of_scales:
        assert isinstance(transform, ShapeletTransform)
        cut_values, cut_observed, mask = cut_segments(values, observed, transform.scale)
        candidates = mask.flatten().nonzero().squeeze(1).cpu().numpy()
        if len(candidates) > MAX_CANDIDATES:
            candidates = rng.choice(candidates, MAX_CANDIDATES, replace=False)
        rows = torch.from_numpy(candidates).to(values.device)
        segment_values = cut_values.flatten(end_dim=1)[rows]  # (candidates, C, width)
        segment_observed = cut_observed.flatten(end_dim=1)[rows]
        embeddings = tokens.flatten(end_dim=1)[rows]
        wanted = len(transform.values)
        best = select_shapelets(embeddings.cpu().numpy(), wanted, rng)
        # A panel with fewer segments than shapelets repeats them.
        chosen = torch.from_numpy(np.resize(best, wanted)).to(values.device)
        transform.values.copy_(segment_values[chosen])
        transform.observed.copy_(segment_observed[chosen])
