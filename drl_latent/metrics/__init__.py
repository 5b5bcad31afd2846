"""Metrics of a code: pure functions of codes [N, D] and factors [N, K].

- `mig`, `sap`, `infoc`, `mcc`: is each factor in one code alone?
- `mig_sup`, `modularity`, `infom`, `irs`, `factor_vae`: does each code speak of one factor alone?
- `dci`, `med`, `jemmig`, `dcimig`, `beta_vae`: both, in one number or in parts.
- `explicitness`, `infoe`, `dci_es`, `probe`, `linear_probe`: how much of each factor can be read
  off the whole code, and how easily? `probe_by_part`: out of distribution, too?
- `score_all`: all of these in one tidy table.

Each returns a `MetricResult`, and takes the arguments that `drl_latent.metrics.definition` lists.
`METRICS` has them by name; `drl_latent.metrics.inputs` says which factors are discrete.
"""

from drl_latent.metrics.base import METRICS, Metric, MetricResult, Score
from drl_latent.metrics.beta_vae_score import beta_vae
from drl_latent.metrics.correlation import CorrelatedFactorsWarning, correlated_factors
from drl_latent.metrics.dci import dci
from drl_latent.metrics.dci_es import dci_es
from drl_latent.metrics.dcimig import dcimig
from drl_latent.metrics.definition import define_metric
from drl_latent.metrics.explicitness import explicitness
from drl_latent.metrics.factor_vae_score import factor_vae
from drl_latent.metrics.infomec import infoc, infoe, infom
from drl_latent.metrics.inputs import Inputs, check_inputs
from drl_latent.metrics.irs import irs
from drl_latent.metrics.jemmig import jemmig
from drl_latent.metrics.mcc import mcc
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
    "beta_vae",
    "check_inputs",
    "correlated_factors",
    "dci",
    "dci_es",
    "dcimig",
    "define_metric",
    "explicitness",
    "factor_vae",
    "infoc",
    "infoe",
    "infom",
    "irs",
    "jemmig",
    "linear_probe",
    "mcc",
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
