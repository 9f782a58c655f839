"""scikit-learn's interface: ``DeepClustering`` takes any method, the others have one each."""

from jaxclust.estimators.clustering import DeepClustering
from jaxclust.estimators.families import (
    CCNN,
    DBC,
    DCEC,
    DCN,
    DCTL,
    DEC,
    DKM,
    IDEC,
    JULE,
    AgglomerativeClustering,
    KMeans,
    SpectralClustering,
)

__all__ = [
    "CCNN",
    "DBC",
    "DCEC",
    "DCN",
    "DCTL",
    "DEC",
    "DKM",
    "IDEC",
    "JULE",
    "AgglomerativeClustering",
    "DeepClustering",
    "KMeans",
    "SpectralClustering",
]
