"""Accuracy of the embedding under a plain SVC on data sets bundled with sktime.

The bounds are regression guards well below what was measured, not claims.
"""

import pytest
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from mug_sklearn import MUGTransformer
from mug_sklearn.datasets import load_dataset

LOWEST = {
    "GunPoint": 0.96,
    "ArrowHead": 0.78,
    "ItalyPowerDemand": 0.93,
    "OSULeaf": 0.90,
    "BasicMotions": 0.95,
    "JapaneseVowels": 0.94,
    "ACSF1": 0.75,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOWEST)
def test_embedding_under_a_plain_svc(name):
    data = load_dataset(name)
    model = make_pipeline(MUGTransformer(random_state=0, device="cpu"), SVC())
    model.fit(data.X_train, data.y_train)
    assert model.score(data.X_test, data.y_test) >= LOWEST[name]
