"""Data in: random rows of a function, tensors, arrays, data frames and tables in files."""

from knotwork.data.accept import as_dataset as as_dataset
from knotwork.data.generate import create_dataset as create_dataset
from knotwork.data.samples import Dataset as Dataset
from knotwork.data.samples import Samples as Samples
from knotwork.data.tables import Table as Table
from knotwork.data.tables import read_table as read_table
