"""Student's t quantiles and the intervals of an ablation by scipy and numpy: golden.json.

The differences are those of a least-squares fit of arm + seed, their standard errors from its covariance. scipy 1.17.1, numpy 2.4.6.
"""

import json
from pathlib import Path

import numpy as np
from scipy import stats

quantiles = [
    {"probability": p, "degrees": df, "t": float(stats.t.ppf(p, df))}
    for p in (0.6, 0.95, 0.975, 0.99583333, 0.9999)
    for df in (1, 2, 3, 4, 7, 12, 30, 200, 1000)
]

rng = np.random.default_rng(3)
arms, seeds = 4, 3
values = 0.6 + rng.normal(0, 0.02, (1, seeds)) + rng.normal(0, 0.01, (arms, 1)) + rng.normal(0, 0.005, (arms, seeds))
design = np.zeros((arms * seeds, arms + seeds - 1))
for arm in range(arms):
    for seed in range(seeds):
        row = design[arm * seeds + seed]
        row[0] = 1
        if arm > 0:
            row[arm] = 1
        if seed > 0:
            row[arms + seed - 1] = 1
fit, residual, *_ = np.linalg.lstsq(design, values.ravel(), rcond=None)
degrees = arms * seeds - design.shape[1]
covariance = np.linalg.inv(design.T @ design) * residual[0] / degrees
factor = stats.t.ppf(1 - 0.025 / (arms - 1), degrees)
golden = {
    "quantiles": quantiles,
    "values": values.tolist(),
    "differences": [
        {"difference": float(fit[arm]), "margin": float(factor * np.sqrt(covariance[arm, arm]))} for arm in range(1, arms)
    ],
}
lines = ",\n".join(f'  "{key}": {json.dumps(value)}' for key, value in golden.items())
(Path(__file__).parent / "golden.json").write_text("{\n" + lines + "\n}\n")
