"""DEC among scikit-learn's parts: a scaler, PCA, DEC, a grid search; a frame in, a frame out.

The search looks for the number of pretraining epochs with the best silhouette, not at the classes.
At the end another process loads what was saved and gives the same clusters.

``python -m examples.sklearn_pipeline`` clusters the 178 wines that ship with scikit-learn.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import joblib
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from jaxclust.estimators import DEC

EPOCHS = (20, 60)
STEPS = 200

LOADED = """
import sys, joblib
from jaxclust.estimators import DEC

folder, saved = sys.argv[1:]
pipeline, frame = joblib.load(f"{folder}/pipeline.joblib"), joblib.load(f"{folder}/frame.joblib")
print(*pipeline.predict(frame))
# Files of joblib hold pickles: load your own alone. Folders of DEC.save hold arrays and text.
print(*DEC.load(saved).predict(pipeline[:-1].transform(frame)))
"""


def silhouette(pipeline, frame, y=None):
    """How well the clusters are apart among the inputs of DEC, in [-1, 1]."""
    del y
    return silhouette_score(pipeline[:-1].transform(frame), pipeline.predict(frame))


def main() -> None:
    """Prints the search, the first rows of the embedding, and whether loading gives the same."""
    wine: Any = load_wine(as_frame=True)
    frame = wine.data
    dec = DEC(3, random_state=0, settings={"max_steps": STEPS})
    pipeline = Pipeline([("scale", StandardScaler()), ("pca", PCA(8)), ("dec", dec)])
    pipeline.set_output(transform="pandas")

    grid = {"dec__settings__pretraining__epochs": EPOCHS}
    everything = [(range(len(frame)), range(len(frame)))]  # No wine is held back.
    search = GridSearchCV(pipeline, grid, scoring=silhouette, cv=everything)
    best = search.fit(frame).best_estimator_
    for epochs, score in zip(EPOCHS, search.cv_results_["mean_test_score"], strict=True):
        print(f"{epochs} epochs of pretraining: silhouette {score:.2f}")

    embedding = best.transform(frame)
    clusters = best.predict(frame)
    print(embedding.assign(cluster=clusters).head())
    score = adjusted_rand_score(wine.target, clusters)
    print(f"adjusted Rand index with the three cultivars: {score:.2f}")

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "dec"
        best["dec"].save(saved)
        joblib.dump(best, f"{folder}/pipeline.joblib")
        joblib.dump(frame, f"{folder}/frame.joblib")
        command = [sys.executable, "-c", LOADED, folder, str(saved)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    same = out.splitlines() == [" ".join(map(str, clusters))] * 2
    print(f"another process gives {'the same' if same else 'other'} clusters")


if __name__ == "__main__":
    main()
