"""
Feature attribution: which inputs matter
========================================

Of ten inputs five are in the function and five are not (J. H. Friedman's first problem). An input's
importance is the share of the output's spread that goes through it; inputs without any can be
pruned away, and the smaller network is easier to train and to read.
"""

from pathlib import Path

from matplotlib.figure import Figure
from sklearn import datasets

from knotwork import KAN

X, y = datasets.make_friedman1(500, noise=0.5, random_state=0)
model = KAN([10, 1], grid=3)
