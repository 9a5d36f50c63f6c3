"""Pipelines that a team might have in a package of its own."""

from typing import Any

from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def filled() -> Any:
    """Return a logistic regression that fills what is missing."""
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())


def forest() -> Any:
    """Return a small forest that fills what is missing, by two threads."""
    return make_pipeline(SimpleImputer(), RandomForestClassifier(n_estimators=20, n_jobs=2))


READY = make_pipeline(SimpleImputer(), LogisticRegression())
"""A pipeline that is there already."""
