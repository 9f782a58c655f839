"""scikit-learn's interface: ``DeepClustering`` takes any method, the others have one each."""

from jaxclust.estimators.clustering import DeepClustering
from jaxclust.estimators.families import (
    DBC,
    DCEC,
    DCN,
    DEC,
    DKM,
    IDEC,
    JULE,
    AgglomerativeClustering,
    KMeans,
)

__all__ = [
    "DBC",
    "DCEC",
    "DCN",
    "DEC",
    "DKM",
    "IDEC",
    "JULE",
    "AgglomerativeClustering",
    "DeepClustering",
    "KMeans",
]
