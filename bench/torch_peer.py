"""PyTorch as the benchmarks beside it import it: after what golden data need of it, and set for speed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/golden/torch"))
from common import torch  # noqa: E402


def use_threads(threads):
    """Speed before equal bits, which the golden data need and these figures do not."""
    torch.set_num_threads(threads)
    torch.backends.mkldnn.enabled = True
    torch.use_deterministic_algorithms(False)
