"""Metrics of a code: pure functions of codes [N, D] and factors [N, K].

- `mig`, `sap`: is each factor in one code alone?
- `dci`: disentanglement, completeness and informativeness, from predictors.
- `modularity`, `irs`: does each code speak of one factor alone?
- `explicitness`, `probe`: how much of each factor can be read off the whole code?
- `score_all`: several of these in one tidy table.

Each returns a `MetricResult`. `METRICS` lists them by name; `drl_latent.metrics.inputs` says which
factors are discrete.
"""

from drl_latent.metrics.base import METRICS, Metric, MetricResult, Score
from drl_latent.metrics.correlation import CorrelatedFactorsWarning, correlated_factors
from drl_latent.metrics.dci import dci
from drl_latent.metrics.dcimig import dcimig
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.explicitness import explicitness
from drl_latent.metrics.infomec import infoc, infoe, infom
from drl_latent.metrics.inputs import Inputs, check_inputs
from drl_latent.metrics.irs import irs
from drl_latent.metrics.jemmig import jemmig
from drl_latent.metrics.med import med
from drl_latent.metrics.mig import mig
from drl_latent.metrics.mig_sup import mig_sup
from drl_latent.metrics.modularity import modularity
from drl_latent.metrics.probe import linear_probe, probe
from drl_latent.metrics.probe_by_part import probe_by_part
from drl_latent.metrics.sap import sap
from drl_latent.metrics.score_all import score_all, score_each, tabulate
from drl_latent.metrics.splits import split_inputs

__all__ = [
    "METRICS",
    "CorrelatedFactorsWarning",
    "Inputs",
    "Metric",
    "MetricResult",
    "Score",
    "check_inputs",
    "correlated_factors",
    "dci",
    "dcimig",
    "define_metric",
    "explicitness",
    "infoc",
    "infoe",
    "infom",
    "irs",
    "jemmig",
    "linear_probe",
    "med",
    "mig",
    "mig_sup",
    "modularity",
    "probe",
    "probe_by_part",
    "sap",
    "score_all",
    "score_each",
    "split_inputs",
    "tabulate",
]
